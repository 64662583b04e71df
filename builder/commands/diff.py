"""``diff``: what changes from one bundle to another, and what a delta between them would carry."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.text import Text, human_size

if TYPE_CHECKING:
    from ..console import Console
    from ..transport.difference import Difference

NAME = "diff"
# Files change in hundreds; packages and models are what a person asks about.
_SHOWN = 40


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
        help=Text("두 번들의 차이 보기", "show what changes between two bundles").to(lang),
    )
    parser.add_argument("old", type=Path, metavar="A", help=bundle_help(lang))
    parser.add_argument("new", type=Path, metavar="B", help=bundle_help(lang))


def run(options: argparse.Namespace, console: Console) -> int:
    """Print what is added, removed and changed from A to B."""
    from ..transport.difference import difference
    from ..transport.look import look
    from .trusting import anchors

    trusted = anchors(options)
    found = difference(look(options.old, trusted).manifest, look(options.new, trusted).manifest)
    if options.json:
        console.result_json(found.as_dict())
    else:
        console.result(text(found, console.lang))
    return 0


def text(found: Difference, lang: str) -> str:
    """Return the difference as lines for a person: ``+`` added, ``-`` removed, ``~`` changed."""
    lines = [f"{found.old} → {found.new}"]
    sections = (
        (Text("패키지", "packages"), found.packages),
        (Text("모델", "models"), found.models),
        (Text("파일", "files"), found.files),
    )
    for title, changes in sections:
        lines += [
            "",
            f"{title.to(lang)}: +{len(changes.added)} -{len(changes.removed)} ~{len(changes.changed)}",
        ]
        shown = [f"  {line}" for line in changes.lines()]
        lines += shown[:_SHOWN]
        if len(shown) > _SHOWN:
            rest = len(shown) - _SHOWN
            lines.append(Text(f"  그 밖에 {rest}건", f"  and {rest} more").to(lang))
    size = human_size(found.delta_bytes)
    lines += [
        "",
        Text(
            f"델타에 담길 것: 파일 {found.delta_files}개, {size}",
            f"a delta would carry: {found.delta_files} files, {size}",
        ).to(lang),
    ]
    return "\n".join(lines)
