"""The validator: a full run on an installed starter profile, the preflight before it, and what importing it costs."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from .cases import Bench, Row
from .measure import Command, Run, paired, run
from .operating import Host, timed

# Its types are not shipped.
psutil = importlib.import_module("psutil")
ROUNDS = 5
FINE = ("pass", "skip", "warn")
OWN = ("enterprise_validator.py", "worker.py")


class Watch:
    """The most memory that the validator's own processes held together, and the largest process that they started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = psutil.Process(process.pid)
        self.own_mb = self.other_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.03):
            own = 0.0
            try:
                for one in [self.process, *self.process.children(recursive=True)]:
                    size = one.memory_info().rss / 1e6
                    if any(name in word for word in one.cmdline() for name in OWN):
                        own += size
                    else:
                        self.other_mb = max(self.other_mb, size)
            except psutil.Error:
                continue
            self.own_mb = max(self.own_mb, own)

    def end(self) -> None:
        """Stop looking."""
        self._over.set()
        self._thread.join()


def full_run(host: Host) -> tuple[float, Watch]:
    """Run every check on the installation; a healthy host is expected, but for the advisories, which nobody asked for."""
    tools = host.root / "current" / "tools" / "06_Verification" / "enterprise_validator.py"
    found = host.root.with_name("found.json")
    words = [sys.executable, str(tools), "--prefix", str(host.root), "--quiet", "--output", str(found)]
    begun = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watch = Watch(process)
    assert process.stdout is not None
    said = process.stdout.read().decode("utf-8", "replace")
    process.wait()
    taken = time.perf_counter() - begun
    watch.end()
    process.stdout.close()
    results = json.loads(found.read_text(encoding="utf-8"))["validation_results"]
    if any(each["raw_status"] not in FINE and each["id"] != "SEC-010" for each in results):
        raise RuntimeError(said)
    return taken, watch


def cases(bench: Bench) -> list[Row]:
    """Measure everything of this module."""
    host = Host(bench.folder / "validated", bench.signers)
    timed(host.install(bench.tree))
    try:
        runs = [full_run(host) for _ in range(ROUNDS)]
    finally:
        host.stop()
    shutil.rmtree(host.root)
    seconds = sorted(taken for taken, _ in runs)
    own = max(watch.own_mb for _, watch in runs)
    other = max(watch.other_mb for _, watch in runs)
    middle = seconds[len(seconds) // 2]
    return [
        Row("validator, every check (starter)", "", f"{middle:.1f} s", "", f"({seconds[0]:.1f}–{seconds[-1]:.1f} s)",
            "≤ 20 s", middle <= 20),
        Row("validator, its own processes together", "", f"{own:.0f} MB", "", f"(a command of the service: {other:.0f} MB)",
            "< 150 MB", own < 150),
        preflight(bench),
        importing(bench),
    ]  # fmt: skip


def preflight(bench: Bench) -> Row:
    """`--quiet` before anything is installed, out of the unpacked bundle."""
    script = bench.tree / "06_Verification" / "enterprise_validator.py"
    words = [sys.executable, str(script), "--quiet", "--prefix", str(bench.folder / "nothing")]
    taken = sorted(_lenient(words, bench.tree).seconds for _ in range(ROUNDS))
    middle = taken[len(taken) // 2]
    return Row("validator, quiet preflight", "", f"{middle:.2f} s", "", f"({taken[0]:.2f}–{taken[-1]:.2f} s)",
               "≤ 2 s", middle <= 2)  # fmt: skip


def _lenient(words: list[str], folder: Path) -> Run:
    """Run once; warnings and checks that do not apply yet are no failure."""
    return run(Command(["sh", "-c", '"$@"; test $? -ne 1', "sh", *words], folder, operator=True))


def importing(bench: Bench) -> Row:
    """The command line's modules in a bare interpreter, from sources, as they are in a bundle."""
    paths = [str(bench.tree / "06_Verification"), str(bench.tree / "04_Scripts")]
    script = f"import sys; sys.path[:0] = {paths!r}; import validator.cli"
    pair = paired(
        Command([sys.executable, "-I", "-B", "-c", script], bench.folder),
        Command([sys.executable, "-I", "-B", "-c", "pass"], bench.folder),
        times=9,
    )
    over = pair.ours.seconds - pair.theirs.seconds
    return Row("validator, import before anything is installed", "a bare interpreter", f"{pair.ours.seconds:.3f} s",
               f"{pair.theirs.seconds:.3f} s", f"{over:.3f} s more", "≤ 0.15 s more", over <= 0.15)  # fmt: skip


def main() -> int:
    """Measure this module alone."""
    from .__main__ import alone

    return alone(cases)


if __name__ == "__main__":
    sys.exit(main())
