"""Causes that lie in what is installed: files, permissions, configuration, unit."""

from __future__ import annotations

from typing import Tuple

from bundle.text import Text
from recovery.causes.cause import Cause

SPACE = Cause(
    "space",
    ("SYS-006", "SYS-007"),
    Text("디스크 공간이나 아이노드 부족", "Not enough disk space or inodes"),
    Text("설치, 색인, 기록이 도중에 멈춥니다.", "Installations, indexing and logs stop midway."),
    Text(
        "설치가 스스로 만든 옛 릴리스, 옛 로그, 캐시를 지웁니다. 그래도 모자라면 디스크를 늘리십시오.",
        "Old releases, old logs and caches that the installation made itself go. If that is not enough, enlarge the disk.",
    ),
    ("free-space",),
)
INTERRUPTED = Cause(
    "interrupted",
    ("RAG-001",),
    Text(
        "설치가 도중에 멈췄거나 포인터가 손상됨", "An installation stopped midway, or the pointer is damaged"
    ),
    Text(
        "활성 세대를 가리키는 current.json이 없거나 맞지 않습니다.",
        "current.json, which names the active generation, is missing or wrong.",
    ),
    Text(
        "설치 프로그램은 시작할 때마다 스스로 복구합니다. 복구를 실행하십시오.",
        "The installer recovers by itself whenever it starts. Let it do so.",
    ),
    ("recover",),
)
PERMISSIONS = Cause(
    "permissions",
    ("SEC-001",),
    Text("설정 파일을 다른 사용자가 읽거나 쓸 수 있음", "Other users can read or write the configuration"),
    Text("config 폴더나 .env의 권한이 넓습니다.", "The permissions of config or of .env are too wide."),
    Text(
        ".env는 0600, 나머지는 다른 사용자가 쓸 수 없게 합니다. 누가 읽었을 수 있으니 비밀 값을 바꾸십시오.",
        ".env becomes 0600, the rest is no longer writable by others. Somebody may have read it: change the secrets.",
    ),
    ("fix-permissions",),
)
OPEN_FILES = Cause(
    "open-files",
    ("SEC-002", "SEC-003"),
    Text("다른 사용자가 설치된 파일을 바꿀 수 있음", "Other users can change installed files"),
    Text(
        "파일의 주인이 설치한 사용자가 아니거나, 누구나 쓸 수 있습니다. 실행 코드가 바뀔 수 있는 상태입니다.",
        "Files belong to somebody who did not install them, or anybody may write them: code that runs can be changed.",
    ),
    Text(
        "주인과 쓰기 권한을 바로잡은 뒤 PKG-001로 내용을 확인하십시오.",
        "Correct owner and permissions, then check the contents with PKG-001.",
    ),
    ("close-writing",),
)
CONFIGURATION = Cause(
    "configuration",
    ("RAG-003",),
    Text("설정에 잘못된 키나 값", "A wrong key or value in the configuration"),
    Text(
        "서비스가 config/ragtrace.yaml이나 config/.env를 읽지 못합니다.",
        "The service cannot load config/ragtrace.yaml or config/.env.",
    ),
    Text(
        "`ragtrace config show`가 알려 주는 키를 고치거나, 잘못된 부분만 릴리스의 기본값으로 되돌리십시오. "
        "옛 파일은 시각을 붙여 옆에 남습니다.",
        "Correct the key that `ragtrace config show` names, or let what is wrong go back to the release's default. "
        "The old file stays beside it, with the time in its name.",
    ),
    ("restore-configuration",),
)
DAMAGED = Cause(
    "damaged",
    ("PKG-001", "PKG-002", "PKG-003", "PKG-004", "RAG-002", "SEC-008"),
    Text("설치된 파일이 봉인된 내용과 다름", "Installed files are not as sealed"),
    Text(
        "디스크 오류나 누군가의 변경으로 활성 세대의 파일이 달라졌습니다.",
        "A disk fault or somebody's change altered files of the active generation.",
    ),
    Text(
        "손상된 것만 저장소나 번들에서 다시 만듭니다. 안 되면 이전 세대로 되돌리십시오. 누가 바꿨는지도 확인하십시오.",
        "Only what is damaged is made again, from the store or a bundle. Where that fails, go back to the earlier "
        "generation. Find out who changed it.",
    ),
    ("repair", "rollback"),
)
BINARIES = Cause(
    "binaries",
    ("PKG-005",),
    Text(
        "설치된 네이티브 라이브러리가 이 호스트에서 실행되지 않음",
        "Installed native libraries do not run on this host",
    ),
    Text(
        "다른 아키텍처용이거나, 이 호스트보다 새 C 라이브러리가 필요하거나, 파일이 손상되었습니다.",
        "They are for another architecture, need a newer C library than this host has, or are damaged.",
    ),
    Text(
        "손상이면 다시 만들고, 아니면 이 호스트에서 실행되던 이전 세대로 되돌린 뒤 맞는 번들을 반입하십시오.",
        "Make them again if they are damaged; else go back to the generation that ran here, and carry in a fitting bundle.",
    ),
    ("repair", "rollback"),
)
UNIT = Cause(
    "unit",
    ("SEC-007", "SEC-013"),
    Text("서비스 유닛이 설치 프로그램이 쓴 것과 다름", "The service's unit is not what the installer wrote"),
    Text(
        "유닛 파일이나 drop-in이 설치 뒤에 바뀌어 보호 설정이나 환경이 달라졌습니다.",
        "The unit, or a drop-in, was changed after the installation: its hardening or its environment differ.",
    ),
    Text(
        "설치 프로그램이 유닛을 다시 쓰고, 덧붙은 drop-in은 옆으로 옮깁니다.",
        "The installer writes the unit again; drop-ins that were added are moved aside.",
    ),
    ("restore-unit",),
)
BUNDLE = Cause(
    "bundle",
    ("TOOL-001",),
    Text("번들의 도구가 실행되지 않음", "A tool of the bundle does not run"),
    Text(
        "반입 중에 손상되었거나 다른 플랫폼용입니다.",
        "It was damaged on the way, or is for another platform.",
    ),
    Text(
        "번들을 다시 반입하고 install.py --verify-only를 실행하십시오.",
        "Carry it in again; run install.py --verify-only.",
    ),
)

CAUSES: Tuple[Cause, ...] = (
    SPACE,
    INTERRUPTED,
    PERMISSIONS,
    OPEN_FILES,
    CONFIGURATION,
    DAMAGED,
    BINARIES,
    UNIT,
    BUNDLE,
)
