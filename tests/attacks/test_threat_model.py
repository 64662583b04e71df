"""`docs/explanation/threat-model.md` lists exactly the attacks that are tried, each in its area with its exit code."""

from __future__ import annotations

import re
from pathlib import Path

from .table import ATTACKS

_ROW = re.compile(r"^\| `([a-z0-9-]+)` \| .+ \| (\d+) \|$")


def listed(page: str) -> dict[str, tuple[str, int]]:
    """Return area and exit code of every attack the page lists."""
    found: dict[str, tuple[str, int]] = {}
    area = ""
    for line in page.splitlines():
        if line.startswith("### "):
            area = line[4:].split(":")[0].strip().lower()
        row = _ROW.match(line)
        if row is not None:
            assert row[1] not in found, f"listed twice: {row[1]}"
            found[row[1]] = (area, int(row[2]))
    return found


def test_the_page_lists_the_attacks_that_are_tried(repository: Path) -> None:
    page = (repository / "docs" / "explanation" / "threat-model.md").read_text(encoding="utf-8")
    assert listed(page) == {name: (attack.area, attack.code) for name, attack in ATTACKS.items()}
