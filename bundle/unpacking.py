"""Unpack a bundle from its archive, a delta included, into a folder that appears only when it is whole.

The bytes go straight from the archive to their places: no second copy lies on the disk at any time. The
work folder ``<bundle>.partial`` is renamed at the end; what a killed run left of it is begun anew.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from . import layout, limits, verify
from .atomic import fsync_directory, fsync_files
from .errors import IntegrityError, SpaceError, UsageProblem
from .hashing import copy_hashed, sha256_file
from .manifest import FileEntry, manifest_digest, parse_manifest
from .reading import BundleReader
from .text import Text, human_size

OnBytes = Callable[[int], None]
PARTIAL = ".partial"
# Folders and blocks: a little more than the files' bytes is needed.
_SLACK_BYTES = 16 * 1024 * 1024


class Bases:
    """Unpacked bundles that a delta may take files from; nothing in them is believed unseen."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Read the manifests of the folders.

        Raises:
            IntegrityError: a manifest is refused.
            UsageProblem: a folder is not an unpacked bundle.
        """
        self.names: List[Text] = []
        self.digests: List[str] = []
        self._places: Dict[Tuple[int, str], Path] = {}
        for folder in folders:
            data = verify.read_capped(folder / layout.MANIFEST, limits.MANIFEST_BYTES)
            if data is None:
                raise UsageProblem(
                    Text("--base가 풀린 번들이 아닙니다", "--base is not an unpacked bundle"),
                    where=f"{folder / layout.MANIFEST}",
                )
            manifest = parse_manifest(data)
            self.digests.append(manifest_digest(data))
            line = f"{folder}: {manifest.version} {manifest.target.name}"
            self.names.append(
                Text(f"{line} 순번 {manifest.sequence}", f"{line} sequence {manifest.sequence}")
            )
            for entry in manifest.files:
                place = folder.joinpath(*entry.path.split("/"))
                self._places.setdefault((entry.size, entry.sha256), place)

    def place(self, entry: FileEntry) -> Optional[Path]:
        """Return where a base should have the bytes of `entry`."""
        return self._places.get((entry.size, entry.sha256))


def unpack(reader: BundleReader, parent: Path, bases: Bases, on_bytes: Optional[OnBytes] = None) -> Path:
    """Unpack into ``parent/<top folder>`` and return it; a whole tree that is there already is only verified.

    Raises:
        IntegrityError: the archive or the base is not what the manifest declares, or the base lacks files.
        SpaceError: the disk has no room, or cannot be written.
        UsageProblem: something else has the folder's name.
    """
    target = parent / reader.top
    work = parent / (reader.top + PARTIAL)
    if os.path.lexists(target):
        _require_same(target, reader)
        return target
    _require_base(reader, bases)
    try:
        _clear(work)
        _require_room(parent, reader, bases)
        work.mkdir(parents=True)
        try:
            _fill(work, reader, bases, on_bytes)
            os.rename(work, target)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        fsync_directory(parent)
    except OSError as error:
        raise _cannot_write(parent, error) from error
    return target


def _fill(work: Path, reader: BundleReader, bases: Bases, on_bytes: Optional[OnBytes]) -> None:
    # The manifest first: by it a later run knows that this folder is one of ours.
    for name in sorted(reader.metadata, key=lambda name: name != layout.MANIFEST):
        write_new(work / name, 0o644, iter([reader.metadata[name]]), None)
    written = [work / name for name in reader.metadata]
    for entry, pieces in reader.files():
        place = _place(work, entry)
        write_new(place, entry.mode, pieces, on_bytes)
        written.append(place)
    for entry in reader.missing:
        place = _place(work, entry)
        _take_over(entry, bases, place, reader)
        written.append(place)
        if on_bytes is not None:
            on_bytes(entry.size)
    fsync_files(written)
    for folder in {
        parent for path in written for parent in path.parents if work in (parent, *parent.parents)
    }:
        fsync_directory(folder)


def _place(work: Path, entry: FileEntry) -> Path:
    """Return the path of a declared file, whose folders this call makes; every one of them is ours."""
    place = work.joinpath(*entry.path.split("/"))
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def write_new(place: Path, mode: int, pieces: Iterator[bytes], on_bytes: Optional[OnBytes]) -> None:
    """Write a file that must not be there yet, piece by piece, with exactly `mode`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(place, flags, mode), "wb", buffering=0) as stream:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[stream.write(view) :]
            if on_bytes is not None:
                on_bytes(len(piece))
        if sys.platform != "win32":
            os.fchmod(stream.fileno(), mode)


def _take_over(entry: FileEntry, bases: Bases, place: Path, reader: BundleReader) -> None:
    """Give a base's file a second name, or copy it, and compare its bytes with the new manifest."""
    source = bases.place(entry)
    if source is None:
        raise _needs_base(reader, bases, [entry])
    try:
        if not _linked(source, place, entry.mode):
            copy_hashed(source, place, entry.mode, (entry.size, entry.sha256))
        elif sha256_file(place) != (entry.size, entry.sha256):
            raise _damaged_base(source, "")
    except IntegrityError as error:
        raise _damaged_base(source, "") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _damaged_base(source, f": {error}") from error


def _linked(source: Path, place: Path, mode: int) -> bool:
    status = source.lstat()
    if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != mode:
        return False
    try:
        os.link(source, place)
    except OSError:
        # Another file system, or one without hard links: copied instead.
        return False
    return True


def _require_base(reader: BundleReader, bases: Bases) -> None:
    """Refuse a base that cannot have all that the delta leaves out, before anything is written."""
    if reader.delta is None:
        return
    files = reader.signed.manifest.files
    absent = [entry for entry in files if bases.place(entry) is None]
    if len(files) - len(absent) < reader.delta.lacks_files:
        raise _needs_base(reader, bases, absent)


def _needs_base(reader: BundleReader, bases: Bases, absent: Sequence[FileEntry]) -> IntegrityError:
    note = reader.delta
    wanted = note.base.text() if note is not None else Text("?", "?")
    given = bases.names or [Text("주어진 기준 번들 없음", "no base was given")]
    shown = ", ".join(entry.path for entry in absent[:3])
    more = " …" if len(absent) > 3 else ""
    return IntegrityError(
        Text(
            f"이 델타에는 기준 번들 {wanted.ko} 또는 전체 번들이 필요합니다",
            f"this delta needs base {wanted.en}, or the full bundle",
        ),
        where=f"{shown}{more}",
        details=given,
        state=Text("아무것도 남기지 않았습니다", "nothing was left behind"),
        hint=Text(
            "--base로 그 번들이 풀린 폴더를 지정하거나(여러 번 가능) 전체 번들을 반입하십시오",
            "give --base the folder where that bundle is unpacked (repeatable), or carry in the full bundle",
        ),
    )


def _damaged_base(source: Path, reason: str) -> IntegrityError:
    return IntegrityError(
        Text(f"기준 번들의 파일이 손상되었습니다{reason}", f"a file of the base is damaged{reason}"),
        where=str(source),
        state=Text("아무것도 남기지 않았습니다", "nothing was left behind"),
        hint=Text(
            "기준 번들을 다시 풀거나 전체 번들을 반입하십시오",
            "unpack the base again, or carry in the full bundle",
        ),
    )


def _require_same(target: Path, reader: BundleReader) -> None:
    problems = ["not a folder"] if not target.is_dir() or target.is_symlink() else []
    if not problems and not verify.check_tree(target, reader.signed):
        return
    raise UsageProblem(
        Text(
            "같은 이름의 폴더가 있고 이 번들과 다릅니다",
            "a folder of that name is there and is not this bundle",
        ),
        where=str(target),
        state=Text("그 폴더는 그대로입니다", "it was left as it is"),
        hint=Text(
            "그 폴더를 옮기거나 --to로 다른 곳을 고르십시오",
            "move it away, or choose another place with --to",
        ),
    )


def _clear(work: Path) -> None:
    """Remove what a killed run left; a folder that no such run can have made is not touched."""
    if not os.path.lexists(work):
        return
    ours = work.is_dir() and not work.is_symlink()
    if ours and any(work.iterdir()) and not (work / layout.MANIFEST).is_file():
        ours = False
    if not ours:
        raise UsageProblem(
            Text("임시 폴더의 이름이 이미 쓰이고 있습니다", "the name of the work folder is taken"),
            where=str(work),
            hint=Text(
                "옮기거나 --to로 다른 곳을 고르십시오", "move it away, or choose another place with --to"
            ),
        )
    shutil.rmtree(work)


def _require_room(parent: Path, reader: BundleReader, bases: Bases) -> None:
    parent.mkdir(parents=True, exist_ok=True)
    device = parent.stat().st_dev
    needed = _SLACK_BYTES + sum(len(data) for data in reader.metadata.values())
    for entry in reader.signed.manifest.files:
        place = bases.place(entry) if reader.delta is not None else None
        if place is None or not place.exists() or place.stat().st_dev != device:
            needed += entry.size
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise SpaceError(
            Text(
                f"공간이 모자랍니다: {human_size(needed)} 필요, {human_size(free)} 남음",
                f"not enough room: {human_size(needed)} needed, {human_size(free)} free",
            ),
            where=str(parent),
            state=Text("아무것도 쓰지 않았습니다", "nothing was written"),
            hint=Text(
                "공간을 비우거나 --to로 다른 곳을 고르십시오", "free space, or choose another place with --to"
            ),
        )


def _cannot_write(parent: Path, error: OSError) -> SpaceError:
    return SpaceError(
        Text("풀 곳에 쓸 수 없습니다", "the place to unpack to cannot be written"),
        where=f"{parent}: {error}",
        state=Text("완성되지 않은 번들은 남지 않습니다", "no unfinished bundle is left"),
        hint=Text(
            "공간을 비우거나 --to로 다른 곳을 고르십시오", "free space, or choose another place with --to"
        ),
    )
