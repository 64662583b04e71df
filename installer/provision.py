"""First-time configuration and data folders, later changes of the configuration, and how they are put back."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence

from bundle.atomic import fsync_directory, write_atomic

from . import sealed, settings
from .filesystem import give, give_tree, make_directory, read_plain, remove_empty, remove_file
from .paths import Prefix
from .pointer import Pointer
from .settings import HOST_VARIABLE, PORT_VARIABLE, ServiceSettings

OWNER_ONLY = 0o600
FOLDER_MODE = 0o750
HEADER = """\
# Environment of the RAGTrace service: KEY=VALUE lines, read at its start. Owner-only; secrets belong here.
# RAGTrace 서비스의 환경 변수: 서비스가 시작할 때 읽습니다. 비밀 값은 여기에 두십시오.
"""


def undo_note(prefix: Prefix) -> Path:
    """Return where the earlier settings wait until a transaction that changes them has committed."""
    return prefix.state / "before.json"


class Provision:
    """Creates what is missing; what an operator wrote stays, but for the address that was asked for."""

    def __init__(
        self, prefix: Prefix, wanted: Optional[ServiceSettings], base: Optional[Pointer], transaction: str
    ) -> None:
        self.prefix = prefix
        self.wanted = wanted
        self.base = base
        self.transaction = transaction
        self.made: list[Path] = []
        self.before: dict[Path, Optional[bytes]] = {}

    def apply(self, defaults: Path) -> None:
        """Make folders, copy missing configuration files, set the address, note how the service is run."""
        prefix = self.prefix
        for path in (prefix.settings, prefix.service):
            self.before[path] = read_plain(path)
        if self.base is not None:
            write_atomic(undo_note(prefix), _note(prefix, self.transaction, self.before), OWNER_ONLY)
        cache = prefix.data / "cache"
        folders = [
            prefix.config,
            prefix.data,
            prefix.data / "documents",
            prefix.data / "index",
            prefix.logs,
            cache,
        ]
        for folder in [*folders, cache / "pycache"]:
            if make_directory(folder, FOLDER_MODE):
                self.made.append(folder)
        for default in sorted(defaults.iterdir()) if defaults.is_dir() else []:
            self._configure(default)
        if self.wanted is not None:
            self._address(self.wanted)
            settings.write(prefix, self.wanted)
        own(prefix, self.wanted, self.made)
        # A folder's name is safe from a power cut once the folder above it is synchronised.
        for folder in dict.fromkeys(made.parent for made in self.made):
            fsync_directory(folder)

    def _configure(self, default: Path) -> None:
        path = self.prefix.config / default.name
        if default.is_file() and read_plain(path) is None:
            self.before[path] = None
            write_atomic(path, default.read_bytes(), OWNER_ONLY)

    def _address(self, wanted: ServiceSettings) -> None:
        earlier = self.before[self.prefix.settings]
        text = HEADER if earlier is None else earlier.decode("utf-8")
        changed = settings.with_variables(text, {HOST_VARIABLE: wanted.host, PORT_VARIABLE: str(wanted.port)})
        if earlier is None or changed.encode("utf-8") != earlier:
            write_atomic(self.prefix.settings, changed.encode("utf-8"), OWNER_ONLY)

    def undo(self) -> None:
        """Put files back byte for byte and remove folders that are still empty."""
        for path, content in self.before.items():
            _put_back(path, content)
        for folder in reversed(self.made):
            remove_empty(folder)
        remove_file(undo_note(self.prefix))


class Reconfigure:
    """Replaces configuration files of a running installation, and how the service is run, as one change."""

    def __init__(
        self,
        prefix: Prefix,
        wanted: Optional[ServiceSettings],
        files: Mapping[Path, Optional[bytes]],
        transaction: str,
    ) -> None:
        self.prefix = prefix
        self.wanted = wanted
        self.files = files
        self.transaction = transaction
        self.before: dict[Path, Optional[bytes]] = {}

    def apply(self) -> None:
        """Note what is there, then write; the note is in the way of nobody until the transaction has committed."""
        prefix = self.prefix
        self.before = {path: read_plain(path) for path in (*self.files, prefix.service)}
        write_atomic(undo_note(prefix), _note(prefix, self.transaction, self.before), OWNER_ONLY)
        for path, content in self.files.items():
            if content is None:
                remove_file(path)
            else:
                write_atomic(path, content, OWNER_ONLY)
        if self.wanted is not None:
            settings.write(prefix, self.wanted)
        own(prefix, self.wanted, ())

    def undo(self) -> None:
        """Put every file back byte for byte."""
        for path, content in self.before.items():
            _put_back(path, content)
        if self.before:
            own(self.prefix, settings.read(self.prefix), ())
        remove_file(undo_note(self.prefix))


def _note(prefix: Prefix, transaction: str, before: Mapping[Path, Optional[bytes]]) -> bytes:
    files = {
        path.relative_to(prefix.root).as_posix(): None
        if content is None
        else base64.b64encode(content).decode("ascii")
        for path, content in before.items()
    }
    return sealed.seal({"format": 1, "transaction": transaction, "files": files})


def own(prefix: Prefix, wanted: Optional[ServiceSettings], made: Sequence[Path]) -> None:
    """Hand data and configuration, and the folders just made, to the service's user, where it has one.

    A tree that is the user's already is not walked again.
    """
    if wanted is None or not wanted.user:
        return
    import pwd

    entry = pwd.getpwnam(wanted.user)
    for folder in made:
        give(folder, entry.pw_uid, entry.pw_gid)
    for folder in (prefix.data, prefix.config):
        if folder.lstat().st_uid != entry.pw_uid:
            give_tree(folder, entry.pw_uid, entry.pw_gid)
    for path in prefix.config.iterdir():
        give(path, entry.pw_uid, entry.pw_gid)


def _nothing() -> None:
    """Be the default of `restore_settings`."""


def restore_settings(prefix: Prefix, committed: str, stop: Callable[[], None] = _nothing) -> bool:
    """After a crash: put back the settings of a transaction that did not commit; return whether it was done.

    Args:
        prefix: the installation.
        committed: the last transaction that did.
        stop: called before anything is put back, to end what runs with the settings that go.
    """
    note = undo_note(prefix)
    try:
        document = sealed.unseal(note.read_bytes())
    except FileNotFoundError:
        return False
    except sealed.Damaged:
        # Written atomically, so only a damaged disk brings us here; the files as they are will have to do.
        document = {"transaction": committed}
    restored = bool(document["transaction"] != committed)
    if restored:
        stop()
        for path, content in _noted(prefix, document).items():
            _put_back(path, content)
        known = settings.read(prefix)
        if known is not None and prefix.config.is_dir() and prefix.data.is_dir():
            # A killed run may have died between writing a file and handing it over.
            own(prefix, known, ())
    remove_file(note)
    return restored


def _noted(prefix: Prefix, document: Mapping[str, Any]) -> dict[Path, Optional[bytes]]:
    """Return the files of an undo note; one that an earlier installer left behind has text in two fields."""
    if "files" in document:
        return {
            prefix.root / name: None if text is None else base64.b64decode(str(text))
            for name, text in document["files"].items()
        }
    return {
        path: None if document[name] is None else str(document[name]).encode("utf-8")
        for path, name in ((prefix.settings, "env"), (prefix.service, "service"))
    }


def _put_back(path: Path, content: Optional[bytes]) -> None:
    now = read_plain(path)
    if content is None:
        if now is not None:
            remove_file(path)
    elif now != content:
        status = path.lstat() if now is not None else None
        write_atomic(path, content, 0o644 if path.name == "service.json" else OWNER_ONLY)
        if status is not None:
            give(path, status.st_uid, status.st_gid)
