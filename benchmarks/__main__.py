"""``python -m benchmarks``: run all cases and write the table into docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from tests.isolated import documents

from . import building, operating, service, validating
from .cases import REPOSITORY, Bench, Row

PAGE = REPOSITORY / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| what | against | ours | theirs | ratio (lowest–highest) | target | met |",
        "|---|---|---:|---:|---|---|---|",
    ]
    for row in rows:
        cells = (
            row.name,
            row.other,
            row.ours,
            row.theirs,
            row.ratio,
            row.target,
            "yes" if row.met else "**no**",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def machine() -> str:
    """Return one line about where and when this was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"Measured {day} on {os.cpu_count()} cores, {memory:.0f} GB memory, {system}."


def alone(cases: Callable[[Bench], list[Row]]) -> int:
    """Measure one module's cases and print them; nothing is written."""
    with tempfile.TemporaryDirectory(
        prefix="ragtrace-bench-", dir=os.environ.get("RAGTRACE_BENCH_DIR")
    ) as folder:
        print(table(cases(Bench(Path(folder)))))
    return 0


def main() -> int:
    """Run, print and write."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(
        prefix="ragtrace-bench-", dir=os.environ.get("RAGTRACE_BENCH_DIR")
    ) as folder:
        bench = Bench(Path(folder))
        for case in (
            lambda: building.planning(bench),
            lambda: building.cold_build(bench),
            bench.warm_build,
            bench.download,
            bench.packing,
            lambda: building.sizes(bench),
            lambda: building.delta(bench),
            lambda: building.large_model(bench),
            bench.verification,
            bench.installation,
            bench.memory,
            lambda: operating.cases(bench),
            lambda: validating.cases(bench),
        ):
            found = case()
            rows += found if isinstance(found, list) else [found]
            print(
                "\n".join(table(found if isinstance(found, list) else [found]).splitlines()[2:]), flush=True
            )
        rows += service.cases(bench.folder, documents.unpacked() / documents.HELP)
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{machine()}\n\n{table(rows)}\n{END}{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
