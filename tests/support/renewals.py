"""Advisory snapshots that are carried alone, honest or not, from a readable description.

place = write(folder, signed(renewal(manifest, date="2026-11-20T00:00:00Z"), key))
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from builder.sealing.signing import SigningKey
from bundle import layout
from bundle.advisories import AuditReport, packages_of
from bundle.manifest import Manifest, manifest_digest
from bundle.renewal import Release, Renewal
from bundle.trustrecords import Carried

NAME = "advisories.json"


def day(ahead: float = 0) -> str:
    """Return a manifest time so many days from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead * 86400))


def renewal(manifest: Manifest, date: str = "", product: str = layout.PRODUCT, **changes: Any) -> Renewal:
    """Return a clean snapshot for a release, with changes to its report."""
    packages = tuple(sorted(packages_of(manifest)))
    fields: dict[str, Any] = {
        "source": "a test",
        "date": date or day(),
        "advisories": (),
        "unknown": (),
        "packages": packages,
    }
    release = Release(
        manifest_digest(manifest.to_bytes()), manifest.project.name, manifest.version, manifest.target.name
    )
    return Renewal(product, (release,), AuditReport(**{**fields, **changes}))


def signed(
    made: Renewal | bytes, *keys: SigningKey, namespace: str = layout.ADVISORIES_NAMESPACE, name: str = NAME
) -> Carried:
    """Return a snapshot, or any bytes, with these keys' signatures."""
    data = made if isinstance(made, bytes) else made.to_bytes()
    return Carried(name, data, tuple(key.sign(data, namespace) for key in keys))


def write(folder: Path, *carried: Carried) -> Path:
    """Write snapshots and their signatures as they are carried, and return the first one's place."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in carried:
        for name, data in item.files().items():
            (folder / name).write_bytes(data)
    return folder / carried[0].name
