"""Tests of engines that are not in the development environment: skipped, or demanded where `make test-engines` runs."""

from __future__ import annotations

import importlib.util
import os

import pytest


def missing(*names: str) -> str:
    """Return why these modules cannot be tested here; nothing where they are installed.

    Raises:
        RuntimeError: one is missing where RAGTRACE_REQUIRE_ENGINES=1 demands all.
    """
    absent = [name for name in names if importlib.util.find_spec(name) is None]
    reason = f"no {', '.join(absent)} in this environment; run: make test-engines" if absent else ""
    if reason and os.environ.get("RAGTRACE_REQUIRE_ENGINES") == "1":
        raise RuntimeError(reason)
    return reason


def needs(*names: str) -> pytest.MarkDecorator:
    """Return the mark of tests that need these modules."""
    reason = missing(*names)
    return pytest.mark.skipif(bool(reason), reason=reason)
