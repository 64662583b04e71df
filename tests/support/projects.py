"""A uv project locked against the loopback index."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import uv

from .index import Index


def locked_project(folder: Path, index: Index, dependencies: list[str], *, name: str = "sample") -> Path:
    """Write a small pure-Python project, lock it against `index`, and return its folder."""
    package = folder / "src" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'"""{name}."""\n')
    listed = ", ".join(f'"{item}"' for item in dependencies)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1.0.0"\nrequires-python = ">=3.11,<3.14"\n'
        f"dependencies = [{listed}]\n"
        '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
        f'[[tool.uv.index]]\nname = "loopback"\nurl = "{index.url}/simple/"\ndefault = true\n'
    )
    done = subprocess.run(
        [uv.find_uv_bin(), "lock", "--quiet", "--no-cache"],
        cwd=folder,
        env={**os.environ, "UV_NO_PROGRESS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder
