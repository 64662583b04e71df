"""The builder's options: the same for both commands, so that ``plan`` shows what ``build`` with them would do."""

from __future__ import annotations

import argparse
from pathlib import Path

from bundle.text import LANGUAGES, Text

from .inputs import REPOSITORY

DEFAULT_PROJECT = REPOSITORY / "service"
COMMANDS = ("build", "plan")


def parser(lang: str) -> argparse.ArgumentParser:
    """Return the argument parser with its help in `lang`."""

    def text(korean: str, english: str) -> str:
        return Text(korean, english).to(lang)

    common = argparse.ArgumentParser(add_help=False)
    add = common.add_argument
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
            "manifests/targets의 이름 (기본: 프로파일의 대상)",
            "a name of manifests/targets (default: the profile's)",
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
    add("--json", action="store_true", help=text("결과와 진행을 JSON으로", "progress and result as JSON"))
    add("--lang", choices=LANGUAGES, help=text("언어 (기본: 로캘)", "language (default: the locale)"))
    loudness = common.add_mutually_exclusive_group()
    loudness.add_argument("--verbose", action="store_true", help=text("자세히", "say more"))
    loudness.add_argument(
        "--quiet", action="store_true", help=text("결과와 오류만", "only results and errors")
    )
    add(
        "--output-dir",
        type=Path,
        default=Path("dist"),
        metavar="DIR",
        help=text("결과 폴더 (기본: dist)", "where the archive goes (default: dist)"),
    )
    add(
        "--signing-key",
        type=Path,
        metavar="FILE",
        help=text(
            "OpenSSH Ed25519 개인 키 (기본: 처음 실행할 때 만든 키)",
            "an OpenSSH Ed25519 private key (default: one made on the first run)",
        ),
    )
    add(
        "--signer",
        default="ragtrace-builder",
        metavar="NAME",
        help=text("allowed_signers에 적을 서명자 이름", "the principal written to allowed_signers"),
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
    add(
        "--sequence",
        type=int,
        metavar="N",
        help=text(
            "다운그레이드를 막는 순번 (기본: 소스의 시각)",
            "the number that prevents downgrades (default: the sources' time)",
        ),
    )
    top = argparse.ArgumentParser(
        prog="create_enterprise_offline.py",
        description=text(
            "uv로 잠긴 프로젝트를 폐쇄망 설치용 서명 번들 하나로 만듭니다.",
            "Pack a uv-locked project into one signed bundle for a closed network.",
        ),
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="{build,plan}")
    commands.add_parser(
        "build",
        parents=[common],
        help=text("번들 만들기 (기본 명령)", "make the bundle (the default command)"),
    )
    commands.add_parser(
        "plan", parents=[common], help=text("무엇을 담을지만 보기", "only show what would be packed")
    )
    return top
