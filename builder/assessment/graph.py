"""Who needs whom: the requirements of the carried wheels, evaluated for the target and its interpreters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache as once

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..inputs import TargetSpec

# A bundle serves every patch release of an interpreter: what either end needs is needed.
_PATCHES = ("0", "99")


@dataclass(frozen=True)
class Node:
    """A wheel in the graph: its reference, package name, interpreters, and the requirements it states."""

    ref: str
    name: str
    pythons: tuple[str, ...]
    requires: tuple[str, ...]


@dataclass
class Graph:
    """References each wheel needs; `missing` are requirements that no carried wheel answers."""

    needs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    missing: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def build(root: Node, wheels: Sequence[Node], target: TargetSpec, extras: Iterable[str]) -> Graph:
    """Return the graph from the project `root` with its `extras` to everything carried for it.

    What the lock carries but no metadata asks for (a dependency group, an override) hangs on the project,
    so that nothing stands outside the graph.
    """
    graph = Graph()
    for python in root.pythons:
        by_name: dict[str, list[Node]] = defaultdict(list)
        for node in (root, *wheels):
            if python in node.pythons:
                by_name[canonicalize_name(node.name)].append(node)
        for patch in _PATCHES:
            _walk(root, set(extras), by_name, _environment(target, python, patch), graph)
        _hang_up_the_rest(root, [node for nodes in by_name.values() for node in nodes], graph)
    return graph


def _walk(
    root: Node,
    extras: set[str],
    by_name: Mapping[str, Sequence[Node]],
    environment: Mapping[str, str],
    graph: Graph,
) -> None:
    waiting: list[tuple[Node, str]] = [(root, extra) for extra in sorted(map(canonicalize_name, extras))]
    # Everything carried is installed, so its plain requirements count however it was reached.
    waiting += [(node, "") for nodes in by_name.values() for node in nodes]
    seen = set(waiting)
    while waiting:
        node, extra = waiting.pop()
        for requirement in _applying(node.requires, environment, extra):
            wanted = by_name.get(canonicalize_name(requirement.name), ())
            if not wanted:
                graph.missing[node.ref].add(str(requirement))
            for other in wanted:
                if other.ref != node.ref:
                    graph.needs[node.ref].add(other.ref)
                for name in sorted(requirement.extras):
                    pair = (other, str(canonicalize_name(name)))
                    if pair not in seen:
                        seen.add(pair)
                        waiting.append(pair)


def _hang_up_the_rest(root: Node, nodes: Sequence[Node], graph: Graph) -> None:
    reached = _reached(root.ref, graph)
    needed = {ref for refs in graph.needs.values() for ref in refs}
    # Those nobody needs first; what is then still unreached needs each other in a circle.
    for node in sorted(nodes, key=lambda item: (item.ref in needed, item.ref)):
        if node.ref not in reached and node.ref != root.ref:
            graph.needs[root.ref].add(node.ref)
            reached |= _reached(node.ref, graph)


def _reached(start: str, graph: Graph) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        for ref in graph.needs.get(waiting.pop(), ()):
            if ref not in found:
                found.add(ref)
                waiting.append(ref)
    return found


def _applying(requires: Sequence[str], environment: Mapping[str, str], extra: str) -> list[Requirement]:
    found = []
    for text in requires:
        requirement = _parsed(text)
        if requirement is None:
            continue
        try:
            marker = requirement.marker
            if marker is None:
                applies = extra == ""
            else:
                applies = marker.evaluate({**environment, "extra": extra})
        except (UndefinedComparison, UndefinedEnvironmentName):
            applies = False
        if applies:
            found.append(requirement)
    return found


@once
def _parsed(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _environment(target: TargetSpec, python: str, patch: str) -> dict[str, str]:
    full = f"{python}.{patch}"
    return {
        **target.environment,
        "implementation_name": "cpython",
        "implementation_version": full,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_version": "",
        "python_version": python,
        "python_full_version": full,
    }
