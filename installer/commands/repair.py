"""`--repair`: make again just what is damaged."""

from __future__ import annotations

import argparse
from typing import Any, Dict, List, Sequence

from bundle.text import Text, human_size

from ..console import Console
from ..operations.repair import Diagnosis, Repaired, diagnose, repair
from ..operations.session import require_installation
from ..paths import Prefix
from ..sources.refusals import lines_of
from .common import print_plan, repair_offer_of, request_of

_SHOWN = 20


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    request, offer = request_of(options), repair_offer_of(options, prefix)
    if not options.dry_run:
        _report(repair(prefix, offer, request, console), prefix, console)
        return 0
    require_installation(prefix)
    found = diagnose(prefix, offer, request, console)
    if found.plan is not None:
        for line in _findings(found):
            console.note(line)
        print_plan(found.plan, prefix, console, _document(found))
        return 0
    lines = _findings(found)
    text = _joined([_NOTHING if found.sound else _WITHOUT_RELEASE, *lines])
    console.report(text, {"ok": True, "action": "none" if found.sound else "repair", **_document(found)})
    return 0


_NOTHING = Text("복구할 것이 없습니다", "nothing to repair")
_WITHOUT_RELEASE = Text(
    "현재 릴리스는 온전합니다. 저장소와 보관된 릴리스만 정리합니다",
    "the active release is intact; only the store and kept releases need work",
)


def _findings(found: Diagnosis) -> List[Text]:
    lines = []
    for name, differences in found.survey.releases.items():
        lines += [Text(f"{name}: {line}", f"{name}: {line}") for line in _few(differences)]
    if found.survey.objects:
        some = ", ".join(digest[:12] for digest in _few(found.survey.objects))
        lines.append(Text(f"저장소에서 손상됨: {some}", f"damaged in the store: {some}"))
    damaged = set(found.survey.objects)
    gone = [entry for entry in found.lacking if entry.sha256 not in damaged]
    if gone:
        amount = human_size(sum(entry.size for entry in gone))
        lines.append(
            Text(
                f"저장소에 없는 내용: {len(gone)}건 ({amount})",
                f"contents that the store lacks: {len(gone)} ({amount})",
            )
        )
    return lines


def _few(lines: Sequence[str]) -> List[str]:
    rest = len(lines) - _SHOWN
    return [*lines[:_SHOWN], *([f"… +{rest}"] if rest > 0 else [])]


def _document(found: Diagnosis) -> Dict[str, Any]:
    return {
        "generation": found.plan.generation if found.plan is not None else found.pointer.generation,
        "damaged": {name: list(lines) for name, lines in found.survey.releases.items()},
        "damaged_objects": list(found.survey.objects),
        "lacking": [entry.path for entry in found.lacking],
        "dropped": list(found.unsound),
    }


def _report(repaired: Repaired, prefix: Prefix, console: Console) -> None:
    done, found = repaired.done, repaired.diagnosis
    document = {
        "ok": True, "action": done.action, "prefix": str(prefix.root), "version": done.version,
        "seconds": round(done.seconds, 3), **_document(found), "lost": [entry.path for entry in repaired.lost],
    }  # fmt: skip
    if done.action == "none":
        console.report(_NOTHING, document)
        return
    where = f"RAGTrace {done.version} ({done.generation}), {prefix.root}, {done.seconds:.1f} s"
    lines = [Text(f"복구했습니다: {where}", f"repaired: {where}"), *_findings(found)]
    for name in found.unsound:
        lines.append(
            Text(f"더는 되돌아갈 수 없는 릴리스: {name}", f"no longer kept to go back to, damaged: {name}")
        )
    for text in lines_of(repaired.lost):
        console.warn(
            Text(
                f"저장소에 다시 채우지 못했습니다 (--repair --bundle 경로): {text.ko}",
                f"not back in the store (--repair --bundle PATH): {text.en}",
            )
        )
    console.report(_joined(lines), document)


def _joined(lines: Sequence[Text]) -> Text:
    return Text("\n  ".join(line.ko for line in lines), "\n  ".join(line.en for line in lines))
