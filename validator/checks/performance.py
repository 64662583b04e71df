"""Performance: measured here and now, compared with stated expectations; slow is a warning only."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence, Tuple, Union

from bundle.text import Text
from validator import speed
from validator.checks.packages import main_imports
from validator.checks.ragtrace import NOT_RUNNING, ask_question
from validator.host import commands
from validator.model import Category, Check, Outcome, Severity, check, skipped, unknown
from validator.subject import Subject

PERFORMANCE = Category.PERFORMANCE

_MB = 1000 * 1000
_DISK_BYTES = 16 * _MB
_PIECE = 1024 * 1024


@check(
    "PERF-001",
    PERFORMANCE,
    Text("서비스 불러오기 시간", "Import time of the service"),
    severity=Severity.LOW,
    timeout_s=60,
    needs_installation=True,
)
def import_time(subject: Subject) -> Outcome:
    """The service and the packages it needs directly are imported in time by a fresh interpreter."""
    names = main_imports(subject)
    if not names:
        return unknown(Text("불러올 패키지를 찾지 못했습니다", "no package to import was found"))
    first = _import_seconds(subject, names)
    if isinstance(first, str):
        what = Text(
            "불러오지 못해 잴 수 없습니다 (PKG-004 참고)",
            "could not be imported, so not measured (see PKG-004)",
        )
        return unknown(what, measured=first)

    def again() -> Optional[Dict[str, float]]:
        second = _import_seconds(subject, names)
        return None if isinstance(second, str) else {"import_s": second}

    return speed.judged(subject, {"import_s": first}, again)


def _import_seconds(subject: Subject, names: Sequence[str]) -> Union[float, str]:
    """Return how long a fresh interpreter needs to import *names*, or what it said instead."""
    clock = "time.perf_counter()"
    code = f"import time; t = {clock}; import {', '.join(names)}; print({clock} - t)"
    done = commands.run_python(subject, ["-c", code], timeout_s=28)
    try:
        return float(done.output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return done.complaint or f"exit {done.code}"


@check("PERF-002", PERFORMANCE, Text("해시 속도 (CPU)", "Hash rate (CPU)"), severity=Severity.LOW)
def hash_rate(subject: Subject) -> Outcome:
    """One core hashes SHA-256 fast enough to verify a bundle in reasonable time."""
    piece = bytes(_PIECE)
    digest = hashlib.sha256()

    def measure() -> Dict[str, float]:
        return {"hash_mb_per_s": _rate(lambda: digest.update(piece), _PIECE, 0.12)}

    return speed.judged(subject, measure(), measure)


@check("PERF-003", PERFORMANCE, Text("디스크 속도", "Disk speed"), severity=Severity.LOW, timeout_s=40)
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
    found: Path = place

    def measure() -> Dict[str, float]:
        written, read = _disk_rates(found)
        return {"disk_write_mb_per_s": written, "disk_read_mb_per_s": read}

    return speed.judged(subject, measure(), measure, str(found))


@check("PERF-004", PERFORMANCE, Text("메모리 대역폭", "Memory bandwidth"), severity=Severity.LOW)
def memory_rate(subject: Subject) -> Outcome:
    """Copying memory is not unusually slow (an overcommitted virtual machine is)."""
    source, target = bytearray(16 * _PIECE), bytearray(16 * _PIECE)

    def copy() -> None:
        target[:] = source

    copy()

    def measure() -> Dict[str, float]:
        return {"memory_mb_per_s": _rate(copy, len(source), 0.1)}

    return speed.judged(subject, measure(), measure)


@check(
    "PERF-005",
    PERFORMANCE,
    Text("질문 응답 시간", "Time to answer a question"),
    severity=Severity.LOW,
    timeout_s=80,
    needs_service=True,
)
def answer_time(subject: Subject) -> Outcome:
    """The same question, asked three times of the running service, is answered in time (median)."""
    first = _answer_ms(subject)
    return (
        first
        if isinstance(first, Outcome)
        else speed.judged(subject, first, lambda: _figures(_answer_ms(subject)))
    )


def _answer_ms(subject: Subject) -> Union[Dict[str, float], Outcome]:
    """Return the median of three answers, or the outcome that says why there is none."""
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
    return {"answer_ms": sorted(times)[1]}


def _figures(found: Union[Dict[str, float], Outcome]) -> Optional[Dict[str, float]]:
    return None if isinstance(found, Outcome) else found


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


CHECKS: Tuple[Check, ...] = (import_time, hash_rate, disk_rate, memory_rate, answer_time)
