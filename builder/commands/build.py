"""``build``: make the bundle. The default command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import UsageProblem
from bundle.text import Text

if TYPE_CHECKING:
    from ..build import Order
    from ..console import Console

NAME = "build"


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    speaking: argparse.ArgumentParser,
    lang: str,
) -> None:
    """Add the command's options."""
    from ..options import choosing

    def text(korean: str, english: str) -> str:
        return Text(korean, english).to(lang)

    parser = commands.add_parser(
        NAME,
        parents=[choosing(lang), speaking],
        help=text("번들 만들기 (기본 명령)", "make the bundle (the default command)"),
    )
    add_option = parser.add_argument
    add_option(
        "--output-dir",
        type=Path,
        default=Path("dist"),
        metavar="DIR",
        help=text("결과 폴더 (기본: dist)", "where the archive goes (default: dist)"),
    )
    add_option(
        "--signing-key",
        type=Path,
        metavar="FILE",
        help=text(
            "OpenSSH Ed25519 개인 키 (기본: 처음 실행할 때 만든 키)",
            "an OpenSSH Ed25519 private key (default: one made on the first run)",
        ),
    )
    add_option(
        "--signer",
        default="ragtrace-builder",
        metavar="NAME",
        help=text("allowed_signers에 적을 서명자 이름", "the principal written to allowed_signers"),
    )
    add_option(
        "--sequence",
        type=int,
        metavar="N",
        help=text(
            "다운그레이드를 막는 순번 (기본: 소스의 시각)",
            "the number that prevents downgrades (default: the sources' time)",
        ),
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Build one bundle for each target."""
    from .. import build, summary
    from ..cache import open_default
    from ..sealing import keys
    from .plan import requests

    wanted = requests(options)
    order = _order(options)
    cache = open_default()
    path, made = options.signing_key or keys.default_key_path(), False
    if options.signing_key is None:
        key, made = keys.load_or_create_key(path, options.signer)
    else:
        key = keys.load_signer(path, options.signer)
    for bundle in build.build_bundles(wanted, order, cache, key, console):
        if options.json:
            console.result_json(summary.as_dict(bundle))
        else:
            console.result(summary.text(bundle, path if made else None, console.lang))
    return 0


def _order(options: argparse.Namespace) -> Order:
    from ..build import Order

    if options.sequence is not None and options.sequence < 1:
        raise UsageProblem(
            Text("순번은 1 이상입니다", "the sequence is at least 1"), where=f"--sequence {options.sequence}"
        )
    return Order(output=options.output_dir.absolute(), sequence=options.sequence)
