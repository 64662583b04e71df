"""Fixtures: a healthy fake installation, and the same with its service running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.validator.fakes import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A healthy installation whose service does not run."""
    return Installation(tmp_path / "prefix")


@pytest.fixture
def running(installation: Installation) -> Iterator[Installation]:
    """A healthy installation whose service runs."""
    with installation.serving():
        yield installation
