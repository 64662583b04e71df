"""One version: what the package says is what its project file says."""

from __future__ import annotations

from pathlib import Path

import tomllib

import ragtrace


def test_the_package_reports_the_version_of_its_project_file(repository: Path) -> None:
    table = tomllib.loads((repository / "service/pyproject.toml").read_text(encoding="utf-8"))
    assert ragtrace.__version__ == table["project"]["version"]
