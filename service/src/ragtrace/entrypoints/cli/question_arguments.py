"""Arguments of the commands that take a question."""

from __future__ import annotations

import argparse

from ragtrace.entrypoints.cli.wording import Say


def ask_arguments(parser: argparse.ArgumentParser, text: Say) -> None:
    """Add the arguments of `ragtrace ask`."""
    _question(parser, text, text("출처 수", "number of sources"))
    parser.add_argument(
        "--no-rag",
        action="store_true",
        help=text(
            "문서를 찾지 않고 언어 모델만으로 답함", "answer by the language model alone, without documents"
        ),
    )
    parser.add_argument(
        "--max-tokens", type=int, metavar="N", help=text("답의 최대 토큰 수", "longest answer in tokens")
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help=text(
            "질문 분석, 찾은 기간, 출처마다의 점수와 걸린 시간",
            "how the question was understood, where was looked, every score, what it cost",
        ),
    )
    parser.set_defaults(run="asking:ask")


def search_arguments(parser: argparse.ArgumentParser, text: Say) -> None:
    """Add the arguments of `ragtrace search`."""
    _question(parser, text, text("조각 수", "number of passages"))
    parser.add_argument(
        "--explain",
        action="store_true",
        help=text("모든 점수와 시간, 탈락한 후보까지", "every score, the time, and the candidates left out"),
    )
    parser.set_defaults(run="search:search")


def _question(parser: argparse.ArgumentParser, text: Say, top: str) -> None:
    """Add the question, where to look for it, and how many passages are wanted."""
    parser.add_argument("question", metavar="QUESTION", help=text("질문", "the question"))
    parser.add_argument("--top", type=int, metavar="N", help=top)
    for name, line in (
        (
            "--since",
            text(
                "이날부터의 문서에서 찾음. 조각이 적으면 앞뒤로 넓힘",
                "look in documents from this day on; a range that holds too little is widened",
            ),
        ),
        ("--until", text("이날까지의 문서에서 찾음", "look in documents up to this day")),
    ):
        parser.add_argument(name, metavar="YYYY-MM-DD", help=line)
    parser.add_argument(
        "--group",
        action="append",
        metavar="GROUP",
        help=text(
            "이 그룹의 문서와 그룹 없는 문서에서 찾음(여러 번 가능, 기본: 모든 그룹)",
            "look in documents of this group and of none (repeatable; default: all groups)",
        ),
    )
