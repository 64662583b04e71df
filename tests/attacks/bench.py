"""Where attacks are made: bundles that are genuine but for one thing."""

from __future__ import annotations

import copy
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.signing import SigningKey
from bundle import checksums, layout
from bundle.errors import IntegrityError
from bundle.manifest import parse_manifest
from tests.installer.site import Site
from tests.support.bundles import Bundle, make_bundle
from tests.support.carrying import pack
from tests.support.tampering import Change, tamper

# Refused before uv is ever run, so the archives need not carry it.
SMALL_UV = b"#!/bin/sh\nexit 1\n"
Document = dict[str, Any]
Edit = Callable[[Document], object]


def new_key(name: str) -> SigningKey:
    """Return a key that nobody has seen before."""
    return SigningKey(Ed25519PrivateKey.generate(), name)


@dataclass
class Bench:
    """A folder for one attack, the host it is aimed at, the honest builder's key, and the attacker's.

    `good` is the release that is installed on the host, where the attack needs one.
    """

    folder: Path
    site: Site
    key: SigningKey = field(default_factory=lambda: new_key("builder@example"))
    mallory: SigningKey = field(default_factory=lambda: new_key("mallory@example"))
    count: int = 0
    good: Bundle | None = None

    @property
    def port(self) -> int:
        """Where the service of every bundle listens."""
        return self.site.port

    @property
    def installed(self) -> Bundle:
        """The release on the host."""
        assert self.good is not None, "this attack needs an installed release"
        return self.good

    def bundle(self, **description: Any) -> Bundle:
        """Return a bundle as `make_bundle` describes it, by the honest builder unless told otherwise."""
        self.count += 1
        place = self.folder / f"bundle-{self.count}"
        return make_bundle(place, **{"port": self.port, "key": self.key, "sequence": 2, **description})

    def words(self, bundle: Bundle | Path, *more: str) -> list[str]:
        """Return the command line by which an operator who knows the honest key installs it."""
        root = bundle.root if isinstance(bundle, Bundle) else bundle
        known = ["--trust-fingerprint", self.key.public.fingerprint, "--service-manager", "process"]
        return ["--bundle", str(root), *known, *more]

    def archive(self, change: Change, bundle: Bundle | None = None, base: Bundle | None = None) -> Path:
        """Return a bundle's archive (a delta, with a `base`) whose members were changed on the way."""
        packed = pack(bundle or self.bundle(uv=SMALL_UV), self.folder / f"packed-{self.count}", base)
        tamper(packed.path, change)
        return packed.path

    def resigned(self, manifest: bytes, bundle: Bundle | None = None) -> list[str]:
        """Return how to install a bundle whose manifest is exactly these bytes, genuinely signed."""
        made = bundle or self.bundle()
        signature = self.key.sign(manifest)
        (made.root / layout.MANIFEST).write_bytes(manifest)
        (made.root / layout.SIGNATURE).write_bytes(signature)
        try:
            derived = checksums.bundle_checksums(parse_manifest(manifest), manifest, signature)
        except IntegrityError:
            # A manifest that is refused anyway has no checksums to derive.
            return self.words(made)
        (made.root / layout.CHECKSUMS).write_bytes(derived)
        return self.words(made)

    def edited(self, edit: Edit, **description: Any) -> list[str]:
        """Return how to install a bundle whose manifest was changed before it was signed."""
        made = self.bundle(**description)
        document = json.loads((made.root / layout.MANIFEST).read_bytes())
        edit(document)
        return self.resigned(json.dumps(document, ensure_ascii=False).encode(), made)

    def named(self, *paths: str) -> list[str]:
        """Return how to install a bundle that declares files of these names."""

        def edit(document: Document) -> None:
            for path in paths:
                entry = copy.deepcopy(document["files"][0])
                entry.update(path=path, kind="document")
                document["files"].append(entry)

        return self.edited(edit)


def tar_gz(*members: tuple[str, bytes | Mapping[str, object]]) -> bytes:
    """Return a ``tar.gz``: names with contents, or with the fields of a member that is no plain file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                for key, value in content.items():
                    setattr(info, key, value)
                archive.addfile(info)
    return gzip.compress(buffer.getvalue(), mtime=0)
