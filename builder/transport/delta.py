"""Delta: an archive with the new bundle's whole manifest and only the files whose bytes the base lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle import delta, layout, limits
from bundle.delta import Base, Delta
from bundle.errors import UsageProblem
from bundle.manifest import FileEntry, Manifest, manifest_digest, parse_manifest
from bundle.tarstream import TarReader
from bundle.text import Text
from bundle.volumes import ARCHIVE_SUFFIX

from ..sealing.seal import Seal
from ..stage import StagedFile
from .output import Load


@dataclass(frozen=True)
class BaseManifest:
    """The manifest of the bundle that the isolated side has, and its digest."""

    manifest: Manifest
    digest: str

    @property
    def base(self) -> Base:
        """How the delta's note names it."""
        found = self.manifest
        return Base(self.digest, found.version, found.target.name, found.sequence)


def load_base(path: Path) -> BaseManifest:
    """Read the base's manifest from a ``MANIFEST.json``, an unpacked bundle, or an archive.

    Raises:
        UsageProblem: there is no manifest at `path`.
        IntegrityError: the manifest is refused.
    """
    try:
        data = _manifest_bytes(path)
    except OSError as error:
        raise UsageProblem(
            Text(
                "델타의 기준 매니페스트를 읽을 수 없습니다", "the base manifest of the delta cannot be read"
            ),
            where=f"--delta-from {path}: {error}",
            hint=Text(
                "이전 번들의 MANIFEST.json, 풀린 폴더 또는 .tar.gz를 지정하십시오",
                "give the earlier bundle's MANIFEST.json, its unpacked folder, or its .tar.gz",
            ),
        ) from error
    return BaseManifest(parse_manifest(data), manifest_digest(data))


def _manifest_bytes(path: Path) -> bytes:
    if path.is_dir():
        path = path / layout.MANIFEST
    if not path.name.endswith(ARCHIVE_SUFFIX):
        with path.open("rb") as stream:
            return stream.read(limits.MANIFEST_BYTES + 1)
    with path.open("rb") as stream:
        archive = TarReader(stream.read, str(path))
        member = archive.next()
        if member is None or member.name.partition("/")[2] != layout.MANIFEST:
            raise archive.refusal("it does not begin with the manifest of a bundle")
        return archive.content(limits.MANIFEST_BYTES)


def delta_entries(manifest: Manifest, base: BaseManifest) -> list[FileEntry]:
    """Return what a delta of `manifest` against `base` carries.

    Raises:
        UsageProblem: the base is a bundle for another target, or of another product.
    """
    mine, theirs = manifest, base.manifest
    if (mine.product, mine.target.name) != (theirs.product, theirs.target.name):
        raise UsageProblem(
            Text(
                "델타의 기준이 다른 대상의 번들입니다", "the base of the delta is a bundle for another target"
            ),
            where=f"{theirs.product} {theirs.target.name} ≠ {mine.product} {mine.target.name}",
        )
    return delta.carried_entries(manifest, theirs)


def delta_stem(stem: str, base: BaseManifest) -> str:
    """Return the name of a delta's archive without its suffix."""
    return f"{stem}.delta-from-{base.manifest.sequence}"


def delta_load(stem: str, files: Sequence[StagedFile], sealed: Seal, epoch: int, base: BaseManifest) -> Load:
    """Return what the delta's archive holds; errors as of `delta_entries`."""
    manifest = parse_manifest(sealed.manifest)
    carried = {entry.path for entry in delta_entries(manifest, base)}
    left = [entry for entry in manifest.files if entry.path not in carried]
    note = Delta(base.base, len(left), sum(entry.size for entry in left)).to_bytes()
    # The root checksums follow from the manifest: whoever rebuilds the tree writes them.
    metadata = [(name, data) for name, data in sealed.files() if name != layout.CHECKSUMS]
    kept = [item for item in files if item.entry.path in carried]
    return Load(stem, [*metadata, (layout.DELTA, note)], kept, epoch)
