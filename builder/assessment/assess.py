"""Assess a bundle before it is sealed: the documents a reviewer decides on, remembered by their inputs.

A rebuild with unchanged inputs takes the documents out of the cache: it neither opens a wheel nor loads
the SBOM library. The key covers the subject, the flag policy and this package's own code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache as once
from importlib.metadata import version
from pathlib import Path

from bundle import layout, text
from bundle.hashing import sha256_bytes

from .. import stage
from ..cache import Cache
from ..inputs import MANIFESTS
from ..stage import StagedFile
from . import places
from .subject import CarriedModel, Subject

__all__ = ["Assessment", "CarriedModel", "Subject", "assess"]

_LIBRARIES = ("cyclonedx-python-lib", "packageurl-python", "packaging", "py-serializable")
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Assessment:
    """The documents of a bundle and the figures its summary names."""

    files: tuple[StagedFile, ...]
    components: int
    flagged: int


def assess(subject: Subject, cache: Cache) -> Assessment:
    """Write SBOM, tables, licence texts, vulnerability report and dossier of the bundle to be.

    Raises:
        IntegrityError: a cached wheel is not what its name says.
        UsageProblem: `manifests/licences.toml` is wrong.
    """
    key = f"assessment-{_digest(subject)}"
    record = cache.built(key) or {}
    if not record or not all(cache.has(digest) for digest in _documents(record).values()):
        record = _make(subject, cache)
        cache.remember_built(key, record)
    files = tuple(
        stage.from_cache(f"{layout.DOCUMENTATION}/{name}", cache, digest, "document", "assessment")
        for name, digest in sorted(_documents(record).items())
    )
    return Assessment(files, int(record["components"]), int(record["flagged"]))


def _documents(record: Mapping[str, str]) -> dict[str, str]:
    found = json.loads(record.get("documents", "{}"))
    return {str(name): str(digest) for name, digest in found.items()}


def _make(subject: Subject, cache: Cache) -> dict[str, str]:
    from . import components, documents
    from .facts import cache_bytes

    inventory = components.collect(subject, cache)
    made = documents.write(subject, inventory)
    digests = {name: cache_bytes(cache, data) for name, data in made.items()}
    return {
        "sha256": digests[documents.DOSSIER],
        "documents": json.dumps(digests, sort_keys=True),
        "components": str(len(inventory.components)),
        "flagged": str(inventory.flagged_count),
    }


def _digest(subject: Subject) -> str:
    plan = subject.plan
    parts = {
        **{
            name: asdict(value) if name in ("audit", "verdict", "own") and value is not None else value
            for name, value in vars(subject).items()
            if name not in ("plan", "wheels", "files", "builds", "models")
        },
        "project": [plan.project.name, plan.project.version, plan.profile.name, plan.extras],
        "target": asdict(plan.target),
        "notes": plan.notes,
        "artifacts": [{**vars(item), "source": places.shown(item.source)} for item in plan.artifacts],
        "wheels": [{**vars(item), "source": places.shown(item.source)} for item in subject.wheels],
        "files": [vars(entry) for entry in subject.files],
        "builds": [vars(item) for item in subject.builds],
        "models": [asdict(item) for item in subject.models],
        "code": _code_digest(),
    }
    return sha256_bytes(json.dumps(parts, sort_keys=True, default=str).encode())


@once
def _code_digest() -> str:
    """Return one digest over what turns inputs into documents: this package, its templates, the libraries."""
    total = hashlib.sha256(" ".join(version(name) for name in _LIBRARIES).encode())
    ours = (path for path in _HERE.rglob("*") if path.suffix in (".py", ".css", ".html"))
    shared = (Path(module.__file__ or "") for module in (layout, text))
    edited = (MANIFESTS / "licences.toml", *sorted((MANIFESTS / "targets").glob("*.toml")))
    for path in (*sorted(ours), *shared, *edited):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()
