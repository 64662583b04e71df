"""Look into a bundle in any of its forms - archive, volumes, delta, unpacked folder - without unpacking it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bundle import layout, limits, verify, volumes, volumeset
from bundle.delta import Delta
from bundle.errors import IntegrityError, SignatureError, UsageProblem
from bundle.manifest import Manifest, manifest_digest
from bundle.reading import BundleReader
from bundle.tarstream import TarReader
from bundle.text import Text
from bundle.trust import Anchors, Origin
from bundle.volumes import ARCHIVE_SUFFIX, INDEX_SUFFIX, VolumeIndex
from bundle.volumeset import VolumeStream


@dataclass(frozen=True)
class Look:
    """What a bundle says about itself, its signatures verified; `form` is archive, volumes or folder."""

    path: Path
    form: str
    size: int
    manifest: Manifest
    digest: str
    origin: Origin
    delta: Delta | None = None
    index: VolumeIndex | None = None

    def as_dict(self) -> dict[str, object]:
        """Return what ``inspect --json`` prints."""
        manifest = self.manifest
        return {
            "path": str(self.path),
            "form": self.form,
            "size": self.size,
            "manifest": self.digest,
            "version": manifest.version,
            "profile": manifest.profile,
            "sequence": manifest.sequence,
            "created": manifest.created,
            "expires": manifest.expires,
            "target": asdict(manifest.target),
            "project": asdict(manifest.project),
            "installed_bytes": manifest.installed_bytes,
            "origin": self.origin.status,
            "signers": [
                {"principal": signer.principal, "fingerprint": signer.key.fingerprint}
                for signer in self.origin.signers
            ],
            "kinds": {
                kind: {"files": files, "bytes": size} for kind, (files, size) in sizes(manifest).items()
            },
            "packages": [asdict(item) for item in manifest.packages],
            "builds": [asdict(item) for item in manifest.builds],
            "models": [asdict(item) for item in manifest.models],
            "advisories": asdict(manifest.advisories) if manifest.advisories else None,
            "delta": asdict(self.delta) if self.delta else None,
            "volumes": [asdict(item) for item in self.index.volumes] if self.index else [],
        }


def sizes(manifest: Manifest) -> dict[str, tuple[int, int]]:
    """Return how many files and bytes there are of each kind, the largest kind first."""
    found: dict[str, tuple[int, int]] = {}
    for entry in manifest.files:
        files, size = found.get(entry.kind, (0, 0))
        found[entry.kind] = (files + 1, size + entry.size)
    return dict(sorted(found.items(), key=lambda item: (-item[1][1], item[0])))


def look(path: Path, anchors: Anchors) -> Look:
    """Read the manifest of the bundle at `path` and verify its signatures; nothing else is compared.

    Raises:
        SignatureError: unsigned, a broken signature, or by nobody among the anchors.
        IntegrityError: not a bundle, or a refused manifest.
        UsageProblem: there is nothing at `path`.
    """
    if path.is_dir() and (path / layout.MANIFEST).is_file():
        signed = verify.read_signed_manifest(path, anchors)
        size = sum(entry.size for entry in signed.manifest.files)
        digest = manifest_digest(signed.manifest_bytes)
        return Look(path, "folder", size, signed.manifest, digest, signed.origin)
    with reading(path, anchors) as (reader, size, index):
        signed = reader.signed
        form = "volumes" if index is not None else "archive"
        return Look(path, form, size, signed.manifest, reader.digest, signed.origin, reader.delta, index)


@contextlib.contextmanager
def reading(
    path: Path, anchors: Anchors, on_bytes: Callable[[int], None] | None = None
) -> Iterator[tuple[BundleReader, int, VolumeIndex | None]]:
    """Open an archive, or volumes by their index or any one of them, for reading in one pass.

    Gives the reader, the archive's size and the index of volumes. `on_bytes` is told of the bytes of
    volumes. Errors as of `look`; a damaged volume is named rather than what came of it.
    """
    place = volumes.index_of(path)
    if place is None and not path.name.endswith(ARCHIVE_SUFFIX):
        raise _unknown(path)
    if place is None:
        try:
            raw = path.open("rb", buffering=0)
        except OSError as error:
            raise _unknown(path, str(error)) from error
        with raw:
            yield BundleReader(TarReader(raw.read, str(path)), anchors), path.stat().st_size, None
        return
    index, _ = read_index(place, anchors)
    stream = VolumeStream(index, [place.parent], on_bytes=on_bytes)
    try:
        yield BundleReader(TarReader(stream.read, str(place)), anchors), index.archive.size, index
    except (IntegrityError, SignatureError):
        # Whatever did not make sense: every volume that is not what the index says is named.
        volumeset.check(index, [place.parent], (), str(place), lambda title, total: lambda count: None)
        raise
    finally:
        stream.close()


def read_index(place: Path, anchors: Anchors) -> tuple[VolumeIndex, Origin]:
    """Read the index of volumes and verify its signatures; errors as of `look`."""
    data = verify.read_capped(place, limits.INDEX_BYTES)
    if data is None:
        raise _unknown(place)
    return volumes.read_index(place, data, anchors)


def _unknown(path: Path, reason: str = "") -> UsageProblem:
    return UsageProblem(
        Text("번들이 아닙니다", "not a bundle"),
        where=reason or str(path),
        hint=Text(
            f"아카이브({ARCHIVE_SUFFIX}), 볼륨 목록({INDEX_SUFFIX}), 볼륨(.001) 또는 풀린 폴더를 지정하십시오",
            f"give an archive ({ARCHIVE_SUFFIX}), an index ({INDEX_SUFFIX}), a volume (.001) or an unpacked folder",
        ),
    )
