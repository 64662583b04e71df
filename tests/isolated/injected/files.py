"""Break what lies on the disk: packages, the interpreter, the release's own records, permissions, data.

Every function makes an injection: given the installed host it breaks one thing and returns how to undo it.
A file is always replaced, never written in place: a running program keeps what it has mapped, as it would after an
unfinished upgrade by hand, and only what is on the disk differs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from ..host_root import remove_tree
from ..journey import CLI
from .installed import Installed, Undo

Injection = Callable[[Installed], Undo]
Place = Callable[[Installed], Path]
NOBODY = 65534
LATE = "/srv/late"


def package(pattern: str) -> Place:
    """A path among the installed packages."""
    return lambda host: host.package(pattern)


def release(name: str) -> Place:
    """A path in the active release."""
    return lambda host: host.generation / name


def prefix(name: str) -> Place:
    """A path below the prefix."""
    return lambda host: host.path(name)


# --- one file ------------------------------------------------------------------------------------------------


def rewritten(place: Place, change: Callable[[bytes], bytes]) -> Injection:
    """A file has other bytes, and the mode and owner that it had."""

    def inject(host: Installed) -> Undo:
        path = place(host)
        undo = host.keep(path)
        replace(path, change(path.read_bytes()))
        return undo

    return inject


def replace(path: Path, data: bytes) -> None:
    """Put a new file in the place of an old one, with its mode and owner."""
    was = path.stat()
    fresh = path.with_name(path.name + ".replacing")
    fresh.write_bytes(data)
    fresh.chmod(was.st_mode & 0o7777)
    os.chown(fresh, was.st_uid, was.st_gid)
    fresh.replace(path)


def appended(place: Place, text: str) -> Injection:
    """A file has something more at its end."""
    return rewritten(place, lambda data: data + text.encode())


def substituted(place: Place, old: str, new: str) -> Injection:
    """Text in a file is other text; it must be there."""

    def change(data: bytes) -> bytes:
        if old.encode() not in data:
            raise LookupError(f"{old!r} is not there any more")
        return data.replace(old.encode(), new.encode(), 1)

    return rewritten(place, change)


def halved(data: bytes) -> bytes:
    """Cut off the second half."""
    return data[: len(data) // 2]


def zeroed(data: bytes) -> bytes:
    """The size is right, the content is gone: what a bad medium or an unclean shutdown leaves."""
    return bytes(len(data))


def for_another_machine(data: bytes) -> bytes:
    """Say in an ELF file's header (System V ABI, e_machine) that it is for RISC-V."""
    return data[:18] + (243).to_bytes(2, "little") + data[20:]


def removed(place: Place) -> Injection:
    """A file or folder is gone."""

    def inject(host: Installed) -> Undo:
        path = place(host)
        undo = host.keep(path)
        remove_tree(path)
        return undo

    return inject


def planted(place: Place, text: str) -> Injection:
    """A file is there that nobody sealed."""

    def inject(host: Installed) -> Undo:
        path = place(host)
        undo = host.keep(path)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        return undo

    return inject


def mode(place: Place, bits: int) -> Injection:
    """Somebody changed permissions."""

    def inject(host: Installed) -> Undo:
        path = place(host)
        was = path.stat().st_mode & 0o7777
        path.chmod(bits)
        return lambda: path.chmod(was) if path.exists() else None

    return inject


def owner(place: Place, uid: int = NOBODY) -> Injection:
    """Somebody gave a file away."""

    def inject(host: Installed) -> Undo:
        path = place(host)
        was = path.stat()
        os.chown(path, uid, uid)
        return lambda: os.chown(path, was.st_uid, was.st_gid) if path.exists() else None

    return inject


def unreadable(place: Place) -> Injection:
    """Only root may read a file any more."""

    def inject(host: Installed) -> Undo:
        path = place(host)
        undo = host.keep(path)
        path.chmod(0o600)
        os.chown(path, 0, 0)
        return undo

    return inject


def link(place: Place, target: str) -> Injection:
    """A symbolic link leads elsewhere."""

    def inject(host: Installed) -> Undo:
        path = place(host)
        undo = host.keep(path)
        path.unlink()
        path.symlink_to(target)
        return undo

    return inject


def copied(source: Place, place: Place) -> Injection:
    """A file has the content of another one."""

    def inject(host: Installed) -> Undo:
        return rewritten(place, lambda _: source(host).read_bytes())(host)

    return inject


def other_numbers(data: bytes) -> bytes:
    """Change the first digit behind the point of every number; the size stays."""
    return re.sub(rb"\.(\d)", lambda found: b".%d" % ((int(found[1]) + 5) % 10), data)


def damaged_object(place: Place) -> Injection:
    """The store's own copy of a file of the release has a changed byte; the release has its own."""

    def inject(host: Installed) -> Undo:
        path = place(host)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        replace(path, path.read_bytes())
        [stored] = host.path("store").rglob(f"*{digest[2:]}*")
        return rewritten(lambda _: stored, zeroed)(host)

    return inject


def together(undos: Sequence[Undo]) -> Undo:
    """Undo several things, one after the other."""

    def undo() -> None:
        for each in undos:
            each()

    return undo


# --- packages ------------------------------------------------------------------------------------------------


def package_gone(name: str) -> Injection:
    """A package was uninstalled by hand: its folder and its record."""

    def inject(host: Installed) -> Undo:
        undos = []
        for path in (host.package(name), host.package(f"{name}-*.dist-info")):
            undos.append(host.keep(path))
            remove_tree(path)
        return together(undos)

    return inject


def package_of_version(name: str, version: str) -> Injection:
    """A package was replaced by another version of it, as an installer would: metadata, folder name and RECORD agree."""

    def inject(host: Installed) -> Undo:
        old = host.package(f"{name}-*.dist-info")
        new = old.with_name(f"{name}-{version}.dist-info")
        undo = host.keep(old)
        was = old.name.removesuffix(".dist-info").rpartition("-")[2]
        shutil.copytree(old, new, symlinks=True)
        remove_tree(old)
        metadata = (
            (new / "METADATA")
            .read_bytes()
            .replace(f"Version: {was}".encode(), f"Version: {version}".encode())
        )
        (new / "METADATA").write_bytes(metadata)
        lines = []
        for line in (new / "RECORD").read_text().replace(old.name, new.name).splitlines():
            if line.startswith(f"{new.name}/METADATA,"):
                line = f"{new.name}/METADATA,,"
            lines.append(line)
        (new / "RECORD").write_text("\n".join(lines) + "\n")

        def put_back() -> None:
            remove_tree(new)
            undo()

        return put_back

    return inject


# --- what the installer keeps ----------------------------------------------------------------------------------


def pointer_to(name: str) -> Injection:
    """The pointer is well-formed and names a release that is not there."""

    def change(data: bytes) -> bytes:
        document = json.loads(data)
        document["generation"] = name
        return _sealed(document)

    return rewritten(prefix("current.json"), change)


def _sealed(document: dict[str, object]) -> bytes:
    """Return a state file with its checksum, as the installer's own format has it."""
    body = {key: value for key, value in document.items() if key != "checksum"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    body["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(body, sort_keys=True).encode() + b"\n"


def without_line(number: int) -> Callable[[bytes], bytes]:
    """Take one line out of a log."""

    def change(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        del lines[number]
        return b"".join(lines)

    return change


# --- data: the service must not be running while its files are exchanged ------------------------------------------


def while_stopped(inner: Injection, *, ready: bool = True) -> Injection:
    """Break data while the service stands still, and start it again; undo the same way."""

    def inject(host: Installed) -> Undo:
        host.stop()
        put_back_all = host.keep(host.path("data"))
        inner(host)
        host.start(ready=ready)

        def undo() -> None:
            host.stop()
            put_back_all()
            host.start()

        return undo

    return inject


def under_way(inner: Injection) -> Injection:
    """Break data under a running service; to undo it the service is stopped, as a person would do it."""

    def inject(host: Installed) -> Undo:
        copy = host.keep_beside(host.path("data"))
        inner(host)

        def undo() -> None:
            host.stop()
            copy()
            host.start()

        return undo

    return inject


def largest(folder: str, pattern: str) -> Place:
    """The largest file of a kind in a folder."""

    def find(host: Installed) -> Path:
        return max(host.path(folder).glob(pattern), key=lambda path: path.stat().st_size)

    return find


def older_index(host: Installed) -> Undo:
    """Somebody put back the index of before the last document was loaded, and the records as they are now."""
    index = host.path("data/index")
    before = host.keep(index)
    late = host.host.inside(LATE)
    late.mkdir(parents=True, exist_ok=True)
    (late / "late.txt").write_text(
        "나중에 넣은 문서입니다. 반입 기록은 5년 동안 보관합니다.\n", encoding="utf-8"
    )
    host.host.run([CLI, "ingest", LATE]).expect()
    before()
    return lambda: None
