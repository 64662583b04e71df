"""The command line of `install.py`. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Optional, Sequence

from bundle.errors import InternalError, PreflightError, RagTraceError, UsageProblem
from bundle.text import Text, choose_language

from .console import Console
from .paths import TEMPORARY_PYTHON, Prefix, default_prefix

if TYPE_CHECKING:
    from bundle.trust import Anchors

    from .operations import Done
    from .plan import Plan, Request

HELP = {
    "description": Text(
        "RAGTrace를 폐쇄망 호스트에 설치하고, 되돌리고, 상태를 보여 줍니다.",
        "Install RAGTrace on an isolated host, roll it back, show its state.",
    ),
    "prefix": Text("설치 위치 (기본: root는 /opt/ragtrace, 그 밖에는 ~/.local/share/ragtrace)",
                   "where to install (default: /opt/ragtrace as root, else ~/.local/share/ragtrace)"),
    "bundle": Text("번들 폴더 (기본: 이 스크립트가 들어 있는 번들)", "the bundle's folder (default: the one this script lies in)"),
    "dry_run": Text("검증하고 계획만 보여 줌", "verify, then only print the plan"),
    "status": Text("설치와 서비스의 상태", "show the installation and the service"),
    "rollback": Text("보관된 릴리스로 되돌림 (기본: 바로 이전 것)", "return to a kept release (default: the one before)"),
    "verify_only": Text("번들만 검증하고 아무것도 쓰지 않음", "verify the bundle, write nothing"),
    "start": Text("서비스 시작", "start the service"),
    "stop": Text("서비스 중지", "stop the service"),
    "allowed_signers": Text("신뢰하는 서명자 파일 (ssh-keygen 형식)", "file of trusted signers (as for ssh-keygen)"),
    "fingerprint": Text("신뢰하는 서명 키의 지문", "fingerprint of a trusted signing key"),
    "unverified": Text("출처가 확인되지 않은 번들도 허용", "accept a bundle whose origin is not verified"),
    "signatures": Text("필요한 서명 수: 신뢰하는 서로 다른 키 (기본: 지난 설치 때의 수, 없으면 1)", "how many trusted keys have to have signed (default: as at the last installation, else 1)"),
    "downgrade": Text("더 오래된 번들 허용", "accept an older bundle"),
    "no_start": Text("설치 후 서비스를 시작하지 않음", "do not start the service"),
    "manager": Text("서비스를 실행할 방법", "what runs the service"),
    "service_name": Text("서비스 이름 (기본: ragtrace)", "the service's name (default: ragtrace)"),
    "host": Text("서비스가 수신할 주소", "address the service listens at"),
    "port": Text("서비스가 수신할 포트", "port the service listens at"),
    "python": Text("사용할 파이썬", "the Python to use"),
    "json": Text("결과를 JSON으로 출력", "print the result as JSON"),
    "quiet": Text("진행 상황을 출력하지 않음", "print no progress"),
    "lang": Text("언어 (기본: 로캘)", "language (default: the locale)"),
    "title": Text("선택 사항", "options"),
    "help": Text("이 도움말", "this help"),
}  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that usage errors look like every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageProblem(
            Text(f"명령이 잘못되었습니다: {message}", f"wrong command: {message}"),
            hint=Text("install.py --help", "install.py --help"),
        )


def parser(lang: str, script: Path) -> argparse.ArgumentParser:
    """Return the parser, with help in `lang`; `script` is install.py, for the defaults."""

    def text(name: str) -> str:
        return HELP[name].to(lang)

    made = _Parser(prog="install.py", description=text("description"), add_help=False)
    group = made.add_argument_group(text("title"))
    group.add_argument("-h", "--help", action="help", help=text("help"))
    group.add_argument("--prefix", type=Path, metavar="DIR", default=None, help=text("prefix"))
    group.add_argument(
        "--bundle", type=Path, metavar="DIR", default=script.parent.parent, help=text("bundle")
    )
    what = group.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help=text("dry_run"))
    what.add_argument("--status", action="store_true", help=text("status"))
    what.add_argument("--rollback", nargs="?", const="", default=None, metavar="GEN", help=text("rollback"))
    what.add_argument("--verify-only", action="store_true", help=text("verify_only"))
    what.add_argument("--start", action="store_true", help=text("start"))
    what.add_argument("--stop", action="store_true", help=text("stop"))
    group.add_argument("--allowed-signers", metavar="FILE", default="", help=text("allowed_signers"))
    group.add_argument(
        "--trust-fingerprint", metavar="SHA256:…", action="append", default=[], help=text("fingerprint")
    )
    group.add_argument("--allow-unverified-origin", action="store_true", help=text("unverified"))
    group.add_argument("--require-signatures", metavar="N", type=int, default=None, help=text("signatures"))
    group.add_argument("--allow-downgrade", action="store_true", help=text("downgrade"))
    group.add_argument("--no-start", action="store_true", help=text("no_start"))
    managers = ("auto", "systemd", "process", "none")
    group.add_argument("--service-manager", choices=managers, default="auto", help=text("manager"))
    group.add_argument("--service-name", metavar="NAME", default="", help=text("service_name"))
    group.add_argument("--host", metavar="ADDRESS", default="", help=text("host"))
    group.add_argument("--port", type=int, metavar="PORT", default=0, help=text("port"))
    group.add_argument("--python", metavar="PATH", default="", help=text("python"))
    group.add_argument("--json", action="store_true", help=text("json"))
    group.add_argument("--quiet", action="store_true", help=text("quiet"))
    group.add_argument("--lang", choices=("ko", "en"), default=None, help=text("lang"))
    return made


def main(arguments: Optional[Sequence[str]] = None, script: Optional[Path] = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    lang = choose_language(_language(words))
    console = Console(lang)
    place = (script or Path(sys.argv[0])).absolute()
    os.umask(0o022)
    try:
        options = parser(lang, place).parse_args(words)
        console = Console(lang, quiet=options.quiet, as_json=options.json)
        prefix = Prefix(_prefix(options.prefix, place))
        # uv runs in another folder: a relative path would mean something else there.
        options.bundle = Path(os.path.abspath(options.bundle.expanduser()))
        return _guarded(options, prefix, console)
    except RagTraceError as error:
        # Whoever got as far as changing something has said what state things are in.
        error.state = error.state or Text("아무것도 바꾸지 않았습니다", "nothing was changed")
        console.fail(error)
        return error.exit_code


def _language(words: Sequence[str]) -> Optional[str]:
    """Find --lang before parsing, so that usage errors are in the right language too."""
    for index, word in enumerate(words):
        if word.startswith("--lang="):
            return word.partition("=")[2]
        if word == "--lang" and index + 1 < len(words):
            return words[index + 1]
    return None


def _prefix(given: Optional[Path], script: Path) -> Path:
    """Return the prefix: as given, else that of the installation the script is part of, else the default."""
    if given is not None:
        return Path(os.path.abspath(given.expanduser()))
    tools = script.parent.parent
    if tools.name == "tools" and tools.parent.parent.name == "generations":
        return tools.parent.parent.parent
    return default_prefix()


def _guarded(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Run the command with signals turned into an orderly end and every other surprise into an error."""
    from .signals import Stopped, listening
    from .transaction import translate

    try:
        with listening():
            return _command(options, prefix, console)
    except (Stopped, KeyboardInterrupt) as stopped:
        raise translate(stopped, Text("아무것도 바꾸지 않았습니다", "nothing was changed")) from stopped
    except PermissionError as error:
        raise PreflightError(
            Text(f"권한이 없습니다: {error}", f"permission denied: {error}"),
            where=str(error.filename or prefix.root),
            hint=Text("관리자 권한으로 실행하거나 다른 --prefix", "run as root, or give another --prefix"),
        ) from error
    except OSError as error:
        raise translate(error, None) from error
    except RagTraceError:
        raise
    except Exception as error:
        state = Text("다음 실행이 상태를 복구합니다", "the next run recovers whatever was begun")
        raise InternalError(
            Text(f"내부 오류: {error!r}", f"internal error: {error!r}"), state=state
        ) from error


def _command(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    if options.status:
        from .status import describe, status

        document = status(prefix)
        console.report(describe(document), document)
        return 0
    if options.verify_only:
        return _verify(options, prefix, console)
    from . import operations

    if options.rollback is not None:
        done = operations.rollback(prefix, options.rollback, console)
    elif options.start or options.stop:
        done = operations.control(prefix, options.start, console)
    else:
        return _install(options, prefix, console)
    _report(done, prefix, console)
    return 0


def _verify(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    from .operations import verify
    from .status import is_installed_copy, verify_installed

    if is_installed_copy(options.bundle, prefix):
        document = verify_installed(prefix, console)
        console.report(Text("설치된 파일이 온전합니다", "the installation is intact"), document)
        return 0
    trusted = _anchors(options, prefix)
    bundle = verify(options.bundle, trusted, options.allow_unverified_origin, console)
    explanation = bundle.origin.explanation
    summary = Text(
        f"번들 {bundle.manifest.version}: 파일 {len(bundle.manifest.files)}개가 온전합니다. {explanation.ko}",
        f"bundle {bundle.manifest.version}: {len(bundle.manifest.files)} files are intact. {explanation.en}",
    )
    document = {
        "ok": True,
        "version": bundle.manifest.version,
        "sequence": bundle.manifest.sequence,
        "manifest": bundle.digest,
        "files": len(bundle.manifest.files),
        "origin": bundle.origin.status,
        "fingerprint": bundle.origin.key.fingerprint,
        "signers": [
            {"principal": signer.principal or None, "fingerprint": signer.key.fingerprint}
            for signer in bundle.origin.signers
        ],
    }
    console.report(summary, document)
    return 0


def _anchors(options: argparse.Namespace, prefix: Prefix) -> Anchors:
    from .trust_store import anchors

    return anchors(prefix, options.allowed_signers, options.trust_fingerprint, options.require_signatures)


def _request(options: argparse.Namespace) -> Request:
    from .plan import Request

    if not 0 <= options.port < 65536:
        raise UsageProblem(Text("--port는 1에서 65535까지입니다", "--port is from 1 to 65535"))
    name = options.service_name
    if name and not all(character.isalnum() or character in "-_.@" for character in name):
        raise UsageProblem(
            Text("--service-name에 쓸 수 없는 문자가 있습니다", "--service-name has a forbidden character")
        )
    return Request(
        python=options.python,
        manager=options.service_manager,
        service_name=name,
        host=options.host,
        port=options.port,
        start=not options.no_start,
        allow_downgrade=options.allow_downgrade,
    )


def _install(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    from . import operations

    request = _request(options)
    trusted = _anchors(options, prefix)
    if options.dry_run:
        bundle = operations.verify(options.bundle, trusted, options.allow_unverified_origin, console)
        _print_plan(operations.decide(prefix, bundle, request).plan, prefix, console)
        return 0
    done = operations.install(
        prefix, options.bundle, trusted, options.allow_unverified_origin, request, console
    )
    _report(done, prefix, console)
    return 0


def _print_plan(plan: Plan, prefix: Prefix, console: Console) -> None:
    from bundle.text import human_size

    interpreter = plan.interpreter.path if plan.interpreter else (plan.archive.path if plan.archive else "")
    steps = [
        {"name": step.name, "title": step.title.to(console.lang), "bytes": step.bytes} for step in plan.steps
    ]
    document = {
        "ok": True, "action": plan.action, "prefix": str(prefix.root), "generation": plan.generation,
        "version": plan.version, "from": plan.base.generation if plan.base else None, "python": interpreter,
        "bytes_needed": plan.bytes_needed, "service": vars(plan.settings) if plan.settings else None, "steps": steps,
    }  # fmt: skip

    def lines(lang: str) -> str:
        shown = [f"{n}. {s.title.to(lang)}" + (f" ({human_size(s.bytes)})" if s.bytes else "")
                 for n, s in enumerate(plan.steps, 1)]  # fmt: skip
        return "\n".join([f"{plan.action}: {plan.version} ({plan.generation}) -> {prefix.root}", *shown])

    console.report(Text(lines("ko"), lines("en")), document)


def _report(done: Done, prefix: Prefix, console: Console) -> None:
    from .status import address

    service = done.service if done.service and done.service.manager != "none" else None
    url = address(service.host, service.port) if service else ""
    document = {
        "ok": True, "action": done.action, "prefix": str(prefix.root), "generation": done.generation,
        "version": done.version, "address": url or None, "origin": done.origin or None,
        "seconds": round(done.seconds, 3),
    }  # fmt: skip
    titles = {
        "none": Text("이미 설치되어 있습니다", "already installed"),
        "install": Text("설치했습니다", "installed"),
        "upgrade": Text("업그레이드했습니다", "upgraded"),
        "resume": Text("설치를 마쳤습니다", "finished the installation"),
        "rollback": Text("되돌렸습니다", "rolled back"),
        "start": Text("시작했습니다", "started"),
        "stop": Text("멈췄습니다", "stopped"),
    }
    title = titles[done.action]
    ko = [f"{title.ko}: RAGTrace {done.version} ({done.generation}), {prefix.root}, {done.seconds:.1f}초"]
    en = [f"{title.en}: RAGTrace {done.version} ({done.generation}) at {prefix.root}, {done.seconds:.1f} s"]
    if url and service is not None and service.enabled:
        ask = shlex.quote(f"{prefix.root}/current/venv/bin/ragtrace") + ' ask "…"'
        ko += [f"  서비스: {url} ({service.manager})", f"  질문:   {ask}"]
        en += [f"  service: {url} ({service.manager})", f"  ask:     {ask}"]
    tools = shlex.quote(f"{prefix.root}/current/tools/04_Scripts/install.py")
    # Where install.sh had to bring a Python along, the host has none to name but the release's own.
    own = shlex.quote(f"{prefix.root}/current/venv/bin/python")
    python = own if os.environ.get(TEMPORARY_PYTHON) else "python3"
    ko += [f"  상태:   {python} {tools} --status", f"  되돌리기: {python} {tools} --rollback"]
    en += [f"  state:   {python} {tools} --status", f"  go back: {python} {tools} --rollback"]
    console.report(Text("\n".join(ko), "\n".join(en)), document)
