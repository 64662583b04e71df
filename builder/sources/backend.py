"""Which build backend a project declares, and which rules of the locked project its build follows (PEP 517, 518)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomllib
from packaging.requirements import InvalidRequirement, Requirement

from bundle.errors import BuildError
from bundle.text import Text
from bundle.ziparchive import name_problem

# PEP 517: what a project without [build-system] means.
_LEGACY_REQUIRES = ("setuptools>=40.8.0",)
_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"


@dataclass(frozen=True)
class Backend:
    """The backend's object (``module:object``), what it needs, and folders of the source it is imported from."""

    name: str
    requires: tuple[str, ...]
    path: tuple[str, ...] = ()

    def is_uvs_own(self, uv_version: str) -> bool:
        """Return whether the backend is the one that this very uv carries, so nothing has to be installed."""
        if self.name != "uv_build" or self.path or len(self.requires) != 1:
            return False
        try:
            needed = Requirement(self.requires[0])
        except InvalidRequirement:
            return False
        return needed.name.replace("_", "-") == "uv-build" and needed.specifier.contains(uv_version)


def read_backend(source: Path) -> Backend:
    """Return the backend of the project in `source`.

    Raises:
        BuildError: there is no project, or its build system is malformed.
    """
    path = source / "pyproject.toml"
    if not path.is_file():
        if not (source / "setup.py").is_file():
            raise _refused(source, "neither pyproject.toml nor setup.py")
        return Backend(_LEGACY_BACKEND, _LEGACY_REQUIRES)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("build-system")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refused(source, f"pyproject.toml: {error}") from error
    if table is None:
        return Backend(_LEGACY_BACKEND, _LEGACY_REQUIRES)
    requires = table.get("requires")
    name = table.get("build-backend", _LEGACY_BACKEND)
    folders = table.get("backend-path", [])
    if not _texts(requires) or not isinstance(name, str) or not _texts(folders):
        raise _refused(source, "[build-system] is malformed")
    outside = [folder for folder in folders if folder not in (".", "") and name_problem(folder)]
    if outside:
        raise _refused(source, f"backend-path leaves the source: {', '.join(outside)}")
    return Backend(name, tuple(requires), tuple(folders))


def build_constraints(workspace: Path) -> tuple[str, ...]:
    """Return the locked project's ``tool.uv.build-constraint-dependencies``: pins for build requirements."""
    try:
        table: Any = tomllib.loads((workspace / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return ()
    listed = table.get("tool", {}).get("uv", {}).get("build-constraint-dependencies", [])
    return tuple(listed) if _texts(listed) else ()


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _refused(source: Path, problem: str) -> BuildError:
    return BuildError(
        Text("소스를 빌드할 수 없습니다", "the source cannot be built"),
        where=source.name,
        details=[Text(problem, problem)],
    )
