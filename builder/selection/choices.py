"""What a build may choose of a project: its extras and dependency groups, as far as they go together."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tomllib
from packaging.utils import canonicalize_name

from bundle.errors import UsageProblem
from bundle.text import Text

from ..inputs import ProjectSpec
from .uvlock import UvLock

# What a project may ask of uv about building; a bundle carries a wheel wherever the lock has one.
_UNFOLLOWED = ("no-binary", "no-binary-package", "no-build", "no-build-package")


def check(facts: UvLock, project: ProjectSpec, extras: Sequence[str], groups: Sequence[str]) -> None:
    """Refuse extras and groups that do not exist or that the project declares as conflicting.

    Raises:
        UsageProblem: naming all of them.
    """
    details = [
        *_unknown("extra", extras, facts.extras(str(canonicalize_name(project.name)))),
        *(_unknown("group", groups, _groups(project)) if groups else ()),
        *_conflicting(facts, project, extras, groups),
    ]
    if details:
        raise UsageProblem(
            Text("이렇게 고를 수 없습니다", "this choice cannot be packed"),
            where=str(project.root / "pyproject.toml"),
            details=details,
            hint=Text(
                "--extra, --group 과 프로파일의 extras, groups를 확인하십시오",
                "look at --extra and --group, and at extras and groups of the profile",
            ),
        )


def _unknown(kind: str, chosen: Sequence[str], declared: Sequence[str]) -> Iterator[Text]:
    known = {str(canonicalize_name(item)) for item in declared}
    for name in chosen:
        if canonicalize_name(name) in known:
            continue
        near = difflib.get_close_matches(name, known, n=1) or sorted(known)
        listed = ", ".join(near) or "-"
        yield Text(
            f"알 수 없는 {kind}: {name} (있는 것: {listed})", f"unknown {kind}: {name} (has: {listed})"
        )


def ignored_settings(project: ProjectSpec) -> list[Text]:
    """Return what the workspace tells uv about wheels and sources, and a bundle does not follow."""
    settings = _table(project.workspace).get("tool", {}).get("uv", {})
    names = [name for name in _UNFOLLOWED if settings.get(name)]
    if not names:
        return []
    listed = ", ".join(f"tool.uv.{name}" for name in names)
    return [
        Text(
            f"{listed}은(는) 따르지 않습니다: 휠이 있으면 휠을, 없으면 소스를 씁니다",
            f"{listed} is not followed: where there is a wheel it is carried, else the source is built",
        )
    ]


def _groups(project: ProjectSpec) -> list[str]:
    """Return the project's groups, and those of its workspace, which uv offers to every member."""
    found: list[str] = []
    for folder in {project.root, project.workspace}:
        table = _table(folder)
        found += table.get("dependency-groups", {})
        if "dev-dependencies" in table.get("tool", {}).get("uv", {}):
            found.append("dev")
    return found


def _table(folder: Path) -> dict[str, Any]:
    path = folder / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageProblem(
            Text("프로젝트를 읽을 수 없습니다", "the project cannot be read"), where=f"{path}: {error}"
        ) from error


def _conflicting(
    facts: UvLock, project: ProjectSpec, extras: Sequence[str], groups: Sequence[str]
) -> Iterator[Text]:
    for conflict in facts.excluded(str(canonicalize_name(project.name)), extras, groups):
        listed = ", ".join(f"{kind} {name}" for kind, _, name in conflict.members)
        yield Text(
            f"함께 고를 수 없습니다 (프로젝트가 충돌로 선언): {listed}",
            f"exclude one another (declared as conflicts by the project): {listed}",
        )
