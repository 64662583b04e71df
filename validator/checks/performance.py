"""Performance: measured here and now, compared with stated expectations; slow is a warning only."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Callable, Optional, Tuple

from bundle.text import Text
from validator.checks.packages import main_imports
from validator.checks.ragtrace import NOT_RUNNING, ask_question
from validator.host import commands
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped, unknown
from validator.subject import Subject

PERFORMANCE = Category.PERFORMANCE

# Expectations of the starter profile; a two-core virtual machine of 2020 meets every one of them.
IMPORT_SECONDS = 5.0
HASH_MB_PER_S = 150.0
DISK_WRITE_MB_PER_S = 30.0
DISK_READ_MB_PER_S = 60.0
MEMORY_MB_PER_S = 1000.0
ANSWER_MS = 1500.0

_MB = 1000 * 1000
_DISK_BYTES = 16 * _MB
_PIECE = 1024 * 1024


@check(
    "PERF-001",
    PERFORMANCE,
    Text("서비스 불러오기 시간", "Import time of the service"),
    severity=Severity.LOW,
    timeout_s=30,
    needs_installation=True,
)
def import_time(subject: Subject) -> Outcome:
    """The service and the packages it needs directly are imported in time by a fresh interpreter."""
    names = main_imports(subject)
    if not names:
        return unknown(Text("불러올 패키지를 찾지 못했습니다", "no package to import was found"))
    clock = "time.perf_counter()"
    code = f"import time; t = {clock}; import {', '.join(names)}; print({clock} - t)"
    done = commands.run_python(subject, ["-c", code], timeout_s=28)
    try:
        seconds = float(done.output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        what = Text(
            "불러오지 못해 잴 수 없습니다 (PKG-004 참고)",
            "could not be imported, so not measured (see PKG-004)",
        )
        return unknown(what, measured=done.complaint)
    return _at_most(seconds, IMPORT_SECONDS, "s")


@check("PERF-002", PERFORMANCE, Text("해시 속도 (CPU)", "Hash rate (CPU)"), severity=Severity.LOW)
def hash_rate(subject: Subject) -> Outcome:
    """One core hashes SHA-256 fast enough to verify a bundle in reasonable time."""
    piece = bytes(_PIECE)
    digest = hashlib.sha256()
    return _at_least(_rate(lambda: digest.update(piece), _PIECE, 0.12), HASH_MB_PER_S)


@check("PERF-003", PERFORMANCE, Text("디스크 속도", "Disk speed"), severity=Severity.LOW, timeout_s=20)
def disk_rate(subject: Subject) -> Outcome:
    """The file system of the prefix writes (with fsync) and reads 16 MB at a useful speed."""
    place = _writable_folder(subject)
    if place is None:
        return skipped(
            Text(
                "prefix에 쓸 권한이 없어 재지 않았습니다",
                "not measured: no permission to write at the prefix",
            )
        )
    written, read = _disk_rates(place)
    measured = f"write {written:.0f} MB/s, read {read:.0f} MB/s ({place})"
    expected = f">= {DISK_WRITE_MB_PER_S:.0f} / {DISK_READ_MB_PER_S:.0f} MB/s"
    if written >= DISK_WRITE_MB_PER_S and read >= DISK_READ_MB_PER_S:
        return passed(Text("충분히 빠릅니다", "fast enough"), measured=measured, expected=expected)
    return _slow(measured, expected)


@check("PERF-004", PERFORMANCE, Text("메모리 대역폭", "Memory bandwidth"), severity=Severity.LOW)
def memory_rate(subject: Subject) -> Outcome:
    """Copying memory is not unusually slow (an overcommitted virtual machine is)."""
    source, target = bytearray(16 * _PIECE), bytearray(16 * _PIECE)

    def copy() -> None:
        target[:] = source

    copy()
    return _at_least(_rate(copy, len(source), 0.1), MEMORY_MB_PER_S)


@check(
    "PERF-005",
    PERFORMANCE,
    Text("질문 응답 시간", "Time to answer a question"),
    severity=Severity.LOW,
    timeout_s=40,
    needs_service=True,
)
def answer_time(subject: Subject) -> Outcome:
    """The same question, asked three times of the running service, is answered in time (median)."""
    times = []
    for _ in range(3):
        reply = ask_question(subject, timeout_s=12)
        if reply.status == 0:
            return skipped(NOT_RUNNING)
        if reply.status != 200:
            what = Text(
                "질문이 실패해 재지 않았습니다 (RAG-007 참고)",
                "the question failed, so not measured (see RAG-007)",
            )
            return skipped(what)
        times.append(reply.seconds * 1000)
    return _at_most(sorted(times)[1], ANSWER_MS, "ms")


def _rate(action: Callable[[], object], size: int, seconds: float) -> float:
    """Return MB/s of repeating *action* on *size* bytes for about *seconds*: the best of three slices."""
    best = 0.0
    for _ in range(3):
        done, started = 0, time.perf_counter()
        while True:
            action()
            done += size
            spent = time.perf_counter() - started
            if spent >= seconds / 3:
                break
        best = max(best, done / spent / _MB)
    return best


def _disk_rates(place: Path) -> Tuple[float, float]:
    """Return write and read speed in MB/s; the page cache is dropped in between where possible."""
    piece = os.urandom(_PIECE)
    handle, name = tempfile.mkstemp(prefix=".validator-", dir=place)
    try:
        with open(handle, "r+b", buffering=0) as stream:
            started = time.perf_counter()
            for _ in range(_DISK_BYTES // len(piece)):
                stream.write(piece)
            os.fsync(stream.fileno())
            written = stream.tell() / (time.perf_counter() - started) / _MB
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            stream.seek(0)
            started, total = time.perf_counter(), 0
            while True:
                got = stream.read(_PIECE)
                if not got:
                    break
                total += len(got)
            return written, total / (time.perf_counter() - started) / _MB
    finally:
        os.unlink(name)


def _writable_folder(subject: Subject) -> Optional[Path]:
    """Return a folder on the prefix's file system in which a temporary file may lie; never a generation."""
    for folder in (
        subject.prefix / "data" / "cache",
        subject.prefix / "state",
        subject.prefix,
        *subject.prefix.parents,
    ):
        if os.path.isdir(folder):
            return folder if os.access(folder, os.W_OK) else None
    return None


def _at_most(value: float, limit: float, unit: str) -> Outcome:
    digits = 0 if unit == "ms" else 2
    measured, expected = f"{value:.{digits}f} {unit}", f"<= {limit:g} {unit}"
    if value <= limit:
        return passed(Text("기대치 안입니다", "within the expectation"), measured=measured, expected=expected)
    return _slow(measured, expected)


def _at_least(value: float, limit: float) -> Outcome:
    measured, expected = f"{value:.0f} MB/s", f">= {limit:.0f} MB/s"
    if value >= limit:
        return passed(Text("기대치 안입니다", "within the expectation"), measured=measured, expected=expected)
    return _slow(measured, expected)


def _slow(measured: str, expected: str) -> Outcome:
    what = Text("기대치보다 느립니다", "slower than expected")
    why = Text("다른 부하가 있거나 느린 호스트입니다", "other load, or a slow host")
    return Outcome(Status.WARN, what, measured, expected, why, "more-resources")


CHECKS: Tuple[Check, ...] = (import_time, hash_rate, disk_rate, memory_rate, answer_time)
