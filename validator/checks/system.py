"""System: does this host fit what the bundle was made for?"""

from __future__ import annotations

import errno
import locale
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Optional, Tuple

from bundle.text import Text, human_size
from validator.host import facts, http, procfs
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped, unknown
from validator.subject import GENERATION_NAME, Subject

SYSTEM = Category.SYSTEM
NO_MANIFEST = Text(
    "비교할 매니페스트가 없습니다 (--bundle로 번들을 지정하십시오)",
    "there is no manifest to compare with (give the bundle with --bundle)",
)
UNREADABLE_BUNDLE = Text("번들의 매니페스트를 읽을 수 없습니다", "the bundle's manifest cannot be read")
SMALLEST_FREE_BYTES = 512 * 1024 * 1024
SMALLEST_FREE_INODES = 5000
# The reproducible build date may be ahead of the host by a time zone, not by more.
CLOCK_TOLERANCE_S = 86400.0
CLOCK_HORIZON_S = 15 * 365 * 86400.0
MODERN_FLAGS = ("sse4_2", "popcnt", "avx2", "fma")
REQUIRED_FLAGS = ("sse4_2", "popcnt")


def _no_manifest(subject: Subject) -> Outcome:
    """Return a skip where no bundle was given; one that cannot be read leaves a question open."""
    if subject.bundle is None or subject.generation is not None:
        return skipped(NO_MANIFEST)
    return unknown(UNREADABLE_BUNDLE, measured=str(subject.manifest_path), remedy="carry-again")


@check("SYS-001", SYSTEM, Text("Python 버전", "Python version"), severity=Severity.HIGH)
def python_version(subject: Subject) -> Outcome:
    """The interpreter that runs the service is one the bundle was made for."""
    own = platform.python_version()
    if subject.manifest is None:
        return _no_manifest(subject)
    wanted = subject.manifest.target.pythons
    expected = " / ".join(wanted)
    version = subject.venv_python_version or own
    if not subject.venv_python_version and subject.manifest.of_kind("interpreter"):
        return passed(
            Text("번들에 들어 있는 Python을 씁니다", "the bundle carries its own Python"), measured=own
        )
    if facts.minor(version) in wanted:
        return passed(
            Text("지원하는 Python입니다", "a supported Python"), measured=version, expected=expected
        )
    return Outcome(
        Status.FAIL,
        Text("번들이 지원하는 Python이 아닙니다", "not a Python the bundle was made for"),
        version,
        expected,
        Text("바퀴(wheel)는 Python 버전마다 다릅니다", "wheels differ from one Python version to the next"),
        "right-bundle",
    )


@check(
    "SYS-002",
    SYSTEM,
    Text("운영체제와 아키텍처", "Operating system and architecture"),
    severity=Severity.CRITICAL,
)
def platform_fits(subject: Subject) -> Outcome:
    """The operating system and processor family are those of the bundle's target."""
    measured = f"{facts.system()} {facts.architecture()}"
    if subject.manifest is None:
        return _no_manifest(subject)
    target = subject.manifest.target
    expected = f"{target.os} {target.arch}"
    if measured == expected:
        return passed(
            Text("번들의 대상과 같습니다", "the bundle's target"), measured=measured, expected=expected
        )
    return Outcome(
        Status.FAIL,
        Text("이 번들은 다른 플랫폼용입니다", "the bundle is for another platform"),
        measured,
        expected,
        Text("바이너리 패키지가 실행되지 않습니다", "its binary packages cannot run here"),
        "right-bundle",
    )


@check(
    "SYS-003",
    SYSTEM,
    Text("C 라이브러리 하한", "C library floor"),
    severity=Severity.HIGH,
    platforms=("linux",),
)
def libc_floor(subject: Subject) -> Outcome:
    """The C library is glibc and not older than the wheels need."""
    if subject.manifest is None:
        return _no_manifest(subject)
    target = subject.manifest.target
    if not target.libc or not target.libc_min:
        return skipped(Text("매니페스트에 하한이 없습니다", "the manifest states no floor"))
    name, version = platform.libc_ver()
    measured, expected = f"{name or '?'} {version}".strip(), f"{target.libc} >= {target.libc_min}"
    if not name:
        return unknown(
            Text("C 라이브러리를 알 수 없습니다", "the C library could not be told"), expected=expected
        )
    if name == target.libc and facts.numbers(version) >= facts.numbers(target.libc_min):
        return passed(Text("충분히 새 버전입니다", "new enough"), measured=measured, expected=expected)
    return Outcome(
        Status.FAIL,
        Text("C 라이브러리가 번들의 하한에 못 미칩니다", "the C library is below the bundle's floor"),
        measured,
        expected,
        Text("바이너리 패키지를 불러올 때 실패합니다", "binary packages fail when they are loaded"),
        "right-bundle",
    )


@check("SYS-004", SYSTEM, Text("CPU", "CPU"), severity=Severity.LOW)
def cpu(subject: Subject) -> Outcome:
    """There are processors enough, with the instructions that the packages use."""
    cores = facts.usable_cpus()
    flags = facts.cpu_flags()
    missing = [name for name in MODERN_FLAGS if name not in flags] if flags is not None else []
    measured = f"{cores} cpu" + (f", missing: {' '.join(missing)}" if missing else "")
    expected = ">= 2 cpu, " + " ".join(MODERN_FLAGS)
    hard = [name for name in missing if name in REQUIRED_FLAGS]
    if hard:
        what = Text(
            "필요한 CPU 명령이 없습니다: " + " ".join(hard), "CPU instructions are missing: " + " ".join(hard)
        )
        why = Text(
            "가상 머신의 CPU 종류가 낮게 설정되어 있습니다", "the virtual machine shows too old a CPU model"
        )
        return Outcome(Status.FAIL, what, measured, expected, why, "more-resources")
    if missing or cores < 2:
        what = Text("동작하지만 느립니다", "works, but slowly")
        why = Text("코어가 적거나 벡터 명령이 없습니다", "few cores, or no vector instructions")
        return Outcome(Status.WARN, what, measured, expected, why, "more-resources")
    return passed(Text("충분합니다", "sufficient"), measured=measured, expected=expected)


@check("SYS-005", SYSTEM, Text("메모리", "Memory"), severity=Severity.HIGH, platforms=("linux",))
def memory(subject: Subject) -> Outcome:
    """The host, or the control group it runs in, has the memory the manifest asks for."""
    total, available = facts.memory_bytes()
    if not total:
        return unknown(Text("메모리 크기를 읽을 수 없습니다", "the memory size could not be read"))
    measured = f"{human_size(total)} total, {human_size(available)} available"
    if subject.manifest is None:
        return passed(Text("측정값만 기록합니다", "recorded only"), measured=measured)
    needed = subject.manifest.memory_mb * 1024 * 1024
    expected = f">= {human_size(needed)}"
    if total < needed:
        what = Text("메모리가 부족합니다", "not enough memory")
        why = Text("서비스가 강제 종료될 수 있습니다", "the kernel may kill the service")
        return Outcome(Status.FAIL, what, measured, expected, why, "more-resources")
    if available < needed and subject.generation is None:
        what = Text("다른 프로그램이 메모리를 쓰고 있습니다", "other programs are using the memory")
        return Outcome(Status.WARN, what, measured, expected, None, "more-resources")
    return passed(Text("충분합니다", "sufficient"), measured=measured, expected=expected)


@check("SYS-006", SYSTEM, Text("디스크 공간", "Disk space"), severity=Severity.HIGH)
def disk_space(subject: Subject) -> Outcome:
    """There is room for the installation, or for the next one beside the one that is there."""
    place = facts.nearest_existing(subject.prefix)
    free = shutil.disk_usage(place).free
    needed = SMALLEST_FREE_BYTES
    if subject.manifest is not None:
        needed += subject.manifest.installed_bytes
    measured, expected = f"{human_size(free)} ({place})", f">= {human_size(needed)}"
    if free >= needed:
        return passed(Text("충분합니다", "sufficient"), measured=measured, expected=expected)
    status = Status.FAIL if subject.generation is None or free < SMALLEST_FREE_BYTES else Status.WARN
    return Outcome(
        status,
        Text("디스크 공간이 부족합니다", "not enough disk space"),
        measured,
        expected,
        Text(
            "설치나 업그레이드, 색인을 끝낼 수 없습니다",
            "an installation, upgrade or index cannot be finished",
        ),
        "free-space",
    )


@check("SYS-007", SYSTEM, Text("아이노드", "Inodes"), platforms=("linux", "darwin"))
def inodes(subject: Subject) -> Outcome:
    """The file system can hold as many files as a release has."""
    place = facts.nearest_existing(subject.prefix)
    numbers = os.statvfs(place)
    if numbers.f_files == 0:
        return skipped(
            Text("이 파일 시스템은 아이노드를 세지 않습니다", "this file system does not count inodes")
        )
    measured, expected = f"{numbers.f_favail} ({place})", f">= {SMALLEST_FREE_INODES}"
    if numbers.f_favail >= SMALLEST_FREE_INODES:
        return passed(Text("충분합니다", "sufficient"), measured=measured, expected=expected)
    what = Text("아이노드가 부족합니다", "not enough inodes")
    why = Text("작은 파일이 너무 많습니다", "too many small files")
    return Outcome(Status.FAIL, what, measured, expected, why, "free-space")


@check("SYS-008", SYSTEM, Text("시계", "Clock"))
def clock(subject: Subject) -> Outcome:
    """The clock is not before the bundle was made, nor absurdly far after it."""
    if subject.manifest is None:
        return _no_manifest(subject)
    from bundle.manifest import parse_time

    now = time.time()
    created = parse_time(subject.manifest.created).timestamp()
    measured, expected = facts.utc(now), f">= {subject.manifest.created}"
    if created - CLOCK_TOLERANCE_S <= now <= created + CLOCK_HORIZON_S:
        return passed(Text("그럴듯한 시각입니다", "plausible"), measured=measured, expected=expected)
    return Outcome(
        Status.FAIL,
        Text("시계가 맞지 않습니다", "the clock is wrong"),
        measured,
        expected,
        Text(
            "서명 유효 기간, 기록 시각, 기간 검색이 모두 틀어집니다",
            "signature validity, log times and date filters all go wrong",
        ),
        "set-clock",
    )


@check("SYS-009", SYSTEM, Text("UTF-8", "UTF-8"), severity=Severity.LOW)
def utf8(subject: Subject) -> Outcome:
    """Korean file names survive: the encodings are UTF-8 and such a name can be made and found again."""
    encodings = (sys.getfilesystemencoding(), locale.getpreferredencoding(False))
    measured = f"file system {encodings[0]}, locale {encodings[1]}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            (Path(folder) / "한글 문서.txt").write_text("가", encoding="utf-8")
            kept = os.listdir(folder) == ["한글 문서.txt"]
        except (OSError, UnicodeError):
            kept = False
    if kept and all(name.lower().replace("-", "") == "utf8" for name in encodings):
        return passed(Text("한글 파일 이름이 보존됩니다", "Korean file names survive"), measured=measured)
    what = Text("한글 파일 이름이 깨질 수 있습니다", "Korean file names may be damaged")
    why = Text("로캘이 UTF-8이 아닙니다", "the locale is not UTF-8")
    return Outcome(Status.WARN, what, measured, "utf-8", why, "set-locale")


@check("SYS-010", SYSTEM, Text("포트", "Port"), severity=Severity.HIGH)
def port(subject: Subject) -> Outcome:
    """The service's port is free, or it is our service that holds it."""
    service = subject.service
    measured = f"{service.host}:{service.port}"
    refusal = _bind_problem(http.connect_host(service.host), service.port)
    if refusal is None:
        return passed(Text("비어 있습니다", "free"), measured=measured)
    if _ours(subject):
        return passed(
            Text("이 설치의 서비스가 쓰고 있습니다", "held by this installation's service"), measured=measured
        )
    if refusal.errno in (errno.EACCES, errno.EPERM):
        what = Text(
            "1024 아래의 포트라 root만 확인할 수 있습니다",
            "a port below 1024: only root can tell whether it is free",
        )
        return unknown(what, measured=measured)
    if refusal.errno != errno.EADDRINUSE:
        return Outcome(
            Status.FAIL,
            Text("이 호스트에 없는 주소입니다", "this host has no such address"),
            f"{measured}: {refusal.strerror or refusal}",
            "an address of this host",
            Text(
                "RAGTRACE_SERVER_HOST가 이 호스트와 맞지 않습니다",
                "RAGTRACE_SERVER_HOST does not fit this host",
            ),
            "see-configuration",
        )
    return Outcome(
        Status.FAIL,
        Text("다른 프로그램이 포트를 쓰고 있습니다", "another program holds the port"),
        f"{measured}: {refusal.strerror or refusal}",
        "free, or held by this installation's service",
        Text("서비스가 시작될 수 없습니다", "the service cannot start"),
        "change-port",
    )


def _bind_problem(host: str, number: int) -> Optional[OSError]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
    except OSError as error:
        return error
    return None


def _ours(subject: Subject) -> bool:
    """Tell whether the holder is our service: its answer names a generation of ours, or its process is ours.

    Also where the pointer is damaged and nobody knows which generation is the active one.
    """
    reply = http.ask(subject, "GET", subject.service.health_path, timeout_s=2)
    answered = str(reply.body.get("generation", ""))
    if GENERATION_NAME.match(answered) and (subject.prefix / "generations" / answered).is_dir():
        return True
    listening = {
        item.inode
        for item in procfs.sockets()
        if item.state == procfs.LISTEN and item.local_port == subject.service.port
    }
    return any(
        listening & (procfs.socket_inodes(process.pid) or frozenset())
        for process in procfs.service_processes(subject)
    )


CHECKS: Tuple[Check, ...] = (
    python_version,
    platform_fits,
    libc_floor,
    cpu,
    memory,
    disk_space,
    inodes,
    clock,
    utf8,
    port,
)
