"""``interpreters``: list and pin the Python archives that a bundle may carry."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bundle.text import Text, wording

if TYPE_CHECKING:
    from ..console import Console

NAME = "interpreters"


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    speaking: argparse.ArgumentParser,
    lang: str,
) -> None:
    """Add the command and its two verbs."""
    text = wording(lang)
    parser = commands.add_parser(
        NAME, help=text("함께 담을 파이썬: 목록, 고정", "Python interpreters to carry: list, pin")
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="{list,pin}")
    verbs.add_parser(
        "list", parents=[speaking], help=text("고정된 아카이브 보기", "show the pinned archives")
    )
    pin = verbs.add_parser(
        "pin",
        parents=[speaking],
        help=text(
            "잠긴 uv가 아는 최신 아카이브와 SHA-256을 checksums/interpreters.toml에 적기",
            "write the newest archives that the locked uv knows, with their SHA-256, to checksums/interpreters.toml",
        ),
    )
    pin.add_argument(
        "--python",
        action="append",
        metavar="X.Y",
        help=text("이 버전 (기본: 3.11-3.13)", "this version (default: 3.11 to 3.13)"),
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    from ..interpreters import pins

    if options.verb == "pin":
        return _pin(options, console)
    found = pins.load()
    if options.json:
        console.result_json([vars(item) for item in found])
    else:
        rows = [f"{item.target:22} {item.python:5} {item.version:9} sha256:{item.sha256}" for item in found]
        console.result("\n".join(rows))
    return 0


def _pin(options: argparse.Namespace, console: Console) -> int:
    from ..inputs import MANIFESTS, load_target
    from ..interpreters import pins
    from ..interpreters.pin import pin
    from ..uvtool import uv_version

    targets = [load_target(path.stem) for path in sorted((MANIFESTS / "targets").glob("*.toml"))]
    found = pin(
        targets, options.python or ("3.11", "3.12", "3.13"), lambda line: console.note(Text(line, line))
    )
    pins.PLACE.write_text(pins.encode(uv_version(), found), encoding="utf-8")
    if options.json:
        console.result_json([vars(item) for item in found])
    else:
        text = Text(f"인터프리터 {len(found)}개를 고정했습니다", f"pinned {len(found)} interpreters")
        console.result(f"{text.to(console.lang)}: {pins.PLACE}")
    return 0
