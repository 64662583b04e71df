"""Causes that concern the security of the installation as a whole."""

from __future__ import annotations

from typing import Tuple

from bundle.text import Text
from recovery.causes.cause import Cause

CAUSES: Tuple[Cause, ...] = (
    Cause(
        "secret",
        ("SEC-011",),
        Text("비밀 값이 있어서는 안 될 파일에 있음", "A secret stands in a file where it must not"),
        Text(
            "config/.env의 비밀 값이 로그나 다른 파일에도 적혀 있어, 그 파일을 읽는 사람이 알게 됩니다.",
            "A secret of config/.env is also written in a log or another file: whoever reads that file knows it.",
        ),
        Text(
            "로그에서 그 값을 지우고, 이미 읽혔을 수 있으니 비밀 값을 바꾸십시오.",
            "Remove it from the logs, and change it: somebody may have read it already.",
        ),
        ("remove-secret",),
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
            "새 스냅숏을 반입하십시오(--advisories 파일). 취약점이 있으면 검토서(05_Documentation/review.html)에서 "
            "심각도와 고쳐진 버전을 보고 새 번들을 반입하십시오.",
            "Carry in a newer snapshot (--advisories FILE). Where it names vulnerabilities, see severity and fixed "
            "versions in the review dossier (05_Documentation/review.html) and carry in a new bundle.",
        ),
        ("renew-snapshot",),
    ),
    Cause(
        "audit",
        ("SEC-012",),
        Text("감사 기록의 사슬이 끊김", "The chain of the audit log is broken"),
        Text(
            "누가 기록을 고쳤거나 지웠거나, 디스크가 손상되었습니다. 기록을 고치는 조치는 없습니다.",
            "Somebody changed or removed records, or the disk is damaged. There is no remedy that writes records again.",
        ),
        Text(
            "install.py --audit로 끊긴 곳을 보고, 파일을 그대로 둔 채 보안 담당자에게 알리십시오.",
            "See where with install.py --audit; leave the file as it is and tell your security team.",
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
)
