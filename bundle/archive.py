"""Write a ``.tar.gz`` in one sequential stream with constant memory, storing what is already compressed.

The output is one ordinary gzip member (RFC 1952) around one deflate stream (RFC 1951): segments of text
are compressed, segments of wheels and weights are *stored* blocks - copied, not run through a
compressor. Every tar reads it. Identical inputs give identical bytes: names sorted by the caller, times,
owners and modes fixed here, and what the threads do is decided by the order of the calls alone.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tarfile
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Callable, Deque, List, Optional, Tuple, Union, cast

from . import limits
from .errors import IntegrityError
from .text import Text

# RFC 1951, 3.2.4: a stored block holds at most 65,535 bytes behind a 5-byte header.
_STORED = 65535
_HEADER = struct.Struct("<BHH")
# Stored blocks that travel together: read into one buffer, hashed and written by one call each.
_BLOCKS = 16
_BUFFERS = 8
_FINAL_EMPTY_BLOCK = b"\x03\x00"
_LEVEL = 6
Source = Union[bytes, Path]
Data = Union[bytes, memoryview, "Future[bytes]"]


class SourceChanged(IntegrityError):
    """A file is not what was promised of it; `name` is its name in the archive, which is now worthless."""

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(
            Text(
                "담는 동안 파일이 선언과 달랐습니다",
                "a file differed from its declaration while being packed",
            ),
            where=f"{name} ({source if isinstance(source, Path) else 'generated'})",
        )
        self.name = name


class _Buffer:
    """Room for `_BLOCKS` stored blocks; files are read straight to where they lie in the stream."""

    def __init__(self) -> None:
        stride = _STORED + _HEADER.size
        self.whole = memoryview(bytearray(_BLOCKS * stride))
        self.slots = [
            self.whole[at + _HEADER.size : at + stride] for at in range(0, _BLOCKS * stride, stride)
        ]
        self.used = 0
        self.blocks: "List[memoryview]" = []

    def fill(self, stream: BinaryIO) -> int:
        """Read and frame the next blocks of a file; return how many bytes of it they hold."""
        self.used, self.blocks = 0, []
        for slot in self.slots:
            count = 0
            while count < _STORED:
                more = stream.readinto(slot[count:])  # type: ignore[attr-defined]
                if not more:
                    break
                count += more
            if count:
                _HEADER.pack_into(self.whole, self.used, 0, count, count ^ 0xFFFF)
                self.used += _HEADER.size + count
                self.blocks.append(slot[:count])
            if count < _STORED:
                break
        return sum(map(len, self.blocks))


class ArchiveWriter:
    """Writes members one after the other; `close` returns the archive's size and SHA-256.

    Four lanes of one thread each share the work on every piece, because each is about as slow as the disk
    cache: this thread reads and counts, the others hash the file, hash the archive, write. A file that
    differs from its declaration is told by a later call, at the latest by `close`.
    """

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
        self._texts: "List[bytes]" = []
        self._lanes = [
            ThreadPoolExecutor(1, thread_name_prefix=f"archive-{name}")
            for name in ("check", "compress", "digest", "write")
        ]
        self._check, self._compress, self._hash, self._out = self._lanes
        # In order of submission; a buffer is used again when all that read from it have finished.
        self._pending: "Deque[Tuple[Optional[_Buffer], List[Future[None]]]]" = deque()
        self._made = 0
        self._emit(b"\x1f\x8b\x08\x00" + struct.pack("<I", 0) + b"\x00\xff")

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
            SourceChanged: a file is not what was promised; the archive is then worthless.
        """
        member = tarfile.TarInfo(f"{self._top}/{name}")
        member.size, member.mode, member.mtime = size, mode, self._epoch
        self._text(member.tobuf(tarfile.PAX_FORMAT))
        digest = hashlib.sha256()
        length = 0
        with _opened(source) as stream:
            while length <= size:
                count = self._stored(stream, digest) if store else self._compressed(stream, digest)
                if not count:
                    break
                length += count
                if on_bytes is not None:
                    on_bytes(count)
        if length != size:
            raise SourceChanged(name, source)
        self._pending.append((None, [self._check.submit(_compare, digest, sha256, name, source)]))
        self._text(b"\0" * (-size % tarfile.BLOCKSIZE))

    def close(self) -> Tuple[int, str]:
        """Finish the archive and return its size in bytes and SHA-256."""
        self._text(b"\0" * (2 * tarfile.BLOCKSIZE))
        self._end_text()
        self._emit(_FINAL_EMPTY_BLOCK + struct.pack("<II", self._crc, self._length & 0xFFFFFFFF))
        while self._pending:
            self._settle()
        self.abandon()
        return self._written, self._digest.hexdigest()

    def abandon(self) -> None:
        """Stop the threads; after an error, what they had not begun is dropped."""
        for lane in self._lanes:
            lane.shutdown(wait=False, cancel_futures=True)
        for lane in self._lanes:
            lane.shutdown(wait=True)

    def _count(self, data: "Union[bytes, memoryview]") -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)

    def _text(self, data: bytes) -> None:
        self._count(data)
        self._texts.append(data)
        if sum(map(len, self._texts)) >= limits.CHUNK_BYTES:
            self._send_text(last=False)

    def _end_text(self) -> None:
        if self._texts or self._compressor is not None:
            self._send_text(last=True)

    def _send_text(self, *, last: bool) -> None:
        if self._compressor is None:
            self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        compressor, data = self._compressor, b"".join(self._texts)

        def compressed() -> bytes:
            # A full flush ends on a byte boundary without ending the deflate stream.
            return compressor.compress(data) + (compressor.flush(zlib.Z_FULL_FLUSH) if last else b"")

        self._texts = []
        if last:
            self._compressor = None
        self._emit(self._compress.submit(compressed))

    def _compressed(self, stream: BinaryIO, digest: "hashlib._Hash") -> int:
        data = stream.read(limits.CHUNK_BYTES)
        self._text(data)
        # The check lane: what it holds of this file is compared there, in order.
        self._pending.append((None, [self._check.submit(digest.update, data)]))
        return len(data)

    def _stored(self, stream: BinaryIO, digest: "hashlib._Hash") -> int:
        buffer = self._buffer()
        count = buffer.fill(stream)
        if not count:
            self._pending.appendleft((buffer, []))
            return 0
        self._end_text()
        for block in buffer.blocks:
            self._count(block)
        self._emit(
            buffer.whole[: buffer.used], buffer, self._check.submit(_update_all, digest, buffer.blocks)
        )
        return count

    def _buffer(self) -> _Buffer:
        if self._made < _BUFFERS:
            self._made += 1
            return _Buffer()
        while True:
            buffer = self._settle()
            if buffer is not None:
                return buffer

    def _emit(self, data: Data, buffer: Optional[_Buffer] = None, *more: "Future[None]") -> None:
        self._pending.append(
            (buffer, [*more, self._hash.submit(self._update, data), self._out.submit(self._write, data)])
        )

    def _settle(self) -> Optional[_Buffer]:
        buffer, futures = self._pending.popleft()
        for future in futures:
            future.result()
        return buffer

    def _update(self, data: Data) -> None:
        self._digest.update(data.result() if isinstance(data, Future) else data)

    def _write(self, data: Data) -> None:
        view = memoryview(data.result() if isinstance(data, Future) else data)
        self._written += len(view)
        while view:
            view = view[self._stream.write(view) :]


def _opened(source: Source) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return cast(
        BinaryIO,
        open(os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0)), "rb", buffering=0),
    )


def _update_all(digest: "hashlib._Hash", blocks: "List[memoryview]") -> None:
    for block in blocks:
        digest.update(block)


def _compare(digest: "hashlib._Hash", sha256: str, name: str, source: Source) -> None:
    if digest.hexdigest() != sha256:
        raise SourceChanged(name, source)
