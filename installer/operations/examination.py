"""Verify what the operator brought; nothing is written. It loads little: whoever only verifies waits for nothing else."""

from __future__ import annotations

from pathlib import Path

from bundle.text import Text
from bundle.trust import Anchors
from bundle.verify import VerifiedBundle, clock_warnings, open_bundle

from .. import store
from ..console import Console
from ..paths import Prefix
from ..sources import Offer, Source, open_source


def verify(root: Path, anchors: Anchors, allow_unverified: bool, console: Console) -> VerifiedBundle:
    """Verify a bundle with a stage line and a percentage; nothing is written.

    A clock that cannot be right is warned about.
    """
    total = sum(entry.stat().st_size for entry in root.rglob("*") if entry.is_file()) if root.is_dir() else 0
    title = Text("번들 검증 (서명과 모든 파일)", "verify the bundle (signature and every file)")
    console.announce(title, total)
    bundle = open_bundle(
        root, anchors, allow_unverified_origin=allow_unverified, on_bytes=console.progress(title, total)
    )
    for warning in clock_warnings(bundle.manifest, anchors):
        console.warn(warning)
    return bundle


def open_offer(prefix: Prefix, offer: Offer, console: Console) -> Source:
    """Open what the operator brought: a tree is verified whole, of anything else signature and policy."""

    def open_tree(root: Path) -> VerifiedBundle:
        return verify(root, offer.anchors, offer.allow_unverified, console)

    source = open_source(offer, prefix, open_tree)
    if source.arrives != "beside":
        _tell(source, offer.anchors, console)
    return source


def _tell(source: Source, anchors: Anchors, console: Console) -> None:
    manifest, explanation = source.manifest, source.origin.explanation
    console.announce(Text(f"번들 {manifest.version}", f"bundle {manifest.version}"))
    console.note(explanation)
    for warning in clock_warnings(manifest, anchors):
        console.warn(warning)


def examine(prefix: Prefix, offer: Offer, console: Console) -> Source:
    """Verify every byte of what the operator brought, and of what it takes from the store; write nothing."""
    source = open_offer(prefix, offer, console)
    if source.arrives != "beside":
        title = Text("번들 검증 (모든 파일)", "verify the bundle (every file)")
        console.announce(title, source.size)
        source.examine(store.Shelf(prefix), console.progress(title, source.size))
    return source
