"""Transport: one archive, volumes, deltas, and looking into what was made."""
