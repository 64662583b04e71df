"""`--prune [--keep N] [--caches]`."""

from __future__ import annotations

import argparse
from typing import List

from bundle.text import Text, human_size

from .. import estimate
from ..console import Console
from ..operations.prune import Pruning, prune, survey
from ..paths import Prefix


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    if options.dry_run:
        _report("plan", survey(prefix, options.keep, options.caches), prefix, console)
        return 0
    done = prune(prefix, options.keep, console, options.caches)
    _report("prune", done.pruning, prefix, console, done.seconds)
    return 0


def _report(action: str, what: Pruning, prefix: Prefix, console: Console, seconds: float = 0.0) -> None:
    planned = action == "plan"
    time = estimate.removal(what.files)
    document = {
        "ok": True, "action": action, "prefix": str(prefix.root), "kept": list(what.keep),
        "releases": list(what.releases), "snapshots": list(what.snapshots), "contents": list(what.objects), "logs": list(what.logs),
        "caches": list(what.caches),
        "bytes": what.bytes, "seconds": round(time if planned else seconds, 3),
    }  # fmt: skip
    told = estimate.about(time) if planned else Text(f"{seconds:.1f}초", f"{seconds:.1f} s")
    shown = {lang: "\n".join(_lines(lang, action, what, prefix, told.to(lang))) for lang in ("ko", "en")}
    console.report(Text(**shown), document)


def _lines(lang: str, action: str, what: Pruning, prefix: Prefix, time: str) -> List[str]:
    def say(ko: str, en: str) -> str:
        return Text(ko, en).to(lang)

    kept = ", ".join(what.keep)
    if what.empty:
        return [
            say(f"지울 것이 없습니다: {prefix.root}", f"nothing to remove: {prefix.root}"),
            say(f"  남음: {kept}", f"  kept: {kept}"),
        ]
    size = human_size(what.bytes)
    lines = [
        say(f"지울 것 ({size}, {time}): {prefix.root}", f"would be removed ({size}, {time}): {prefix.root}")
        if action == "plan"
        else say(f"{size}를 비웠습니다 ({time}): {prefix.root}", f"freed {size} ({time}): {prefix.root}")
    ]
    lines += [say(f"  릴리스 {name}", f"  release {name}") for name in what.releases]
    lines += [say(f"  데이터 스냅숏 {name}", f"  data snapshot {name}") for name in what.snapshots]
    if what.objects:
        count = len(what.objects)
        lines.append(say(f"  저장소의 내용 {count}개", f"  {count} contents of the store"))
    lines += [say(f"  로그 {name}", f"  log {name}") for name in what.logs]
    if what.caches:
        count = len(what.caches)
        lines.append(
            say(f"  캐시와 지난 로그 {count}개", f"  {count} caches and logs that were rotated away")
        )
    lines.append(say(f"  남음: {kept}", f"  kept: {kept}"))
    return lines
