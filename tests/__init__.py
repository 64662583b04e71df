"""Tests mirror the source: `tests/<folder>/` claims what `<folder>/` does; `tests/support/` makes the material."""
