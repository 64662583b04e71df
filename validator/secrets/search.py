"""Look for known secrets and private keys in the files of an installation where neither belongs."""

from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from validator.secrets.encodings import Known

# Logs are read from the newest on; what lies beyond is told, not read.
LOG_BYTES = 64 * 1024 * 1024
# A readable file that is no log is a copy of a configuration, and small.
OTHER_BYTES = 4 * 1024 * 1024
OTHER_FILES = 2000
_BLOCK = 1024 * 1024
_HITS_PER_FILE = 3
_OVERLAP = 1024
# The first line of a key is a word of documentation; with what follows it, it is a key.
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----")
_KEY_BODY = re.compile(r"[A-Za-z0-9+/]{40}")
_KEY_BODY_WITHIN = 400


class Hit(NamedTuple):
    """A secret that was found: the file, its line, and the key of the configuration or the kind of secret."""

    path: Path
    line: int
    what: str


class Reading(NamedTuple):
    """What was found, and how much could not be looked at."""

    hits: Tuple[Hit, ...]
    files: int
    read_bytes: int
    left_bytes: int
    unseen: Tuple[Path, ...]


class _File(NamedTuple):
    path: Path
    size: int
    changed: float
    mode: int


class Searcher:
    """Looks for the values of one installation, and for private keys."""

    def __init__(self, named: Dict[str, str]) -> None:
        self._named = named
        self._known = Known(tuple(named))

    def text(self, text: str) -> Iterator[Tuple[int, str]]:
        """Yield where a secret begins, and the key it is the value of, or "private key"."""
        for start, _, value in self._known.find(text):
            yield start, self._named[value]
        if "PRIVATE KEY" in text:
            for match in _KEY_BEGIN.finditer(text):
                if _KEY_BODY.search(text, match.end(), match.end() + _KEY_BODY_WITHIN):
                    yield match.start(), "private key"

    def file(self, path: Path, limit: int, *, text_only: bool = False) -> List[Hit]:
        """Return the first secrets of a regular file's last *limit* bytes; a link is not followed.

        Args:
            path: the file.
            limit: how much of its end is read.
            text_only: pass over a database or another file that is no text.

        Raises:
            OSError: it cannot be read.
        """
        hits: Dict[Tuple[int, str], Hit] = {}
        overlap = max(_OVERLAP, 4 * self._known.longest)
        carried, line = "", 1
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            skipped = max(0, size - limit)
            while skipped > 0:
                piece = stream.read(min(_BLOCK, skipped))
                line, skipped = line + piece.count(b"\n"), skipped - len(piece) if piece else 0
            left = limit
            while left > 0 and len(hits) < _HITS_PER_FILE:
                raw = stream.read(min(_BLOCK, left))
                if not raw or (text_only and b"\0" in raw):
                    break
                left -= len(raw)
                text = carried + raw.decode("utf-8", "replace")
                for at, what in self.text(text):
                    number = line + text.count("\n", 0, at)
                    hits.setdefault((number, what), Hit(path, number, what))
                line += text.count("\n", 0, max(0, len(text) - overlap))
                carried = text[-overlap:]
        return sorted(hits.values(), key=lambda hit: hit.line)[:_HITS_PER_FILE]


def look(prefix: Path, named: Dict[str, str], deadline: Optional[float] = None) -> Reading:
    """Look through logs, records and readable files of the installation at *prefix*.

    Args:
        prefix: the installation.
        named: secret values with their keys, as `validator.secrets.known.named_values` gives them.
        deadline: stop at this moment of the monotonic clock; what is left is told.
    """
    searcher = Searcher(named)
    hits: List[Hit] = []
    unseen: List[Path] = []
    files = done = left = 0
    budget = LOG_BYTES
    logs = sorted(_logs(prefix, unseen), key=lambda each: -each.changed)
    for entry, is_log in [(each, True) for each in logs] + [
        (each, False) for each in _readable(prefix, unseen)
    ]:
        room = budget if is_log else OTHER_BYTES
        late = deadline is not None and time.monotonic() > deadline
        take = 0 if late else min(entry.size, room)
        left += entry.size - take if is_log or late else 0
        if take <= 0:
            continue
        try:
            hits += searcher.file(entry.path, take, text_only=not is_log)
        except OSError:
            unseen.append(entry.path)
            continue
        files, done = files + 1, done + take
        budget -= take if is_log else 0
    return Reading(tuple(hits), files, done, left, tuple(unseen))


def holders(prefix: Path, known: Sequence[str]) -> Tuple[Path, ...]:
    """Return the files in which one of the *known* values, or a private key, stands and does not belong."""
    found = look(prefix, dict.fromkeys(known, "secret"))
    return tuple(dict.fromkeys(hit.path for hit in found.hits))


def _logs(prefix: Path, unseen: List[Path]) -> Iterator[_File]:
    for folder, suffixes in (("data/logs", ()), ("state", (".log", ".jsonl"))):
        for entry in _listed(prefix / folder, unseen):
            if not suffixes or entry.path.name.endswith(suffixes):
                yield entry


def _readable(prefix: Path, unseen: List[Path]) -> Iterator[_File]:
    """Yield files that others may read: copies of a configuration, notes, unfinished edits.

    Releases hold what was sealed (test keys of libraries included), and documents are the people's own; neither is
    looked at. The permissions of `config/.env` itself are SEC-001's; the other one may be the service's group's.
    """
    count = 0
    for folder in ("", "config", "data", "state", "trust"):
        for entry in _listed(prefix / folder, unseen):
            name = f"{folder}/{entry.path.name}"
            allowed = 0o004 if name == "config/ragtrace.yaml" else 0o044
            log = folder == "state" and entry.path.name.endswith((".log", ".jsonl"))
            if name != "config/.env" and not log and entry.mode & allowed and count < OTHER_FILES:
                count += 1
                yield entry


def _listed(folder: Path, unseen: List[Path]) -> List[_File]:
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    found.append(_File(Path(entry.path), facts.st_size, facts.st_mtime, facts.st_mode))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        unseen.append(folder)
    return sorted(found)
