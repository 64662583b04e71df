"""The command line of the validator: parse, run, report, exit code."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from bundle.text import Text, choose_language
from validator import VERSION, console
from validator.engine import run_checks
from validator.model import Category, Check, Result
from validator.registry import load, select
from validator.report import PASS_EXIT, USAGE_EXIT, Timing, build, exit_code
from validator.subject import Subject, default_prefix, find_bundle, find_prefix

EPILOG = Text(
    "종료 코드: 0 통과 · 3 실패 · 4 경고만 있음 · 5 실행하지 못한 검사 있음 · 2 사용법 오류",
    "exit codes: 0 pass · 3 failures · 4 warnings only · 5 some checks could not run · 2 usage",
)


def parser(lang: str) -> argparse.ArgumentParser:
    """Return the argument parser with its help in *lang*."""
    ko = lang == "ko"

    def text(korean: str, english: str) -> str:
        return korean if ko else english

    made = argparse.ArgumentParser(
        prog="enterprise_validator.py",
        description=text("호스트와 설치를 검사합니다.", "Check this host and what is installed on it."),
        epilog=EPILOG.to(lang),
    )
    made.add_argument(
        "--prefix", metavar="DIR", help=text("설치 위치", "where the installation is, or will be")
    )
    made.add_argument(
        "--bundle", metavar="DIR", help=text("풀어 놓은 번들", "an unpacked bundle to compare with")
    )
    made.add_argument(
        "--quiet", action="store_true", help=text("문제만 표시", "show problems and the verdict only")
    )
    made.add_argument(
        "--output", metavar="FILE", help=text("보고서 파일 (기본 형식 json)", "report file (json by default)")
    )
    made.add_argument(
        "--format", choices=("console", "json", "junit"), help=text("보고서 형식", "report format")
    )
    made.add_argument(
        "--category",
        action="append",
        metavar="NAME",
        help=text("이 범주만 (반복 가능)", "only this category (repeatable)"),
    )
    made.add_argument(
        "--only",
        action="append",
        metavar="ID",
        help=text("이 검사만 (반복 가능)", "only this check (repeatable)"),
    )
    made.add_argument("--list", action="store_true", help=text("검사 목록", "list the checks and exit"))
    made.add_argument(
        "--strict",
        action="store_true",
        help=text("경고와 생략도 실패로 봄", "count warnings and skips as failures"),
    )
    made.add_argument(
        "--service-name",
        default=None,
        metavar="NAME",
        help=text("systemd 유닛 이름", "name of the systemd unit"),
    )
    made.add_argument("--lang", choices=("ko", "en"), help=text("언어", "language"))
    made.add_argument("--version", action="version", version=VERSION)
    return made


def main(argv: Optional[Sequence[str]] = None, home: Optional[Path] = None) -> int:
    """Run the validator; *home* is the folder of the entry script, used to find the bundle around it."""
    words = list(sys.argv[1:] if argv is None else argv)
    lang = choose_language(peek(words, "--lang"))
    arguments = parser(lang).parse_args(words)
    out = console.standard(lang)
    checks = load()
    problem = _usage_problem(arguments, checks)
    if problem is not None:
        console.errors(lang).line(f"enterprise_validator.py: {problem.to(lang)}")
        return USAGE_EXIT
    chosen = select(checks, arguments.category, arguments.only)
    if arguments.list:
        for item in chosen:
            out.line(f"{item.id:<9} {item.category.value:<12} {item.severity.value:<9} {item.title.to(lang)}")
        return PASS_EXIT
    try:
        return _validate(arguments, chosen, lang, out, home)
    except KeyboardInterrupt:
        return 130


def _validate(
    arguments: argparse.Namespace,
    checks: Sequence[Check],
    lang: str,
    out: console.Console,
    home: Optional[Path],
) -> int:
    subject = make_subject(arguments.prefix, arguments.bundle, arguments.service_name, home)
    started, tick = time.time(), time.monotonic()
    results = run_checks(checks, subject)
    timing = Timing(started, time.monotonic() - tick)
    report = build(results, subject, lang, timing, strict=arguments.strict)
    if not _write(arguments, results, report, lang, out):
        return USAGE_EXIT
    if arguments.output or arguments.format in (None, "console"):
        out.results(results, subject, quiet=arguments.quiet)
        out.verdict(report)
    return exit_code(results, strict=arguments.strict)


def make_subject(
    prefix: Optional[str],
    bundle: Optional[str],
    service_name: Optional[str] = None,
    home: Optional[Path] = None,
) -> Subject:
    """Return what is to be validated; folders that nobody named are found."""
    found = (find_prefix(home) if home else None) or default_prefix()
    root = Path(prefix).expanduser().absolute() if prefix else found
    carried = Path(bundle).expanduser().absolute() if bundle else (find_bundle(home) if home else None)
    return Subject(root, carried, service_name or "")


def _usage_problem(arguments: argparse.Namespace, checks: Sequence[Check]) -> Optional[Text]:
    names = [category.value for category in Category]
    known = {name.lower() for name in names}
    for name in arguments.category or ():
        if name.lower() not in known:
            listed = ", ".join(names)
            return Text(f"모르는 범주 {name!r}: {listed}", f"unknown category {name!r}: {listed}")
    ids = {item.id for item in checks}
    for name in arguments.only or ():
        if name.upper() not in ids:
            return Text(f"모르는 검사 {name!r} (--list 참고)", f"unknown check {name!r} (see --list)")
    if arguments.bundle and not Path(arguments.bundle).expanduser().is_dir():
        return Text(f"번들 폴더가 없습니다: {arguments.bundle}", f"no such bundle folder: {arguments.bundle}")
    if arguments.output and not Path(arguments.output).expanduser().absolute().parent.is_dir():
        return Text(f"폴더가 없습니다: {arguments.output}", f"no such folder: {arguments.output}")
    return None


def _write(
    arguments: argparse.Namespace,
    results: Sequence[Result],
    report: Dict[str, Any],
    lang: str,
    out: console.Console,
) -> bool:
    form = arguments.format or ("json" if arguments.output else "console")
    if form == "console":
        if not arguments.output:
            return True
        text = _as_console_text(arguments, results, report, lang)
    elif form == "json":
        text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
    else:
        from validator import junit

        text = junit.render(results, lang)
    if not arguments.output:
        out.document(text)
        return True
    return _save(Path(arguments.output).expanduser(), text, lang)


def _as_console_text(
    arguments: argparse.Namespace, results: Sequence[Result], report: Dict[str, Any], lang: str
) -> str:
    import io

    buffer = io.StringIO()
    page = console.Console(buffer, lang)
    subject = Subject(Path(report["prefix"]), Path(report["bundle"]) if report["bundle"] else None)
    page.results(results, subject, quiet=arguments.quiet)
    page.verdict(report)
    return buffer.getvalue()


def _save(path: Path, text: str, lang: str) -> bool:
    from bundle.atomic import write_atomic

    try:
        write_atomic(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        what = Text("보고서를 쓸 수 없습니다", "the report cannot be written")
        console.errors(lang).line(
            f"enterprise_validator.py: {what.to(lang)}: {path}: {error.strerror or error}"
        )
        return False
    return True


def peek(words: List[str], option: str) -> Optional[str]:
    """Return an option's value before the parser exists, so that its help can be in that language."""
    for at, word in enumerate(words):
        if word == option and at + 1 < len(words):
            return words[at + 1]
        if word.startswith(option + "="):
            return word.partition("=")[2]
    return None
