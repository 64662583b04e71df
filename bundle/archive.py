"""Write a ``.tar.gz`` in one sequential stream with constant memory, storing what is already compressed.

The output is one ordinary gzip member (RFC 1952) around one deflate stream (RFC 1951): segments of text
are compressed, segments of wheels and weights are *stored* blocks - copied, not run through a
compressor. Every tar reads it. Identical inputs give identical bytes: names sorted by the caller, times,
owners and modes fixed here.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tarfile
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, List, Optional, Tuple, Union

from . import limits
from .errors import IntegrityError
from .text import Text

# RFC 1951, 3.2.4: a stored block holds at most 65,535 bytes behind a 5-byte header.
_STORED = 65535
_FINAL_EMPTY_BLOCK = b"\x03\x00"
_LEVEL = 6
Source = Union[bytes, Path]


class ArchiveWriter:
    """Writes members one after the other; `close` returns the archive's size and SHA-256."""

    def __init__(self, stream: BinaryIO, top: str, epoch: int) -> None:
        """Begin the archive; `top` is the folder all members lie in, `epoch` their time."""
        self._stream = stream
        self._top = top
        self._epoch = epoch
        self._crc = 0
        self._length = 0
        self._written = 0
        self._digest = hashlib.sha256()
        self._compressor: Optional["zlib._Compress"] = None
        # One thread hashes and writes what this one reads and frames.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._pending: "List[Future[None]]" = []
        self._emit([b"\x1f\x8b\x08\x00" + struct.pack("<I", 0) + b"\x00\xff"])

    def add(
        self,
        name: str,
        source: Source,
        size: int,
        sha256: str,
        mode: int,
        *,
        store: bool,
        on_bytes: Optional[Callable[[int], None]] = None,
    ) -> None:
        """Add one file; its bytes are compared with `size` and `sha256` while they pass.

        Raises:
            IntegrityError: the source is not what was promised; the archive is then worthless.
        """
        member = tarfile.TarInfo(f"{self._top}/{name}")
        member.size, member.mode, member.mtime = size, mode, self._epoch
        self._text(member.tobuf(tarfile.PAX_FORMAT))
        write = self._stored if store else self._text
        digest = hashlib.sha256()
        length = 0
        for piece in _pieces(source):
            digest.update(piece)
            length += len(piece)
            write(piece)
            if on_bytes is not None:
                on_bytes(len(piece))
        if (length, digest.hexdigest()) != (size, sha256):
            raise IntegrityError(
                Text(
                    "담는 동안 파일이 선언과 달랐습니다",
                    "a file differed from its declaration while being packed",
                ),
                where=f"{name} ({source if isinstance(source, Path) else 'generated'})",
            )
        self._text(b"\0" * (-length % tarfile.BLOCKSIZE))

    def close(self) -> Tuple[int, str]:
        """Finish the archive and return its size in bytes and SHA-256."""
        self._text(b"\0" * (2 * tarfile.BLOCKSIZE))
        self._end_text()
        self._emit([_FINAL_EMPTY_BLOCK, struct.pack("<II", self._crc, self._length & 0xFFFFFFFF)])
        self._wait(0)
        self._pool.shutdown()
        return self._written, self._digest.hexdigest()

    def abandon(self) -> None:
        """Stop the writing thread after an error."""
        self._pool.shutdown(wait=True)

    def _count(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)

    def _text(self, data: bytes) -> None:
        if not data:
            return
        self._count(data)
        if self._compressor is None:
            self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        compressed = self._compressor.compress(data)
        if compressed:
            self._emit([compressed])

    def _end_text(self) -> None:
        if self._compressor is not None:
            # A full flush ends on a byte boundary without ending the deflate stream.
            self._emit([self._compressor.flush(zlib.Z_FULL_FLUSH)])
            self._compressor = None

    def _stored(self, data: bytes) -> None:
        self._end_text()
        self._count(data)
        view = memoryview(data)
        parts: "List[Union[bytes, memoryview]]" = []
        for start in range(0, len(view), _STORED):
            block = view[start : start + _STORED]
            parts += [struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF), block]
        self._emit(parts)

    def _emit(self, parts: "List[Union[bytes, memoryview]]") -> None:
        self._wait(3)
        self._pending.append(self._pool.submit(self._write, parts))

    def _wait(self, allowed: int) -> None:
        while len(self._pending) > allowed:
            self._pending.pop(0).result()

    def _write(self, parts: "List[Union[bytes, memoryview]]") -> None:
        data = b"".join(parts)
        self._digest.update(data)
        self._stream.write(data)
        self._written += len(data)


def _pieces(source: Source) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with open(os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0)), "rb", buffering=0) as stream:
        while True:
            piece = stream.read(limits.CHUNK_BYTES)
            if not piece:
                return
            yield piece
