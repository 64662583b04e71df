"""``verify``: everything that can be compared - signatures, every byte, volumes, provenance - on this box."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle.text import Text

if TYPE_CHECKING:
    from bundle.manifest import Manifest
    from bundle.trust import Anchors, Origin

    from ..console import Console

NAME = "verify"


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    speaking: argparse.ArgumentParser,
    lang: str,
) -> None:
    """Add the command's options."""
    from .inspect import bundle_help
    from .trusting import trusting

    parser = commands.add_parser(
        NAME,
        parents=[trusting(lang), speaking],
        help=Text("번들을 풀지 않고 전부 검증", "verify all of a bundle without unpacking it").to(lang),
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help=bundle_help(lang))
    parser.add_argument(
        "--allow-unverified-origin",
        action="store_true",
        help=Text("서명자를 몰라도 온전한지만 확인", "only see whether it is intact, whoever signed it").to(
            lang
        ),
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Verify, and print what was established."""
    from .trusting import anchors

    document = _verify(options.bundle, anchors(options), options.allow_unverified_origin, console)
    explanation: Text = document.pop("explanation")
    if options.json:
        console.result_json({"ok": True, **document})
        return 0
    count, version = document["files"], document["version"]
    proven = (
        Text(" 출처 증명도 맞습니다.", " The provenance fits.") if document["provenance"] else Text("", "")
    )
    console.result(
        Text(
            f"온전합니다: {version}, 파일 {count}개. {explanation.ko}.{proven.ko}",
            f"intact: {version}, {count} files. {explanation.en}.{proven.en}",
        ).to(console.lang)
    )
    return 0


def _verify(path: Path, anchors: Anchors, allow_unverified: bool, console: Console) -> dict[str, Any]:
    from bundle import layout, verify
    from bundle.reading import admit

    from ..transport.look import reading

    title = Text("검증", "verifying")
    if path.is_dir() and (path / layout.MANIFEST).is_file():
        console.stage(title, 0)
        bundle = verify.open_bundle(
            path, anchors, allow_unverified_origin=allow_unverified, on_bytes=console.advance
        )
        return _document(bundle.manifest, bundle.digest, bundle.origin, len(bundle.manifest.files), False)
    with reading(path, anchors) as (reader, _, index):
        admit(reader.signed, anchors, allow_unverified)
        console.stage(title, sum(entry.size for entry in reader.signed.manifest.files))
        count = reader.verify_files(console.advance)
        manifest, digest, origin = reader.signed.manifest, reader.digest, reader.signed.origin
    proven = _provenance(path, digest, anchors)
    document = _document(manifest, digest, origin, count, proven)
    return {**document, "volumes": len(index.volumes) if index is not None else 0}


def _document(manifest: Manifest, digest: str, origin: Origin, count: int, proven: bool) -> dict[str, Any]:
    return {
        "version": manifest.version,
        "manifest": digest,
        "files": count,
        "origin": origin.status,
        "signers": [signer.key.fingerprint for signer in origin.signers],
        "provenance": proven,
        "explanation": origin.explanation,
    }


def _provenance(path: Path, digest: str, anchors: Anchors) -> bool:
    """Verify the provenance beside an archive, if there is one; it has to speak of this manifest."""
    from bundle import volumes

    from ..sealing import provenance

    place = volumes.index_of(path) or path
    suffix = volumes.INDEX_SUFFIX if place.name.endswith(volumes.INDEX_SUFFIX) else volumes.ARCHIVE_SUFFIX
    stem = place.name[: -len(suffix)]
    statement = place.with_name(stem + volumes.ARCHIVE_SUFFIX + provenance.SUFFIX)
    if not statement.is_file():
        return False
    provenance.verify(statement.read_bytes(), anchors, digest)
    return True
