"""Room on disk: known before the work, added up where it is one disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builder.disk import Need, require_room
from bundle.errors import SpaceError
from bundle.text import Text

CACHE, OUTPUT = Text("캐시", "cache"), Text("결과", "output")


def test_what_fits_is_let_through(tmp_path: Path) -> None:
    require_room([Need(tmp_path / "not" / "there" / "yet", 1000, CACHE), Need(tmp_path, 0, OUTPUT)])


def test_needs_on_one_disk_are_added_up_and_both_named(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    require_room([Need(tmp_path, free * 2 // 3, CACHE)])
    with pytest.raises(SpaceError) as caught:
        require_room(
            [Need(tmp_path / "a", free * 2 // 3, CACHE), Need(tmp_path / "b", free * 2 // 3, OUTPUT)]
        )
    text = caught.value.render("en")
    assert "cache" in text and "output" in text and "free:" in text and "RAGTRACE_CACHE_DIR" in text
    assert not list(tmp_path.iterdir())
