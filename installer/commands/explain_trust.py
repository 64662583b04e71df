"""`--explain-trust`: what is established about a bundle and the installation, and what is not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Optional

from bundle import layout
from bundle.text import Text

from ..console import Console
from ..explanation import ESTABLISHED, FACT, FAILED, OPEN, Explanation, explain
from ..paths import Prefix
from .common import anchors_of, bundle_of

_LABELS = {
    ESTABLISHED: Text("확인됨", "established"),
    OPEN: Text("확인되지 않음", "not established"),
    FAILED: Text("거부", "refused"),
    FACT: Text("사실", "fact"),
}


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    said = explain(
        prefix,
        _bundle(options, prefix),
        lambda: anchors_of(options, prefix),
        allow_unverified=options.allow_unverified_origin,
        allow_downgrade=options.allow_downgrade,
    )
    error = said.error
    document = {
        "ok": error is None,
        "exit_code": said.exit_code,
        "prefix": str(prefix.root),
        "statements": [
            {"topic": item.topic, "outcome": item.outcome, "text": item.text.to(console.lang)}
            for item in said.statements
        ],
        "error": None if error is None else error.as_dict(console.lang),
    }
    console.report(Text(_lines(said, "ko"), _lines(said, "en")), document)
    return said.exit_code


def _bundle(options: argparse.Namespace, prefix: Prefix) -> Optional[Path]:
    """Return the bundle that was named, else the one that install.py lies in, if it lies in one."""
    place = bundle_of(options)
    if options.bundle is not None:
        return place
    if prefix.holds_tools(place) or not (place / layout.MANIFEST).is_file():
        return None
    return place


def _lines(said: Explanation, lang: str) -> str:
    lines = [f"[{_LABELS[item.outcome].to(lang)}] {item.text.to(lang)}" for item in said.statements]
    if said.error is None:
        verdict = Text("설치를 막을 것은 찾지 못했습니다", "nothing found that would stop an installation")
        return "\n".join([*lines, verdict.to(lang)])
    reason, hint = said.error.summary.to(lang), said.error.hint
    verdict = Text(f"받아들일 수 없습니다: {reason}", f"would be refused: {reason}")
    lines.append(verdict.to(lang))
    if hint is not None:
        lines.append(Text(f"다음 조치: {hint.ko}", f"next: {hint.en}").to(lang))
    return "\n".join(lines)
