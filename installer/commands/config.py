"""`--config`, `--config KEY=VALUE…`, `--config-file FILE` and `--config-default [KEY…]`."""

from __future__ import annotations

import argparse
from typing import Dict, List

from bundle.text import Text

from ..configuration import HIDDEN, Answer
from ..console import Console
from ..operations.configure import Change, configure, decide, show
from ..operations.defaults import decide_defaults, restore_defaults
from ..operations.session import require_installation
from ..paths import Prefix
from .common import print_plan, report_done

DEFAULT = Text("기본값", "default")


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    if options.config_default is not None:
        return _defaults(options, prefix, console)
    words = options.config or []
    if not words and options.config_file is None:
        _show(*show(prefix), prefix, console)
        return 0
    if options.dry_run:
        require_installation(prefix)
        _plan(decide(prefix, words, options.config_file), prefix, console)
        return 0
    report_done(configure(prefix, words, options.config_file, console), prefix, console)
    return 0


def _defaults(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    if options.dry_run:
        require_installation(prefix)
        _plan(decide_defaults(prefix, options.config_default), prefix, console)
    else:
        report_done(restore_defaults(prefix, options.config_default, console), prefix, console)
    return 0


def _plan(change: Change, prefix: Prefix, console: Console) -> None:
    print_plan(change.plan, prefix, console, {"difference": list(change.difference)})
    if not console.as_json:
        console.report(Text(*("\n".join(change.difference),) * 2), {})


def _show(answer: Answer, others: Dict[str, str], prefix: Prefix, console: Console) -> None:
    """Show every key with its value and where it comes from; a wrong configuration with what is wrong."""
    answer.require()
    document = {
        "ok": True, "prefix": str(prefix.root), "values": dict(answer.values),
        "origins": {key: answer.origins.get(key, "default") for key in answer.values}, "other_variables": sorted(others),
    }  # fmt: skip

    def lines(lang: str) -> List[str]:
        width = max((len(key) for key in answer.values), default=0)
        wide = max((len(_plain(value)) for value in answer.values.values()), default=0)
        rows = [
            f"{key:{width}}  {_plain(value):{wide}}  {answer.origins.get(key) or DEFAULT.to(lang)}"
            for key, value in answer.values.items()
        ]
        rows += [f"{name:{width}}  {HIDDEN:{wide}}  {where}" for name, where in sorted(others.items())]
        return rows

    console.report(Text("\n".join(lines("ko")), "\n".join(lines("en"))), document)


def _plain(value: object) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
