"""The command line of the recovery assistant."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Callable, Optional, Sequence

from bundle.errors import RagTraceError, UsageProblem
from bundle.text import Text, choose_language, language_argument, wording
from recovery import refuge
from recovery.assistant import NO, QUIT, YES, Assistant
from recovery.diagnosis import Diagnosis, read_diagnosis
from recovery.engine import Means
from validator import api, console
from validator.model import Result
from validator.registry import load
from validator.report import USAGE_EXIT
from validator.selection import Wanted, choose
from validator.subject import Subject

INTERRUPTED_EXIT = 130
EPILOG = Text(
    "종료 코드: 0 남은 문제 없음 · 3 실패 남음 · 4 경고 남음 · 5 실행하지 못한 검사 · 2 사용법 또는 보고서 오류 · 130 중단됨",
    "exit codes: 0 nothing left · 3 failures left · 4 warnings left · 5 checks could not run · 2 usage or report · "
    "130 interrupted",
)
UNCHANGED = Text("아무것도 바꾸지 않았습니다", "nothing was changed")


def parser(lang: str) -> argparse.ArgumentParser:
    """Return the argument parser with its help in *lang*."""
    text = wording(lang)
    made = argparse.ArgumentParser(
        prog="recovery_assistant.py",
        description=text("보고서의 문제를 설명하고 고칩니다.", "Explain and correct what a report found."),
        epilog=EPILOG.to(lang),
    )
    made.add_argument("--diagnosis", metavar="FILE", help=text("검증 보고서", "the validator's report"))
    made.add_argument("--prefix", metavar="DIR", help=text("설치 위치", "where the installation is"))
    made.add_argument(
        "--bundle",
        metavar="PATH",
        help=text(
            "이 릴리스의 번들: 이 호스트에 남아 있지 않은 내용을 가져옴",
            "this release's bundle, for contents that are nowhere intact on this host",
        ),
    )
    made.add_argument(
        "--advisories",
        metavar="FILE",
        help=text("새로 반입한 취약점 스냅숏", "a newer advisory snapshot that was carried in"),
    )
    made.add_argument("--yes", action="store_true", help=text("묻지 않고 실행", "apply without asking"))
    made.add_argument(
        "--plan",
        "--dry-run",
        action="store_true",
        help=text("무엇을 할지 보여 주고 아무것도 바꾸지 않음", "show what would be done, change nothing"),
    )
    made.add_argument(
        "--json",
        action="store_true",
        help=text("결과를 JSON으로 (--yes 또는 --plan과 함께)", "the result as JSON (with --yes or --plan)"),
    )
    made.add_argument(
        "--support-bundle",
        metavar="FILE",
        help=text("비밀 값을 뺀 지원 자료를 만듦", "write a support bundle without secrets"),
    )
    made.add_argument(
        "--preview",
        action="store_true",
        help=text(
            "--support-bundle: 무엇이 들어가는지 보여 주기만 함",
            "with --support-bundle: only show what goes in",
        ),
    )
    made.add_argument("--lang", choices=("ko", "en"), help=text("언어", "language"))
    return made


def main(argv: Optional[Sequence[str]] = None, home: Optional[Path] = None) -> int:
    """Run the assistant; *home* is the folder of the entry script."""
    words = list(sys.argv[1:] if argv is None else argv)
    lang = choose_language(language_argument(words))
    arguments = parser(lang).parse_args(words)
    try:
        _check_usage(arguments)
        if arguments.support_bundle is not None:
            return _support(arguments, lang, home)
        if home is not None and not arguments.plan and refuge.needed(home):
            return refuge.run(home, words)
        return _recover(arguments, lang, home)
    except RagTraceError as error:
        for line in error.render(lang).splitlines():
            console.errors(lang).line(line)
        return error.exit_code
    except OSError as error:
        console.errors(lang).line(f"recovery_assistant.py: {error}")
        return USAGE_EXIT
    except KeyboardInterrupt:
        told = Text(
            "중단되었습니다. 시작된 조치는 끝났거나 되돌려졌습니다. 다시 실행할 수 있습니다.",
            "interrupted; what was begun has ended or was put back. It can be run again.",
        )
        console.errors(lang).line(told.to(lang))
        return INTERRUPTED_EXIT


def _check_usage(arguments: argparse.Namespace) -> None:
    if arguments.support_bundle is None and arguments.diagnosis is None:
        raise _usage(
            Text(
                "--diagnosis 또는 --support-bundle이 필요합니다", "--diagnosis or --support-bundle is needed"
            )
        )
    if arguments.preview and arguments.support_bundle is None:
        raise _usage(
            Text("--preview는 --support-bundle과 함께 씁니다", "--preview goes with --support-bundle")
        )
    if arguments.json and not (arguments.yes or arguments.plan):
        raise _usage(
            Text(
                "--json은 --yes 또는 --plan과 함께 씁니다", "--json goes with --yes or --plan: it cannot ask"
            )
        )
    if arguments.yes and arguments.plan:
        raise _usage(Text("--yes와 --plan은 함께 쓸 수 없습니다", "--yes and --plan exclude each other"))


def _usage(summary: Text) -> UsageProblem:
    return UsageProblem(
        summary, state=UNCHANGED, hint=Text("recovery_assistant.py --help", "recovery_assistant.py --help")
    )


def _support(arguments: argparse.Namespace, lang: str, home: Optional[Path]) -> int:
    from recovery.support.cli import run

    subject = api.make_subject(arguments.prefix, None, None, home)
    target = Path(os.path.abspath(Path(arguments.support_bundle).expanduser()))
    return run(subject, target, arguments.preview, lang, console.standard(lang))


def _recover(arguments: argparse.Namespace, lang: str, home: Optional[Path]) -> int:
    subject = api.make_subject(arguments.prefix, None, None, home)
    diagnosis = read_diagnosis(Path(arguments.diagnosis).expanduser())
    _same_installation(diagnosis, subject)
    means = Means(subject, lang, _given(arguments.bundle), _given(arguments.advisories))
    talk = _Silent() if arguments.json else console.standard(lang)
    ask: Callable[[str], str] = _yes if arguments.yes else _ask
    again = _again(arguments, subject)
    session = Assistant(means, talk, ask, lambda ids: _checked(subject, ids, lang), again)
    told = session.run(diagnosis, plan=arguments.plan)
    if arguments.json:
        sys.stdout.write(
            json.dumps(told.to_dict(lang, str(subject.prefix)), ensure_ascii=True, indent=1) + "\n"
        )
    return told.exit_code


def _given(path: Optional[str]) -> Optional[Path]:
    """Return a path that was named, absolute; it has to be there, or its action would fail late.

    Raises:
        UsageProblem: there is nothing.
    """
    if path is None:
        return None
    named = Path(os.path.abspath(Path(path).expanduser()))
    if not named.exists():
        raise _usage(Text(f"없습니다: {named}", f"there is no {named}"))
    return named


def _checked(subject: Subject, ids: Sequence[str], lang: str) -> Sequence[Result]:
    """Run those of the checks that there are, on the installation as it is now, waivers as they are."""
    fresh = Subject.from_wire(subject.to_wire())
    known = {check.id for check in load()}
    if not known.issuperset(ids):
        # Only the plugins themselves know theirs, and only those that can be loaded now.
        known = set(choose(fresh, Wanted()).known)
    mine = tuple(name for name in ids if name in known)
    return api.run(fresh, Wanted(only=mine), lang).results if mine else ()


def _same_installation(diagnosis: Diagnosis, subject: Subject) -> None:
    """Refuse a report about another prefix: it must not decide what is changed here."""
    try:
        same = os.path.realpath(diagnosis.prefix) == os.path.realpath(subject.prefix)
    except (OSError, ValueError):
        same = False
    if not same:
        raise UsageProblem(
            Text("이 보고서는 다른 설치에 대한 것입니다", "the report is about another installation"),
            where=str(subject.prefix),
            state=UNCHANGED,
            hint=Text(
                "보고서를 만든 설치의 위치를 --prefix로 지정하십시오",
                "name the installation that the report was made of with --prefix",
            ),
        )


class _Silent:
    """With ``--json`` nothing but the document is written."""

    def line(self, text: str = "") -> None:
        """Write nothing."""

    def results(self, results: Sequence[Result], subject: Subject, *, quiet: bool) -> None:
        """Write nothing."""


def _again(arguments: argparse.Namespace, subject: Subject) -> str:
    """Return this very command, for whoever has the rights to give it."""
    program = os.environ.get(refuge.STARTED) or os.path.abspath(sys.argv[0])
    words = ["python3", program, "--diagnosis", os.path.abspath(arguments.diagnosis)]
    return " ".join(shlex.quote(word) for word in [*words, "--prefix", str(subject.prefix)])


def _yes(question: str) -> str:
    return YES


def _ask(question: str) -> str:
    sys.stdout.write(question)
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stdout.write("\n")
    word = answer.strip().lower()
    if word in ("q", "quit", "그만"):
        return QUIT
    return YES if word in ("y", "yes", "예", "네") else NO
