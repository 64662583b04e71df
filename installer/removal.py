"""What an uninstall takes away and what it leaves: surveyed, carried out, and finished after a crash.

Only what the installer made goes: what receipts list, and the names it gives to its own files. Everything else
is foreign and stays, with the folders that hold it. Links are never followed, other file systems never entered.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Iterator, List, Optional, Set, Tuple

from bundle import chainlog
from bundle.atomic import fsync_directory, write_atomic
from bundle.text import Text

from . import accepted, audit, inventory, receipt, sealed, snapshot, usage
from .filesystem import remove_file, remove_tree
from .paths import GENERATION_NAME, Prefix
from .provision import undo_note
from .state import generation_names

# What is left of a release folder that holds foreign files gets this ending: a folder with a release's name and
# without a receipt would be taken for an unfinished release, and cleared away.
FOREIGN = ".foreign"
TOOLS = "tools"
_OBJECT = re.compile(r"[0-9a-f]{64}\Z")
_SHARD = re.compile(r"[0-9a-f]{2}\Z")
_LEFTOVER = re.compile(r"\..+\.new\Z")
_KEPT_FOLDERS = ("data", "config", "trust")


@dataclass(frozen=True)
class Item:
    """One thing that goes or stays: its path below the prefix, what it is, the bytes it takes."""

    path: str
    what: Text
    bytes: int
    files: int = 1


@dataclass(frozen=True)
class Removal:
    """What an uninstall would do: the very lists that ``--dry-run`` prints."""

    going: Tuple[Item, ...]
    staying: Tuple[Item, ...]
    foreign: Tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Bytes that come free."""
        return sum(item.bytes for item in self.going)

    @property
    def files(self) -> int:
        """Files and folders that go, about."""
        return sum(item.files for item in self.going)


@dataclass(frozen=True)
class Marker:
    """`state/uninstall.json`. Beside a pointer: the uninstall has not happened and is taken back. Without one:
    it has, and is finished. `whole` is false where an earlier run could not be put right before: then the data
    snapshots stay, and the notes from which the data and configuration that stay can still be put right."""

    transaction: str
    generation: str
    purge: bool
    whole: bool = True


def write_marker(prefix: Prefix, marker: Marker) -> None:
    """Note that an uninstall begins."""
    write_atomic(prefix.uninstalling, sealed.seal({"format": 1, **vars(marker)}), 0o644)


def read_marker(prefix: Prefix) -> Optional[Marker]:
    """Return the marker, None where no uninstall has begun. One that cannot be read keeps all it can."""
    try:
        document = sealed.unseal(prefix.uninstalling.read_bytes())
        return Marker(
            str(document["transaction"]),
            str(document["generation"]),
            bool(document["purge"]),
            bool(document["whole"]),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (sealed.Damaged, KeyError):
        return Marker("", "", purge=False, whole=False)


def resume(prefix: Prefix) -> List[Text]:
    """Called by recovery: take back an uninstall that did not get past its commit point, finish one that did."""
    marker = read_marker(prefix)
    if marker is None:
        return []
    if os.path.lexists(prefix.pointer):
        remove_file(prefix.uninstalling)
        return [Text("시작하지 못한 제거를 취소했습니다", "took back an uninstall that had not happened")]
    finish(prefix, marker)
    return [Text("중단된 제거를 마쳤습니다", "finished an uninstall that had been cut short")]


def finish(prefix: Prefix, marker: Marker) -> None:
    """Remove everything but the lock that is held; the marker goes last. Whatever is gone already is no error."""
    carry_out(prefix, marker)
    if not marker.purge and marker.generation:
        audit.record(prefix, "uninstall", "ok", **{"from": marker.generation})
    remove_file(prefix.uninstalling)


def leave(prefix: Prefix) -> None:
    """Remove the lock and the folders that are empty now; nothing of ours comes after this."""
    _unlink(prefix.lock)
    for folder in (prefix.state, prefix.trust, prefix.root):
        _remove_empty(folder)


def installed(prefix: Prefix) -> bool:
    """Return whether there is anything of an installation, be it half of one; what an uninstall has left does
    not count."""
    if os.path.lexists(prefix.pointer) or generation_names(prefix) or any(_store_objects(prefix)):
        return True
    if any(os.path.lexists(prefix.state / name) for name in inventory.STATE if not _survives(name)):
        return True
    # An uninstall that was killed between its last two steps.
    empty = prefix.state.is_dir() and not inventory.names(prefix.state)
    return empty and set(inventory.names(prefix.root)) <= inventory.TOP


def left_over(prefix: Prefix) -> bool:
    """Return whether an uninstall has left its record here, and with it data, configuration or trust."""
    return prefix.audit.is_file() and not prefix.audit.is_symlink()


def left_behind(prefix: Prefix) -> List[str]:
    """Return the folders that an uninstall leaves and that are here."""
    return [name for name in _KEPT_FOLDERS if os.path.lexists(prefix.root / name)]


def _survives(name: str) -> bool:
    """Return whether a file of `state/` stays: the audit log, and what was rotated out of it."""
    return chainlog.owns(name)


# --- survey -----------------------------------------------------------------------------------------------


def survey(prefix: Prefix, purge: bool) -> Removal:
    """Look at everything below the prefix and say what would go and what would stay; change nothing."""
    seen: Set[usage.Inode] = set()
    going: List[Item] = []
    foreign: List[str] = []
    for name in generation_names(prefix):
        ours, others = split(prefix.generation(name))
        foreign += [f"generations/{name}/{path}" for path in others]
        folder = prefix.generation(name)
        size = sum(_own_bytes(path, seen) for path in (folder, *(folder / path for path in ours)))
        going.append(Item(f"generations/{name}", Text("릴리스", "release"), size, len(ours)))
    objects = list(_store_objects(prefix))
    if prefix.store.is_dir():
        size = sum(_own_bytes(path, seen) for path in objects)
        going.append(Item("store", Text("공유 저장소", "shared store"), size, len(objects)))
    for path in (prefix.pointer, prefix.link, prefix.link_note):
        if os.path.lexists(path) and (path != prefix.link or path.is_symlink()):
            going.append(
                Item(
                    path.name,
                    Text("현재 릴리스 포인터", "pointer to the active release"),
                    _own_bytes(path, seen),
                )
            )
    for name in _extras(prefix):
        going.append(Item(name, Text("스냅숏", "snapshots"), usage.size([prefix.root / name], seen)))
    state = usage.size([path for path in _state_files(prefix) if not _survives(path.name)], seen)
    going.append(Item("state", Text("설치기의 상태", "the installer's state"), state))
    staying = _keepsakes(prefix, seen, purge)
    foreign += sorted(_foreign(prefix, set(objects)))
    lists = (going, staying) if not purge else ([*going, *staying], [])
    return Removal(tuple(lists[0]), tuple(lists[1]), tuple(foreign))


def _keepsakes(prefix: Prefix, seen: Set[usage.Inode], purge: bool) -> List[Item]:
    names = {
        "data": Text("데이터 (문서, 색인, 로그)", "data (documents, index, logs)"),
        "config": Text("설정", "configuration"),
        "trust": Text("신뢰하는 서명자와 최고 순번", "pinned signers and the highest sequence"),
    }
    items = []
    for name, what in names.items():
        place = prefix.root / name
        if os.path.lexists(place):
            if place.is_symlink() and purge:
                target = os.readlink(place)
                what = Text(
                    f"{what.ko}: 링크만, {target}은 남음", f"{what.en}: the link only, {target} stays"
                )
            count = sum(1 for _ in usage.statuses(place))
            items.append(Item(name, what, usage.size([place], seen), count))
    kept = [path for path in _state_files(prefix) if _survives(path.name)]
    items += [
        Item(f"state/{path.name}", Text("감사 기록", "audit log"), usage.size([path], seen)) for path in kept
    ]
    return items


def _own_bytes(path: Path, seen: Set[usage.Inode]) -> int:
    """Return the bytes of one path alone, not of what lies below it."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return 0
    seen.add(key)
    return usage.allocated(status)


def _foreign(prefix: Prefix, objects: Set[Path]) -> Iterator[str]:
    """Yield what no name of ours accounts for, outside of the releases and of what belongs to others anyway."""
    root = prefix.root
    known_state = {path.name for path in _state_files(prefix)}
    rooms = (
        (root, lambda name: name in inventory.TOP or bool(_LEFTOVER.match(name))),
        (prefix.state, lambda name: name in known_state or name == prefix.scratch.name),
        (prefix.trust, lambda name: name in inventory.TRUST or bool(_LEFTOVER.match(name))),
        (prefix.generations, lambda name: bool(GENERATION_NAME.match(name))),
        (root / "store", lambda name: name == prefix.store.name),
        (prefix.store, lambda name: bool(_SHARD.match(name))),
    )
    for folder, ours in rooms:
        for name in inventory.names(folder):
            if not ours(name):
                yield (folder / name).relative_to(root).as_posix()
    for shard in inventory.names(prefix.store):
        for name in inventory.names(prefix.store / shard):
            if _SHARD.match(shard) and prefix.store / shard / name not in objects:
                yield f"store/{prefix.store.name}/{shard}/{name}"
    if os.path.lexists(prefix.link) and not prefix.link.is_symlink():
        yield prefix.link.name


def split(folder: Path) -> Tuple[List[str], List[str]]:
    """Return what of a release's folder is ours, folders after what lies in them, and what is foreign.

    Without a receipt that can be read it is an unfinished release, which nobody but the installer writes to:
    all of it is ours. Bytecode that an interpreter made of our modules is ours too.
    """
    if not folder.is_dir() or folder.is_symlink():
        return [], []
    try:
        known: Optional[dict[str, receipt.Entry]] = {e.path: e for e in receipt.read(folder).entries}
    except (OSError, sealed.Damaged):
        known = None
    ours: List[str] = []
    foreign: List[str] = []
    for path, status, _ in receipt.walk(folder):
        mine = known is None or path == receipt.NAME or _listed(known, path, status.st_mode)
        (ours if mine else foreign).append(path)
    return ours[::-1], foreign


def _listed(known: dict[str, receipt.Entry], path: str, mode: int) -> bool:
    entry = known.get(path)
    if entry is not None:
        kind = stat.S_IFLNK if entry.target is not None else stat.S_IFDIR if entry.is_folder else stat.S_IFREG
        return stat.S_IFMT(mode) == kind
    pure = PurePosixPath(path)
    if stat.S_ISDIR(mode):
        return pure.name == "__pycache__" and str(pure.parent) in known
    return pure.suffix == ".pyc" and pure.parent.name == "__pycache__" and str(pure.parent.parent) in known


def _store_objects(prefix: Prefix) -> Iterator[Path]:
    for shard in inventory.names(prefix.store):
        folder = prefix.store / shard
        if _SHARD.match(shard) and folder.is_dir() and not folder.is_symlink():
            for name in inventory.names(folder):
                plain = name[1 : -len(".new")] if _LEFTOVER.match(name) else name
                if _OBJECT.match(plain) and stat.S_ISREG((folder / name).lstat().st_mode):
                    yield folder / name


def _state_files(prefix: Prefix) -> List[Path]:
    """Return the files of `state/` that are ours, rotated logs and half-written ones included."""
    stems = tuple(f"{name}." for name in inventory.STATE)
    return [
        prefix.state / name
        for name in sorted(inventory.names(prefix.state))
        if name in inventory.STATE
        or name in _notes(prefix)
        or name.startswith(stems)
        or _survives(name)
        or _LEFTOVER.match(name)
    ]


def _notes(prefix: Prefix) -> Set[str]:
    """Return the names of what recovery puts data and configuration right from; it has them as long as it needs them."""
    return {prefix.data_note.name, undo_note(prefix).name}


def _extras(prefix: Prefix) -> List[str]:
    """Return folders of the installer beside those that every installation has: data snapshots."""
    usual = {*_KEPT_FOLDERS, "generations", "store", "state"}
    return [
        name
        for name in sorted(inventory.TOP - usual)
        if (prefix.root / name).is_dir() and not name.startswith("current")
    ]


# --- carrying out -----------------------------------------------------------------------------------------


def carry_out(prefix: Prefix, marker: Marker) -> None:
    """Remove, the active release's tools last: the uninstall can be run again from there for as long as possible."""
    for name in generation_names(prefix):
        _remove_release(prefix.generation(name), spare=TOOLS if name == marker.generation else "")
    for path in list(_store_objects(prefix)):
        _unlink(path)
    _remove_empty_below(prefix.root / "store")
    if marker.whole:
        for name in snapshot.names(prefix):
            snapshot.remove(prefix, name)
        for name in _extras(prefix):
            remove_whole(prefix.root / name)
    if marker.purge:
        _purge(prefix)
    remove_tree(prefix.scratch)
    spared = {prefix.lock.name, prefix.uninstalling.name} | (set() if marker.whole else _notes(prefix))
    for path in _state_files(prefix):
        if path.name not in spared and (marker.purge or not _survives(path.name)):
            _unlink(path)
    for path in leftovers(prefix.root):
        _unlink(path)
    if not marker.purge:
        _forget_releases(prefix)
    for name in generation_names(prefix):
        _remove_release(prefix.generation(name))
    for name in inventory.names(prefix.generations):
        if FOREIGN in name and GENERATION_NAME.match(name.partition(FOREIGN)[0]):
            _unlink(prefix.generations / name / receipt.NAME)
    _remove_empty(prefix.generations)
    if prefix.link.is_symlink():
        _unlink(prefix.link)
    _unlink(prefix.link_note)
    for folder in (prefix.state, prefix.root):
        if folder.is_dir():
            fsync_directory(folder)


def _purge(prefix: Prefix) -> None:
    for folder in (prefix.data, prefix.config):
        remove_whole(folder)
    for name in inventory.names(prefix.trust):
        if name in inventory.TRUST or _LEFTOVER.match(name):
            _unlink(prefix.trust / name)
    _remove_empty(prefix.trust)


def _forget_releases(prefix: Prefix) -> None:
    """Keep the highest sequence; no release has passed a health check here any more."""
    known = accepted.read(prefix)
    if known.known and known.generations:
        accepted.write(prefix, replace(known, generations=()))


def leftovers(folder: Path) -> List[Path]:
    """Return the half-written files that a killed run has left in a folder."""
    return [folder / name for name in sorted(inventory.names(folder)) if _LEFTOVER.match(name)]


def _remove_release(folder: Path, spare: str = "") -> None:
    """Remove what is ours of a release's folder; the receipt, which says what that is, as the last.

    Args:
        folder: the release; a link in its place goes itself.
        spare: a folder in it that stays for now, and with it the receipt.
    """
    if folder.is_symlink():
        _unlink(folder)
        return
    ours, foreign = split(folder)
    for path in ours:
        if path == receipt.NAME or (spare and path.split("/")[0] == spare):
            continue
        place = folder / path
        if stat.S_ISDIR(_mode(place)):
            _remove_empty(place)
        else:
            _unlink(place)
    if spare:
        return
    if foreign:
        folder = _set_aside(folder)
    _unlink(folder / receipt.NAME)
    _remove_empty(folder)


def _set_aside(folder: Path) -> Path:
    """Give the folder of foreign files a name that is no release's, and return it."""
    number, name = 1, folder.with_name(folder.name + FOREIGN)
    while os.path.lexists(name):
        number += 1
        name = folder.with_name(f"{folder.name}{FOREIGN}{number}")
    os.replace(folder, name)
    return name


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def remove_whole(folder: Path) -> None:
    """Remove a folder and everything in it, but nothing of a file system that is mounted there or below; a link in
    its place goes itself."""
    mounted = mount_points()
    if folder.is_symlink() or not any(_is_below(point, folder) for point in mounted):
        remove_tree(folder)
        return
    _remove_around(folder, mounted)


def _remove_around(folder: Path, mounted: List[Path]) -> None:
    for name in inventory.names(folder):
        place = folder / name
        inside = [point for point in mounted if _is_below(point, place)]
        if place in inside:
            continue
        if inside:
            _remove_around(place, inside)
        else:
            remove_tree(place)
    _remove_empty(folder)


def _is_below(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def mount_points() -> List[Path]:
    """Return where file systems are mounted (Linux; elsewhere nothing is known, and `rmdir` refuses mount points)."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return []
    fields = (line.split()[4].decode("utf-8", "surrogateescape") for line in lines if len(line.split()) > 4)
    return [
        Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), field)) for field in fields
    ]


def _unlink(path: Path) -> None:
    """Remove one file or link, without the synchronisation that a state file needs."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return


def _remove_empty(folder: Path) -> None:
    try:
        os.rmdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
            raise


def _remove_empty_below(folder: Path) -> None:
    """Remove a folder and those in it, where nothing is left in them."""
    for inner in inventory.names(folder):
        if (folder / inner).is_dir() and not (folder / inner).is_symlink():
            _remove_empty_below(folder / inner)
    _remove_empty(folder)
