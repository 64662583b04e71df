"""The file of a backup: a compressed tar with a header first, the files, and their checksums last.

    BACKUP.json      {"format": "ragtrace-backup", "version": 1, ...}: whether this is for us is known before anything is read
    data/<name>      regular files only
    CHECKSUMS.json   {name: {"size": ..., "sha256": ...}} of every file; without it the archive was cut short

Stock tools can look into it (`tar tzf`). It is read in one pass, member by member; nothing in it chooses where a byte goes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ragtrace.adapters.durable import sync_folder
from ragtrace.errors import BackupProblem
from ragtrace.text import Text

FORMAT, VERSION = "ragtrace-backup", 1
_HEADER, _CHECKSUMS, _DATA = "BACKUP.json", "CHECKSUMS.json", "data/"
_PART = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._@+-]{0,200}")
_SMALL = 64 << 20
_PIECE, _BLOCK = 1 << 20, 1 << 16
_NOTHING = bytes(_BLOCK)


def write(path: Path, root: Path, header: Mapping[str, Any]) -> dict[str, int]:
    """Pack the files below `root` into a new file; return their number and bytes. Raises `BackupProblem`.

    The file gets its name when it is complete and on the disk; it is for its owner only.
    """
    part = path.with_name(f".{path.name}.part")
    sums: dict[str, dict[str, object]] = {}
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            # Level 1: vectors hardly shrink, and the holes of their files vanish at any level.
            with (
                gzip.GzipFile("", "wb", compresslevel=1, fileobj=stream) as packed,
                tarfile.open(fileobj=packed, mode="w|") as archive,
            ):
                facts = {"format": FORMAT, "version": VERSION, "bytes": _total(root), **header}
                _add(archive, _HEADER, json.dumps(facts, ensure_ascii=False).encode())
                for each in sorted(entry for entry in root.rglob("*") if entry.is_file()):
                    name = each.relative_to(root).as_posix()
                    with open(each, "rb") as source:
                        member = tarfile.TarInfo(_DATA + name)
                        member.size = os.fstat(source.fileno()).st_size
                        member.mode, member.mtime = 0o640, int(os.fstat(source.fileno()).st_mtime)
                        hashing = _Hashing(source)
                        archive.addfile(member, hashing)
                    sums[name] = {"size": member.size, "sha256": hashing.digest.hexdigest()}
                _add(archive, _CHECKSUMS, json.dumps(sums).encode())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            os.unlink(part)
        raise BackupProblem(
            Text("백업을 쓸 수 없습니다.", "The backup cannot be written."),
            where=f"{path}: {error.strerror or error}",
            state=Text("데이터는 그대로입니다.", "The data is untouched."),
            hint=Text(
                "권한, 디스크 공간, 같은 이름의 파일을 확인하십시오.",
                "Check permissions, disk space, and whether a file has that name.",
            ),
        ) from error
    return {"files": len(sums), "bytes": path.stat().st_size}


@contextmanager
def opened(path: Path) -> Iterator[tuple[dict[str, Any], tarfile.TarFile]]:
    """Open a backup and read its header. Raises `BackupProblem` where it is none of ours."""
    with _understood(path), open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|gz") as archive:
        first = archive.next()
        header = _json(archive, first) if first is not None and first.name == _HEADER else None
        if header is None or header.get("format") != FORMAT:
            raise foreign(path, "no header")
        if header.get("version") != VERSION:
            raise foreign(path, f"version {header.get('version')}")
        yield header, archive


def extract(path: Path, archive: tarfile.TarFile, header: Mapping[str, Any], target: Path) -> int:
    """Write every file below `target`, an empty folder, and compare all checksums; return the number of files.

    Raises:
        BackupProblem: a name, a kind, a size or a checksum is not what a backup of ours has.
    """
    room = header.get("bytes")
    if type(room) is not int:
        raise foreign(path, "no size")
    found: dict[str, dict[str, object]] = {}
    with _understood(path):
        while True:
            member = archive.next()
            if member is None:
                raise damaged(path, "it ends too early")
            if member.name == _CHECKSUMS:
                if _json(archive, member) != found:
                    raise damaged(path, "checksums differ")
                return len(found)
            name = member.name.removeprefix(_DATA)
            room -= member.size
            if not member.isreg() or name == member.name or not _plain(name) or name in found or room < 0:
                raise damaged(path, f"{member.name[:200]!r} cannot be part of it")
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            source = archive.extractfile(member)
            assert source is not None
            found[name] = {"size": member.size, "sha256": _write(source, place)}


def foreign(path: Path, what: str) -> BackupProblem:
    """Return the error of a file that is no backup of this product, or of another version's."""
    return BackupProblem(
        Text(
            "RAGTrace의 백업이 아니거나 다른 판의 백업입니다.",
            "This is no backup of RAGTrace, or one of another version.",
        ),
        where=f"{path}: {what}",
        state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
        hint=Text("ragtrace backup으로 만든 파일을 주십시오.", "Give a file that ragtrace backup made."),
    )


def damaged(path: Path, what: str) -> BackupProblem:
    """Return the error of a backup whose bytes are not as they were written."""
    return BackupProblem(
        Text("백업이 손상되었습니다.", "The backup is damaged."),
        where=f"{path}: {what}",
        state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
        hint=Text("다른 사본을 쓰십시오.", "Use another copy of it."),
    )


class _Hashing:
    """A file that remembers the digest of what was read."""

    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self._source.read(size)
        self.digest.update(data)
        return data


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, UnicodeError) as error:
        raise damaged(path, str(error)[:200]) from error
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise damaged(path, str(error)[:200]) from error
        raise BackupProblem(
            Text("백업을 읽거나 되돌려 쓸 수 없습니다.", "The backup cannot be read or put back."),
            where=f"{error.filename}: {error.strerror}",
            state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
            hint=Text("권한과 디스크 공간을 확인하십시오.", "Check permissions and disk space."),
        ) from error


def _plain(name: str) -> bool:
    parts = name.split("/")
    return 0 < len(parts) < 12 and all(
        _PART.fullmatch(part) and part not in (".", "..") and len(name) < 1000 for part in parts
    )


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o640
    archive.addfile(member, io.BytesIO(data))


def _json(archive: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any] | None:
    source = archive.extractfile(member) if member.isreg() and member.size <= _SMALL else None
    if source is None:
        return None
    try:
        document = json.loads(source.read())
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _write(source: Any, place: Path) -> str:  # noqa: ANN401 - what tarfile gives
    """Write one file, long runs of zeros as holes, durably; return its digest."""
    digest, size = hashlib.sha256(), 0
    with open(place, "xb") as stream:
        while piece := source.read(_PIECE):
            digest.update(piece)
            for start in range(0, len(piece), _BLOCK):
                block = piece[start : start + _BLOCK]
                if block == _NOTHING[: len(block)]:
                    stream.seek(len(block), os.SEEK_CUR)
                else:
                    stream.write(block)
            size += len(piece)
        stream.truncate(size)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(place, 0o640)
    return digest.hexdigest()


def _total(root: Path) -> int:
    return sum(each.stat().st_size for each in root.rglob("*") if each.is_file())
