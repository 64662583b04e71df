"""Cross-encoders in folders: whole, damaged, and of another kind."""
