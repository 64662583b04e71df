"""The use cases, one module each; every one reads from top to bottom as what it does."""
