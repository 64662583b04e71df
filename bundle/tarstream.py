"""Read a ``.tar.gz`` as `bundle.archive` writes it, in one pass, from a source that may be hostile.

One gzip member; plain files only, under names and sizes of the header or of a pax record (POSIX.1-2001,
pax interchange format). Links, folders, devices, sparse files, global headers and bytes after the end are
refused. Memory is bounded: the caller decides how many bytes of a member it wants, and compressed data is
expanded a piece at a time.
"""

from __future__ import annotations

import tarfile
import zlib
from typing import Callable, Iterator, NamedTuple, Optional, Tuple

from . import limits
from .errors import IntegrityError
from .text import Text

_BLOCK = tarfile.BLOCKSIZE
_GZIP = 16 + zlib.MAX_WBITS
# GNU tar fills its last record of 20 blocks with zeros; two are the end mark.
_END_BLOCKS = 40


class Member(NamedTuple):
    """One file of the archive: its whole name and its size in bytes."""

    name: str
    size: int


class TarReader:
    """The members of an archive, one after the other; `where` is what errors call the archive."""

    def __init__(self, read: Callable[[int], bytes], where: str) -> None:
        """Begin to read; `read` gives at most so many compressed bytes, and nothing at the end."""
        self._source = read
        self._where = where
        self._inflate = zlib.decompressobj(_GZIP)
        self._ready = memoryview(b"")
        # What is left of the current member, and the padding behind it.
        self._left = 0
        self._padding = 0

    def next(self) -> Optional[Member]:
        """Return the next member, or None at the end, which is then known to be the true end.

        Raises:
            IntegrityError: damaged, truncated, or with something else than a plain file.
        """
        for _ in self.pieces():
            pass
        path: Optional[str] = None
        size: Optional[int] = None
        while True:
            block = self._exactly(_BLOCK)
            if not any(block):
                if path is not None or size is not None:
                    raise self.refusal("an extended header without a file")
                self._finish()
                return None
            header = self._header(block)
            if header.type == tarfile.XHDTYPE and path is None and size is None:
                path, size = self._extended(header.size)
                continue
            if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise self.refusal(f"{header.name!r} is not a plain file")
            self._begin(header.size if size is None else size)
            return Member(header.name if path is None else path, self._left)

    def pieces(self) -> Iterator[bytes]:
        """Yield what is left of the current member.

        Raises:
            IntegrityError: damaged or truncated.
        """
        while self._left:
            piece = self._some(self._left)
            self._left -= len(piece)
            yield piece
        padding, self._padding = self._padding, 0
        if any(self._exactly(padding)):
            raise self.refusal("bytes between two files")

    def content(self, limit: int) -> bytes:
        """Return the whole of the current member.

        Raises:
            IntegrityError: larger than `limit`, damaged or truncated.
        """
        if self._left > limit:
            raise self.refusal("a file is over its size limit")
        return b"".join(self.pieces())

    def refusal(self, reason: str) -> IntegrityError:
        """Return the error that says why this archive is not read further."""
        return IntegrityError(
            Text(f"아카이브를 받아들일 수 없습니다: {reason}", f"the archive is refused: {reason}"),
            where=self._where,
            hint=Text(
                "아카이브를 다시 복사하거나 다시 반입하십시오", "copy the archive again, or carry it in again"
            ),
        )

    def _begin(self, size: int) -> None:
        self._left, self._padding = size, -size % _BLOCK

    def _header(self, block: bytes) -> tarfile.TarInfo:
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise self.refusal(f"a damaged header ({error})") from error
        if not 0 <= header.size <= limits.JSON_INTEGER:
            raise self.refusal("a size out of range")
        return header

    def _extended(self, size: int) -> Tuple[Optional[str], Optional[int]]:
        if size > limits.PAX_BYTES:
            raise self.refusal("an extended header over its size limit")
        self._begin(size)
        data = b"".join(self.pieces())
        records = {}
        while data:
            length, _, _ = data.partition(b" ")
            if not length.isdigit() or len(length) > 5 or not 5 <= int(length) <= len(data):
                raise self.refusal("a malformed extended header")
            record, data = data[len(length) + 1 : int(length)], data[int(length) :]
            key, equals, value = record.partition(b"=")
            if not equals or not value.endswith(b"\n") or key in records or key not in (b"path", b"size"):
                raise self.refusal("an extended header with something else than a path and a size")
            records[key] = value[:-1]
        try:
            path = records[b"path"].decode("utf-8") if b"path" in records else None
        except UnicodeDecodeError as error:
            raise self.refusal("a name that is not UTF-8") from error
        number = records.get(b"size", b"0")
        if not number.isdigit() or len(number) > 16:
            raise self.refusal("a size out of range")
        return path, int(number) if b"size" in records else None

    def _finish(self) -> None:
        """See that nothing follows the end mark: neither in the tar nor behind the gzip member."""
        for _ in range(_END_BLOCKS):
            block = self._upto(_BLOCK)
            if not block:
                break
            if any(block):
                raise self.refusal("bytes after the end of the archive")
        else:
            raise self.refusal("bytes after the end of the archive")
        if self._inflate.unused_data or self._source(1):
            raise self.refusal("bytes after the end of the archive")

    def _exactly(self, count: int) -> bytes:
        data = self._upto(count)
        if len(data) != count:
            raise self.refusal("truncated")
        return data

    def _upto(self, count: int) -> bytes:
        parts = []
        while count:
            part = self._some(count, at_end=True)
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _some(self, most: int, *, at_end: bool = False) -> bytes:
        """Return between 1 and `most` bytes; nothing only where the data may end."""
        while not self._ready:
            if self._inflate.eof:
                if at_end:
                    return b""
                raise self.refusal("truncated")
            data = self._inflate.unconsumed_tail or self._source(limits.CHUNK_BYTES)
            if not data:
                raise self.refusal("truncated")
            try:
                self._ready = memoryview(self._inflate.decompress(data, limits.CHUNK_BYTES))
            except zlib.error as error:
                raise self.refusal(f"damaged ({error})") from error
        piece, self._ready = self._ready[:most], self._ready[most:]
        return bytes(piece)
