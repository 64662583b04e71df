"""The child process that parses: files come in on standard input, documents go out on standard output, as frames.

A file that makes a parser hang, crash or eat memory ends this process and nothing else. No frame is ever evaluated:
a request is a path and bytes, an answer is JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

from ragtrace.adapters.recognise import parser_for
from ragtrace.application.ports import DocumentParser, FileContent, ReadFile
from ragtrace.application.reading import ReadInTurn
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.errors import ParseProblem
from ragtrace.limits import PARSE_CPU_S, PARSE_CPU_S_PER_MIB, PARSE_MEMORY_BYTES, PARSE_WALL_SHARE
from ragtrace.text import Text

READY = b"ragtrace-parse-1\n"
# Lengths of path and content; length of an answer.
REQUEST = struct.Struct("!IQ")
ANSWER = struct.Struct("!Q")
# A child that has grown over half of its memory makes room for a fresh one.
_GROWN = PARSE_MEMORY_BYTES // 2


def main(arguments: Sequence[str]) -> int:
    """Serve until standard input ends; the one argument names a function ``module:name`` that returns parsers."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not get between the frames.
    with open(os.devnull, "r+b") as nowhere:
        os.dup2(nowhere.fileno(), 0)
        os.dup2(nowhere.fileno(), 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, _, name = arguments[0].partition(":")
    parsers = cast("Callable[[], tuple[DocumentParser, ...]]", getattr(importlib.import_module(module), name))
    reader = ReadInTurn(parsers(), parser_for)
    answers.write(READY)
    answers.flush()
    while True:
        file = _next(requests)
        if file is None:
            return 0
        _limit(max(1, len(file.data)))
        frame, last = _answered(reader, file)
        _limit(0)
        answers.write(ANSWER.pack(len(frame)))
        answers.write(frame)
        answers.flush()
        if last:
            return 0


def pack_answer(read: ReadFile, last: bool) -> bytes:
    """Return an answer as a frame; `last` says that this process ends after it."""
    document: dict[str, object] = {"seconds": read.seconds, "last": last}
    if isinstance(read.outcome, ParseProblem):
        document["problem"] = read.outcome.summary
        document["hint"] = read.outcome.hint
    else:
        parsed = read.outcome
        document["title"], document["date"] = parsed.title, parsed.date
        document["lacks"] = parsed.lacks
        document["sections"] = [(each.path, each.text, each.page) for each in parsed.sections]
    return json.dumps(document).encode("ascii")


def unpack_answer(path: str, frame: bytes) -> tuple[ReadFile, bool]:
    """Return an answer and whether the process ends after it. Raises `ValueError` when the frame is none."""
    try:
        document = json.loads(frame)
        outcome: ParsedDocument | ParseProblem
        if "problem" in document:
            hint = document["hint"]
            outcome = ParseProblem(Text(*document["problem"]), hint=Text(*hint) if hint else None)
        else:
            sections = tuple(
                Section(tuple(str(part) for part in parts), str(text), int(page))
                for parts, text, page in document["sections"]
            )
            lacks = Text(*document["lacks"]) if document["lacks"] else None
            outcome = ParsedDocument(str(document["title"]), sections, str(document["date"]), lacks)
        return ReadFile(path, outcome, float(document["seconds"])), bool(document["last"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def seconds_for(size: int) -> tuple[float, float]:
    """Return how many seconds of a processor, and on the clock, a file of `size` bytes may take."""
    processor = PARSE_CPU_S + PARSE_CPU_S_PER_MIB * size / (1 << 20)
    return processor, PARSE_WALL_SHARE * processor


def _next(requests: BinaryIO) -> FileContent | None:
    head = requests.read(REQUEST.size)
    if len(head) < REQUEST.size:
        return None
    path, data = REQUEST.unpack(head)
    name = requests.read(path).decode("utf-8", "surrogateescape")
    content = requests.read(data)
    return FileContent(name, content) if len(content) == data else None


def _answered(reader: ReadInTurn, file: FileContent) -> tuple[bytes, bool]:
    try:
        frame = pack_answer(reader.read(file), last := _peak() > _GROWN)
    except MemoryError:
        from ragtrace.application.reading import out_of_memory

        return pack_answer(ReadFile(file.path, out_of_memory(), 0.0), last=True), True
    return frame, last


def _limit(size: int) -> None:
    """Set the caps for a file of `size` bytes, where the system has such caps; 0 takes the times back.

    The signals end the process wherever it is, also inside native code, and also when the parent has gone.
    """
    if not hasattr(signal, "setitimer"):
        return
    processor, clock = seconds_for(size) if size else (0.0, 0.0)
    signal.setitimer(signal.ITIMER_PROF, processor)
    signal.setitimer(signal.ITIMER_REAL, clock)
    if size and sys.platform == "linux":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wished = PARSE_MEMORY_BYTES + 2 * size
        soft = wished if hard == resource.RLIM_INFINITY else min(wished, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _peak() -> int:
    """Return the largest memory this process has had, in bytes; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
