"""In-memory twins of every port, shipped so that users can test against them too."""
