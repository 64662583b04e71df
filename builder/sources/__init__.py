"""Sources: wheels that are built on this machine, and the record of what they were built from."""
