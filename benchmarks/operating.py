"""An installation in use: upgrade, rollback, recovery after a kill, gigabytes of models, and how fast is verified."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.seal import seal
from builder.sealing.signing import SigningKey
from bundle.hashing import sha256_file
from bundle.manifest import FileEntry, Manifest, parse_manifest
from installer import activation, settings
from installer.health import wait_until_healthy
from installer.paths import Prefix
from installer.pointer import read as read_pointer
from installer.service import define

from .cases import Bench, Row, at_most, memory_row, seconds
from .measure import Command, Run, paired

KILLS = 12
MODEL_BYTES = 20_000_000_000
# Enough files for every core, small enough to stay in the page cache.
HASHED_FILES, HASHED_BYTES = 8, 1_024_000_000
# What the cores can hash at most: as many threads as cores, out of memory.
HASH_FROM_MEMORY = """
import hashlib, os, sys, threading
piece, count, cores = os.urandom(1 << 20), int(sys.argv[1]) >> 20, os.cpu_count()
def work(pieces):
    digest = hashlib.sha256()
    for _ in range(pieces):
        digest.update(piece)
threads = [threading.Thread(target=work, args=(count // cores,)) for _ in range(cores)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@dataclass
class Host:
    """A prefix whose service runs as an ordinary process on a port of its own."""

    root: Path
    signers: Path

    def __post_init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    @property
    def prefix(self) -> Prefix:
        """Its names."""
        return Prefix(self.root)

    def words(self, tree: Path, *more: str) -> list[str]:
        """Return the command line of the installer in an unpacked bundle."""
        return [
            sys.executable,
            str(tree / "04_Scripts" / "install.py"),
            "--prefix",
            str(self.root),
            "--quiet",
            *more,
        ]

    def install(self, tree: Path, *more: str) -> list[str]:
        """Return the command line that installs the bundle."""
        address = ["--service-manager", "process", "--port", str(self.port)]
        return self.words(tree, "--allowed-signers", str(self.signers), *address, *more)

    def restart(self) -> float:
        """Restart the service by itself and return the seconds until it is well."""
        active, known = read_pointer(self.prefix), settings.read(self.prefix)
        assert active is not None
        definition, host = define(self.prefix, active.generation, known), activation.host_for(known)
        assert definition is not None
        begun = time.perf_counter()
        host.stop(definition)
        host.start(definition)
        wait_until_healthy(definition, host)
        return time.perf_counter() - begun

    def stop(self) -> None:
        """End the service."""
        known = settings.read(self.prefix)
        activation.stop(self.prefix, known, activation.host_for(known))

    def answers(self) -> bool:
        """Return whether the service says that it is ready."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def timed(words: list[str]) -> float:
    """Run a command that must succeed and return its seconds."""
    begun = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def silence(host: Host, act: Callable[[], object]) -> float:
    """Return the longest time without an answer while `act` runs."""
    moments: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if host.answers():
                moments.append(time.perf_counter())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        act()
        time.sleep(0.2)
    finally:
        over.set()
        watcher.join()
    return max(later - earlier for earlier, later in zip(moments, moments[1:], strict=False))


def switching(bench: Bench) -> list[Row]:
    """Downtime of an upgrade, time of a rollback, recovery after kills."""
    later = later_release(bench)
    host = Host(bench.folder / "host", bench.signers)
    timed(host.install(bench.tree))
    timed(host.install(later))
    restarts = [host.restart() for _ in range(5)]
    rollbacks, downtimes = [], []
    for _ in range(5):
        rollbacks.append(timed(host.words(later, "--rollback")))
        # Removed, so that each is a whole upgrade to a release that has never run here.
        timed(host.words(bench.tree, "--prune", "--keep", "0"))
        downtimes.append(silence(host, lambda: timed(host.install(later))))
    restart, rollback = statistics.median(restarts), statistics.median(rollbacks)
    downtime = statistics.median(downtimes)
    rows = [
        Row("rollback, beyond the service's own start", "", f"{rollback - restart:.2f} s", "",
            f"({min(rollbacks) - restart:.2f}–{max(rollbacks) - restart:.2f} s)", "≤ 2 s", rollback - restart <= 2),
        Row("service downtime of an upgrade", "its own restart until ready", f"{downtime:.2f} s", f"{restart:.2f} s",
            f"{downtime / restart:.2f} × ({min(downtimes) / restart:.2f}–{max(downtimes) / restart:.2f})",
            "≤ 1 ×", downtime <= restart),
    ]  # fmt: skip
    rows.append(recovery(host, bench.tree, later))
    host.stop()
    shutil.rmtree(host.root)
    return rows


def recovery(host: Host, first: Path, later: Path) -> Row:
    """Kill upgrades at moments all over their length; time what brings the service back each time."""
    chance = random.Random(4)
    timed(host.words(later, "--rollback"))
    timed(host.words(first, "--prune", "--keep", "0"))
    whole = timed(host.install(later))
    taken = []
    for number in range(KILLS):
        timed(host.words(later, "--rollback"))
        timed(host.words(first, "--prune", "--keep", "0"))
        upgrade = subprocess.Popen(host.install(later), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * (number + chance.random()) / KILLS)
        upgrade.kill()
        upgrade.wait()
        taken.append(timed(host.words(first, "--start")))
        if not host.answers():
            raise RuntimeError("not running after recovery")
        timed(host.install(later))
    worst = max(taken)
    return Row(f"recovery after a kill, worst of {KILLS} moments of an upgrade (starter)", "", f"{worst:.1f} s", "",
               f"(median {statistics.median(taken):.1f} s)", "< 10 s", worst < 10)  # fmt: skip


def later_release(bench: Bench) -> Path:
    """Return the tree of the same contents with a later sequence."""
    manifest = parse_manifest((bench.tree / "MANIFEST.json").read_bytes())
    result = bench.build(bench.folder / "later", "--audit", "none", "--sequence", str(manifest.sequence + 1))
    folder = bench.folder / "later-tree"
    folder.mkdir()
    subprocess.run(["tar", "xzf", result["archive"], "-C", str(folder), "--strip-components=1"], check=True)
    return folder


def models(bench: Bench) -> list[Row]:
    """A code-only upgrade of a bundle with 20 GB of models: bytes written, memory, against one without models."""
    key = SigningKey(Ed25519PrivateKey.generate(), "benchmarks")
    weights = bench.folder / "weights"
    with weights.open("wb") as stream:
        stream.truncate(MODEL_BYTES)
    digest = sha256_file(weights)[1]
    signers = bench.folder / "model-signers"
    signers.write_text(key.allowed_signers())
    entry = FileEntry("07_Models/big/model.safetensors", MODEL_BYTES, digest, 0o644, "model", "big")
    peaks: dict[str, list[Run]] = {}
    written: dict[str, int] = {}
    for name, extra in (("with", (entry,)), ("without", ())):
        host = Host(bench.folder / f"host-{name}", signers)
        for number in (1, 2):
            tree = resealed(bench.tree, bench.folder / f"{name}-{number}", weights, extra, number, key)
            words = host.install(tree, "--no-start", "--service-manager", "none")
            done, blocks = measured(words)
            peaks.setdefault(name, []).append(done)
            written[name] = blocks * 512
            shutil.rmtree(tree)
        shutil.rmtree(host.root)
    weights.unlink()
    ratio = written["with"] / written["without"]
    ours, theirs = (f"{written[name] / 1e6:.0f} MB" for name in ("with", "without"))
    memory = max(run.peak_mb for run in peaks["with"])
    return [
        Row("code-only upgrade with 20 GB of models: bytes written", "the same bundle without models", ours, theirs,
            f"{ratio:.2f} ×", "≤ 1.05 ×", ratio <= 1.05),
        memory_row("installer, 20 GB of models", memory, 100),
        Row("installation, then upgrade, with 20 GB of models", "", " + ".join(seconds(run) for run in peaks["with"]), "", "", "-", True),
    ]  # fmt: skip


def resealed(
    tree: Path, place: Path, weights: Path, extra: tuple[FileEntry, ...], number: int, key: SigningKey
) -> Path:
    """Return a copy of the bundle by hard links, with further files and its own sequence, signed by `key`."""
    manifest = parse_manifest((tree / "MANIFEST.json").read_bytes())
    kept = [item for item in manifest.files if item.kind != "checksums"]
    for item in kept:
        target = place.joinpath(*item.path.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(tree.joinpath(*item.path.split("/")), target)
    for item in extra:
        target = place.joinpath(*item.path.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(weights, target)
    made: Manifest = replace(
        manifest,
        files=(*kept, *extra),
        sequence=manifest.sequence + number,
        version=f"{manifest.version}.{number}",
    )
    for name, data in seal(made, [key]).files():
        (place / name).write_bytes(data)
    return place


def measured(words: list[str]) -> tuple[Run, int]:
    """Run a command; return its time and peak memory, and the blocks of 512 bytes that it and its children wrote."""
    begun = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{errors.decode(errors='replace')}")
    return Run(time.perf_counter() - begun, usage.ru_maxrss / 1024), usage.ru_oublock


def verification(bench: Bench) -> Row:
    """Verify a bundle of 8 GB against hashing as much memory on all cores."""
    key = SigningKey(Ed25519PrivateKey.generate(), "benchmarks")
    folder = bench.folder / "hashed"
    (folder / "07_Models" / "m").mkdir(parents=True)
    piece = os.urandom(1 << 20)
    entries = []
    for number in range(HASHED_FILES):
        path = folder / "07_Models" / "m" / f"{number}.safetensors"
        with path.open("wb") as stream:
            for _ in range(HASHED_BYTES >> 20):
                stream.write(piece)
        size, digest = sha256_file(path)
        entries.append(FileEntry(f"07_Models/m/{path.name}", size, digest, 0o644, "model", "m"))
    manifest = parse_manifest((bench.tree / "MANIFEST.json").read_bytes())
    for name, data in seal(replace(manifest, files=tuple(entries)), [key]).files():
        (folder / name).write_bytes(data)
    signers = bench.folder / "hashed-signers"
    signers.write_text(key.allowed_signers())
    ours = [sys.executable, str(bench.tree / "04_Scripts" / "install.py"), "--verify-only", "--quiet"]
    ours += [
        "--bundle",
        str(folder),
        "--allowed-signers",
        str(signers),
        "--prefix",
        str(bench.folder / "none"),
    ]
    memory = [sys.executable, "-c", HASH_FROM_MEMORY, str(sum(entry.size for entry in entries))]
    pair = paired(Command(ours, bench.folder, operator=True), Command(memory, bench.folder))
    shutil.rmtree(folder)
    # At least 90 % of the rate is at most 1.11 times the time.
    return at_most("verification of 8 GB", "hashing 8 GB of memory on all cores", pair, 1.11)


def cases(bench: Bench) -> list[Row]:
    """Measure everything of this module."""
    return [verification(bench), *switching(bench), *models(bench)]


def main() -> int:
    """Measure this module alone."""
    from .__main__ import alone

    return alone(cases)


if __name__ == "__main__":
    sys.exit(main())
