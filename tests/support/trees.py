"""Small signed bundle trees: enough for verification, nothing to install."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.seal import seal
from builder.sealing.signing import SigningKey
from bundle import layout
from bundle.hashing import sha256_bytes
from bundle.manifest import FileEntry, Manifest, Package, Project, ServiceSpec, Target

FILES = {
    "02_Dependencies/wheels/a-1-py3-none-any.whl": b"wheel bytes" * 1000,
    "03_Source/한글 이름.md": "문서".encode(),
    "04_Scripts/install.py": b"print('hello')\n",
    "05_Documentation/empty.txt": b"",
}


def manifest_of(files: Mapping[str, bytes], **changes: object) -> Manifest:
    """Return a manifest that declares `files`, with fields replaced by `changes`."""
    manifest = Manifest(
        product="ragtrace-enterprise",
        version="1.0.0",
        profile="starter",
        sequence=7,
        created="2026-11-20T00:00:00Z",
        expires=None,
        target=Target("linux-x86_64", "linux", "x86_64", "glibc", "2.28", ("3.11",)),
        project=Project("ragtrace", "1.0.0"),
        service=ServiceSpec("ragtrace", ("serve",), "127.0.0.1", 8400, "/readyz", 60),
        memory_mb=256,
        installed_bytes=1000,
        packages=(Package("a", "1", ("3.11",)),),
        files=tuple(
            FileEntry(path, len(data), sha256_bytes(data), 0o644, _kind(path), "test")
            for path, data in sorted(files.items())
        ),
    )
    return replace(manifest, **changes)  # type: ignore[arg-type]


def _kind(path: str) -> str:
    return "trust" if path.startswith(layout.TRUST) else "document"


def write_tree(
    root: Path, files: Mapping[str, bytes] = FILES, key: SigningKey | None = None, **changes: object
) -> SigningKey:
    """Write a sealed bundle tree at `root` and return the key that signed it, a new one unless given."""
    key = key or SigningKey(Ed25519PrivateKey.generate(), "tests")
    for path, data in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    for name, data in seal(manifest_of(files, **changes), [key]).files():
        (root / name).write_bytes(data)
    return key
