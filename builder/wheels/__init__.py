"""Wheels: checked when they enter the cache, and staged with their requirements file."""
