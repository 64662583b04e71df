"""The builder's options: what every command shares, and the parser put together from `builder.commands`."""

from __future__ import annotations

import argparse
from pathlib import Path

from bundle.text import LANGUAGES, Text, wording

from .commands import COMMANDS
from .inputs import REPOSITORY

DEFAULT_PROJECT = REPOSITORY / "service"


def names() -> tuple[str, ...]:
    """Return the names of the commands, in the order of the help."""
    return tuple(command.NAME for command in COMMANDS)


def parser(lang: str) -> argparse.ArgumentParser:
    """Return the argument parser with its help in `lang`."""
    top = argparse.ArgumentParser(
        prog="create_enterprise_offline.py",
        description=Text(
            "uv로 잠긴 프로젝트를 폐쇄망 설치용 서명 번들 하나로 만듭니다.",
            "Pack a uv-locked project into one signed bundle for a closed network.",
        ).to(lang),
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="{" + ",".join(names()) + "}")
    for command in COMMANDS:
        command.add(commands, speaking(lang), lang)
    return top


def speaking(lang: str) -> argparse.ArgumentParser:
    """Return the options of every command: language, JSON, loudness."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--json",
        action="store_true",
        help=Text("결과와 진행을 JSON으로", "progress and result as JSON").to(lang),
    )
    parent.add_argument(
        "--lang", choices=LANGUAGES, help=Text("언어 (기본: 로캘)", "language (default: the locale)").to(lang)
    )
    loudness = parent.add_mutually_exclusive_group()
    loudness.add_argument("--verbose", action="store_true", help=Text("자세히", "say more").to(lang))
    loudness.add_argument(
        "--quiet", action="store_true", help=Text("결과와 오류만", "only results and errors").to(lang)
    )
    return parent


def choosing(lang: str) -> argparse.ArgumentParser:
    """Return the options that choose what to pack: the same for ``plan`` and ``build``."""
    text = wording(lang)
    parent = argparse.ArgumentParser(add_help=False)
    add = parent.add_argument
    add(
        "--project-root",
        type=Path,
        default=DEFAULT_PROJECT,
        metavar="DIR",
        help=text("담을 uv 프로젝트 (기본: service/)", "the uv project to pack (default: service/)"),
    )
    add(
        "--profile",
        metavar="NAME",
        help=text(
            "manifests/profiles의 이름 (기본: ragtrace는 starter, 그 밖은 library)",
            "a name of manifests/profiles (default: starter for ragtrace, library for others)",
        ),
    )
    add(
        "--target",
        action="append",
        metavar="NAME",
        help=text(
            "manifests/targets의 이름, 여러 번 가능 (기본: 프로파일의 대상)",
            "a name of manifests/targets, repeatable (default: the profile's)",
        ),
    )
    add(
        "--python",
        action="append",
        metavar="X.Y",
        help=text(
            "대상의 파이썬, 여러 번 가능 (기본: 프로파일)",
            "the target's Python, repeatable (default: the profile's)",
        ),
    )
    add(
        "--extra",
        action="append",
        default=[],
        metavar="NAME",
        help=text("프로젝트 extra 추가", "also pack this extra"),
    )
    add(
        "--group",
        action="append",
        default=[],
        metavar="NAME",
        help=text("의존성 그룹 추가", "also pack this dependency group"),
    )
    add(
        "--accept-plain-linux",
        action="append",
        default=[],
        metavar="PACKAGE",
        help=text(
            "linux 태그뿐인 휠도 담을 패키지 (대상에서 시험한 뒤)",
            "carry this package's wheel although it is tagged plain linux (once tried on the target)",
        ),
    )
    add(
        "--model",
        action="append",
        default=[],
        metavar="NAME[=DIR]",
        help=text(
            "manifests/models의 모델도 담음; =DIR이면 그 폴더에서",
            "also carry this model of manifests/models; with =DIR from that folder",
        ),
    )
    add(
        "--allow-build",
        action="append",
        default=[],
        metavar="PACKAGE",
        help=text(
            "휠이 없는 이 패키지를 여기서 빌드하도록 허용 (모두는 '*')",
            "let this package, which has no wheel, be built here ('*' for all)",
        ),
    )
    add(
        "--interpreter",
        metavar="X.Y",
        help=text(
            "호스트에 맞는 파이썬이 없을 때 쓸 이 버전의 파이썬을 함께 담음 (checksums/interpreters.toml), none이면 담지 않음",
            "carry Python X.Y for hosts without a fitting one (checksums/interpreters.toml); none: carry none",
        ),
    )
    add(
        "--python-archive",
        type=Path,
        metavar="FILE",
        help=text(
            "함께 담을 파이썬 (python-build-standalone tar.gz)",
            "an interpreter to carry (a python-build-standalone tar.gz)",
        ),
    )
    return parent
