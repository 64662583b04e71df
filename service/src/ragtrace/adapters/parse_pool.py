"""Parse files in child processes, several at a time; a crash, a hang or a flood of memory costs one file.

A few files of harmless formats are read in this process, so that a small folder or one upload starts no child.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import ragtrace
from ragtrace.adapters.parse_worker import ANSWER, READY, REQUEST, seconds_for, unpack_answer
from ragtrace.adapters.parsers import LazyParser, every_parser
from ragtrace.adapters.recognise import parser_for
from ragtrace.application.ports import FileContent, ReadFile
from ragtrace.application.reading import ReadInTurn, suffix_of
from ragtrace.errors import ParseProblem
from ragtrace.limits import (
    PARSE_AHEAD,
    PARSE_AHEAD_BYTES,
    PARSE_ANSWER_BYTES,
    PARSE_FEW,
    PARSE_HERE_BYTES,
)
from ragtrace.text import Text

LOG = logging.getLogger("ragtrace")
# Beginnings of PDF, ZIP and OLE files: whatever their names say, they are not read in this process.
_CONTAINERS = (b"%PDF", b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
# Started with the folder this package lies in: a child of the source tree finds the source tree. Without -P the
# current folder, which may be anybody's, would come first.
_START = (
    "import os, sys; sys.path[:0] = [p for p in sys.argv.pop(1).split(os.pathsep) if p not in sys.path]; "
    "from ragtrace.adapters.parse_worker import main; sys.exit(main(sys.argv[1:]))"
)
_ENDED = "the pool has ended"
_ROOT = str(Path(ragtrace.__file__).resolve().parent.parent)


@dataclass
class ParsePool:
    """Up to `workers` children for one call of `read_all`, ended with it.

    `factory` names the function, ``module:name``, by which a child makes its parsers; it must match `parsers`.
    """

    workers: int
    parsers: tuple[LazyParser, ...] = field(default_factory=every_parser)
    factory: str = "ragtrace.adapters.parsers:every_parser"
    few: int = PARSE_FEW

    def __post_init__(self) -> None:
        self._here = ReadInTurn(self.parsers, parser_for)
        self._guarded = frozenset().union(*(each.suffixes for each in self.parsers if each.guarded))

    @property
    def suffixes(self) -> frozenset[str]:
        """Return the endings of all parsers."""
        return self._here.suffixes

    def read_all(self, files: Iterator[FileContent]) -> Iterator[ReadFile]:
        """Yield what came of every file, in order."""
        first: list[FileContent] = []
        for file in files:
            first.append(file)
            if len(first) >= self.few or self._is_guarded(file) or len(file.data) > PARSE_HERE_BYTES:
                yield from self._spread(chain(first, files))
                return
        yield from self._here.read_all(iter(first))

    def _is_guarded(self, file: FileContent) -> bool:
        return suffix_of(file.path) in self._guarded or file.data.startswith(_CONTAINERS)

    def _spread(self, files: Iterator[FileContent]) -> Iterator[ReadFile]:
        children = _Children(self.factory, self._here)
        waiting: deque[tuple[int, Future[ReadFile]]] = deque()
        ahead = 0
        executor = ThreadPoolExecutor(max(1, self.workers), thread_name_prefix="parse")
        try:
            for file in files:
                waiting.append((len(file.data), executor.submit(children.read, file)))
                ahead += len(file.data)
                while waiting and (
                    waiting[0][1].done() or len(waiting) >= PARSE_AHEAD or ahead > PARSE_AHEAD_BYTES
                ):
                    size, future = waiting.popleft()
                    ahead -= size
                    yield future.result()
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            children.end()
            executor.shutdown(wait=True)


class _Children:
    """A child for each thread that asks, made anew when it has died."""

    def __init__(self, factory: str, here: ReadInTurn) -> None:
        self._factory = factory
        self._here = here
        self._local = threading.local()
        self._lock = threading.Lock()
        self._alive: set[subprocess.Popen[bytes]] = set()
        self._ended = False
        self._cannot_start = False

    def read(self, file: FileContent) -> ReadFile:
        """Return what came of a file."""
        child = getattr(self._local, "child", None) or self._start()
        if child is None:
            return self._here.read(file)
        self._local.child = child
        try:
            name = file.path.encode("utf-8", "surrogateescape")
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(REQUEST.pack(len(name), len(file.data)) + name)
            child.stdin.write(file.data)
            child.stdin.flush()
            (length,) = ANSWER.unpack(_exactly(child, ANSWER.size))
            if length > PARSE_ANSWER_BYTES:
                raise ValueError("an answer beyond all bounds")
            read, last = unpack_answer(file.path, _exactly(child, length))
        except (OSError, ValueError) as error:
            return ReadFile(file.path, _death(self._lay_down(child), error, len(file.data)), 0.0)
        if last:
            self._lay_down(child)
        return read

    def end(self) -> None:
        """End every child, in whatever it is."""
        with self._lock:
            self._ended = True
            alive = list(self._alive)
        for child in alive:
            child.kill()
        for child in alive:
            self._lay_down(child)

    def _start(self) -> subprocess.Popen[bytes] | None:
        """Start a child; None, for good, where this system does not let us."""
        if self._cannot_start:
            return None
        with self._lock:
            if self._ended:
                raise OSError(_ENDED)
            child, reason = None, ""
            try:
                child = _spawn(self._factory)
                self._alive.add(child)
            except OSError as error:
                reason = str(error)
        if child is not None:
            try:
                if _exactly(child, len(READY)) == READY:
                    return child
                reason = "it does not speak our language"
            except OSError:
                reason = f"it ended with {child.wait()}"
            self._lay_down(child)
        if self._ended:
            # Killed by `end` before it could say a word: that is no reason to read the file here.
            raise OSError(_ENDED)
        if not self._cannot_start:
            LOG.warning("no process for parsing could be started (%s); files are parsed in this one", reason)
        self._cannot_start = True
        return None

    def _lay_down(self, child: subprocess.Popen[bytes]) -> int | None:
        """Close a child's pipes and return how it ended; one that has not is killed, and None returned."""
        self._local.child = None
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        code: int | None
        try:
            code = child.wait(1)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            code = None
        with self._lock:
            self._alive.discard(child)
        return code


def _spawn(factory: str) -> subprocess.Popen[bytes]:
    # One thread each: the children are the parallelism, and BLAS reserves memory for every thread.
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _START, _ROOT, factory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **single},
    )


def _exactly(child: subprocess.Popen[bytes], length: int) -> bytes:
    assert child.stdout is not None
    data = child.stdout.read(length)
    if len(data) < length:
        raise OSError("the process ended")
    return data


def _death(code: int | None, error: Exception, size: int) -> ParseProblem:
    """Say why a child died of a file of `size` bytes: `code` is what the system says, negative for a signal."""
    numbers = {name: -int(getattr(signal, name, 0)) for name in ("SIGPROF", "SIGALRM", "SIGKILL")}
    if code and code in (numbers["SIGPROF"], numbers["SIGALRM"]):
        processor, clock = seconds_for(size)
        limit = f"{processor if code == numbers['SIGPROF'] else clock:.0f}"
        return ParseProblem(
            Text(
                f"읽는 데 너무 오래 걸려 멈추었습니다(한도 {limit}초).",
                f"Reading it took too long and was stopped (the limit is {limit} s).",
            ),
            hint=Text("파일을 나누거나 다시 저장해 주십시오.", "Split the file, or save it again."),
        )
    if code and code == numbers["SIGKILL"]:
        return ParseProblem(
            Text(
                "읽던 프로세스를 시스템이 끝냈습니다(메모리 부족일 수 있음).",
                "The system ended the process that read it, perhaps for want of memory.",
            ),
            hint=Text("파일을 나누어 주십시오.", "Split the file."),
        )
    reason = f"signal {-code}" if code and code < 0 else f"exit {code}; {error}"
    return ParseProblem(
        Text(
            f"파일을 읽던 프로세스가 죽었습니다({reason}).",
            f"The process that read the file died ({reason}).",
        ),
        hint=Text(
            "손상되었거나 해로운 파일일 수 있습니다. 원래 프로그램에서 다시 저장해 보십시오.",
            "It may be damaged or harmful. Save it again with the program it was made with.",
        ),
    )
