"""What retrieval does."""
