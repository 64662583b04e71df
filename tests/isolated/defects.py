"""Ways in which a carried bundle can be wrong; each is undone again, so that the next one stands alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

WHEELS = "02_Dependencies/wheels"


@contextmanager
def changed_byte(path: Path) -> Iterator[Path]:
    """One bit is different in the middle of a file."""
    flip_bit(path)
    try:
        yield path
    finally:
        flip_bit(path)


@contextmanager
def missing(path: Path) -> Iterator[Path]:
    """A file did not arrive."""
    away = Path(tempfile.mkdtemp(prefix="away-")) / path.name
    shutil.move(path, away)
    try:
        yield path
    finally:
        shutil.move(away, path)
        away.parent.rmdir()


@contextmanager
def extra(path: Path) -> Iterator[Path]:
    """A file arrived that nobody signed."""
    path.write_text("import os\n", encoding="utf-8")
    try:
        yield path
    finally:
        path.unlink()


Defect = Callable[[Path], AbstractContextManager[Path]]

DEFECTS: dict[str, Defect] = {
    "a changed byte in a wheel": lambda root: changed_byte(sorted((root / WHEELS).glob("*.whl"))[0]),
    "a changed byte in the manifest": lambda root: changed_byte(root / "MANIFEST.json"),
    "a changed byte in the signature": lambda root: changed_byte(root / "MANIFEST.json.sig"),
    "a missing wheel": lambda root: missing(sorted((root / WHEELS).glob("*.whl"))[-1]),
    "no signature": lambda root: missing(root / "MANIFEST.json.sig"),
    "an extra file": lambda root: extra(root / "04_Scripts/installer/sitecustomize.py"),
}


def flip_bit(path: Path) -> None:
    """Change one bit in the middle of a file, keeping its size and time; twice is as before."""
    times = path.stat()
    with path.open("r+b") as handle:
        handle.seek(times.st_size // 2)
        old = handle.read(1)
        handle.seek(-1, os.SEEK_CUR)
        handle.write(bytes([old[0] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
