"""The options of `install.py`, and which command they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Callable, NoReturn

from bundle.errors import UsageProblem
from bundle.text import Text

MANAGERS = ("auto", "systemd", "launchd", "windows", "process", "none")
HELP = {
    "description": Text(
        "RAGTrace를 폐쇄망 호스트에 설치·업그레이드·복구·제거하고 상태를 보여 줍니다. 명령을 주지 않으면 설치합니다.",
        "Install, upgrade, repair and remove RAGTrace on an isolated host, and show its state. Without a command it installs.",
    ),
    "commands": Text("명령 (하나만)", "commands (one of them)"),
    "status": Text("설치와 서비스의 상태", "show the installation and the service"),
    "list": Text("보관된 릴리스 목록", "list the kept releases"),
    "verify": Text("설치된 파일을 영수증과 바이트 단위로 비교", "compare the installed files with their receipts, byte for byte"),
    "verify_only": Text("번들만 검증하고 아무것도 쓰지 않음", "verify the bundle, write nothing"),
    "explain_trust": Text("무엇이 확인되었고 무엇이 확인되지 않았는지 설명", "say in words what is established about the bundle's origin and what is not"),
    "rollback": Text("보관된 릴리스로 되돌림 (기본: 바로 이전 것)", "return to a kept release (default: the one before)"),
    "repair": Text("손상된 것만 새 릴리스 폴더에 다시 만듦 (필요하면 --bundle)", "make again just what is damaged, in a new release folder (with --bundle where its contents are gone)"),
    "recover": Text("끝나지 않은 작업을 끝내거나 되돌림 (다른 모든 명령도 먼저 이것을 함)", "finish or undo what an earlier run left (every other command does that first, too)"),
    "prune": Text("보관할 릴리스만 남기고 지움", "remove releases and contents that are not kept"),
    "uninstall": Text("설치를 제거하고 데이터와 설정은 남김", "remove the installation; data and configuration stay"),
    "config": Text("설정을 보여 주거나(값 없음) KEY=VALUE로 바꿈", "show the configuration, or change it by KEY=VALUE"),
    "config_file": Text("ragtrace.yaml을 검사한 뒤 이 파일로 바꿈", "check this file, then make it the ragtrace.yaml"),
    "config_default": Text("설정에서 잘못된 부분만, 또는 이 키만 릴리스의 기본값으로 되돌림 (옛 파일은 옆에 남음)",
                           "let what is wrong in the configuration, or just these keys, go back to the release's default; the old file is kept beside it"),
    "restore_unit": Text("서비스 등록(유닛)을 다시 쓰고 덧붙은 drop-in은 옆으로 옮김", "write the service's unit again; drop-ins that were added are moved aside"),
    "rebuild_index": Text("서비스를 멈추고 기록에서 색인을 다시 만든 뒤 시작", "stop the service, build its index again from its records, start it"),
    "audit": Text("감사 기록을 보여 주고 사슬을 검증", "print the audit log and verify its chain"),
    "trust_update": Text("서명 키 교체·폐기 기록을 적용", "apply a record that rotates or revokes signing keys"),
    "advisories": Text("새로 반입한 서명된 취약점 스냅숏을 적용", "apply a signed advisory snapshot that was carried in"),
    "start": Text("서비스 시작", "start the service"),
    "stop": Text("서비스 중지", "stop the service"),
    "title": Text("선택 사항", "options"),
    "prefix": Text("설치 위치 (기본: root는 /opt/ragtrace, 그 밖에는 ~/.local/share/ragtrace)",
                   "where to install (default: /opt/ragtrace as root, else ~/.local/share/ragtrace)"),
    "bundle": Text("번들: 폴더, 아카이브, 볼륨 폴더 또는 볼륨 색인 (기본: 이 스크립트가 들어 있는 번들)",
                   "the bundle: a folder, an archive, a folder of volumes or their index (default: the one this script lies in)"),
    "delta": Text("델타 아카이브 또는 그 볼륨: 설치된 릴리스에 없는 것만 들어 있음 (여러 번 가능, 오래된 것부터)",
                  "a delta archive or its volumes: only what the installed release lacks (repeatable, oldest first)"),
    "answers": Text("이 명령의 선택 사항을 담은 답변 파일", "a file with answers: options of this command line"),
    "dry_run": Text("검증하고 계획만 보여 줌 (크기와 예상 시간 포함)", "verify, then only print the plan, with sizes and times"),
    "allowed_signers": Text("신뢰하는 서명자 파일 (ssh-keygen 형식)", "file of trusted signers (as for ssh-keygen)"),
    "fingerprint": Text("신뢰하는 서명 키의 지문", "fingerprint of a trusted signing key"),
    "unverified": Text("출처가 확인되지 않은 번들도 허용", "accept a bundle whose origin is not verified"),
    "signatures": Text("필요한 서명 수: 신뢰하는 서로 다른 키 (기본: 지난 설치 때의 수, 없으면 1)", "how many trusted keys have to have signed (default: as at the last installation, else 1)"),
    "downgrade": Text("더 오래된 번들 허용", "accept an older bundle"),
    "restore_data": Text("--rollback: 그 릴리스의 데이터 스냅숏도 되돌림 (지금 데이터는 스냅숏으로 보관)", "with --rollback: put back the data snapshot of that release too (the present data are kept as a snapshot)"),
    "purge_data": Text("--uninstall: 데이터와 설정도 지움", "with --uninstall: remove data and configuration too"),
    "keep": Text("--prune: 현재 릴리스 앞의 몇 개를 보관할지 (기본 2)", "with --prune: how many releases before the active one to keep (default 2)"),
    "caches": Text("--prune: 서비스의 캐시와 지난 로그도 지움", "with --prune: also the service's caches and logs that were rotated away"),
    "no_start": Text("설치 후 서비스를 시작하지 않음", "do not start the service"),
    "manager": Text("서비스를 실행할 방법", "what runs the service"),
    "service_name": Text("서비스 이름 (기본: ragtrace)", "the service's name (default: ragtrace)"),
    "host": Text("서비스가 수신할 주소", "address the service listens at"),
    "port": Text("서비스가 수신할 포트", "port the service listens at"),
    "python": Text("사용할 파이썬의 경로, 또는 bundled (번들의 파이썬)", "path of the Python to use, or bundled (the one in the bundle)"),
    "json": Text("결과를 JSON으로 출력", "print the result as JSON"),
    "quiet": Text("진행 상황을 출력하지 않음", "print no progress"),
    "lang": Text("언어 (기본: 로캘)", "language (default: the locale)"),
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

    made = _Parser(prog="install.py", description=text("description"), add_help=False, allow_abbrev=False)
    _add_commands(made.add_argument_group(text("commands")), text)
    group = made.add_argument_group(text("title"))
    group.add_argument("-h", "--help", action="help", help=text("help"))
    group.add_argument("--prefix", type=Path, metavar="DIR", default=None, help=text("prefix"))
    group.add_argument("--bundle", type=Path, metavar="PATH", default=None, help=text("bundle"))
    group.add_argument("--delta", type=Path, metavar="PATH", action="append", default=[], help=text("delta"))
    group.add_argument("--answers", type=Path, metavar="FILE", default=None, help=text("answers"))
    group.add_argument("--dry-run", action="store_true", help=text("dry_run"))
    _add_trust(group, text)
    group.add_argument("--restore-data", action="store_true", help=text("restore_data"))
    group.add_argument("--purge-data", action="store_true", help=text("purge_data"))
    group.add_argument("--keep", metavar="N", type=int, default=None, help=text("keep"))
    group.add_argument("--caches", action="store_true", help=text("caches"))
    _add_service(group, text)
    group.add_argument("--python", metavar="PATH", default="", help=text("python"))
    group.add_argument("--json", action="store_true", help=text("json"))
    group.add_argument("--quiet", action="store_true", help=text("quiet"))
    group.add_argument("--lang", choices=("ko", "en"), default=None, help=text("lang"))
    made.set_defaults(script=script)
    return made


def _add_commands(group: argparse._ArgumentGroup, text: Callable[[str], str]) -> None:
    what = group.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help=text("status"))
    what.add_argument("--list", action="store_true", help=text("list"))
    what.add_argument("--verify", action="store_true", help=text("verify"))
    what.add_argument("--verify-only", action="store_true", help=text("verify_only"))
    what.add_argument("--explain-trust", action="store_true", help=text("explain_trust"))
    what.add_argument("--rollback", nargs="?", const="", default=None, metavar="GEN", help=text("rollback"))
    what.add_argument("--repair", action="store_true", help=text("repair"))
    what.add_argument("--recover", action="store_true", help=text("recover"))
    what.add_argument("--prune", action="store_true", help=text("prune"))
    what.add_argument("--uninstall", action="store_true", help=text("uninstall"))
    what.add_argument("--config", nargs="*", default=None, metavar="KEY=VALUE", help=text("config"))
    what.add_argument("--config-file", type=Path, default=None, metavar="FILE", help=text("config_file"))
    what.add_argument("--config-default", nargs="*", default=None, metavar="KEY", help=text("config_default"))
    what.add_argument("--restore-unit", action="store_true", help=text("restore_unit"))
    what.add_argument("--rebuild-index", action="store_true", help=text("rebuild_index"))
    what.add_argument("--audit", action="store_true", help=text("audit"))
    what.add_argument("--trust-update", type=Path, default=None, metavar="FILE", help=text("trust_update"))
    what.add_argument("--advisories", type=Path, default=None, metavar="FILE", help=text("advisories"))
    what.add_argument("--start", action="store_true", help=text("start"))
    what.add_argument("--stop", action="store_true", help=text("stop"))


def _add_trust(group: argparse._ArgumentGroup, text: Callable[[str], str]) -> None:
    group.add_argument("--allowed-signers", metavar="FILE", default="", help=text("allowed_signers"))
    group.add_argument(
        "--trust-fingerprint", metavar="SHA256:…", action="append", default=[], help=text("fingerprint")
    )
    group.add_argument("--allow-unverified-origin", action="store_true", help=text("unverified"))
    group.add_argument("--require-signatures", metavar="N", type=int, default=None, help=text("signatures"))
    group.add_argument("--allow-downgrade", action="store_true", help=text("downgrade"))


def _add_service(group: argparse._ArgumentGroup, text: Callable[[str], str]) -> None:
    group.add_argument("--no-start", action="store_true", help=text("no_start"))
    group.add_argument("--service-manager", choices=MANAGERS, default="auto", help=text("manager"))
    group.add_argument("--service-name", metavar="NAME", default="", help=text("service_name"))
    group.add_argument("--host", metavar="ADDRESS", default="", help=text("host"))
    group.add_argument("--port", type=int, metavar="PORT", default=0, help=text("port"))


def command_of(options: argparse.Namespace) -> str:
    """Return the module of `installer.commands` that carries out what was asked for."""
    for option, module in _MODULES.items():
        if getattr(options, option) not in (False, None):
            return module
    return "install"


# One module may serve several options that belong together.
_MODULES = {
    "status": "status",
    "list": "listing",
    "verify": "verify",
    "verify_only": "verify_only",
    "explain_trust": "explain_trust",
    "rollback": "rollback",
    "repair": "repair",
    "recover": "recover",
    "prune": "prune",
    "uninstall": "uninstall",
    "config": "config",
    "config_file": "config",
    "config_default": "config",
    "restore_unit": "control",
    "rebuild_index": "control",
    "audit": "audit",
    "trust_update": "trust_update",
    "advisories": "advisories",
    "start": "control",
    "stop": "control",
}
