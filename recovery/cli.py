"""The command line of the recovery assistant."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence

from bundle.errors import RagTraceError, UsageProblem
from bundle.text import Text, choose_language
from recovery.assistant import Assistant
from recovery.diagnosis import Diagnosis, read_diagnosis
from validator import console
from validator.cli import make_subject, peek
from validator.engine import run_checks
from validator.registry import load, select
from validator.subject import Subject

EPILOG = Text(
    "종료 코드: 0 남은 문제 없음 · 3 실패 남음 · 4 경고 남음 · 5 실행하지 못한 검사 · 2 사용법 또는 보고서 오류",
    "exit codes: 0 nothing left · 3 failures left · 4 warnings left · 5 checks could not run · 2 usage or report",
)


def parser(lang: str) -> argparse.ArgumentParser:
    """Return the argument parser with its help in *lang*."""

    def text(korean: str, english: str) -> str:
        return korean if lang == "ko" else english

    made = argparse.ArgumentParser(
        prog="recovery_assistant.py",
        description=text("보고서의 문제를 설명하고 고칩니다.", "Explain and correct what a report found."),
        epilog=EPILOG.to(lang),
    )
    made.add_argument(
        "--diagnosis", required=True, metavar="FILE", help=text("검증 보고서", "the validator's report")
    )
    made.add_argument("--prefix", metavar="DIR", help=text("설치 위치", "where the installation is"))
    made.add_argument("--yes", action="store_true", help=text("묻지 않고 실행", "apply without asking"))
    made.add_argument("--lang", choices=("ko", "en"), help=text("언어", "language"))
    return made


def main(argv: Optional[Sequence[str]] = None, home: Optional[Path] = None) -> int:
    """Run the assistant; *home* is the folder of the entry script."""
    words = list(sys.argv[1:] if argv is None else argv)
    lang = choose_language(peek(words, "--lang"))
    arguments = parser(lang).parse_args(words)
    out = console.standard(lang)
    subject = make_subject(arguments.prefix, None, None, home)
    try:
        diagnosis = read_diagnosis(Path(arguments.diagnosis).expanduser())
        _same_installation(diagnosis, subject)
    except RagTraceError as error:
        for line in error.render(lang).splitlines():
            console.errors(lang).line(line)
        return error.exit_code
    try:
        return Assistant(
            subject,
            lang,
            out,
            (lambda question: True) if arguments.yes else _ask,
            lambda ids: run_checks(select(load(), only=ids), _fresh(subject)),
        ).run(diagnosis)
    except KeyboardInterrupt:
        return 130


def _fresh(subject: Subject) -> Subject:
    """Return the subject without what was read before something was changed."""
    return Subject.from_wire(subject.to_wire())


def _same_installation(diagnosis: Diagnosis, subject: Subject) -> None:
    """Refuse a report about another prefix: it must not decide what is changed here."""
    if Path(diagnosis.prefix) != subject.prefix:
        raise UsageProblem(
            Text("이 보고서는 다른 설치에 대한 것입니다", "the report is about another installation"),
            where=diagnosis.prefix,
            state=Text("아무것도 바꾸지 않았습니다", "nothing was changed"),
            hint=Text("맞다면 --prefix로 그 위치를 지정하십시오", "if that is meant, name it with --prefix"),
        )


def _ask(question: str) -> bool:
    sys.stdout.write(question)
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stdout.write("\n")
    return answer.strip().lower() in ("y", "yes", "예", "네")
