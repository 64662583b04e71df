"""The one door to what was carried in: looks at what lies at a path and opens it as what it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple, Union

from bundle import layout, verify, volumes
from bundle.errors import IntegrityError, UsageProblem
from bundle.reading import admit
from bundle.text import Text
from bundle.trust import Anchors
from bundle.verify import VerifiedBundle

from ..paths import Prefix
from .interface import Source, Supplier
from .tree import TreeSource, TreeSupplier

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Offer:
    """What the operator brought - a bundle, deltas, or both - and whom this run trusts."""

    bundle: Optional[Path]
    deltas: Tuple[Path, ...]
    anchors: Anchors
    allow_unverified: bool = False


@dataclass(frozen=True)
class _Tree:
    root: Path


@dataclass(frozen=True)
class _Archive:
    path: Path


@dataclass(frozen=True)
class _Volumes:
    index: Path


_Found = Union[_Tree, _Archive, _Volumes]


def open_source(offer: Offer, prefix: Prefix, open_tree: Callable[[Path], VerifiedBundle]) -> Source:
    """Open what was offered as the source of a release; nothing is written.

    A tree alone is verified whole, by `open_tree`. Of anything else signature and policy are checked now; its
    bytes are compared on their way into the store.

    Raises:
        SignatureError: unsigned, a broken signature, or an origin that is not verified and has to be.
        IntegrityError: what lies there is no bundle, or damaged.
        PolicyError: too few trusted signers, another product, or expired.
        UsageProblem: nothing was offered, or deltas in a wrong order.
    """
    paths = [*([offer.bundle] if offer.bundle is not None else []), *offer.deltas]
    if not paths:
        raise UsageProblem(
            Text("설치할 번들을 지정하지 않았습니다", "there is no bundle to install"),
            hint=Text("--bundle 경로 또는 --delta 경로", "give --bundle PATH or --delta PATH"),
        )
    found = [_look(path) for path in paths]
    if len(found) == 1 and isinstance(found[0], _Tree):
        return TreeSource(open_tree(found[0].root))
    from .chain import ChainSource

    links = [_supplier(each, offer) for each in found]
    _require_order(links, paths)
    admit(links[-1].signed, offer.anchors, offer.allow_unverified)
    return ChainSource(prefix, links, offer.anchors.required)


def open_supplier(offer: Offer, path: Path) -> Supplier:
    """Open something carried in for some of its contents: whoever takes them compares them.

    Raises:
        SignatureError, IntegrityError, PolicyError: as of `open_source`, but that it may have expired.
    """
    return _supplier(_look(path), offer)


def _supplier(found: _Found, offer: Offer) -> Supplier:
    supplier: Supplier
    if isinstance(found, _Tree):
        supplier = TreeSupplier(found.root, verify.read_signed_manifest(found.root, offer.anchors))
    else:
        supplier = _stream(found, offer)
    # Who signed counts for each link: what nobody trusted has sent is not even read.
    verify.require_origin(supplier.signed.origin, offer.allow_unverified)
    verify.require_signers(supplier.signed.origin, offer.anchors.required)
    return supplier


def _stream(found: Union[_Archive, _Volumes], offer: Offer) -> Supplier:
    # A folder, which is what most bring, needs nothing of this.
    from .stream import ArchiveFile, Stream, open_volumes

    if isinstance(found, _Volumes):
        return Stream(open_volumes(found.index, offer.anchors, offer.allow_unverified), offer.anchors)
    return Stream(ArchiveFile(found.path), offer.anchors)


def _require_order(links: Sequence[Supplier], paths: Sequence[Path]) -> None:
    for earlier, later, path in zip(links, links[1:], paths[1:]):
        before, after = earlier.signed.manifest, later.signed.manifest
        if after.sequence < before.sequence:
            raise UsageProblem(
                Text(
                    f"순서가 잘못되었습니다: 순번 {after.sequence}이(가) 순번 {before.sequence} 뒤에 있습니다",
                    f"wrong order: sequence {after.sequence} comes after sequence {before.sequence}",
                ),
                where=str(path),
                hint=Text("--delta는 오래된 것부터 지정하십시오", "give --delta oldest first"),
            )


def _look(path: Path) -> _Found:
    """Say what lies at a path, by what it holds."""
    if path.is_dir():
        return _look_into(path)
    if path.name == layout.MANIFEST:
        return _Tree(path.parent)
    try:
        with path.open("rb") as stream:
            head = stream.read(2)
    except OSError as error:
        raise UsageProblem(
            Text("번들을 읽을 수 없습니다", "the bundle cannot be read"),
            where=f"{path}: {error.strerror or error}",
            hint=Text(
                "--bundle과 --delta의 경로를 확인하십시오", "check the paths given with --bundle and --delta"
            ),
        ) from error
    if volumes.VOLUME.match(path.name):
        # The first volume begins like an archive; only its index tells what else belongs to it.
        return _Volumes(_index_beside(path))
    if head == _GZIP:
        return _Archive(path)
    if head[:1] == b"{":
        return _Volumes(path)
    raise UsageProblem(
        Text(
            "번들 폴더도, 아카이브도, 볼륨 색인도 아닙니다",
            "neither a bundle's folder, nor an archive, nor the index of volumes",
        ),
        where=str(path),
    )


def _look_into(folder: Path) -> _Found:
    if os.path.lexists(folder / layout.MANIFEST):
        return _Tree(folder)
    names: List[Path] = sorted(folder.iterdir())
    indexes = [path for path in names if path.name.endswith(volumes.INDEX_SUFFIX)]
    found = indexes or [path for path in names if path.name.endswith(volumes.ARCHIVE_SUFFIX)]
    if len(found) > 1:
        raise UsageProblem(
            Text(f"폴더에 번들이 {len(found)}개 있습니다", f"the folder holds {len(found)} bundles"),
            where=str(folder),
            details=[Text(path.name, path.name) for path in found],
            hint=Text("그중 하나를 지정하십시오", "name one of them"),
        )
    # An empty folder is told to be no bundle by whoever opens it as a tree.
    return _look(found[0]) if found else _Tree(folder)


def _index_beside(volume: Path) -> Path:
    index = volumes.index_of(volume)
    if index is None or not index.is_file():
        name = index.name if index is not None else volumes.INDEX_SUFFIX
        raise IntegrityError(
            Text("볼륨 목록이 없습니다", "the index of the volumes is missing"),
            where=str(volume.with_name(name)),
            hint=Text(
                f"{name}과 그 서명을 볼륨 옆에 두십시오", f"put {name} and its signature beside the volume"
            ),
        )
    return index
