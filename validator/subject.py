"""What is being validated: one prefix, perhaps one bundle, and the facts that several checks need."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

from bundle import layout
from validator import limits

if TYPE_CHECKING:
    from bundle.manifest import Manifest

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8400
GENERATION_NAME = re.compile(r"^[0-9]{6,12}-[0-9a-f]{12}(-r[1-9][0-9]{0,3})?$")

_PORT = re.compile(r"[0-9]{1,5}\Z")
_UNIT_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}$")


class Unreadable(Exception):
    """A state file is damaged, too large or not permitted; the message says which and how."""


def default_prefix() -> Path:
    """Return where an installation is looked for when nobody says: as the installer decides it."""
    if sys.platform != "win32" and os.geteuid() == 0:
        return Path("/opt/ragtrace")
    return Path.home() / ".local" / "share" / "ragtrace"


def find_bundle(start: Path) -> Optional[Path]:
    """Return the bundle that *start* (the folder of the entry script) is part of, if any."""
    parent = start.parent
    parts = (layout.MANIFEST, layout.SCRIPTS, layout.DEPENDENCIES)
    return parent if all((parent / name).exists() for name in parts) else None


def find_prefix(start: Path) -> Optional[Path]:
    """Return the prefix of the generation that *start* (the entry script's folder) is part of, if any."""
    generation = start.parent.parent
    if start.parent.name == "tools" and GENERATION_NAME.match(generation.name):
        return generation.parent.parent
    return None


def _is_there(path: Path) -> bool:
    try:
        os.lstat(path)
    except PermissionError:
        raise
    except OSError:
        return False
    return True


def read_limited(path: Path, limit: int = limits.STATE_FILE_BYTES) -> bytes:
    """Return the bytes of a regular file of at most *limit* bytes.

    Raises:
        Unreadable: it is not a regular file, too large, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise Unreadable(f"{path}: not a regular file")
            data = stream.read(limit + 1)
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror or error}") from error
    if len(data) > limit:
        raise Unreadable(f"{path}: larger than {limit} bytes")
    return data


def read_json_object(path: Path, limit: int = limits.STATE_FILE_BYTES) -> Dict[str, Any]:
    """Return the JSON object in a file; `Unreadable` says what is wrong with it."""
    try:
        value = json.loads(read_limited(path, limit).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path}: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise Unreadable(f"{path}: not a JSON object")
    return value


def checksum_of(document: Mapping[str, Any]) -> str:
    """Return the checksum a state file must carry: SHA-256 of its canonical JSON without that key."""
    body = {key: value for key, value in document.items() if key != "checksum"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read_pointer(prefix: Path) -> Dict[str, Any]:
    """Return ``current.json``, checked.

    Raises:
        Unreadable: missing, damaged, or naming something that cannot be a generation.
    """
    path = prefix / "current.json"
    pointer = read_json_object(path)
    if pointer.get("checksum") != checksum_of(pointer):
        raise Unreadable(f"{path}: its checksum does not match its content")
    if not GENERATION_NAME.match(str(pointer.get("generation", ""))):
        raise Unreadable(f"{path}: no valid generation name")
    return pointer


def read_settings(path: Path) -> Dict[str, str]:
    """Return the ``KEY=VALUE`` lines of a settings file; blank lines and comments do not count."""
    values: Dict[str, str] = {}
    for line in read_limited(path).decode("utf-8", "replace").splitlines():
        name, mark, value = line.strip().partition("=")
        if mark and name and not name.startswith("#"):
            values[name.strip()] = value.strip().strip("\"'")
    return values


@dataclass(frozen=True)
class Service:
    """How the service of this installation is started and reached."""

    module: str = "ragtrace"
    arguments: Tuple[str, ...] = ()
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    health_path: str = "/healthz"


class Subject:
    """The prefix and bundle under examination; every fact is read once, when it is first asked for."""

    def __init__(self, prefix: Path, bundle: Optional[Path] = None, service_name: str = "") -> None:
        self.prefix = prefix
        self.bundle = bundle
        self._service_name = service_name
        # A private folder of one run, for what a check makes once and others use again; nothing outside a run.
        self.scratch: Optional[Path] = None
        self.remembered: Dict[str, Any] = {}

    def to_wire(self) -> Dict[str, Any]:
        """Return plain data from which a child builds the same subject."""
        return {
            "prefix": str(self.prefix),
            "bundle": str(self.bundle) if self.bundle else None,
            "service_name": self._service_name,
            "scratch": str(self.scratch) if self.scratch else None,
        }

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Subject:
        """Rebuild a subject in a child."""
        bundle, scratch = data["bundle"], data.get("scratch")
        made = cls(Path(data["prefix"]), Path(bundle) if bundle else None, data["service_name"])
        made.scratch = Path(scratch) if scratch else None
        return made

    @cached_property
    def anything_installed(self) -> bool:
        """Tell whether there is an installation, be it a damaged or half-finished one.

        Raises:
            PermissionError: this user may not look, which is not the same as nothing there.
        """
        return any(_is_there(self.prefix / name) for name in ("current.json", "generations"))

    @cached_property
    def pointer(self) -> Optional[Dict[str, Any]]:
        """Return the valid pointer, or nothing; check RAG-001 says why not."""
        try:
            return read_pointer(self.prefix)
        except Unreadable:
            return None

    @cached_property
    def generation(self) -> Optional[Path]:
        """Return the folder of the active generation when the pointer names one that exists."""
        if self.pointer is None:
            return None
        folder = self.prefix / "generations" / str(self.pointer["generation"])
        try:
            return folder if folder.is_dir() else None
        except PermissionError:
            # It is named and cannot be seen: whoever looks into it says so, instead of calling it absent.
            return folder

    @cached_property
    def trusted_owners(self) -> Tuple[int, ...]:
        """Return the users whose files may steer a run: root, the installation's owner and the caller."""
        if sys.platform == "win32":
            return ()
        owners = {0, os.geteuid()}
        with contextlib.suppress(OSError):
            owners.add(os.stat(self.prefix).st_uid)
        return tuple(sorted(owners))

    @property
    def manifest_path(self) -> Optional[Path]:
        """Return the manifest that says what should be here: the generation's own, else the bundle's."""
        if self.generation is not None:
            return self.generation / "tools" / layout.MANIFEST
        return self.bundle / layout.MANIFEST if self.bundle else None

    @cached_property
    def manifest(self) -> Optional[Manifest]:
        """Return the parsed manifest, or nothing when there is no readable one."""
        from bundle.errors import RagTraceError
        from bundle.manifest import parse_manifest

        path = self.manifest_path
        if path is None:
            return None
        try:
            return parse_manifest(read_limited(path, limits.MANIFEST_BYTES))
        except (Unreadable, RagTraceError):
            return None

    @cached_property
    def settings(self) -> Dict[str, str]:
        """Return what ``config/.env`` sets; nothing when it cannot be read."""
        try:
            return read_settings(self.prefix / "config" / ".env")
        except Unreadable:
            return {}

    @cached_property
    def settings_hidden(self) -> bool:
        """Tell whether there is a ``config/.env`` that this user may not read."""
        try:
            return not os.access(self.prefix / "config" / ".env", os.R_OK) and self.generation is not None
        except OSError:
            return True

    @cached_property
    def noted(self) -> Dict[str, Any]:
        """Return what the installer noted about the service (``state/service.json``); nothing if unreadable."""
        try:
            return read_json_object(self.prefix / "state" / "service.json")
        except Unreadable:
            return {}

    @cached_property
    def service_name(self) -> str:
        """Return the name of the systemd unit: as given, else as the installer noted it."""
        if self._service_name:
            return self._service_name
        noted = self.noted.get("name")
        return noted if isinstance(noted, str) and _UNIT_NAME.match(noted) else "ragtrace"

    @cached_property
    def service(self) -> Service:
        """Return how the service is started and reached: the settings win, then the installer's note."""
        spec = self.manifest.service if self.manifest is not None else None
        base = Service()
        host, number = self.noted.get("host"), self.noted.get("port")
        noted_port = str(number) if isinstance(number, int) else ""
        port = self.settings.get("RAGTRACE_SERVER_PORT") or noted_port
        noted_host = host if isinstance(host, str) else ""
        return Service(
            spec.module if spec else base.module,
            tuple(spec.arguments) if spec else base.arguments,
            self.settings.get("RAGTRACE_SERVER_HOST") or noted_host or (spec.host if spec else base.host),
            int(port) if _PORT.match(port) else (spec.port if spec else base.port),
            spec.health_path if spec else base.health_path,
        )

    @property
    def python(self) -> Optional[Path]:
        """Return the interpreter of the active generation's virtual environment."""
        if self.generation is None:
            return None
        names = ("Scripts/python.exe",) if sys.platform == "win32" else ("bin/python", "bin/python3")
        for name in names:
            if (self.generation / "venv" / name).exists():
                return self.generation / "venv" / name
        return None

    @cached_property
    def site_packages(self) -> Optional[Path]:
        """Return the folder into which the generation's packages were installed."""
        if self.generation is None:
            return None
        patterns = ("venv/lib/python*/site-packages", "venv/Lib/site-packages")
        for pattern in patterns:
            for folder in sorted(self.generation.glob(pattern)):
                return folder
        return None

    @cached_property
    def venv_python_version(self) -> str:
        """Return the version of the generation's interpreter as ``pyvenv.cfg`` states it, or nothing."""
        if self.generation is None:
            return ""
        try:
            lines = (
                read_limited(self.generation / "venv" / "pyvenv.cfg").decode("utf-8", "replace").splitlines()
            )
        except Unreadable:
            return ""
        for line in lines:
            name, _, value = line.partition("=")
            if name.strip() in ("version", "version_info"):
                return value.strip()
        return ""
