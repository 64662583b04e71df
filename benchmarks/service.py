"""The service of the starter profile: start to ready against the analyzer alone, idle memory, ingest."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .cases import Row, at_most, memory_row
from .measure import Command, paired, run

KIWI = (
    "from kiwipiepy import Kiwi; import sys; "
    "k = Kiwi(num_workers=2, load_multi_dict=False); k.tokenize('준비'); sys.exit(0)"
)
# Starts the service as the installer does and ends it as soon as it is ready.
UNTIL_READY = "from benchmarks.service import until_ready; import sys; until_ready(sys.argv[1])"


@contextmanager
def service(
    home: str, python: str = sys.executable, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the service with its data in `home` and wait until it is ready; yield process and address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # As the installer's unit sets it: the first start compiles, later ones reuse (docs/adr/0007).
    environment = {**os.environ, "RAGTRACE_HOME": home, "RAGTRACE_SERVER_PORT": str(port)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{home}/data/cache/pycache"}
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


def until_ready(home: str) -> None:
    """Start, wait until ready, stop at once: what the start itself takes."""
    with service(home) as (process, _):
        process.kill()


def cases(folder: Path, documents: Path) -> list[Row]:
    """Measure; `documents` is a folder of real pages."""
    home = folder / "home"
    home.mkdir()
    start = paired(
        Command([sys.executable, "-c", UNTIL_READY, str(home)], Path(__file__).resolve().parent.parent),
        Command([sys.executable, "-c", KIWI], folder),
        times=3,
    )
    rows = [
        at_most("service, start to ready (starter)", "Kiwi alone: import, load, first sentence", start, 1.2)
    ]
    with service(str(home)) as (process, _):
        status = Path(f"/proc/{process.pid}/status").read_text()
        memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
    rows.append(memory_row("service, idle memory (starter)", memory, 700))
    words = [sys.executable, "-m", "ragtrace", "--json", "ingest", str(documents)]
    took = run(Command(words, folder, {"RAGTRACE_HOME": str(home)}))
    count = sum(1 for _ in documents.rglob("*.htm*"))
    rows.append(
        Row(f"ingest of {count} Korean HTML pages", "", f"{took.seconds:.1f} s", "", f"{took.peak_mb:.0f} MB peak",
            "≤ 60 s", took.seconds <= 60)
    )  # fmt: skip
    return rows
