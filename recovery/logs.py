"""Known secret values overwritten in the logs, in place and with as many characters: a log that the service is writing
to stays the same file, nothing is lost that was written meanwhile, and a run that is killed has only not ended yet.
Other files that hold one (a copy of the configuration, say) are only closed to others."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Iterator, List, Sequence

from recovery.action import Done
from recovery.engine import Means
from validator.secrets import holders, known_values
from validator.secrets.encodings import forms

# Only what a service and the installer write for people to read; never the configuration, records or documents.
LOGS = "data/logs"
CHUNK_BYTES = 4 * 1024 * 1024
MASK = b"*"


def remove_secrets(means: Means) -> Done:
    """Overwrite every known secret value in every log, and close other files that hold one."""
    prefix = means.subject.prefix
    known = known_values(prefix)
    patterns = _patterns(known)
    changed: List[str] = []
    failed: List[str] = []
    for path in logs(prefix):
        try:
            if patterns and _mask(path, patterns):
                changed.append(path.name)
        except OSError as error:
            failed.append(f"{path.name}: {error.strerror}")
    for path in holders(prefix, known):
        try:
            if prefix / LOGS not in path.parents and _close(path):
                changed.append(path.name)
        except OSError as error:
            failed.append(f"{path.name}: {error.strerror}")
    told = f"{len(changed)} changed" + (": " + ", ".join(sorted(changed)[:8]) if changed else "")
    return Done(not failed, "; ".join([told, *failed[:5]]))


def logs(prefix: Path) -> Iterator[Path]:
    """Yield the logs: regular files with one name; no link is followed."""
    for place, _, names in os.walk(prefix / LOGS):
        for name in sorted(names):
            path = Path(place, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                yield path


def _close(path: Path) -> bool:
    """Take the right to read a file away from group and others; return whether they had it."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if sys.platform == "win32" or not mode & 0o077:
            return False
        os.fchmod(descriptor, mode & ~0o077)
        return True
    finally:
        os.close(descriptor)


def _patterns(values: Sequence[str]) -> List[bytes]:
    """Return the bytes to look for, the longest first, so that a value inside another leaves no rest."""
    found = {form.encode("utf-8", "surrogatepass") for value in values for form in forms(value)}
    return sorted((pattern for pattern in found if len(pattern) >= 8), key=lambda item: (-len(item), item))


def _mask(path: Path, patterns: Sequence[bytes]) -> bool:
    """Overwrite every occurrence; chunks overlap by the longest pattern."""
    flags = (
        os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    )
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return False
        overlap = max(map(len, patterns)) - 1
        found, start = False, 0
        while True:
            os.lseek(descriptor, start, os.SEEK_SET)
            data = os.read(descriptor, CHUNK_BYTES + overlap)
            for at, length in _occurrences(data, patterns):
                os.lseek(descriptor, start + at, os.SEEK_SET)
                os.write(descriptor, MASK * length)
                found = True
            if len(data) < CHUNK_BYTES + overlap:
                break
            start += CHUNK_BYTES
        if found:
            os.fsync(descriptor)
        return found
    finally:
        os.close(descriptor)


def _occurrences(data: bytes, patterns: Sequence[bytes]) -> "Iterator[tuple[int, int]]":
    for pattern in patterns:
        at = data.find(pattern)
        while at >= 0:
            yield at, len(pattern)
            at = data.find(pattern, at + 1)
