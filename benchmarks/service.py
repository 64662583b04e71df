"""The service of the starter profile: start to ready against the analyzer alone, idle memory, ingest."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .cases import Row, at_most
from .measure import Command, Run, alternated, run

# What the analyzer does before it can serve; the process then waits to be killed, as a service does.
KIWI = (
    "import sys; from kiwipiepy import Kiwi; "
    "k = Kiwi(num_workers=2, load_multi_dict=False); k.tokenize('준비'); "
    "print('ready', file=sys.stderr, flush=True); sys.stdin.read()"
)


@contextmanager
def service(
    home: str, python: str = sys.executable, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the service with its data in `home` and wait until it is ready; yield process and address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**_environment(home), "RAGTRACE_SERVER_PORT": str(port)}
    process = subprocess.Popen(
        [python, "-m", "ragtrace", "serve"],
        env={**environment, **(settings or {})},
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while not _ready(address):
            if process.poll() is not None:
                raise RuntimeError("the service ended")
            time.sleep(0.02)
        yield process, address
    finally:
        process.terminate()
        process.wait(30)


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _environment(home: str) -> dict[str, str]:
    """Return what the installer's unit sets: the first start compiles, later ones reuse (docs/adr/0007)."""
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{home}/data/cache/pycache"}
    return {**os.environ, "RAGTRACE_HOME": home, **compiled}


def until_ready(home: str, words: Sequence[str], serves: bool) -> Run:
    """Return the time from starting `python words` until it says on stderr that it is ready, and a service also over HTTP.

    Waiting for a line, unlike asking again and again, takes nothing from the process that is timed. Then it is killed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**_environment(home), "RAGTRACE_SERVER_PORT": str(port)}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None and process.stdin is not None
    with process.stdin, process.stderr:
        ready = any("ready" in line and "not_ready" not in line for line in process.stderr)
        if not ready or (serves and not _ready(f"http://127.0.0.1:{port}")):
            process.kill()
            raise RuntimeError("it did not become ready")
        seconds = time.perf_counter() - begun
        process.kill()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Run(seconds, usage.ru_maxrss / 1024)


def _idle_mb(home: str, settings: Mapping[str, str]) -> float:
    with service(home, settings=settings) as (process, _):
        status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def cases(folder: Path, documents: Path) -> list[Row]:
    """Measure; `documents` is a folder of real pages."""
    home = folder / "home"
    home.mkdir()
    start = alternated(
        lambda: until_ready(str(home), ["-m", "ragtrace", "serve"], serves=True),
        lambda: until_ready(str(home), ["-c", KIWI], serves=False),
        times=7,
    )
    rows = [
        at_most("service, start to ready (starter)", "Kiwi alone: import, load, first sentence", start, 1.2)
    ]
    memory = _idle_mb(str(home), {})
    bare = folder / "bare"
    bare.mkdir()
    without = _idle_mb(str(bare), {"RAGTRACE_ANALYZER_KIND": "whitespace"})
    rows.append(
        Row("service, idle memory (starter)", "the same without Kiwi", f"{memory:.0f} MB", f"{without:.0f} MB",
            f"{memory - without:.0f} MB more", "< 700 MB", memory < 700)
    )  # fmt: skip
    words = [sys.executable, "-m", "ragtrace", "--json", "ingest", str(documents)]
    took = run(Command(words, folder, {"RAGTRACE_HOME": str(home)}))
    count = sum(1 for _ in documents.rglob("*.htm*"))
    rows.append(
        Row(f"ingest of {count} Korean HTML pages", "", f"{took.seconds:.1f} s", "", f"{took.peak_mb:.0f} MB peak",
            "≤ 60 s", took.seconds <= 60)
    )  # fmt: skip
    return rows
