"""Snapshots of `data/` around a change of its format, and putting them back - safe to kill at any instant.

    <prefix>/snapshots/<generation that used the data>.<transaction>/
        tree/            everything in data/ but logs and caches; bytes, names, owners and permissions as they were
        SNAPSHOT.json    sealed, written last: without it the folder is a leftover
    <prefix>/state/data.json    while data/ is being changed: what to do if the change does not end

The note says how far things got; with the pointer it decides what the data must be:

    begun      nothing was changed yet
    changing   a migration or a restore is at work: the snapshot is put back
    changed    it ended: right for the release it was made for, else the snapshot is put back
    clearing   the snapshot was found intact and is being put back: data/ is emptied
    filling    data/ was empty and is filled from the snapshot, entry by entry

The snapshot is moved back, not copied, where the file systems allow: a full disk does not stand in the way.
"""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Optional

from bundle.atomic import fsync_directory, fsync_files, write_atomic
from bundle.errors import RagTraceError, RecoveryNeededError
from bundle.manifest import DataFormat, Manifest
from bundle.text import Text, human_size

from . import dataformat, sealed, treecopy
from . import pointer as pointers
from .dataformat import PASSING, DataState
from .filesystem import make_directory, remove_file, remove_tree
from .paths import GENERATION_NAME, Prefix, release_of
from .pointer import Pointer
from .service import manifest_of
from .treecopy import Entry

RECORD = "SNAPSHOT.json"
TREE = "tree"
# In the place of a generation: the data were there before anything of ours was.
NOBODY = "none"
FOLDER_MODE = 0o700


class Moving(OSError):
    """The data changed while they were copied: somebody still writes to them."""


@dataclass(frozen=True)
class Snapshot:
    """A complete snapshot: the generation that used the data, their format (see `version_of`), when it was
    taken, the transaction that took it, the owner and permissions of the folder itself, and every path."""

    name: str
    generation: str
    version: int
    created: str
    transaction: str
    root: Entry
    entries: tuple[Entry, ...]

    @property
    def bytes(self) -> int:
        """Bytes of its files."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True)
class Note:
    """What is being done to the data: for which release (`target`), after which snapshot, and how far it got."""

    transaction: str
    target: str
    snapshot: str
    phase: str
    time_ns: int = 0


def name_for(generation: str, transaction: str) -> str:
    """Return the name of the snapshot that a transaction takes."""
    return f"{generation or NOBODY}.{transaction[:8]}"


def generation_in(name: str) -> str:
    """Return the generation in a snapshot's name, nothing for `NOBODY`.

    Raises:
        ValueError: it is no snapshot's name, so it may not become part of a path.
    """
    generation, _, transaction = name.rpartition(".")
    if not transaction.isalnum() or not (generation == NOBODY or GENERATION_NAME.match(generation)):
        raise ValueError(f"not a snapshot's name: {name!r}")
    return "" if generation == NOBODY else generation


def folder_of(prefix: Prefix, name: str) -> Path:
    """Return a snapshot's folder."""
    generation_in(name)
    return prefix.snapshots / name


def version_of(data: DataState) -> int:
    """Return what a snapshot says of its data: their format, 0 for none yet, -1 for one that cannot be told."""
    return -1 if data.problem else data.version or 0


# Taking one


def take(
    prefix: Prefix,
    name: str,
    version: int,
    transaction: str,
    on_bytes: Optional[Callable[[int], None]] = None,
) -> Snapshot:
    """Copy the data, make the copy durable, and seal it.

    Nobody may be writing to them: the service is stopped.

    Raises:
        Moving: somebody is; what was copied is of no use.
        OSError: reading or writing failed.
    """
    folder = folder_of(prefix, name)
    remove(prefix, name)
    for path in (prefix.snapshots, folder, folder / TREE):
        make_directory(path, FOLDER_MODE)
    if not os.path.lexists(prefix.data):
        make_directory(prefix.data, 0o750)
    status = prefix.data.lstat()
    root = Entry("", status.st_mode & 0o7777, status.st_uid, status.st_gid)
    entries = treecopy.copy_tree(prefix.data, folder / TREE, PASSING, on_bytes)
    moved, _ = treecopy.changes(prefix.data, entries, PASSING)
    if moved:
        raise Moving(errno.EBUSY, "the data changed while they were copied", str(prefix.data))
    _synchronise(folder / TREE, entries)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    made = Snapshot(name, generation_in(name), version, created, transaction, root, tuple(entries))
    write_atomic(folder / RECORD, encode(made), 0o600)
    fsync_files([prefix.snapshots, prefix.root])
    return made


def _synchronise(tree: Path, entries: list[Entry]) -> None:
    files = [tree / entry.path for entry in entries if entry.is_file]
    folders = [tree / entry.path for entry in entries if not entry.is_file and entry.target is None]
    fsync_files(files)
    fsync_files([*folders, tree, tree.parent])


def encode(snapshot: Snapshot) -> bytes:
    """Return the bytes of a snapshot's record. Names need not be Unicode, so they are written in ASCII."""
    entries: list[dict[str, Any]] = []
    for entry in (snapshot.root, *snapshot.entries):
        item = {key: value for key, value in vars(entry).items() if value not in ("", 0, None)}
        item.update(path=json.dumps(entry.path))
        if entry.target is not None:
            item.update(target=json.dumps(entry.target))
        entries.append(item)
    return sealed.seal(
        {
            "format": 1,
            "generation": snapshot.generation,
            "version": snapshot.version,
            "created": snapshot.created,
            "transaction": snapshot.transaction,
            "entries": entries,
        }
    )


def decode(name: str, data: bytes) -> Snapshot:
    """Read a snapshot's record.

    Raises:
        sealed.Damaged: it is not what was written.
    """
    document = sealed.unseal(data)
    try:
        entries = [_entry(item) for item in document["entries"]]
        return Snapshot(
            name=name,
            generation=str(document["generation"]),
            version=int(document["version"]),
            created=str(document["created"]),
            transaction=str(document["transaction"]),
            root=entries[0],
            entries=tuple(entries[1:]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise sealed.Damaged(f"field missing: {error}") from error


def _entry(item: dict[str, Any]) -> Entry:
    target = item.get("target")
    return Entry(
        path=str(json.loads(item["path"])),
        mode=int(item.get("mode", 0)),
        uid=int(item.get("uid", 0)),
        gid=int(item.get("gid", 0)),
        size=int(item.get("size", 0)),
        sha256=str(item.get("sha256", "")),
        mtime_ns=int(item.get("mtime_ns", 0)),
        target=None if target is None else str(json.loads(target)),
    )


def read(prefix: Prefix, name: str) -> Optional[Snapshot]:
    """Return a snapshot, None where it is not complete (or not any more).

    Raises:
        OSError: it cannot be read.
    """
    try:
        return decode(name, (folder_of(prefix, name) / RECORD).read_bytes())
    except (FileNotFoundError, NotADirectoryError, sealed.Damaged):
        return None


# Which there are


def names(prefix: Prefix) -> list[str]:
    """Return the names of the folders that are snapshots or were to become some."""
    try:
        found = os.listdir(prefix.snapshots)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if _is_name(name))


def _is_name(name: str) -> bool:
    try:
        generation_in(name)
    except ValueError:
        return False
    return True


def kept(prefix: Prefix) -> list[Snapshot]:
    """Return the complete snapshots, newest first."""
    found = [snapshot for snapshot in (read(prefix, name) for name in names(prefix)) if snapshot is not None]
    return sorted(found, key=lambda one: (one.created, one.name), reverse=True)


def fitting(prefix: Prefix, generation: str, version: int) -> Optional[Snapshot]:
    """Return the snapshot to go back to a release with: data of its format, its own before those of others."""
    found = [one for one in kept(prefix) if one.version in (version, 0)]
    own = [one for one in found if release_of(one.generation) == release_of(generation)]
    return next(iter([*own, *found]), None)


def remove(prefix: Prefix, name: str) -> None:
    """Remove a snapshot, its record first: what is left in between is a leftover."""
    folder = folder_of(prefix, name)
    remove_file(folder / RECORD)
    if folder.exists():
        treecopy.clear(folder)
    remove_tree(folder)


def superfluous(prefix: Prefix, pointer: Pointer) -> list[str]:
    """Return the snapshots of releases that the pointer does not keep, and all but the newest of each release."""
    keep: set[str] = set()
    seen: set[str] = set()
    releases = {release_of(name) for name in pointer.kept}
    for one in kept(prefix):
        release = release_of(one.generation)
        if release in releases and release not in seen:
            seen.add(release)
            keep.add(one.name)
    return [name for name in names(prefix) if name not in keep]


def collect(prefix: Prefix, pointer: Pointer) -> list[str]:
    """Remove what is superfluous and return it. Only after success: the data are right as they are."""
    removed = superfluous(prefix, pointer)
    for name in removed:
        remove(prefix, name)
    _remove_empty(prefix)
    return removed


def _remove_empty(prefix: Prefix) -> None:
    try:
        os.rmdir(prefix.snapshots)
    except OSError:
        return


# The note


def read_note(prefix: Prefix) -> Optional[Note]:
    """Return what was being done to the data, None where nothing was.

    Raises:
        RecoveryNeededError: there is a note that cannot be read; written atomically, it is a disk's damage.
    """
    try:
        document = sealed.unseal(prefix.data_note.read_bytes())
        return Note(
            transaction=str(document["transaction"]),
            target=str(document["target"]),
            snapshot=str(document["snapshot"]),
            phase=str(document["phase"]),
            time_ns=int(document["time_ns"]),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (sealed.Damaged, KeyError, TypeError, ValueError) as error:
        raise _unsafe(prefix, prefix.data_note, str(error)) from error


def write_note(prefix: Prefix, note: Note, phase: str) -> Note:
    """Write how far things got, durably, and return the note."""
    made = replace(note, phase=phase, time_ns=time.time_ns())
    write_atomic(prefix.data_note, sealed.seal({"format": 1, **vars(made)}), 0o600)
    return made


def _unsafe(prefix: Prefix, where: Path, why: str) -> RecoveryNeededError:
    return RecoveryNeededError(
        Text(f"데이터를 되돌릴 수 없습니다: {why}", f"the data cannot be put back: {why}"),
        where=str(where),
        state=Text(
            f"데이터는 {prefix.data}에, 스냅숏은 {prefix.snapshots}에 그대로 있습니다",
            f"the data lies untouched in {prefix.data}, the snapshots in {prefix.snapshots}",
        ),
        hint=Text(
            f"디스크를 점검하고, 데이터를 직접 되돌린 뒤 {prefix.data_note}을(를) 지우고 다시 실행하십시오",
            f"check the disk, put the data right by hand, remove {prefix.data_note}, then run again",
        ),
    )


# Putting one back


def put_back(prefix: Prefix, note: Note) -> None:
    """Make `data/` exactly what the note's snapshot holds, and use the snapshot up.

    Nobody may be writing to the data. Interrupted, it goes on where it was when it is called with the note that
    is then on disk.

    Raises:
        RecoveryNeededError: the snapshot is not what was taken; nothing was changed.
        OSError: the disk does not do what it should.
    """
    taken = read(prefix, note.snapshot)
    if note.phase not in ("clearing", "filling"):
        note = write_note(prefix, note, "clearing") if _intact(prefix, taken, note) else note
    if taken is not None:
        if note.phase == "clearing":
            close(prefix)
            treecopy.clear(prefix.data, PASSING)
            fsync_directory(prefix.data)
            note = write_note(prefix, note, "filling")
        _fill(prefix, taken)
        open_again(prefix, taken.root)
        # From here on the data are right; the record goes first, so that nobody takes what is left for a snapshot.
        remove_file(folder_of(prefix, taken.name) / RECORD)
    remove_file(prefix.data_note)
    remove(prefix, note.snapshot)
    _remove_empty(prefix)


def _intact(prefix: Prefix, taken: Optional[Snapshot], note: Note) -> bool:
    """Compare every byte of the snapshot with its record before the data are given up for it."""
    folder = folder_of(prefix, note.snapshot)
    if taken is None:
        raise _unsafe(prefix, folder, "snapshot missing")
    if tuple(treecopy.read_tree(folder / TREE)) != taken.entries:
        raise _unsafe(prefix, folder, "snapshot differs from its record")
    return True


def close(prefix: Prefix) -> None:
    """Keep everybody else out of the data while they are replaced: a program that was forgotten, or a user who
    would put a link where root is about to write."""
    status = prefix.data.lstat()
    if os.name == "posix" and os.geteuid() == 0 and (status.st_uid, status.st_gid) != (0, 0):
        os.chown(prefix.data, 0, 0, follow_symlinks=False)
    os.chmod(prefix.data, FOLDER_MODE)


def open_again(prefix: Prefix, root: Entry) -> None:
    """Give the folder back to its owner."""
    treecopy.dress(prefix.data, root)
    fsync_directory(prefix.data)


def _fill(prefix: Prefix, taken: Snapshot) -> None:
    """Move what is not moved yet; where the file systems differ, copy it and compare."""
    tree = folder_of(prefix, taken.name) / TREE
    for entry in taken.entries:
        if "/" in entry.path:
            continue
        source, goal = tree / entry.path, prefix.data / entry.path
        if os.path.lexists(source):
            try:
                _move(source, goal)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                fill_copy(prefix, taken)
                return
        elif not os.path.lexists(goal):
            raise _unsafe(prefix, tree, f"missing: {entry.path}")
        treecopy.dress(goal, entry)
    fsync_directory(prefix.data)


def _move(source: Path, goal: Path) -> None:
    try:
        os.rename(source, goal)
    except PermissionError:
        # Whoever is not root can only move a folder that he may write to.
        os.chmod(source, FOLDER_MODE)
        os.rename(source, goal)


def fill_copy(prefix: Prefix, taken: Snapshot, on_bytes: Optional[Callable[[int], None]] = None) -> None:
    """Copy a snapshot into `data/`, which is closed; the snapshot stays.

    Raises:
        RecoveryNeededError: what was copied is not what was taken.
    """
    treecopy.clear(prefix.data, PASSING)
    copied = treecopy.copy_tree(folder_of(prefix, taken.name) / TREE, prefix.data, (), on_bytes)
    if tuple(copied) != taken.entries:
        raise _unsafe(prefix, folder_of(prefix, taken.name), "snapshot differs from its record")
    _synchronise(prefix.data, copied)


# After a kill


def recover(prefix: Prefix, pointer: Optional[Pointer], stop: Callable[[], None]) -> list[Text]:
    """Make the data fit the release that the pointer names, as `recover()` has chosen it, and remove leftovers.

    Args:
        prefix: the installation; its lock is held.
        pointer: the release that is to run.
        stop: ends the service; called before anything is put back.

    Raises:
        RecoveryNeededError: the snapshot that is needed is missing or damaged; nothing was changed.
    """
    note = read_note(prefix)
    actions = [] if note is None else _resume(prefix, note, pointer, stop)
    for name in names(prefix):
        if read(prefix, name) is None:
            remove(prefix, name)
            actions.append(Text(f"미완성 스냅숏 {name} 제거", f"removed the unfinished snapshot {name}"))
    if not names(prefix):
        _remove_empty(prefix)
    return actions


def _resume(prefix: Prefix, note: Note, pointer: Optional[Pointer], stop: Callable[[], None]) -> list[Text]:
    chosen = pointer.generation if pointer is not None else ""
    if note.phase == "begun":
        remove(prefix, note.snapshot)
        remove_file(prefix.data_note)
        return [Text("데이터는 바뀌지 않았습니다", "the data had not been changed")]
    if note.phase == "changed" and chosen == note.target:
        remove_file(prefix.data_note)
        return [Text("바뀐 데이터를 확정했습니다", "kept the data that were changed")]
    stop()
    actions = []
    if note.phase == "changed" and treecopy.newest(prefix.data, PASSING) > note.time_ns:
        # The release that gives way may have served for weeks before anybody ran the installer again.
        aside = name_for(note.target, note.transaction)
        take(prefix, aside, version_of(dataformat.read(prefix)), note.transaction)
        actions.append(
            Text(f"더 새 데이터를 스냅숏 {aside}에 보관했습니다", f"kept the newer data as snapshot {aside}")
        )
    put_back(prefix, note)
    return [*actions, Text("이전 데이터를 되돌렸습니다", "put the earlier data back")]


def settle(prefix: Prefix) -> None:
    """After success: the data are right as they are; drop the note and the snapshots of nobody."""
    if read_note(prefix) is None:
        return
    remove_file(prefix.data_note)
    pointer = pointers.read(prefix)
    if pointer is not None:
        collect(prefix, pointer)


# For plan and policy


def survey(prefix: Prefix, manifest: Manifest, pointer: Optional[Pointer]) -> DataState:
    """Return the data as plan and policy see them; they are counted where a release will need a snapshot."""
    found = dataformat.read(prefix)
    active = None if pointer is None else _declared(prefix, pointer.generation)
    found = replace(found, before=None if active is None else active.version)
    if dataformat.course(found, dataformat.declared_by(manifest, found)) != "migrate":
        return found
    return counted(prefix, found)


def counted(prefix: Prefix, data: DataState) -> DataState:
    """Return the data with their files counted."""
    files, size, odd = treecopy.measure(prefix.data, PASSING)
    return replace(data, files=files, bytes=size, odd=odd)


def _declared(prefix: Prefix, generation: str) -> Optional[DataFormat]:
    try:
        spec = manifest_of(prefix, generation).service
    except (OSError, RagTraceError):
        # Damaged: somebody else's finding.
        return None
    return None if spec is None else spec.data


# For people


def losses(prefix: Prefix, taken: Snapshot) -> Text:
    """Return from when a snapshot is, and what has changed since."""
    count, size = treecopy.changes(prefix.data, taken.entries, PASSING)
    amount = human_size(size)
    return Text(
        f"스냅숏 {taken.name}: {taken.created}에 만듦, 형식 {taken.version}, {human_size(taken.bytes)}. "
        f"그 뒤 바뀐 파일 {count}개({amount})는 이 스냅숏에 없습니다",
        f"snapshot {taken.name}: taken {taken.created}, format {taken.version}, {human_size(taken.bytes)}. "
        f"{count} file(s) changed since ({amount}) are not in it",
    )
