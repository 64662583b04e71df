"""Readers of model files: each walks one format's structure and refuses what does not add up; no weights are loaded."""
