"""The command line of the validator: parse, run, report, exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import stat
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import Iterator, Optional, Sequence

from bundle.errors import UsageProblem
from bundle.text import Text, choose_language, language_argument, wording
from validator import VERSION, console
from validator.api import Report, make_subject, run
from validator.report import INCOMPLETE_EXIT, PASS_EXIT, USAGE_EXIT
from validator.selection import Wanted, choose, usage
from validator.subject import Subject

__all__ = ["main", "make_subject", "parser"]

INTERRUPTED_EXIT = 130

EPILOG = Text(
    "종료 코드: 0 통과 · 3 실패 · 4 경고만 있음 · 5 실행하지 못한 검사 있음 · 2 사용법 오류",
    "exit codes: 0 pass · 3 failures · 4 warnings only · 5 some checks could not run · 2 usage",
)


def parser(lang: str) -> argparse.ArgumentParser:
    """Return the argument parser with its help in *lang*."""
    text = wording(lang)
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
        "--format", choices=("console", "json", "html", "junit"), help=text("보고서 형식", "report format")
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
    made.add_argument(
        "--skip",
        action="append",
        metavar="ID",
        help=text("이 검사는 빼고 (반복 가능)", "leave this check out (repeatable)"),
    )
    made.add_argument(
        "--plugins",
        action="append",
        metavar="DIR",
        help=text(
            "이 폴더의 플러그인도 (반복 가능; <prefix>/config/checks는 늘 포함)",
            "plugins of this folder too (repeatable; <prefix>/config/checks always counts)",
        ),
    )
    made.add_argument(
        "--no-plugins", action="store_true", help=text("플러그인 없이", "leave all plugins out")
    )
    made.add_argument(
        "--waivers",
        metavar="FILE",
        help=text(
            "승인된 예외 (기본값: <prefix>/config/waivers.json)",
            "accepted findings (default: <prefix>/config/waivers.json)",
        ),
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
    lang = choose_language(language_argument(words))
    arguments = parser(lang).parse_args(words)
    try:
        with _ended_by_signals():
            return _main(arguments, lang, home)
    except UsageProblem as error:
        _complain(error, lang)
        return USAGE_EXIT
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT
    except _OutputGone as error:
        return _output_is_gone(error, lang)
    except Exception as error:  # noqa: BLE001  said in one line, as something that could not be checked
        return _broken(error, lang)


def _main(arguments: argparse.Namespace, lang: str, home: Optional[Path]) -> int:
    target = _target(arguments.output)
    subject = make_subject(arguments.prefix, arguments.bundle, arguments.service_name, home)
    wanted = _wanted(arguments)
    out = console.standard(lang)
    if arguments.list:
        _list(subject, wanted, lang, out)
        return PASS_EXIT
    report = run(subject, wanted, lang, waivers=arguments.waivers, strict=arguments.strict)
    _remember(report)
    return _deliver(report, arguments, target, out)


def _wanted(arguments: argparse.Namespace) -> Wanted:
    folders = tuple(Path(folder).expanduser().absolute() for folder in arguments.plugins or ())
    return Wanted(
        tuple(arguments.category or ()),
        tuple(arguments.only or ()),
        tuple(arguments.skip or ()),
        not arguments.no_plugins,
        folders,
    )


def _list(subject: Subject, wanted: Wanted, lang: str, out: console.Console) -> None:
    for item in choose(subject, wanted).checks:
        row = f"{item.id:<9} {item.category.value:<12} {item.severity.value:<9} {item.title.to(lang)}"
        if item.settled is not None:
            row += f": {item.settled.details.to(lang)}"
        elif item.plugin is not None:
            row += f"  [{item.plugin.name}]"
        with _outward():
            out.line(row)
    with _outward():
        sys.stdout.flush()


def _target(named: Optional[str]) -> Optional[Path]:
    """Return where the report goes, refused before anything runs when it cannot be written there."""
    if named is None:
        return None
    try:
        path = Path(os.path.realpath(Path(named).expanduser()))
        found = stat.S_IFMT(path.stat().st_mode) if path.exists() else 0
    except (OSError, RuntimeError, ValueError) as error:
        raise usage(Text("--output: 쓸 수 없는 경로입니다", "--output: not a usable path")) from error
    if not path.parent.is_dir():
        raise usage(Text(f"폴더가 없습니다: {path.parent}", f"no such folder: {path.parent}"))
    if found == stat.S_IFDIR:
        raise usage(Text(f"보고서 파일이 아니라 폴더입니다: {path}", f"a folder, not a file: {path}"))
    if not os.access(path if found not in (0, stat.S_IFREG) else path.parent, os.W_OK):
        raise usage(Text(f"보고서를 쓸 수 없습니다: {path}", f"the report cannot be written: {path}"))
    return path


def _remember(report: Report) -> None:
    """Keep what was measured, so that the next run can compare; looking at nothing installed leaves no trace."""
    if report.subject.generation is not None:
        from validator import history

        history.append(report.subject, report.results)


def _deliver(
    report: Report, arguments: argparse.Namespace, target: Optional[Path], out: console.Console
) -> int:
    """Give the report away; one that cannot be saved is at least shown."""
    form = arguments.format or ("json" if target else "console")
    text = _rendered(report, form, arguments.quiet)
    if target is None:
        with _outward():
            out.document(text)
            sys.stdout.flush()
        return report.exit_code
    problem: Optional[OSError] = None
    try:
        _save(target, text)
    except OSError as error:
        problem = error
    with _outward():
        out.report(report, quiet=arguments.quiet)
        sys.stdout.flush()
    if problem is None:
        return report.exit_code
    said = problem.strerror or str(problem)
    console.errors(report.lang).line(
        "enterprise_validator.py: "
        + Text("보고서를 쓸 수 없습니다", "the report cannot be written").to(report.lang)
        + f": {target}: {said}"
    )
    return USAGE_EXIT


def _rendered(report: Report, form: str, quiet: bool) -> str:
    if form == "json":
        return report.to_json()
    if form == "html":
        return report.to_html()
    if form == "junit":
        return report.to_junit()
    import io

    buffer = io.StringIO()
    console.Console(buffer, report.lang).report(report, quiet=quiet)
    return buffer.getvalue()


def _save(path: Path, text: str) -> None:
    """Replace the report file in one step; a device or a pipe is written to, never replaced."""
    from bundle.atomic import write_atomic

    data = text.encode("utf-8", "backslashreplace")
    if path.exists() and not path.is_file():
        with open(path, "wb") as stream:
            stream.write(data)
    else:
        write_atomic(path, data)


def _complain(error: UsageProblem, lang: str) -> None:
    first, *rest = error.render(lang).splitlines()
    page = console.errors(lang)
    page.line(f"enterprise_validator.py: {first}")
    for line in rest:
        page.line(line)


class _OutputGone(Exception):
    """Standard output takes nothing any more."""


@contextlib.contextmanager
def _outward() -> Iterator[None]:
    """Tell a failing standard output from every other failing file."""
    try:
        yield
    except OSError as error:
        raise _OutputGone(error.strerror or str(error)) from error


def _broken(error: Exception, lang: str) -> int:
    """Say that the validator itself is wrong; nothing was established, so this is not a verdict either."""
    what = Text("검증기 자체의 오류로 끝내지 못했습니다", "the validator itself failed and gives no verdict")
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    said = f"{type(error).__name__}: {str(error)[:300]}{place}"
    console.errors(lang).line(f"enterprise_validator.py: {what.to(lang)}: {said}")
    return INCOMPLETE_EXIT


def _output_is_gone(error: _OutputGone, lang: str) -> int:
    """Say that nobody could be told the result: the reader of a pipe left, or the disk of a file is full."""
    # What is still buffered must not fail once more when the interpreter ends.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    what = Text("결과를 출력할 수 없습니다", "the result cannot be written")
    console.errors(lang).line(f"enterprise_validator.py: {what.to(lang)}: {error}")
    return USAGE_EXIT


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn a request to end into an orderly end, so that no child is left behind."""

    def leave(number: int, frame: Optional[FrameType]) -> None:
        raise SystemExit(128 + number)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.signal(getattr(signal, name), leave) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
