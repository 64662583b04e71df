"""The checks, one module per category; each module ends with the tuple ``CHECKS``."""
