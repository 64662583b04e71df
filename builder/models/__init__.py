"""Models: weights by pinned repository, commit and digests; checked formats only."""
