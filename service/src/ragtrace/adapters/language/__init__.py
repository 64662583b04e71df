"""Engines of language models, each behind the same port."""
