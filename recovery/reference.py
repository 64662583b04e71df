"""The text of ``docs/reference/checks.md``, from the registry and the table of causes; `make docs` writes it."""

from __future__ import annotations

import inspect
from typing import List

from recovery.actions import ACTIONS
from recovery.causes import CAUSES, Cause
from validator.model import Category, Check
from validator.registry import load

HEAD = """# Checks

Every check of `enterprise_validator.py`, by category. This page is generated (`make docs`);
a test compares it with the code.

Every check that is asked for gives exactly one result: `pass`, `warn`, `fail`, `skip`, `error` (the check itself
broke, hung or went over a limit) or `unknown` (it ran, but could not see what it needed). `error` and `unknown`
never count as passed. In the report's `status` they are shown as `WARN` and `SKIP`, with the word itself in
`raw_status`.

| exit code | meaning |
|---|---|
| 0 | everything that applies here passed |
| 3 | something failed (with `--strict`: or warned, or was skipped) |
| 4 | warnings only |
| 5 | some checks could not run |
| 2 | wrong usage |

| verdict | meaning |
|---|---|
| EXCELLENT | an installation is there, and everything that applies passed |
| GOOD | small findings only, or nothing is installed yet, or a waiver is in force |
| WARNING | a finding of weight, or a check of weight that could not run |
| CRITICAL | something failed |
"""


def page() -> str:
    """Return the whole page."""
    lines = [HEAD]
    for category in Category:
        lines.append(f"## {category.value}\n")
        for item in load():
            if item.category is category:
                lines.extend(_section(item))
    return "\n".join(lines).rstrip() + "\n"


def _section(item: Check) -> List[str]:
    doc = inspect.cleandoc(item.function.__doc__ or "")
    cause = next((cause for cause in CAUSES if item.id in cause.checks), None)
    platforms = ", ".join({"win32": "windows", "darwin": "macos"}.get(name, name) for name in item.platforms)
    needs = "an installation" if item.needs_installation else "nothing installed"
    needs = "an installed service" if item.needs_service else needs
    return [
        f"### {item.id}\n",
        f"**{item.title.en}** · {item.title.ko}\n",
        doc + "\n",
        f"Severity {item.severity.value} · at most {item.timeout_s:g} s · {platforms} · needs {needs}\n",
        *(_advice(cause) if cause else []),
    ]


def _advice(cause: Cause) -> List[str]:
    lines = [f"When it does not pass: {cause.explanation.en} {cause.advice.en}\n"]
    titles = [ACTIONS[name].title.en for name in cause.actions]
    if titles:
        lines.append("The recovery assistant offers: " + "; ".join(titles) + ".\n")
    lines.append(f"통과하지 못하면: {cause.explanation.ko} {cause.advice.ko}\n")
    return lines
