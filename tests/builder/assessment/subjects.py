"""A bundle to be assessed, from a few words: real wheels in a real cache."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name, parse_wheel_filename

from builder import inputs
from builder.assessment.subject import Subject
from builder.cache import Cache
from builder.plan import Artifact, BundlePlan
from builder.wheels.carried import CarriedWheel
from bundle.hashing import sha256_bytes
from bundle.manifest import FileEntry, Target
from bundle.text import Text
from tests.support.wheels import wheel_bytes

INDEX = "https://files.pythonhosted.org/packages/ab/cd"
PYTHONS = ("3.11", "3.12")
EPOCH = 1_750_000_000


@dataclass
class Bundle:
    """Wheels are added one by one; `subject` is what is then assessed."""

    cache: Cache
    wheels: list[CarriedWheel] = field(default_factory=list)
    entries: list[FileEntry] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)

    def wheel(
        self,
        name: str,
        version: str = "1.0",
        *,
        source: str = INDEX,
        pythons: tuple[str, ...] = PYTHONS,
        tag: str = "py3-none-any",
        **description: Any,
    ) -> CarriedWheel:
        """Put a wheel into the cache and the bundle."""
        made, entry = self._put(name, version, tag, source, pythons, description)
        self.wheels.append(made)
        self.entries.append(entry)
        return made

    def file(self, path: str, data: bytes, kind: str) -> FileEntry:
        """Put a file into the bundle, in name only."""
        entry = FileEntry(path, len(data), sha256_bytes(data), 0o644, kind, "test")
        self.entries.append(entry)
        return entry

    def subject(self, *requires: str, extras: tuple[str, ...] = (), own: str = "", **changes: Any) -> Subject:
        """Return the bundle of a project that requires what is said; `own` is more of its METADATA."""
        description = {"requires": requires, "metadata": f"License-Expression: Apache-2.0\n{own}"}
        project, entry = self._put("sample", "2.0", "py3-none-any", "this project", PYTHONS, description)
        target = Target("linux-x86_64", "linux", "x86_64", "glibc", "2.28", PYTHONS)
        root = Path("/nowhere/of/the/build/box")
        plan = BundlePlan(
            inputs.ProjectSpec(root, root, "sample", "2.0"),
            inputs.load_profile("library"),
            target,
            tuple(self.artifacts),
            (),
            (),
            changes.pop("notes", ()),
            extras,
        )
        given: dict[str, Any] = {
            "plan": plan,
            "own": project,
            "wheels": tuple(self.wheels),
            "files": (*self.entries, entry),
            "builds": (),
            "models": (),
            "audit": None,
            "verdict": None,
            "signers": (("release@example", "SHA256:ExampleFingerprint"),),
            "epoch": EPOCH,
            "sequence": 7,
            "expires": "2027-01-01T00:00:00Z",
        }
        return Subject(**{**given, **changes})

    def _put(
        self,
        name: str,
        version: str,
        tag: str,
        source: str,
        pythons: tuple[str, ...],
        description: dict[str, Any],
    ) -> tuple[CarriedWheel, FileEntry]:
        data = wheel_bytes(name, version, tag=tag, **description)
        digest = sha256_bytes(data)
        place = self.cache.root / "work" / digest
        place.write_bytes(data)
        self.cache.admit(place, digest)
        filename = f"{name}-{version}-{tag}.whl"
        assert parse_wheel_filename(filename)
        url = f"{source}/{filename}" if "://" in source else source
        folder = "03_Source" if source == "this project" else "02_Dependencies/wheels"
        entry = FileEntry(f"{folder}/{filename}", len(data), digest, 0o644, "wheel", name)
        return CarriedWheel(canonicalize_name(name), version, filename, digest, pythons, url), entry


def cyclonedx(*components: dict[str, Any], main: dict[str, Any] | None = None) -> bytes:
    """Return an SBOM as Rust's tools put it into wheels."""
    metadata = {"component": main} if main else {}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "metadata": metadata,
        "components": components,
    }
    return json.dumps(document).encode()


def crate(
    name: str, version: str = "1.0.0", licence: str = "MIT OR Apache-2.0", **more: Any
) -> dict[str, Any]:
    """Return one component of such an SBOM."""
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}",
        "licenses": [{"expression": licence}],
        **more,
    }


NOTE = Text("참고", "a note")
