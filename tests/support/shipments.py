"""Small sealed bundles on their way: packed by the real transport, unpacked by the real ``unpack.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.cache import Cache
from builder.sealing.seal import Seal, seal
from builder.sealing.signing import SigningKey
from builder.stage import StagedFile
from builder.transport.delta import BaseManifest
from builder.transport.output import Packed
from builder.transport.ship import ship
from bundle.manifest import Manifest, manifest_digest

from .trees import FILES, manifest_of

STEM = "RAGTrace-Enterprise-1.0.0-linux-x86_64"
EPOCH = 1_700_000_000
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))), "builder@example")


@dataclass(frozen=True)
class Shipment:
    """A sealed bundle before it is packed."""

    contents: Mapping[str, bytes]
    manifest: Manifest
    sealed: Seal
    key: SigningKey

    @property
    def base(self) -> BaseManifest:
        """What a delta against this bundle needs to know."""
        return BaseManifest(self.manifest, manifest_digest(self.sealed.manifest))

    def files(self) -> list[StagedFile]:
        """Return the staged files."""
        return [StagedFile(entry, self.contents[entry.path]) for entry in self.manifest.files]

    def ship(self, output: Path, **wanted: Any) -> Packed:
        """Write it into `output`: ``volume_size=`` and ``base=`` as of `ship`."""
        cache = Cache(output.parent / "cache")
        given = {"keys": [self.key], **wanted}
        return ship(output, STEM, self.files(), self.sealed, EPOCH, cache, lambda n: None, **given)


def shipment(contents: Mapping[str, bytes] = FILES, key: SigningKey = KEY, **changes: object) -> Shipment:
    """Seal `contents`; wheels and models get their kinds, further fields go to the manifest."""
    manifest = manifest_of(contents, **changes)
    kinds = {".whl": "wheel", ".safetensors": "model"}
    entries = tuple(
        replace(entry, kind=kinds.get(Path(entry.path).suffix, entry.kind)) for entry in manifest.files
    )
    manifest = replace(manifest, files=entries)
    return Shipment(contents, manifest, seal(manifest, [key]), key)


def allowed_signers(folder: Path, key: SigningKey = KEY) -> Path:
    """Write the anchor that an operator would have brought separately, and return it."""
    place = folder / "allowed_signers"
    place.write_text(key.allowed_signers(), encoding="utf-8")
    return place


def unpack(
    script: Path, *words: object, python: str = sys.executable, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run ``unpack.py`` as an operator would, isolated from this checkout."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "RAGTRACE_LANG": "en"}
    return subprocess.run(
        [python, "-I", str(script), *map(str, words)],
        **{"cwd": script.parent, "env": environment, "stdin": subprocess.DEVNULL, **options},
        capture_output=True, text=True, check=False, encoding="utf-8",
    )  # fmt: skip


def tree(root: Path) -> dict[str, bytes]:
    """Return the files below `root` by name."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
