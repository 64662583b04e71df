"""``build``: make the bundle. The default command."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import UsageProblem
from bundle.text import Text, wording

from ..assessment.options import auditing
from .signing import signers, signing

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

    text = wording(lang)
    parser = commands.add_parser(
        NAME,
        parents=[choosing(lang), auditing(lang), signing(lang), _sealing(lang), _shipping(lang), speaking],
        help=text("번들 만들기 (기본 명령)", "make the bundle (the default command)"),
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=text(
            "모델 허브의 토큰 (기본: HF_TOKEN 또는 hf 로그인)",
            "the model hub's token (default: HF_TOKEN, or the hf login)",
        ),
    )


def _sealing(lang: str) -> argparse.ArgumentParser:
    text = wording(lang)

    parent = argparse.ArgumentParser(add_help=False)
    add_option = parent.add_argument
    add_option(
        "--trust-records",
        type=Path,
        metavar="DIR",
        help=text(
            "번들에 담을 키 기록의 폴더 (keys rotate, keys revoke)",
            "the folder of trust records to carry (keys rotate, keys revoke)",
        ),
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
    add_option(
        "--expires",
        metavar="WHEN",
        help=text(
            "설치할 수 있는 기한: 2027-06-30 또는 90d (기본: 없음)",
            "until when it may be installed: 2027-06-30 or 90d (default: no limit)",
        ),
    )
    return parent


def _shipping(lang: str) -> argparse.ArgumentParser:
    text = wording(lang)

    parent = argparse.ArgumentParser(add_help=False)
    add_option = parent.add_argument
    add_option(
        "--output-dir",
        type=Path,
        default=Path("dist"),
        metavar="DIR",
        help=text("결과 폴더 (기본: dist)", "where the archive goes (default: dist)"),
    )
    add_option(
        "--volume-size",
        metavar="SIZE",
        help=text(
            "이 크기의 볼륨으로 나눔: 4GB, 700M, DVD, FAT32 …",
            "cut into volumes of this size: 4GB, 700M, DVD, FAT32 …",
        ),
    )
    add_option(
        "--delta-from",
        type=Path,
        metavar="BUNDLE",
        help=text(
            "이전 번들의 MANIFEST.json·폴더·아카이브: 거기 없는 내용만 담음",
            "an earlier bundle's MANIFEST.json, folder or archive: carry only what it lacks",
        ),
    )
    return parent


def run(options: argparse.Namespace, console: Console) -> int:
    """Build one bundle for each target."""
    from .. import build, disk, summary
    from ..cache import open_default
    from .plan import requests

    wanted = requests(options)
    order = _order(options)
    cache = open_default()
    keys, made = signers(options, console.lang)
    if options.trust_records is not None:
        from ..sealing import records

        order = dataclasses.replace(order, trust_records=records.for_bundle(options.trust_records, keys))
    with disk.named(cache.root, order.output):
        for bundle in build.build_bundles(wanted, order, cache, keys, console):
            if options.json:
                console.result_json(summary.as_dict(bundle))
            else:
                console.result(summary.text(bundle, made, console.lang))
    return 0


def _order(options: argparse.Namespace) -> Order:
    from ..assessment.options import settings_of
    from ..assessment.policy import load_waivers
    from ..build import Order
    from ..sources.permission import permitted
    from ..transport.delta import load_base
    from ..transport.sizes import parse_size

    if options.sequence is not None and options.sequence < 1:
        raise UsageProblem(
            Text("순번은 1 이상입니다", "the sequence is at least 1"), where=f"--sequence {options.sequence}"
        )
    return Order(
        output=options.output_dir.absolute(),
        sequence=options.sequence,
        expires=options.expires,
        allow_build=permitted(options.allow_build),
        auditing=settings_of(options),
        fail_on=options.fail_on,
        waivers=load_waivers(options.waivers),
        volume_size=None if options.volume_size is None else parse_size(options.volume_size),
        base=None if options.delta_from is None else load_base(options.delta_from),
        token=None if options.token_file is None else _token(options.token_file),
    )


def _token(path: Path) -> str:
    from ..models.hub import read_token

    return read_token(path)
