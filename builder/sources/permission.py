"""Whose build code may run here: nobody's, unless the profile or the command line names the package.

Building a source runs code of its author on the build box (docs/adr/0009). Permission is a set of package
names; `ALL` in it stands for every package of the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from packaging.utils import canonicalize_name

from bundle.errors import BuildError
from bundle.text import Text

from ..plan import BUILT, Artifact, BundlePlan
from . import outlook

ALL = "*"


def permitted(names: Iterable[str]) -> frozenset[str]:
    """Return the permission that package names (or `ALL`) give."""
    return frozenset(name if name == ALL else canonicalize_name(name) for name in names)


def refusals(plan: BundlePlan, allow_build: frozenset[str] = frozenset()) -> list[Text]:
    """Return a line for everything that would have to be built and that neither profile nor caller allows."""
    allowed = allow_build | permitted(plan.profile.allow_build)
    if ALL in allowed:
        return []
    return [
        describe(item, plan) for item in plan.of_kind(*BUILT) if canonicalize_name(item.name) not in allowed
    ]


def require_permission(plans: Sequence[BundlePlan], allow_build: frozenset[str]) -> None:
    """Refuse plans that need a build nobody allowed: one error for all targets.

    Raises:
        BuildError: with the complete list, and the option that would allow it.
    """
    targets: dict[Text, list[str]] = {}
    for plan in plans:
        for line in refusals(plan, allow_build):
            targets.setdefault(line, []).append(plan.target.name)
    if not targets:
        return
    lines = [
        Text(f"[{', '.join(names)}] {line.ko}", f"[{', '.join(names)}] {line.en}")
        for line, names in targets.items()
    ]
    wanted = {item.name for plan in plans for item in plan.of_kind(*BUILT)}
    wanted -= {name for name in wanted if canonicalize_name(name) in _allowed(plans, allow_build)}
    options = " ".join(f"--allow-build {name}" for name in sorted(wanted))
    raise BuildError(
        Text(
            f"휠이 없어 이 컴퓨터에서 빌드해야 하는 패키지: {len(lines)}개 (허용되지 않음)",
            f"{len(lines)} package(s) have no wheel and would have to be built here, which was not allowed",
        ),
        details=lines,
        state=Text(
            "아무것도 내려받거나 실행하지 않았습니다",
            "nothing of them was fetched, and none of their code ran",
        ),
        hint=Text(
            f"출처를 믿는다면: {options} (또는 프로파일의 allow_build)",
            f"if you trust where they come from: {options} (or allow_build in the profile)",
        ),
    )


def describe(item: Artifact, plan: BundlePlan) -> Text:
    """Return one line: package, version, source, why it has to be built, and what can be known of the result."""
    name = f"{item.name} {item.version}".strip()
    known = outlook.outlook(item, plan.target)
    where = outlook.origin(item, plan.project.workspace)
    return Text(
        f"{name}: {where} - {outlook.why(item).ko}; {known.ko}",
        f"{name}: {where} - {outlook.why(item).en}; {known.en}",
    )


def _allowed(plans: Sequence[BundlePlan], allow_build: frozenset[str]) -> frozenset[str]:
    return allow_build.union(*(permitted(plan.profile.allow_build) for plan in plans))
