"""Bundles on their way: an archive, volumes or a delta, made of a bundle's tree by the builder's own transport."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.cache import Cache
from builder.sealing.seal import seal
from builder.stage import StagedFile
from builder.transport.delta import BaseManifest
from builder.transport.ship import ship

from .bundles import Bundle

EPOCH = 1_700_000_000


@dataclass
class Carried:
    """A bundle on its way: what the builder's transport made of a tree."""

    path: Path
    bundle: Bundle

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.path.parent


def pack(bundle: Bundle, folder: Path, base: Bundle | None = None, **wanted: Any) -> Carried:
    """Pack a bundle's tree as the builder does: whole, as a delta (`base`) or as volumes (`volume_size`)."""
    files = [StagedFile(entry, (bundle.root / entry.path).read_bytes()) for entry in bundle.manifest.files]
    if base is not None:
        wanted["base"] = BaseManifest(base.manifest, base.digest)
    cache = Cache(folder.parent / "pack-cache")
    stem = f"RAGTrace-Enterprise-{bundle.manifest.version}-linux-x86_64"
    sealed = seal(bundle.manifest, [bundle.key])
    packed = ship(folder, stem, files, sealed, EPOCH, cache, lambda n: None, keys=[bundle.key], **wanted)
    return Carried(packed.path, bundle)
