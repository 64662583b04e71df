"""The documentation, and `docs.generate`, which writes the pages that repeat what the code says."""
