"""Take a program out of a wheel: how the isolated side gets the uv that it carries as the wheel of its index.

The wheel has been compared with the signed manifest before it is opened here, so a damaged one is a
fault of the medium or of whoever built it; names, sizes and the archive's own checksums are still not
taken on trust.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Tuple

from . import limits
from .errors import IntegrityError
from .text import Text


def uv_name() -> str:
    """Return what the uv program is called on this system."""
    return "uv.exe" if sys.platform == "win32" else "uv"


def take_script(wheel: Path, name: str, destination: Path) -> Tuple[int, str]:
    """Write the script `name` of a wheel to `destination`, executable, and return its size and SHA-256.

    Scripts lie in ``<name>-<version>.data/scripts`` (binary distribution format, "The .data directory").

    Raises:
        IntegrityError: no single such script, larger than the limit, or the archive is damaged.
        OSError: `destination` exists or cannot be written.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [item for item in archive.infolist() if _is_script(item.filename, name)]
            if len(found) != 1:
                raise _refusal(wheel, f"{len(found)} scripts named {name}")
            if found[0].file_size > limits.TOOL_BYTES:
                raise _refusal(wheel, f"{name} unpacks to {found[0].file_size} bytes")
            return _write(archive, found[0], destination)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise _refusal(wheel, str(error)) from error


def _is_script(member: str, name: str) -> bool:
    parts = member.split("/")
    return len(parts) == 3 and parts[0].endswith(".data") and parts[1:] == ["scripts", name]


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, destination: Path) -> Tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with archive.open(member) as source:
        descriptor = os.open(destination, flags, 0o755)
        with open(descriptor, "wb") as target:
            # The reader gives at most the declared size and compares the member's CRC at its end.
            for piece in iter(lambda: source.read(limits.CHUNK_BYTES), b""):
                digest.update(piece)
                size += len(piece)
                target.write(piece)
            if sys.platform != "win32":
                os.fchmod(target.fileno(), 0o755)
    return size, digest.hexdigest()


def _refusal(wheel: Path, reason: str) -> IntegrityError:
    return IntegrityError(
        Text(
            f"휠에서 프로그램을 꺼낼 수 없습니다: {reason}",
            f"the program cannot be taken out of its wheel: {reason}",
        ),
        where=str(wheel),
        hint=Text("번들을 다시 반입하십시오", "carry the bundle in again"),
    )
