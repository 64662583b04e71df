"""Open the ZIP containers of office formats without trusting a size they name; a member's name is a key, never a path.

Structure after APPNOTE.TXT 6.3.10 (PKWARE): §4.3.7 local headers, §4.3.12 central directory, §4.4.5 methods.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator

from ragtrace.errors import ParseProblem
from ragtrace.limits import ZIP_MEMBER_BYTES, ZIP_MEMBERS, ZIP_RATIO, ZIP_RATIO_FROM, ZIP_TOTAL_BYTES
from ragtrace.text import Text

_CENTRAL = b"PK\x01\x02"
_LOCAL = b"PK\x03\x04"
_LOCAL_BYTES = 30
_STEP = 1 << 20
_ENCRYPTED = 0x41  # bit 0: encrypted, bit 6: strong encryption


class GuardedZip:
    """The members of an archive whose directory keeps every cap; each is proved to have its declared size when read."""

    def __init__(self, data: bytes, members: dict[str, zipfile.ZipInfo]) -> None:
        self._data = data
        self._members = members

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the members in the archive's order."""
        return tuple(self._members)

    def __contains__(self, name: object) -> bool:
        """Say whether there is a member of this name."""
        return name in self._members

    def size(self, name: str) -> int:
        """Return the declared size of a member in bytes. Raises `ParseProblem` when it is missing."""
        return self._member(name).file_size

    def read(self, name: str, limit: int = ZIP_MEMBER_BYTES) -> bytes:
        """Return a member's bytes.

        Raises `ParseProblem` when it is missing, encrypted, damaged, or larger than `limit` or than it declares.
        """
        return b"".join(self._pieces(self._member(name), limit))

    def prove(self) -> None:
        """Inflate every member without keeping it; afterwards a library may read the archive without bounds.

        `zipfile`, which such libraries use, inflates a member whole before it cuts it to the declared size.
        Raises `ParseProblem` as `read` does.
        """
        for member in self._members.values():
            for _ in self._pieces(member, ZIP_TOTAL_BYTES):
                pass

    def _member(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._members[name]
        except KeyError:
            raise ParseProblem(
                Text(
                    f"파일 안에 있어야 할 부분이 없습니다: {name}",
                    f"A part is missing inside the file: {name}",
                ),
                hint=Text("원본 프로그램에서 다시 저장해 주십시오.", "Save it again with its program."),
            ) from None

    def _pieces(self, member: zipfile.ZipInfo, limit: int) -> Iterator[bytes]:
        """Yield the content in pieces of bounded size and compare it with the directory at the end."""
        if member.flag_bits & _ENCRYPTED:
            raise encrypted()
        if member.file_size > limit:
            raise _bomb(f"{member.filename}: {member.file_size}")
        size, check = 0, 0
        for piece in self._raw(member):
            size += len(piece)
            if size > member.file_size:
                raise _bomb(member.filename)
            check = zlib.crc32(piece, check)
            yield piece
        if (size, check) != (member.file_size, member.CRC):
            raise damaged(member.filename)

    def _raw(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        packed = self._packed(member)
        if member.compress_type == zipfile.ZIP_STORED or not packed:
            yield bytes(packed)
        elif member.compress_type == zipfile.ZIP_DEFLATED:
            try:
                yield from inflate(packed)
            except zlib.error as error:
                raise damaged(member.filename) from error
        else:
            raise ParseProblem(
                Text(
                    f"지원하지 않는 압축 방식입니다({member.compress_type}).",
                    f"The compression method {member.compress_type} is not supported.",
                ),
                where=member.filename,
            )

    def _packed(self, member: zipfile.ZipInfo) -> memoryview:
        start = member.header_offset
        header = self._data[start : start + _LOCAL_BYTES]
        if len(header) < _LOCAL_BYTES or not header.startswith(_LOCAL):
            raise damaged(member.filename)
        begin = start + _LOCAL_BYTES + int.from_bytes(header[26:28], "little")
        begin += int.from_bytes(header[28:30], "little")
        packed = memoryview(self._data)[begin : begin + member.compress_size]
        if len(packed) != member.compress_size:
            raise damaged(member.filename)
        return packed


def open_zip(data: bytes) -> GuardedZip:
    """Return the archive in `data`.

    Raises `ParseProblem` when it is no ZIP archive, is cut off, or declares too many members, too much content, too high a
    ratio, two members of one name or members that share bytes.
    """
    # Counted before `zipfile` makes an object of each: the signature stands before every entry of the directory.
    if data.count(_CENTRAL) > ZIP_MEMBERS:
        raise _bomb(f"> {ZIP_MEMBERS}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, RuntimeError, ValueError, OverflowError) as error:
        raise damaged(str(error)) from error
    members = {info.filename: info for info in infos}
    if len(members) != len(infos):
        raise damaged("duplicate names")
    _check_sizes(infos, len(data))
    _check_places(infos)
    return GuardedZip(data, members)


def inflate(packed: bytes | memoryview) -> Iterator[bytes]:
    """Yield the content of a raw deflate stream (RFC 1951) in pieces of at most 1 MiB; what follows its end is ignored.

    Raises `zlib.error` when it is damaged or cut off.
    """
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    for begin in range(0, len(packed), _STEP):
        waiting: bytes | memoryview = packed[begin : begin + _STEP]
        while True:
            piece = engine.decompress(waiting, _STEP)
            if piece:
                yield piece
            if engine.eof:
                return
            waiting = engine.unconsumed_tail
            if not waiting and len(piece) < _STEP:
                break
    raise zlib.error("cut off")


def encrypted() -> ParseProblem:
    """Return the problem of a document that asks for a password."""
    return ParseProblem(
        Text("암호가 걸린 문서입니다.", "The document is protected by a password."),
        state=Text("내용을 읽지 않았습니다.", "Nothing of it was read."),
        hint=Text("암호를 풀어 저장한 파일을 넣어 주십시오.", "Save it without the password."),
    )


def damaged(part: str = "") -> ParseProblem:
    """Return the problem of a container that is cut off or damaged; `part` says where."""
    return ParseProblem(
        Text("파일이 손상되었거나 잘렸습니다.", "The file is damaged or cut off."),
        where=part,
        hint=Text(
            "원본을 다시 복사하거나 다시 저장해 주십시오.", "Copy the original again, or save it again."
        ),
    )


def _check_sizes(infos: list[zipfile.ZipInfo], size: int) -> None:
    total = sum(info.file_size for info in infos)
    if total > ZIP_TOTAL_BYTES:
        raise _bomb(f"{total} > {ZIP_TOTAL_BYTES}")
    if total > ZIP_RATIO_FROM and total > ZIP_RATIO * size:
        raise _bomb(f"{total} : {size}")
    for info in infos:
        if info.file_size > ZIP_RATIO_FROM and info.file_size > ZIP_RATIO * info.compress_size:
            raise _bomb(f"{info.filename}: {info.file_size} : {info.compress_size}")


def _check_places(infos: list[zipfile.ZipInfo]) -> None:
    """Refuse members that share bytes, by which a small archive declares a small packed size many times over."""
    end = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        if info.header_offset < end:
            raise _bomb(info.filename)
        end = info.header_offset + _LOCAL_BYTES + info.compress_size


def _bomb(part: str) -> ParseProblem:
    return ParseProblem(
        Text(
            "압축을 풀면 지나치게 커지는 파일이라 열지 않았습니다.",
            "It would unpack to an absurd size, so it was not opened.",
        ),
        where=part,
        hint=Text(
            "그림이나 빈 칸을 줄이거나 나누어 저장해 주십시오.",
            "Save it in parts, or with fewer pictures and empty cells.",
        ),
    )
