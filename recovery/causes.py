"""The fixed table: which findings have one cause, what it means, what to do, and which actions may put it right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

from bundle.text import Text
from recovery.diagnosis import Finding


@dataclass(frozen=True)
class Cause:
    """One cause: the checks it shows in, the explanation, the advice, and the actions that may remove it."""

    id: str
    checks: Tuple[str, ...]
    title: Text
    explanation: Text
    advice: Text
    actions: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """A cause together with the findings of one report that point to it."""

    cause: Cause
    findings: Tuple[Finding, ...]

    @property
    def ids(self) -> Tuple[str, ...]:
        """Return the check ids of the findings."""
        return tuple(finding.id for finding in self.findings)


# In the order in which they are put right: an intact installation first, then who may touch it, then running it.
CAUSES: Tuple[Cause, ...] = (
    Cause(
        "interrupted",
        ("RAG-001",),
        Text(
            "설치가 도중에 멈췄거나 포인터가 손상됨",
            "An installation stopped midway, or the pointer is damaged",
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
    ),
    Cause(
        "damaged",
        ("PKG-001", "PKG-002", "PKG-003", "PKG-004", "RAG-002", "SEC-002", "SEC-008", "PERF-001"),
        Text("설치된 파일이 봉인된 내용과 다름", "Installed files are not as sealed"),
        Text(
            "디스크 오류나 누군가의 변경으로 활성 세대의 파일이 달라졌습니다.",
            "A disk fault or somebody's change altered files of the active generation.",
        ),
        Text(
            "이전 세대로 되돌리거나, 번들로 다시 설치하십시오. 누가 바꿨는지도 확인하십시오.",
            "Go back to the earlier generation, or install from the bundle again. Find out who changed it.",
        ),
        ("rollback",),
    ),
    Cause(
        "permissions",
        ("SEC-001",),
        Text(
            "설정 파일을 다른 사용자가 읽거나 쓸 수 있음", "Other users can read or write the configuration"
        ),
        Text("config 폴더나 .env의 권한이 넓습니다.", "The permissions of config or of .env are too wide."),
        Text(
            ".env는 0600, 나머지는 다른 사용자가 쓸 수 없게 합니다.",
            ".env becomes 0600, the rest is no longer writable by others.",
        ),
        ("fix-permissions",),
    ),
    Cause(
        "open-files",
        ("SEC-003",),
        Text("누구나 쓸 수 있는 파일", "Files that anybody may write"),
        Text(
            "누구나 실행 코드를 바꿀 수 있는 상태입니다.", "Anybody on this host can change code that runs."
        ),
        Text(
            "다른 사용자의 쓰기 권한을 없앤 뒤 PKG-001로 내용을 확인합니다.",
            "Take the right away, then check the contents with PKG-001.",
        ),
        ("close-writing",),
    ),
    Cause(
        "not-serving",
        ("RAG-004", "RAG-005", "TOOL-002", "RAG-008", "SEC-005", "SEC-006", "PERF-005"),
        Text("서비스가 멈췄거나 잘못 시작됨", "The service is stopped, or was started wrongly"),
        Text(
            "서비스가 응답하지 않거나, 설치 프로그램이 정한 환경 밖에서 실행 중입니다.",
            "It does not answer, or runs outside the environment that the installer sets.",
        ),
        Text("설치 프로그램으로 서비스를 다시 시작하십시오.", "Restart it through the installer."),
        ("restart",),
    ),
    Cause(
        "configuration",
        ("RAG-003",),
        Text("설정에 잘못된 키나 값", "A wrong key or value in the configuration"),
        Text("서비스가 ragtrace.yaml을 읽지 못합니다.", "The service cannot load ragtrace.yaml."),
        Text(
            "`ragtrace config show`가 알려 주는 키를 고친 뒤 다시 시작하십시오.",
            "Correct the key that `ragtrace config show` names, then restart.",
        ),
    ),
    Cause(
        "index",
        ("RAG-006", "RAG-007"),
        Text("색인과 기록이 어긋났거나 질문에 실패함", "Index and records differ, or the question failed"),
        Text(
            "색인이 도중에 멈췄거나 색인 파일이 손상되었습니다.",
            "Indexing was cut short, or an index file is damaged.",
        ),
        Text("문서를 다시 색인하십시오: ragtrace ingest", "Index the documents again: ragtrace ingest"),
    ),
    Cause(
        "host-unfit",
        ("SYS-001", "SYS-002", "SYS-003", "SYS-004", "SYS-005"),
        Text("호스트가 번들의 요구에 못 미침", "The host does not fit the bundle"),
        Text(
            "운영체제, C 라이브러리, Python, CPU 또는 메모리가 번들과 맞지 않습니다.",
            "Its system, C library, Python, processor or memory is not what the bundle was made for.",
        ),
        Text(
            "맞는 번들을 반입하거나 호스트의 자원을 늘리십시오.",
            "Carry in a fitting bundle, or enlarge the host.",
        ),
    ),
    Cause(
        "space",
        ("SYS-006", "SYS-007"),
        Text("디스크 공간이나 아이노드 부족", "Not enough disk space or inodes"),
        Text("설치, 색인, 기록이 도중에 멈춥니다.", "Installations, indexing and logs stop midway."),
        Text("공간을 비우십시오: 오래된 로그, 옛 번들", "Free space: old logs, old bundles."),
    ),
    Cause(
        "clock",
        ("SYS-008",),
        Text("시계가 틀림", "The clock is wrong"),
        Text("서명 유효 기간과 기간 검색이 틀어집니다.", "Signature validity and date filters go wrong."),
        Text("관리자가 시각을 맞춰야 합니다: timedatectl", "An administrator must set it: timedatectl"),
    ),
    Cause(
        "locale",
        ("SYS-009",),
        Text("로캘이 UTF-8이 아님", "The locale is not UTF-8"),
        Text("한글 파일 이름이 깨질 수 있습니다.", "Korean file names may be damaged."),
        Text("LC_ALL=C.UTF-8을 쓰십시오.", "Use LC_ALL=C.UTF-8."),
    ),
    Cause(
        "port",
        ("SYS-010",),
        Text("다른 프로그램이 포트를 씀", "Another program holds the port"),
        Text("서비스가 시작될 수 없습니다.", "The service cannot start."),
        Text(
            "그 프로그램을 멈추거나 config/.env의 RAGTRACE_SERVER_PORT를 바꾸십시오.",
            "Stop that program, or change RAGTRACE_SERVER_PORT in config/.env.",
        ),
    ),
    Cause(
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
    ),
    Cause(
        "optional-tool",
        ("TOOL-003",),
        Text("선택 도구가 없음", "An optional tool is missing"),
        Text("없어도 설치와 검증은 됩니다.", "Installation and verification work without it."),
        Text(
            "사람이 서명을 따로 검증하려면 OpenSSH를 설치하십시오.",
            "A person who wants to verify signatures needs OpenSSH.",
        ),
    ),
    Cause(
        "model-code",
        ("SEC-004",),
        Text("모델 폴더에 코드를 실행하는 파일", "Files that run code among the models"),
        Text("불러오는 것만으로 코드가 실행됩니다.", "Loading such a file runs whatever is in it."),
        Text(
            "누가 넣었는지 확인하고 번들로 다시 설치하십시오.",
            "Find out who put it there; install from the bundle again.",
        ),
    ),
    Cause(
        "unit",
        ("SEC-007",),
        Text("systemd 유닛의 보호 설정이 빠짐", "The unit's hardening is missing"),
        Text("유닛이 설치 뒤에 바뀌었습니다.", "The unit was changed after the installation."),
        Text(
            "drop-in을 확인하고 번들로 다시 설치하십시오.",
            "Look at its drop-ins; install from the bundle again.",
        ),
    ),
    Cause(
        "vulnerable",
        ("SEC-010",),
        Text("알려진 취약점이 있거나 알 수 없음", "Known vulnerabilities, or nobody knows"),
        Text(
            "반입한 스냅숏이 취약점을 알리거나, 없거나, 오래되었습니다.",
            "The carried snapshot names vulnerabilities, is missing, or is old.",
        ),
        Text(
            "검토서(05_Documentation/review.html)에서 심각도와 고쳐진 버전을 보고, 새 번들을 반입하십시오.",
            "See severity and fixed versions in the review dossier (05_Documentation/review.html); "
            "carry in a new bundle.",
        ),
    ),
    Cause(
        "outbound",
        ("SEC-009",),
        Text("외부 연결 시도", "An attempt to reach another host"),
        Text("폐쇄망에서는 있을 수 없는 일입니다.", "In a closed network there must be none."),
        Text(
            "서비스를 멈추고(install.py --stop) 보안 담당자에게 보고서를 전달하십시오.",
            "Stop the service (install.py --stop) and hand the report to your security team.",
        ),
    ),
    Cause(
        "slow",
        ("PERF-002", "PERF-003", "PERF-004"),
        Text("호스트가 느림", "The host is slow"),
        Text("다른 부하가 있거나 자원이 적습니다.", "There is other load, or too little of something."),
        Text(
            "부하가 적을 때 다시 재거나 자원을 늘리십시오.",
            "Measure again when it is idle, or enlarge the host.",
        ),
    ),
)

UNKNOWN = Cause(
    "unknown",
    (),
    Text("이 버전이 모르는 검사", "Checks that this version does not know"),
    Text(
        "보고서가 다른 버전의 검증기에서 왔습니다.", "The report comes from another version of the validator."
    ),
    Text("이 호스트의 검증기로 보고서를 새로 만드십시오.", "Make a new report with this host's validator."),
)


def group(findings: Sequence[Finding]) -> Tuple[Group, ...]:
    """Return the findings by cause, in the order in which causes are put right; unknown ids come last."""
    known = {identity for cause in CAUSES for identity in cause.checks}
    groups: List[Group] = []
    for cause in CAUSES:
        mine = tuple(finding for finding in findings if finding.id in cause.checks)
        if mine:
            groups.append(Group(cause, mine))
    strangers = tuple(finding for finding in findings if finding.id not in known)
    if strangers:
        groups.append(Group(UNKNOWN, strangers))
    return tuple(groups)
