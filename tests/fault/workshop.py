"""One installation per test process: bundles, starting points that are copied back in milliseconds, a look at things."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.cache import Cache
from builder.sealing.seal import Seal
from builder.sealing.signing import SigningKey
from builder.stage import StagedFile
from builder.transport.delta import BaseManifest
from builder.transport.ship import ship
from bundle import layout
from installer import activation, health, inventory, pointer, receipt, sealed
from installer import settings as service_settings
from installer.hosts.process import lock_holder
from installer.paths import Prefix
from installer.service import define
from tests.support import renewals
from tests.support.bundles import Bundle, make_bundle, uv_binary
from tests.support.wheels import wheel_bytes

from .zygote import Outcome, Zygote

# Real room for the templates of every starting point; a container's /dev/shm often has 64 MB.
ROOM_BYTES = 1 << 30
FOREIGN = "운영자 메모.txt"
SECRET = "canary-7f3a9c-never-in-a-log"
# A service that is up in 20 ms, because a sweep starts it twenty thousand times. It marks its data with their format,
# refuses others, changes everything in place when it migrates, and answers for its configuration.
SERVICE = """
import os, socket, sys

VERSION, MODE, FORMAT = {version!r}, {mode!r}, {data!r}
HOME = os.environ.get("RAGTRACE_HOME", "")
DATA = os.path.join(HOME, "data")
MARK = os.path.join(DATA, "FORMAT.json")


def mark(**values):
    with open(MARK + ".tmp", "w") as stream:
        words = ['"%s": %s' % (name, value) for name, value in values.items()]
        stream.write("{{" + ", ".join(words) + ', "format": "ragtrace-data"}}')
    os.replace(MARK + ".tmp", MARK)


def answer(status, words):
    body = "{{" + ", ".join('"%s": "%s"' % word for word in words.items()) + "}}"
    return "HTTP/1.1 %s\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s" % (status, len(body), body)


def serve():
    print("serving", VERSION, flush=True)
    if FORMAT:
        if not os.path.exists(MARK):
            mark(version=FORMAT)
        if '"version": %d,' % FORMAT not in open(MARK).read() or "migrating" in open(MARK).read():
            return "the data have another format"
    if MODE == "crash" or os.environ.get("RAGTRACE_ANSWER_LIMIT") == "0":
        return "crashing on purpose"
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((os.environ["RAGTRACE_SERVER_HOST"], int(os.environ["RAGTRACE_SERVER_PORT"])))
    listener.listen(64)
    words = {{"status": "ok", "version": VERSION, "generation": os.environ.get("RAGTRACE_GENERATION", "")}}
    while True:
        caller, _ = listener.accept()
        try:
            caller.recv(65536)
            caller.sendall(answer("200 OK", words).encode())
        except OSError:
            pass
        caller.close()


def migrate():
    mark(version=1, migrating=FORMAT)
    for folder, folders, files in os.walk(os.path.join(DATA, "documents")):
        for name in files:
            with open(os.path.join(folder, name), "r+b") as stream:
                text = stream.read()
                stream.seek(0)
                stream.write(b"format %d: " % FORMAT + text)
    os.rename(os.path.join(DATA, "index", "postings.bin"), os.path.join(DATA, "index", "postings.2"))
    os.chmod(os.path.join(DATA, "documents"), 0o700)
    mark(version=FORMAT)


def configuration():
    keys = '{{"answer.limit": "integer", "answer.token": "text"}}'
    print('{{"ok": true, "keys": %s, "secret": ["answer.token"], "values": {{}}, "origins": {{}}}}' % keys)


sys.exit(dict(serve=serve, migrate=migrate, config=configuration)[sys.argv[1]]())
"""


@dataclass(frozen=True)
class Start:
    """A starting point and how it is made. Where a kill left it half changed, `treasures_of` is the one before,
    which says what the operator's and the service's files have to look like."""

    name: str
    make: Callable[[Workshop], None]
    treasures_of: Start | None = None


@dataclass
class Snapshot:
    """A starting point, made: the prefix as files, who answered, and what must not change."""

    folder: Path
    running: str
    treasures: dict[str, str]
    undeclared: list[str]
    damage: list[str]
    installed: list[str]


@dataclass
class Workshop:
    """A folder with bundles and one prefix on a port of its own."""

    folder: Path
    port: int
    bundles: dict[str, Bundle] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    counted: dict[str, list[str]] = field(default_factory=dict)
    finished: dict[str, dict[str, str]] = field(default_factory=dict)
    _zygote: list[Zygote] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = SigningKey(Ed25519PrivateKey.generate(), "builder@example")
        for sequence, name in enumerate(("oldest", "older", "v1", "v2"), 1):
            self.bundle(name, sequence)
        self.bundle("bad", 9, "crash")
        self.bundle("format 1", 11, data=1)
        self.bundle("format 2", 12, data=2)
        self.bundle("bad format 2", 19, "crash", data=2)
        self.outside.mkdir()
        (self.outside / "남의 파일.txt").write_text("not yours\n", encoding="utf-8")

    def bundle(self, name: str, sequence: int, mode: str = "healthy", data: int = 0) -> Bundle:
        """Make a signed bundle and remember it by name; `data` is the format of its service's data."""
        version = f"{sequence}.0.0"
        source = SERVICE.format(version=version, mode=mode, data=data)
        modules = {"ragtrace/__init__.py": f"VERSION = {version!r}\n", "ragtrace/__main__.py": source}
        wheel = wheel_bytes("ragtrace", version, modules)
        self.bundles[name] = make_bundle(
            self.folder / name,
            version=version,
            sequence=sequence,
            port=self.port,
            key=self.key,
            uv=f'#!/bin/sh\nexec "{uv_binary()}" "$@"\n'.encode(),
            wheels={f"ragtrace-{version}-py3-none-any.whl": wheel},
            models={"m/weights.bin": b"weights" * 100, f"m/{version}.bin": version.encode() * 99},
            data={"version": data, "migrates": tuple(range(1, data))} if data else None,
        )
        return self.bundles[name]

    def shipped(self, name: str, base: str = "", volume_size: int | None = None) -> Path:
        """Pack a bundle as it would be carried in, whole or as what `base` lacks; return the archive, or the
        folder of volumes."""
        bundle, output = self.bundles[name], self.folder / f"shipped-{name}-{base}-{volume_size}"
        if not output.exists():
            files = [StagedFile(entry, bundle.root / entry.path) for entry in bundle.manifest.files]
            text = [
                (bundle.root / part).read_bytes()
                for part in (layout.MANIFEST, layout.SIGNATURES[0], layout.CHECKSUMS)
            ]
            earlier = self.bundles[base] if base else None
            ship(
                output, "RAGTrace-Enterprise", files, Seal(text[0], (text[1],), text[2]), 1_700_000_000,
                Cache(self.folder / "cache"), lambda count: None, keys=[self.key], volume_size=volume_size,
                base=BaseManifest(earlier.manifest, earlier.digest) if earlier else None,
            )  # fmt: skip
        return output if volume_size else next(output.glob("*.tar.gz"), next(output.glob("*.zip"), output))

    def snapshot(self, name: str, date: str) -> Path:
        """Make an advisory snapshot of that date for a bundle, to be carried alone."""
        made = renewals.renewal(self.bundles[name].manifest, date)
        return renewals.write(self.folder / f"snapshot-{date[:10]}", renewals.signed(made, self.key))

    def carried(self, option: str, place: Path, name: str) -> list[str]:
        """Return the arguments for installing what was carried in as archive, volumes or delta."""
        return [option, str(place), *self.words(name)[2:]]

    @property
    def outside(self) -> Path:
        """A folder beside the prefix that a link in the data leads to."""
        return self.folder / "바깥"

    @property
    def prefix(self) -> Prefix:
        """The installation under test; the name has a space and Korean in it on purpose."""
        return Prefix(self.folder / "disk" / "설치 위치")

    @property
    def zygote(self) -> Zygote:
        """What the runs are forked from; started when it is first needed."""
        if not self._zygote:
            self._zygote.append(Zygote(self.folder / "zygote"))
        return self._zygote[0]

    def release(self, name: str) -> str:
        """Return the release that a bundle makes, with ``-rN`` behind its name that of its repair."""
        bundle, dash, repair = name.partition("-")
        return self.bundles[bundle].generation + dash + repair if name else ""

    def words(self, name: str, *more: str) -> list[str]:
        """Return the arguments for installing a bundle whose key the operator knows."""
        bundle = self.bundles[name]
        known = ["--bundle", str(bundle.root), "--trust-fingerprint", bundle.fingerprint]
        return [*known, "--service-manager", "process", *more]

    def installer(self, *words: str, **fault: str) -> Outcome:
        """Run the installer, with a fault or without."""
        return self.zygote.run(
            ["--prefix", str(self.prefix.root), *words], str(self.script), self.environment(**fault)
        )

    @property
    def script(self) -> Path:
        """Where install.py would lie; the default bundle beside it does not exist."""
        return self.folder / "nowhere" / "04_Scripts" / "install.py"

    def environment(self, **fault: str) -> dict[str, str]:
        """Return the environment of a run."""
        return {
            **os.environ,
            "RAGTRACE_FAULT_ROOT": str(self.prefix.root),
            "RAGTRACE_FAULT_LOOSE": "1",
            **{f"RAGTRACE_FAULT_{name}": value for name, value in {"MODE": "none", **fault}.items()},
        }

    def begin(self, start: Start) -> Snapshot:
        """Bring the prefix to a starting point, service running; only the first time takes long."""
        self.wipe()
        found = self.snapshots.get(start.name)
        if found is None:
            start.make(self)
            found = self.snapshots[start.name] = self._snapshot(start)
        elif found.folder.exists():
            clone(found.folder, self.prefix.root)
            if found.running:
                self.start(found.running)
        return found

    def _snapshot(self, start: Start) -> Snapshot:
        earlier = self.snapshots.get(start.treasures_of.name) if start.treasures_of else None
        made = Snapshot(
            self.folder / f"template-{len(self.snapshots)}",
            self.answering(),
            earlier.treasures if earlier else self.treasures(),
            earlier.undeclared if earlier else self.undeclared(),
            earlier.damage if earlier else self.damage(),
            self.installed(),
        )
        # A running service writes nothing but its log.
        if self.prefix.root.exists():
            clone(self.prefix.root, made.folder)
        return made

    def wipe(self) -> None:
        """Back to nothing."""
        self.stop()
        shutil.rmtree(self.prefix.root, ignore_errors=True)
        self.prefix.root.parent.mkdir(exist_ok=True)

    def plant(self) -> None:
        """Put down what an operator and a service would have: documents, a link, settings, a file of nobody."""
        data, config = self.prefix.data, self.prefix.config
        (data / "documents" / "부서").mkdir()
        (data / "documents" / "보고서.txt").write_text("document 문서\n" * 20, encoding="utf-8")
        (data / "documents" / "부서" / "표.csv").write_bytes(b"a,b\r\n1,2\r\n")
        (data / "index" / "postings.bin").write_bytes(bytes(range(256)) * 8)
        (data / "바깥으로").symlink_to(self.outside)
        with open(self.prefix.settings, "a", encoding="utf-8") as stream:
            stream.write(f"# 운영자가 쓴 줄\nOPERATOR_TOKEN={SECRET}\n")
        with open(config / "ragtrace.yaml", "a", encoding="utf-8") as stream:
            stream.write("# written by the operator\n")
        (self.prefix.root / FOREIGN).write_text("foreign\n", encoding="utf-8")

    def treasures(self) -> dict[str, str]:
        """Return mode and digest of everything that belongs to operator, service or nobody."""
        prefix, root = self.prefix, self.prefix.root
        found = {}
        foreign = root / FOREIGN
        for top in (
            prefix.data / "documents",
            prefix.data / "index",
            prefix.data / "바깥으로",
            prefix.data / "FORMAT.json",
            prefix.config,
            foreign,
            self.outside,
        ):
            for path in [top, *sorted(top.rglob("*"))] if top.is_dir() and not top.is_symlink() else [top]:
                if os.path.lexists(path) and not path.name.endswith(".new"):
                    found[os.path.relpath(path, root)] = fingerprint(path)
        return found

    def start(self, generation: str) -> None:
        """Start a release and wait for it."""
        known = service_settings.read(self.prefix)
        definition = define(self.prefix, generation, known)
        assert definition is not None
        host = activation.host_for(known)
        host.start(definition)
        health.wait_until_healthy(definition, host)

    def stop(self) -> None:
        """End whatever runs from this prefix."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.processes(), "processes do not end")

    def processes(self) -> dict[int, str]:
        """Return the processes whose command line names the prefix."""
        name = os.fsencode(self.prefix.root)
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    line = Path("/proc", entry, "cmdline").read_bytes()
                    if name in line and not _zombie(entry):
                        found[int(entry)] = line.replace(b"\0", b" ").decode("utf-8", "replace")
        return found

    def strays(self) -> list[str]:
        """Return the processes that are not the one service; those of a killed run get a moment to end."""

        def found() -> list[str]:
            service = lock_holder(self.prefix.service_lock) if self.prefix.state.is_dir() else 0
            return [f"{pid} {line[:120]}" for pid, line in self.processes().items() if pid != service]

        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not found(), "", 3.0)
        return found()

    def locked(self) -> bool:
        """Return whether somebody holds the installer's lock."""
        try:
            descriptor = os.open(self.prefix.lock, os.O_RDWR)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def answering(self) -> str:
        """Return the generation that answers at the port, or nothing."""
        known = service_settings.ServiceSettings("process", "x", "", "127.0.0.1", self.port, True)
        status, answer = health.ask(activation.shell(self.prefix, known), "/healthz")
        return str(answer["generation"]) if status == 200 else ""

    def active(self) -> str:
        """Return the generation that the pointer names; a pointer that cannot be read says so."""
        try:
            found = pointer.read(self.prefix)
        except sealed.Damaged as error:
            return f"damaged: {error}"
        return "" if found is None else found.generation

    def damage(self) -> list[str]:
        """Compare every release the pointer names with its receipt, byte for byte."""
        return damage(self.prefix)

    def installed(self) -> list[str]:
        """Return the paths of everything that releases and store consist of, and the pointer."""
        prefix = self.prefix
        found = [
            path for top in (prefix.generations, prefix.store, prefix.snapshots) for path in top.rglob("*")
        ]
        return sorted(
            path.relative_to(prefix.root).as_posix() for path in [*found, *prefix.root.glob("current.json")]
        )

    def spoilt(self) -> list[str]:
        """Return what a run has changed in the starting points, whose files it shared."""
        return [
            line
            for made in self.snapshots.values()
            for line in damage(Prefix(made.folder))
            if line not in made.damage
        ]

    def points(self, name: str, count: Callable[[Workshop, str], list[str]]) -> list[str]:
        """Return a scenario's mutating operations; they are counted once. What a run that nothing disturbs makes
        of the treasures is kept in `finished`."""
        if name not in self.counted:
            self.counted[name] = count(self, name)
            self.finished[name] = self.treasures()
        return self.counted[name]

    def undeclared(self) -> list[str]:
        """Return what nothing accounts for."""
        return inventory.undeclared(self.prefix)

    def leaks(self, outcome: Outcome) -> list[str]:
        """Return where the operator's secret can be read, beside the file it lies in."""
        needle = SECRET.encode()
        found = ["output"] if SECRET in outcome.text else []
        for top in (self.prefix.state, self.prefix.trust, self.prefix.logs):
            for path in top.rglob("*"):
                if path.is_file() and not path.is_symlink() and needle in path.read_bytes():
                    found.append(os.path.relpath(path, self.prefix.root))
        return found

    def close(self) -> None:
        """End everything and remove the folder."""
        self.stop()
        for zygote in self._zygote:
            zygote.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def damage(prefix: Prefix) -> list[str]:
    """Compare every release that a pointer names with its receipt, byte for byte."""
    try:
        found = pointer.read(prefix)
    except sealed.Damaged:
        return []
    problems = []
    for name in found.kept if found else ():
        folder = prefix.generation(name)
        try:
            problems += [f"{name}: {line}" for line in receipt.differences(folder, receipt.read(folder))]
        except (OSError, sealed.Damaged) as error:
            problems.append(f"{name}: {error}")
    return problems


def fingerprint(path: Path) -> str:
    """Return kind, mode and content of one path, as a line."""
    status = path.lstat()
    mode = f"{stat.S_IMODE(status.st_mode):o}"
    if stat.S_ISLNK(status.st_mode):
        return f"link {os.readlink(path)}"
    if stat.S_ISDIR(status.st_mode):
        return f"folder {mode}"
    return f"file {mode} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def clone(source: Path, destination: Path) -> None:
    """Copy a prefix. Releases and store are never edited in place, so their files are linked where both lie on one
    file system; the rest is copied."""
    destination.mkdir(exist_ok=True)
    link = destination.stat().st_dev == source.stat().st_dev
    for folder, folders, files in os.walk(source):
        target = destination / os.path.relpath(folder, source)
        target.mkdir(exist_ok=True)
        target.chmod(stat.S_IMODE(os.lstat(folder).st_mode))
        shared = os.path.relpath(folder, source).split(os.sep)[0] in ("generations", "store")
        for name in [*files, *folders]:
            path = Path(folder, name)
            if path.is_symlink():
                os.symlink(os.readlink(path), target / name)
            elif name in files:
                if shared and link:
                    os.link(path, target / name)
                else:
                    shutil.copy2(path, target / name)


def wait_for(condition: Callable[[], bool], complaint: str, patience_s: float = 20.0) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it is not.
    """
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.002)


def quiet_port() -> int:
    """Return a free port below those that the kernel gives to clients, so that none takes it between two runs."""
    while True:
        port = random.randrange(15000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def quick_place() -> Path:
    """Return a new folder in memory where there is room, else on the disk."""
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if shutil.disk_usage(memory).free > ROOM_BYTES and os.access(memory, os.W_OK | os.X_OK):
            return Path(tempfile.mkdtemp(prefix="ragtrace-fault-", dir=memory))
    return Path(tempfile.mkdtemp(prefix="ragtrace-fault-"))


def open_workshop(place: Path | None = None) -> Workshop:
    """Return a new workshop."""
    return Workshop(place or quick_place(), quiet_port())


def same(
    before: Mapping[str, str], after: Mapping[str, str], without: Callable[[str], bool] = lambda path: False
) -> list[str]:
    """Return how two looks at the treasures differ."""
    return [
        f"{path}: {before.get(path, 'nothing')} became {after.get(path, 'nothing')}"
        for path in sorted(set(before) | set(after))
        if not without(path) and before.get(path) != after.get(path)
    ]


def _zombie(pid: str) -> bool:
    return Path("/proc", pid, "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
