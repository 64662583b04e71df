"""The fixed list of remedies that checks may propose: what to do, and the command that does it.

Commands are templates of ours; nothing that was read from the host or a report becomes part of a command
except the prefix, quoted.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import Dict, Optional

from bundle import layout
from bundle.text import Text
from validator.subject import Subject


@dataclass(frozen=True)
class Remedy:
    """What to do about a finding; ``{install}``, ``{cli}`` and ``{prefix}`` in the command are filled in."""

    text: Text
    command: str = ""


REMEDIES: Dict[str, Remedy] = {
    "right-bundle": Remedy(
        Text(
            "이 호스트의 운영체제·아키텍처·Python에 맞는 번들을 다시 만들어 반입하십시오",
            "build and carry in a bundle made for this host's system, architecture and Python",
        ),
        "python create_enterprise_offline.py --target TARGET --python X.Y",
    ),
    "more-resources": Remedy(
        Text("이 호스트(가상 머신)의 자원을 늘리십시오", "give this host (virtual machine) more resources")
    ),
    "free-space": Remedy(
        Text(
            "공간을 비우거나 더 큰 디스크의 --prefix를 쓰십시오",
            "free space, or use a --prefix on a larger disk",
        ),
        "df -h {prefix}; df -i {prefix}",
    ),
    "set-clock": Remedy(
        Text("시스템 시각을 바로잡으십시오", "set the system clock"),
        "timedatectl set-time 'YYYY-MM-DD HH:MM:SS'",
    ),
    "set-locale": Remedy(Text("UTF-8 로캘을 쓰십시오", "use a UTF-8 locale"), "export LC_ALL=C.UTF-8"),
    "change-port": Remedy(
        Text(
            "포트를 쓰는 프로그램을 멈추거나 다른 포트로 설치하십시오",
            "stop the program that holds the port, or choose another port",
        ),
        "{install} --port PORT",
    ),
    "carry-again": Remedy(
        Text("번들을 다시 반입하고 검증하십시오", "carry the bundle in again and verify it"),
        "{install} --verify-only",
    ),
    "reinstall": Remedy(
        Text(
            "번들로 다시 설치하거나 이전 세대로 되돌리십시오",
            "install from the bundle again, or go back to the earlier generation",
        ),
        "{install} --rollback",
    ),
    "repair": Remedy(
        Text(
            "손상된 것만 저장소에서 다시 만드십시오 (저장소에도 없으면 --bundle 번들)",
            "make again what is damaged, from the store (with --bundle BUNDLE where the store lacks it)",
        ),
        "{install} --repair",
    ),
    "extract-model": Remedy(
        Text(
            "모델을 저장소에서 다시 꺼내십시오 (저장소에도 없으면 --bundle 번들)",
            "take the models out of the store again (with --bundle BUNDLE where the store lacks them)",
        ),
        "{install} --repair",
    ),
    "restore-configuration": Remedy(
        Text(
            "설정에서 잘못된 부분만 릴리스의 기본값으로 되돌리십시오 (옛 파일은 옆에 남습니다)",
            "let what is wrong in the configuration go back to the release's default (the old file is kept beside it)",
        ),
        "{install} --config-default",
    ),
    "restore-unit": Remedy(
        Text(
            "서비스 유닛을 설치 프로그램이 다시 쓰게 하십시오",
            "let the installer write the service's unit again",
        ),
        "{install} --restore-unit",
    ),
    "rebuild-index": Remedy(
        Text(
            "기록에서 색인을 다시 만드십시오 (그동안 서비스는 멈춥니다)",
            "build the index again from the records (the service is stopped meanwhile)",
        ),
        "{install} --rebuild-index",
    ),
    "renew-snapshot": Remedy(
        Text(
            "연결된 쪽에서 만든 새 취약점 스냅숏을 반입하십시오",
            "carry in a newer advisory snapshot, made on the connected side",
        ),
        "{install} --advisories FILE",
    ),
    "remove-secret": Remedy(
        Text(
            "로그에서 비밀 값을 지우고 그 값을 바꾸십시오 (recovery_assistant.py가 지웁니다)",
            "remove the secret from the logs (recovery_assistant.py does it), and change it",
        )
    ),
    "finish-install": Remedy(
        Text(
            "설치 프로그램을 다시 실행하면 이어서 끝내거나 되돌립니다",
            "run the installer again: it finishes or undoes",
        ),
        "{install} --recover",
    ),
    "restart": Remedy(
        Text("서비스를 다시 시작하십시오", "restart the service"), "{install} --stop && {install} --start"
    ),
    "see-configuration": Remedy(
        Text("설정 파일의 해당 키를 고치십시오", "correct the named key in the configuration file"),
        "{cli} config show",
    ),
    "see-log": Remedy(Text("서비스 로그를 보십시오", "read the service's log"), "ls -t {prefix}/data/logs"),
    "index-again": Remedy(
        Text("문서를 다시 색인하십시오", "index the documents again"), "{cli} ingest FOLDER"
    ),
    "newer-release": Remedy(
        Text(
            "연결된 쪽에서 고쳐진 버전과 새 스냅숏으로 번들을 다시 만들어 반입하십시오",
            "build a bundle again on the connected side, with fixed versions and a new snapshot, and carry it in",
        ),
        "python create_enterprise_offline.py build --fail-on high",
    ),
    "fix-permissions": Remedy(
        Text("설정 파일을 소유자만 읽게 하십시오", "make the configuration readable by its owner only"),
        "chmod 600 {prefix}/config/.env && chmod -R go-w {prefix}/config",
    ),
    "close-writing": Remedy(
        Text("다른 사용자의 쓰기 권한을 없애십시오", "take the right to write away from other users"),
        "chmod -R o-w {prefix}",
    ),
    "safe-weights": Remedy(
        Text(
            "피클 가중치를 빼고 safetensors로 변환해 번들을 다시 만드십시오",
            "build the bundle again with the weights converted to safetensors",
        )
    ),
    "bind-loopback": Remedy(
        Text(
            "config/.env의 RAGTRACE_SERVER_HOST를 확인하고 서비스를 다시 시작하십시오",
            "check RAGTRACE_SERVER_HOST in config/.env and restart the service",
        ),
        "{install} --stop && {install} --start",
    ),
    "report-outbound": Remedy(
        Text(
            "서비스를 멈추고 보안 담당자에게 이 보고서를 전달하십시오",
            "stop the service and hand this report to your security team",
        ),
        "{install} --stop",
    ),
}


def installer_command(subject: Subject) -> str:
    """Return how to call the installer of this installation, else the bundle's, with its prefix."""
    for folder in (subject.generation and subject.generation / "tools", subject.bundle):
        script = folder / layout.SCRIPTS / "install.py" if folder else None
        if script is not None and os.path.isfile(script):
            return _words("python3", str(script), "--prefix", str(subject.prefix))
    return _words("python3", f"{layout.SCRIPTS}/install.py", "--prefix", str(subject.prefix))


def command_of(key: str, subject: Subject) -> str:
    """Return the command of a remedy with the placeholders filled in."""
    remedy = find(key)
    if remedy is None or not remedy.command:
        return ""
    cli = _words(str(subject.prefix / "current" / "venv" / "bin" / "ragtrace"))
    return (
        remedy.command.replace("{install}", installer_command(subject))
        .replace("{cli}", cli)
        .replace("{prefix}", shlex.quote(str(subject.prefix)))
    )


def find(key: str) -> Optional[Remedy]:
    """Return the remedy with this key; an unknown key proposes nothing."""
    return REMEDIES.get(key)


def _words(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)
