"""Runs of the installer, recorded once, and what must be true of any disk they may leave behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.signing import SigningKey
from bundle import chaincheck
from installer import inventory, pointer, receipt, sealed, settings
from installer.paths import Prefix
from installer.recovery import recover
from installer.testing import MemoryHost
from tests.installer.site import Site
from tests.support.bundles import REPOSITORY, Bundle, make_bundle, uv_binary

from .disk import FATES, Cut, Fate, Operation, chance_fate, signature, survivors, write

HOOK = Path(__file__).parent / "hook"
CANARY = "문서/canary.txt"
CANARY_BYTES = "사용자의 자료\n".encode()
NAME = "설치 위치"


@dataclass
class Recording:
    """One run: its operations, and which release may be the active one before, while and after it commits."""

    name: str
    operations: list[Operation]
    blobs: Path
    words: list[str]
    old: str
    new: str
    code: int
    canary: bool

    @property
    def begin(self) -> int:
        """Where the run begins; what is before is as safe as anything."""
        return next(n for n, item in enumerate(self.operations, 1) if item["op"] == "begin")

    def _find(self, fits: Callable[[Operation], bool], after: int = 0) -> int:
        found = [n for n, item in enumerate(self.operations, 1) if n > after and fits(item)]
        # At its end at the latest: then the installer has said that it is done.
        return found[0] if found else len(self.operations)

    @property
    def switched(self) -> int:
        """The moment in which the pointer was replaced or removed."""
        return self._find(
            lambda item: (
                (item["op"] == "rename" and item["to"].endswith("/current.json"))
                or (item["op"] == "unlink" and item["path"].endswith("/current.json"))
            )
        )

    @property
    def committed(self) -> int:
        """The moment from which on the new release is the only one: the commit record, or the pointer's removal,
        is safe."""
        if self.new == "":
            return self._find(
                lambda item: item["op"] == "fsync" and item["path"].endswith(NAME), self.switched
            )
        record = self._find(lambda item: item["op"] == "rename" and item["to"].endswith("/accepted.json"))
        return self._find(lambda item: item["op"] == "fsync" and item["path"].endswith("/trust"), record)

    def allowed(self, moment: int) -> tuple[str, ...]:
        """Return the releases that may be active if the power goes after so many operations."""
        if self.code != 0 or moment < self.switched:
            return (self.old,)
        return (self.new,) if moment >= self.committed else (self.old, self.new)

    def moments(self, stride: int = 40) -> list[int]:
        """Return where to cut: around everything that is not the release's own contents, and samples there."""
        chosen = []
        for number, item in enumerate(self.operations, 1):
            if number < self.begin:
                continue
            path = item.get("path", "")
            # Contents of the release and of the store, and the scratch folder, are many and all alike.
            alike = "/generations/" in path or "/store/" in path or "/state/tmp" in path or not path
            if not alike or item["op"] == "rename" or "RECEIPT" in path or number % stride == 0:
                chosen += [number - 1, number]
        # Before `begin` nothing is safe yet: that is not a moment of this run.
        return sorted({*(n for n in chosen if n >= self.begin), self.begin, len(self.operations)})

    def some_moments(self, stride: int) -> list[int]:
        """Return all moments around the commit path, and samples elsewhere."""
        path = range(self.switched - 12, self.committed + 3)
        moments = self.moments()
        return sorted({moments[0], moments[-1], *moments[::stride], *(m for m in moments if m in path)})

    def without(self, fits: Callable[[str], bool]) -> Recording:
        """Return the same run as it would be without some of its synchronisations."""
        kept = [item for item in self.operations if not (item["op"] == "fsync" and fits(item["path"]))]
        mutated = Recording(**{**vars(self), "operations": kept})
        assert len(kept) < len(self.operations), "nothing was left out"
        return mutated


@dataclass
class Result:
    """How many cut points and states were tried, how many different disks they came to, and what was wrong."""

    moments: int
    states: int = 0
    disks: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Studio:
    """Bundles, a prefix, and the recordings made there."""

    folder: Path
    bundles: dict[str, Bundle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.site = Site(self.folder / "site" / NAME)
        self.folder.joinpath("site").mkdir()
        # A disk in memory, where there is one, is looked at ten times as fast.
        memory = Path("/dev/shm")
        self.memory = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else self.folder))
        key = SigningKey(Ed25519PrivateKey.generate(), "builder@example")
        program = f'#!/bin/sh\nexec "{uv_binary()}" "$@"\n'.encode()
        for name, sequence, serve in (("v1", 1, "healthy"), ("v2", 2, "healthy"), ("bad", 3, "crash")):
            self.bundles[name] = make_bundle(
                self.folder / name, version=f"{sequence}.0.0", sequence=sequence, serve=serve, uv=program,
                port=self.site.port, key=key, models={"m/weights.bin": b"weights" * 100},
            )  # fmt: skip

    @property
    def prefix(self) -> Prefix:
        """Where everything is recorded and tried again."""
        return self.site.prefix

    def expand(self, words: Sequence[str]) -> list[str]:
        """Return a command; a name of a bundle stands for its installation."""
        if words[0] in self.bundles:
            return self.site.words(self.bundles[words[0]])
        return [self.bundles[word].generation if word in self.bundles else word for word in words]

    def close(self) -> None:
        """Stop what runs and remove everything."""
        self.site.stop()
        shutil.rmtree(self.memory, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """Stop what runs and remove the prefix."""
        self.site.stop()
        shutil.rmtree(self.site.root, ignore_errors=True)

    def prepare(self, words: Sequence[Sequence[str]]) -> None:
        """Bring the prefix to the point where the recording begins."""
        self.clear()
        for command in words:
            done = self.site.run(*self.expand(command))
            assert done.code == 0, done.err
        if words:
            canary = self.prefix.data / CANARY
            canary.parent.mkdir()
            canary.write_bytes(CANARY_BYTES)

    def record(
        self,
        name: str,
        prepare: Sequence[Sequence[str]],
        words: Sequence[str],
        old: str,
        new: str,
        code: int = 0,
    ) -> Recording:
        """Run the installer with the recorder in it."""
        self.prepare(prepare)
        out = self.folder / f"trace-{name}"
        out.mkdir()
        command = self.expand(words)
        environment = {
            "PYTHONPATH": os.pathsep.join([str(HOOK), str(REPOSITORY)]),
            "RAGTRACE_POWER_ROOT": str(self.site.root.parent),
            "RAGTRACE_POWER_OUT": str(out),
        }
        done = subprocess.run(
            self.site.command(*command), env={**os.environ, **environment}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        self.site.stop()
        lines = (out / "trace.jsonl").read_text(encoding="utf-8").splitlines()
        generation = {word: bundle.generation for word, bundle in self.bundles.items()}
        return Recording(
            name, [json.loads(line) for line in lines], out / "blobs", command,
            generation.get(old, old), generation.get(new, new), code, bool(prepare),
        )  # fmt: skip

    def check(self, recording: Recording, moments: Sequence[int], chosen: Sequence[Fate]) -> Result:
        """Let the power go at each of the moments with each of the fates, recover, and see what is wrong. A disk
        that was looked at before is not looked at again."""
        result = Result(len(moments))
        seen: set[tuple[str, tuple[str, ...], bool]] = set()
        place = self.memory / "disk"
        for moment in moments:
            cut = Cut(recording.operations, moment)
            allowed, committed = recording.allowed(moment), moment >= recording.committed
            for fate in chosen:
                result.states += 1
                nodes = survivors(cut, fate, recording.blobs)
                key = (signature(nodes), allowed, committed)
                if key in seen:
                    continue
                seen.add(key)
                shutil.rmtree(place, ignore_errors=True)
                write(nodes, place)
                found = examine(Prefix(place / NAME), recording, allowed, committed)
                last = recording.operations[moment - 1]
                what = f"{last['op']} {os.path.relpath(last.get('path', place), self.site.root)}"
                result.problems += [
                    f"{recording.name} after {moment} ({what}), {fate.name}: {line}" for line in found
                ]
        result.disks = len(seen)
        return result

    def run_again(self, recording: Recording, moment: int, fate: Fate) -> list[str]:
        """Let the power go, and let the operator give the same command again where it happened."""
        self.clear()
        self.site.root.parent.rmdir()
        write(survivors(Cut(recording.operations, moment), fate, recording.blobs), self.site.root.parent)
        done = self.site.run(*recording.words)
        problems = []
        if done.code != recording.code:
            problems.append(f"exit code {done.code}: {done.err[-800:]}")
        expected = recording.old if recording.code else recording.new
        if self.site.active() != expected:
            problems.append(f"{self.site.active()!r} is active")
        if self.prefix.state.is_dir():
            problems += [finding.text().en for finding in chaincheck.read(self.prefix.state).problems]
        problems += [f"undeclared: {name}" for name in self.site.undeclared()]
        self.clear()
        return [f"{recording.name}: again after {moment}, {fate.name}: {problem}" for problem in problems]


def examine(prefix: Prefix, recording: Recording, allowed: tuple[str, ...], committed: bool) -> list[str]:
    """Recover an installation and return everything that should not be so."""
    problems = damaged(prefix)
    if prefix.state.is_dir():
        try:
            recover(prefix, "again", serve=False, host=MemoryHost())
            if recover(prefix, "again", serve=False, host=MemoryHost()).needed:
                problems.append("a second recovery found something to do")
        except Exception as error:
            return [f"recovery failed: {error!r}"]
    found = pointer.read(prefix)
    active = "" if found is None else found.generation
    if active not in allowed:
        problems.append(f"{active!r} is active, allowed: {allowed}")
    for name in found.kept if found is not None else ():
        folder = prefix.generation(name)
        try:
            problems += [f"{name}: {line}" for line in receipt.differences(folder, receipt.read(folder))]
        except (OSError, sealed.Damaged) as error:
            problems.append(f"{name}: {error!r}")
    if recording.canary and _bytes(prefix.data / CANARY) != CANARY_BYTES:
        problems.append("the user's data are not what they were")
    if prefix.state.is_dir():
        problems += [finding.text().en for finding in chaincheck.read(prefix.state).problems]
    # Contents that a run had taken into the store, or removed from it, are put in order by the next run.
    strange = [name for name in inventory.undeclared(prefix) if not name.startswith("store/")]
    problems += [f"undeclared: {name}" for name in strange]
    if committed and active:
        needed = [prefix.settings, prefix.service, prefix.logs, prefix.allowed_signers, prefix.audit]
        problems += [f"missing: {path.name}" for path in needed if not path.exists()]
        if settings.read(prefix) is None:
            problems.append("nobody knows how the service is run")
    return problems


def damaged(prefix: Prefix) -> list[str]:
    """Return the state files that are neither the old nor the new one; recovery could help itself, but each of
    them is promised to be replaced at once."""
    files = [prefix.pointer, prefix.accepted, *prefix.generations.glob(f"*/{receipt.NAME}")]
    problems = []
    for path in files:
        try:
            sealed.unseal(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except sealed.Damaged as error:
            problems.append(f"{path.relative_to(prefix.root)} is torn: {error}")
    if prefix.service.exists() and settings.read(prefix) is None:
        problems.append("service.json is torn")
    return problems


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def fates(seeds: int) -> tuple[Fate, ...]:
    """Return the fates to try at each moment: the regular ones, and some of chance."""
    return (*FATES, *(chance_fate(seed) for seed in range(1, seeds + 1)))
