"""Everything a bundle carries, as components: with files, origin, licence, facts and requirements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bundle import layout
from bundle.manifest import Build, FileEntry

from ..cache import Cache
from ..inputs import load_target
from ..wheels.carried import CarriedWheel
from . import facts, graph, licences, places
from .embedded import EmbeddedComponent
from .facts import WheelFacts
from .licences import Licence, Policy
from .subject import CarriedModel, Subject

# Our own programs in the bundle, by the kind of their files; what they are licensed under stands in LICENSE.
_OWN = {"installer": "ragtrace-installer", "validator": "ragtrace-validator"}
_OWN_LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Component:
    """One thing in the bundle.

    Kinds: ``project``, ``wheel``, ``uv``, ``interpreter``, ``model``, ``tool``. `ref` is its name within the
    documents, `files` its entries in the bundle, `source` where it came from as a document may say it.
    `requires` are the refs of what it needs, `missing` the requirements that nothing carried answers.
    """

    ref: str
    kind: str
    name: str
    version: str
    files: tuple[FileEntry, ...]
    pythons: tuple[str, ...]
    source: str
    licence: Licence
    facts: WheelFacts | None = None
    build: Build | None = None
    model: CarriedModel | None = None
    requires: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Return the bytes of all its files."""
        return sum(entry.size for entry in self.files)


@dataclass(frozen=True)
class Inside:
    """A component that a wheel's own SBOM names, with the wheels that hold it and its licence."""

    holders: tuple[str, ...]
    component: EmbeddedComponent
    licence: Licence


@dataclass(frozen=True)
class Inventory:
    """All components, the project first, and the flag policy they were judged by."""

    components: tuple[Component, ...]
    inside: tuple[Inside, ...]
    policy: Policy

    @property
    def project(self) -> Component:
        """Return the packed project."""
        return self.components[0]

    def of_kind(self, *kinds: str) -> tuple[Component, ...]:
        """Return the components of the given kinds."""
        return tuple(item for item in self.components if item.kind in kinds)

    @property
    def flagged_count(self) -> int:
        """Return how many packages and models have a flagged licence, however many files each has."""
        return len({(item.name, item.version) for item in self.flagged()})

    def flagged(self) -> tuple[Component, ...]:
        """Return the components whose licence is flagged, gravest first."""
        found = [item for item in self.components if item.licence.flags]
        return tuple(
            sorted(
                found, key=lambda item: (self.policy.flags[item.licence.flags[0]].rank, item.name, item.ref)
            )
        )


def collect(subject: Subject, cache: Cache) -> Inventory:
    """Return the inventory of the bundle to be; wheels are opened once in the life of a cache.

    Raises:
        IntegrityError: a cached wheel is not what its name says.
        UsageProblem: the flag policy or the target cannot be read.
    """
    policy = licences.load_policy()
    entries = {entry.path.rpartition("/")[2]: entry for entry in subject.files if entry.kind == "wheel"}
    builds = {item.sha256: item for item in subject.builds}
    project = _wheel("project", subject.own, entries, builds, cache, policy)
    wheels = [_wheel("wheel", item, entries, builds, cache, policy) for item in _once(subject.wheels)]
    linked = _linked(subject, project, wheels)
    others = [*_tools(subject, cache, policy), *_interpreters(subject, policy), *_models(subject, policy)]
    others += _own_programs(subject, policy)
    found = (linked[0], *sorted([*linked[1:], *others], key=lambda item: (item.kind, item.name, item.ref)))
    return Inventory(found, _inside(found, policy), policy)


def _once(wheels: Iterable[CarriedWheel]) -> list[CarriedWheel]:
    return list({item.filename: item for item in wheels}.values())


def _wheel(
    kind: str,
    item: CarriedWheel,
    entries: dict[str, FileEntry],
    builds: dict[str, Build],
    cache: Cache,
    policy: Policy,
) -> Component:
    read = facts.of_wheel(cache, item.sha256)
    entry = entries.get(item.filename)
    return Component(
        ref=f"{kind}:{item.filename}",
        kind=kind,
        name=item.name,
        version=item.version,
        files=(entry,) if entry is not None else (),
        pythons=item.pythons,
        source=places.shown(item.source),
        licence=licences.of_wheel(read, policy),
        facts=read,
        build=builds.get(item.sha256),
    )


def _linked(subject: Subject, project: Component, wheels: Sequence[Component]) -> list[Component]:
    target = load_target(subject.plan.target.name)
    nodes = [
        graph.Node(item.ref, item.name, item.pythons, item.facts.requires if item.facts else ())
        for item in (project, *wheels)
    ]
    extras = set(subject.plan.extras)
    found = graph.build(nodes[0], nodes[1:], target, extras)
    return [
        replace(
            item,
            requires=tuple(sorted(found.needs.get(item.ref, ()))),
            missing=tuple(sorted(found.missing.get(item.ref, ()))),
        )
        for item in (project, *wheels)
    ]


def _tools(subject: Subject, cache: Cache, policy: Policy) -> Iterable[Component]:
    entries = [entry for entry in subject.files if entry.kind == "uv"]
    for item in subject.plan.of_kind("uv"):
        # Only where the wheel itself lies in the cache its facts can be read.
        read = facts.of_wheel(cache, item.sha256)
        yield Component(
            ref=f"uv:{item.filename}",
            kind="uv",
            name=item.name,
            version=item.version,
            files=tuple(entries),
            pythons=(),
            source=places.shown(item.source),
            licence=licences.of_wheel(read, policy),
            facts=read,
        )


def _interpreters(subject: Subject, policy: Policy) -> Iterable[Component]:
    for item in subject.plan.of_kind("interpreter"):
        entries = tuple(
            entry for entry in subject.files if entry.kind == "interpreter" and entry.sha256 == item.sha256
        )
        yield Component(
            ref=f"interpreter:{item.filename}",
            kind="interpreter",
            name=item.name,
            version=item.version,
            files=entries,
            pythons=(),
            source=places.shown(item.source),
            # The archive is packed unopened; nothing in it has been read.
            licence=licences.of_words("", "none", policy),
        )


def _models(subject: Subject, policy: Policy) -> Iterable[Component]:
    for item in subject.models:
        model = item.model
        folder = f"{layout.MODELS}/{model.folder.removeprefix(layout.MODELS).strip('/')}/"
        yield Component(
            ref=f"model:{model.name}@{model.revision}",
            kind="model",
            name=model.name,
            version=model.revision,
            files=tuple(
                entry for entry in subject.files if entry.kind == "model" and entry.path.startswith(folder)
            ),
            pythons=(),
            source=places.of_model(model.source),
            licence=licences.of_words(model.licence, "manifest", policy),
            model=item,
        )


def _own_programs(subject: Subject, policy: Policy) -> Iterable[Component]:
    for kind, name in _OWN.items():
        entries = tuple(entry for entry in subject.files if entry.kind == kind)
        if entries:
            yield Component(
                ref=f"tool:{name}",
                kind="tool",
                name=name,
                version=subject.plan.project.version,
                files=entries,
                pythons=(),
                source="this builder",
                licence=licences.of_words(_OWN_LICENCE, "manifest", policy),
            )


def _inside(found: Iterable[Component], policy: Policy) -> tuple[Inside, ...]:
    holders: dict[EmbeddedComponent, list[str]] = {}
    for item in found:
        for part in item.facts.embedded if item.facts else ():
            name = f"{item.name} {item.version}"
            listed = holders.setdefault(part, [])
            if name not in listed:
                listed.append(name)
    known: dict[str, Licence] = {}
    for part in holders:
        if part.licence not in known:
            known[part.licence] = licences.of_words(part.licence, "sbom", policy)
    ordered = sorted(holders, key=lambda part: (part.name, part.version, part.purl, repr(part)))
    return tuple(Inside(tuple(sorted(holders[part])), part, known[part.licence]) for part in ordered)
