"""Malformed ZIP files made from sound ones: one change of the bytes each, the end record kept true."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from tests.support.wheels import wheel_bytes

NAME = "pkg-1.0-py3-none-any.whl"
INFO = "pkg-1.0.dist-info"
FILE = "pkg/__init__.py"


def sound() -> bytes:
    return wheel_bytes("pkg", "1.0")


def central(data: bytes, name: str = FILE) -> int:
    """Return where the directory's entry of `name` begins."""
    return data.index(name.encode(), directory(data)) - 46


def directory(data: bytes) -> int:
    return int(struct.unpack_from("<L", data, len(data) - 6)[0])


def patched(data: bytes, offset: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, value)
    return bytes(changed)


def in_directory(field: int, form: str, value: int) -> bytes:
    """Change one field of the file's entry in the directory only."""
    data = sound()
    return patched(data, central(data) + field, form, value)


def in_header(field: int, form: str, value: int) -> bytes:
    """Change one field of the file's own header only."""
    data = sound()
    offset = struct.unpack_from("<L", data, central(data) + 42)[0]
    return patched(data, offset + field, form, value)


def everywhere(field: int, own: int, form: str, value: int) -> bytes:
    """Change a field in the directory and in the file's own header."""
    data = in_directory(field, form, value)
    offset = struct.unpack_from("<L", data, central(data) + 42)[0]
    return patched(data, offset + own, form, value)


def inserted(data: bytes, place: int, piece: bytes) -> bytes:
    """Insert bytes before the directory and correct what points behind them."""
    begin = directory(data)
    changed = bytearray(data[:place] + piece + data[place:])
    struct.pack_into("<L", changed, len(changed) - 6, begin + len(piece))
    position = begin + len(piece)
    while changed[position : position + 4] == b"PK\x01\x02":
        offset = struct.unpack_from("<L", changed, position + 42)[0]
        if offset >= place:
            struct.pack_into("<L", changed, position + 42, offset + len(piece))
        position += 46 + sum(struct.unpack_from("<3H", changed, position + 28))
    return bytes(changed)


def prepended() -> bytes:
    """A script before the archive, every offset corrected: `zipfile` and `unzip` read it."""
    return inserted(sound(), 0, b"#!/bin/sh\nexit\n")


def between() -> bytes:
    data = sound()
    return inserted(data, directory(data), b"hidden")


def overlapping() -> bytes:
    """Two directory entries whose members share their bytes."""
    data = sound()
    first, second = central(data), central(data, f"{INFO}/METADATA")
    (offset,) = struct.unpack_from("<L", data, first + 42)
    return patched(data, second + 42, "<L", offset + 1)


def comment(text: bytes) -> bytes:
    data = sound()
    return patched(data, len(data) - 2, "<H", len(text)) + text


def second_end_record() -> bytes:
    """A comment that is itself a whole, empty archive."""
    return comment(b"PK\x05\x06" + bytes(18))


def zip64_contradiction() -> bytes:
    """ZIP64 records that say something else than the end record, which needs none."""
    data = sound()
    end = len(data) - 22
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 60, directory(data))
    return data[:end] + wide + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1) + data[end:]


def packed_longer_than_declared() -> bytes:
    """A stream that goes on after the declared size: `zipfile` stops silently, others do not."""
    data = sound()
    entry = central(data)
    offset = struct.unpack_from("<L", data, entry + 42)[0]
    text = b"VERSION"
    changed = patched(patched(data, entry + 24, "<L", len(text)), offset + 22, "<L", len(text))
    crc = zlib.crc32(text)
    return patched(patched(changed, entry + 16, "<L", crc), offset + 14, "<L", crc)


def duplicate() -> bytes:
    buffer = io.BytesIO(sound())
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo(FILE)
        archive.fp.seek(archive.start_dir)  # type: ignore[union-attr]
        archive.NameToInfo.pop(FILE)
        archive.writestr(info, "evil = True\n")
    return buffer.getvalue()


def link() -> bytes:
    buffer = io.BytesIO(sound())
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("pkg/link")
        info.create_system = 3
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def renamed(name: str) -> bytes:
    """Give the file another name of the same length in directory and header."""
    assert len(name.encode()) == len(FILE)
    return sound().replace(FILE.encode(), name.encode())


def unicode_path() -> bytes:
    """A second name for a member, in an extra field."""
    buffer = io.BytesIO(sound())
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("pkg/a.py")
        path = b"\x01" + struct.pack("<L", zlib.crc32(b"pkg/a.py")) + b"pkg/b.py"
        info.extra = struct.pack("<2H", 0x7075, len(path)) + path
        archive.writestr(info, "")
    return buffer.getvalue()


def streamed() -> bytes:
    """The sound wheel as a writer makes it that cannot seek: with data descriptors."""
    source = zipfile.ZipFile(io.BytesIO(sound()))

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            piece = bytes(data)  # type: ignore[call-overload]
            self.data += piece
            return len(piece)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for info in source.infolist():
            archive.writestr(zipfile.ZipInfo(info.filename), source.read(info), zipfile.ZIP_DEFLATED)
    return pipe.data


def forced_zip64() -> bytes:
    """The sound wheel with ZIP64 sizes in every header, as some writers always do."""
    source = zipfile.ZipFile(io.BytesIO(sound()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for info in source.infolist():
            with archive.open(zipfile.ZipInfo(info.filename), "w", force_zip64=True) as stream:
                stream.write(source.read(info))
    return buffer.getvalue()
