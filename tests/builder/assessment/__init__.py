"""The builder's assessment."""
