"""Causes that lie in the host: what it is, how it is set up, how fast it is. Only its administrator can remove them."""

from __future__ import annotations

from typing import Tuple

from bundle.text import Text
from recovery.causes.cause import Cause

CAUSES: Tuple[Cause, ...] = (
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
        "accelerator",
        ("SYS-011",),
        Text("GPU나 드라이버를 쓸 수 없음", "The GPU or its driver cannot be used"),
        Text(
            "프로필이 GPU를 요구하는데 드라이버가 없거나, 오래되었거나, 장치를 열 수 없습니다.",
            "The profile needs a GPU, but its driver is missing or too old, or the device cannot be opened.",
        ),
        Text(
            "관리자가 드라이버를 설치하거나 장치 권한을 주어야 합니다. GPU가 없으면 CPU 프로필의 번들을 반입하십시오.",
            "An administrator must install the driver or grant the device. Without a GPU, carry in a bundle of a CPU profile.",
        ),
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
            "그 프로그램을 멈추거나 포트를 바꾸십시오: install.py --config server.port=번호",
            "Stop that program, or choose another port: install.py --config server.port=NUMBER",
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
        "slow",
        ("PERF-001", "PERF-002", "PERF-003", "PERF-004", "PERF-006", "PERF-007", "PERF-008", "PERF-009"),
        Text("호스트가 느림", "The host is slow"),
        Text(
            "다른 부하가 있거나 자원이 적어, 프로필이 기대하거나 전에 재던 만큼 빠르지 않습니다.",
            "Other load, or too little of something: it is not as fast as the profile expects, or as it was before.",
        ),
        Text(
            "부하가 적을 때 다시 재거나 자원을 늘리십시오.",
            "Measure again when it is idle, or enlarge the host.",
        ),
    ),
)
