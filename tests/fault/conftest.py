"""The workshop of a test process, and the table of what was struck."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from .harness import MODES
from .workshop import Workshop, open_workshop

PROPERTY = "fault sweep"


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    """One for every test process; its starting points serve all its tests."""
    made = open_workshop()
    try:
        yield made
        assert made.spoilt() == [], "a run reached into a starting point through a hard link"
    finally:
        made.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print scenario, operations found, how many were struck in which way, and what failed."""
    rows: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY and getattr(report, "when", "") == "call":
                    told = json.loads(value)
                    row = rows.setdefault(told.pop("scenario"), Counter())
                    row["operations"] = max(row["operations"], told.pop("operations"))
                    row.update(told)
    if not rows:
        return
    columns = ["operations", *MODES, "full disk", "not reached", "failed"]
    width = max(map(len, rows))
    terminalreporter.section("fault sweep")
    terminalreporter.write_line(" " * width + "".join(f"  {name:>11}" for name in columns))
    for title, row in [*sorted(rows.items()), ("all", sum(rows.values(), Counter()))]:
        line = "".join(f"  {row[name]:>11}" for name in columns)
        terminalreporter.write_line(f"{title:<{width}}{line}")
