"""`--advisories`: apply a signed advisory snapshot that was carried in alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from bundle.text import Text

from ..console import Console
from ..operations.advisories import Change, renew, told
from ..paths import Prefix
from .common import anchors_of


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    path = Path(options.advisories).expanduser()
    change = renew(prefix, path, lambda: anchors_of(options, prefix), options.dry_run, console)
    for warning in change.warnings:
        console.warn(warning)
    document = {
        "ok": True,
        "action": "advisories" if change.needed else "none",
        "dry_run": options.dry_run,
        "prefix": str(prefix.root),
        "source": change.verified.renewal.snapshot.source,
        "packages": change.packages,
        **told(change),
        "affected": [
            {"package": item.package, "version": item.version, "id": item.id, "severity": item.severity.value}
            for item in change.affected
        ],
        "warnings": [warning.to(console.lang) for warning in change.warnings],
    }
    console.report(_text(change, options.dry_run), document)
    return 0


def _text(change: Change, dry_run: bool) -> Text:
    date = change.verified.renewal.date
    if not change.needed:
        return Text(f"이미 {date}의 취약점 스냅숏입니다", f"the advisory snapshot of {date} is here already")
    earlier = change.earlier or change.released or "-"
    if dry_run:
        head = Text(
            f"취약점 스냅숏 {earlier} -> {date}: 적용하면 (아무것도 쓰지 않았습니다)",
            f"advisory snapshot {earlier} -> {date}: if it is applied (nothing was written)",
        )
    else:
        head = Text(
            f"취약점 스냅숏 {earlier} -> {date}을 적용했습니다",
            f"applied the advisory snapshot {earlier} -> {date}",
        )
    who = change.verified.origin.explanation
    counts = f"{len(change.affected)}, {len(change.unanswered)}"
    ko = f"  패키지 {change.packages}개; 알려진 취약점, 답 없는 패키지: {counts}\n  {who.ko}"
    en = f"  {change.packages} packages; advisories, unanswered packages: {counts}\n  {who.en}"
    return Text(f"{head.ko}\n{ko}", f"{head.en}\n{en}")
