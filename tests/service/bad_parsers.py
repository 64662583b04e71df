"""Parsers that do what parsers of broken files do; the file's own text says what."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from ragtrace.adapters.parsers import LazyParser
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.errors import ParseProblem
from ragtrace.text import Text


class TroubleParser:
    """Obeys the first word of the file."""

    suffixes = frozenset({".bad"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Do it."""
        order, _, rest = data.decode().partition(" ")
        if order == "crash":
            ctypes.string_at(0)
        elif order == "spin":
            while True:
                pass
        elif order == "hang":
            time.sleep(3600)
        elif order == "eat":
            # Untouched pages cost nothing where no limit keeps it from being allocated.
            bytearray(3 << 30)
        elif order == "exit":
            os._exit(3)
        elif order == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif order == "print":
            print("in between", flush=True)
            os.write(1, b"\0\0\0\0\0\0\0\1x")
            sys.stdout.flush()
        elif order == "bug":
            raise KeyError(path)
        elif order == "deep":
            return self.parse(data, path)
        elif order == "refuse":
            raise ParseProblem(Text("암호", "encrypted"), hint=Text("풀기", "decrypt"))
        elif order == "half":
            return ParsedDocument("\ud800", (Section(("\ud83d",), "글 \udc00 끝", 2),), "2025-01-02")
        elif order == "meet":
            self._meet(Path(rest), path)
        elif order == "pid":
            return ParsedDocument(str(os.getpid()), ())
        return ParsedDocument(path, (Section(("머리",), rest, 7),), "2025-01-02")

    def _meet(self, folder: Path, path: str) -> None:
        """Wait until another file is being parsed at the same time."""
        (folder / path).touch()
        end = time.monotonic() + 60
        while len(list(folder.iterdir())) < 2:
            if time.monotonic() > end:
                raise ParseProblem(Text("혼자", "alone"))
            time.sleep(0.05)


class Trouble(LazyParser):
    """The parser above in the shape that the pool takes."""

    def load(self) -> TroubleParser:
        """Return it."""
        return TroubleParser()


def parsers() -> tuple[Trouble, ...]:
    """Return it guarded."""
    return (Trouble("", "", frozenset({".bad"})),)


def harmless() -> tuple[Trouble, ...]:
    """Return it as a format that may be read in process."""
    return (Trouble("", "", frozenset({".bad"}), guarded=False),)


def nonsense() -> tuple[Trouble, ...]:
    """Fail before the first file."""
    raise RuntimeError("no parsers here")
