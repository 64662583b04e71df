"""Versions of the service to upgrade to: copies of the real project with one thing changed.

The real builder packs them; only the files named here differ from the project as it is.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from .tools import HarnessError

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT_FILE = "service/pyproject.toml"
VERSION_MODULE = "service/src/ragtrace/__init__.py"
NOT_COPIED = shutil.ignore_patterns(
    "__pycache__", ".venv", "*.egg-info", ".mypy_cache", ".ruff_cache", ".pytest_cache"
)


def project_version(root: Path) -> str:
    """Return the version that a copy, or the project itself, declares."""
    found = re.search(
        r'^version = "([^"]+)"$', (root / PROJECT_FILE).read_text(encoding="utf-8"), re.MULTILINE
    )
    if found is None:
        raise HarnessError(f"no version in {root / PROJECT_FILE}")
    return found.group(1)


def copy_project(destination: Path, version: str, source: Path = REPOSITORY) -> Path:
    """Copy the service with its lock to `destination`, as another version; return the folder to pack."""
    old = project_version(source)
    destination.mkdir(parents=True)
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copyfile(source / name, destination / name)
    shutil.copytree(source / "service", destination / "service", ignore=NOT_COPIED)
    _replace_once(destination / PROJECT_FILE, f'version = "{old}"', f'version = "{version}"')
    _replace_once(
        destination / "uv.lock",
        f'name = "ragtrace"\nversion = "{old}"',
        f'name = "ragtrace"\nversion = "{version}"',
    )
    _replace_once(destination / VERSION_MODULE, f'__version__ = "{old}"', f'__version__ = "{version}"')
    return destination / "service"


def next_versions(version: str) -> tuple[str, str]:
    """Return the next two minor versions."""
    major, minor = version.split(".")[:2]
    return f"{major}.{int(minor) + 1}.0", f"{major}.{int(minor) + 2}.0"


def break_health(service: Path) -> None:
    """Break the copy's HTTP application: it builds, installs, starts, and never answers that it is ready."""
    _replace_once(
        service / "src/ragtrace/entrypoints/http/app.py",
        "    app = FastAPI(",
        '    raise RuntimeError("broken on purpose by the isolated test")\n    app = FastAPI(',
    )


def _replace_once(path: Path, old: str, new: str) -> None:
    """Replace what must occur exactly once."""
    if path.read_text(encoding="utf-8").count(old) != 1:
        raise HarnessError(f"{old!r} does not occur once in {path}")
    _edit(path, lambda text: text.replace(old, new))


def _edit(path: Path, change: Callable[[str], str]) -> None:
    """Rewrite a file, and insist that this changed it."""
    before = path.read_text(encoding="utf-8")
    after = change(before)
    if after == before:
        raise HarnessError(f"{path} is not as the test expects it: nothing was changed")
    path.write_text(after, encoding="utf-8")
