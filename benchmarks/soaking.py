"""Many mixed requests over HTTP to one service: what its memory, file handles and threads are before, meanwhile and after.

    python -m benchmarks.soaking [--stack starter|models|llama] [--requests 10000] [--documents DIR] [--python PYTHON]

Rounds of requests come from eight clients at a time: questions answered and not, streams read to their end and broken off,
chats, probes, pages, bodies that are wrong. Between two rounds documents are changed by ``ragtrace ingest`` in another
process, nothing runs for a moment, and the service is measured from outside. Nothing may be answered otherwise than it
should be; against the first fifth, handles and threads must not grow by more than pools hold, and memory by less than 5 %.

starter: words and sentences of the documents. models: a tiny BGE-M3 with all three outputs, a tiny reranker, and a
language model at an OpenAI-compatible server on loopback. llama: the same with a tiny GGUF model inside the service,
which needs the extra ``llama`` (``--python``, or its folder in PYTHONPATH); llama.cpp keeps up to 256 MiB of earlier
prompts, so its memory grows until they are full. The tiny models find and say nothing of use: it is the way through
the engines that is soaked. ``--requests 400`` is a first try; Linux only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ragtrace.testing.language import ScriptedLanguageModel
from tests.service.embedding import folders as encoders
from tests.service.language.chat_server import ChatServer
from tests.service.loopback import Loopback
from tests.service.reranking import folders as rerankers
from tests.support import tiny_llama

from .cases import REPOSITORY
from .service import service
from .soak_requests import KINDS, Client, Kind, Questions

WORKERS = 8
ROUNDS = 20
MEMORY_GROWTH = 0.05
# Pools fill when many requests meet, however late: five connections to the records with two files each, threads that wait.
SLACK = 12
_SETTLE_S = 6.0
_RULES = {
    f"규정{number:02}.md": f"# {what} 규정\n\n## 신청\n{what} 신청은 사용 {number}일 전까지 합니다. 팀장이 승인합니다.\n\n"
    f"## 한도\n{what} 한도는 한 해에 {number * 3}번입니다. 넘으면 인사팀에 묻습니다.\n"
    for number, what in enumerate(
        ("휴가", "출장", "교육", "회의실", "차량", "장비", "노트북", "경조사", "연수", "재택"), 1
    )
}
QUESTIONS = Questions(
    tuple(f"{name} 신청은 언제까지 합니까?" for name in ("휴가", "출장", "교육", "회의실", "차량", "경조사"))
    + (
        "장비 한도는 몇 번입니까?",
        "작년 노트북 신청은 누가 승인합니까?",
        "재택 한도를 넘으면 어디에 묻습니까?",
    ),
    "양자 얽힘의 위상은 무엇으로 잽니까?",
)


@dataclass(frozen=True)
class Measured:
    """The service from outside: resident and private memory in MB, open handles, threads, child processes."""

    requests: int
    resident_mb: float
    private_mb: float
    handles: int
    threads: int
    children: int


def measure(process: int, requests: int) -> Measured:
    """Look at a process that has nothing to do."""
    status = Path(f"/proc/{process}/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines())
    tasks = Path(f"/proc/{process}/task")
    children = sum(len((task / "children").read_text().split()) for task in tasks.iterdir())
    return Measured(
        requests=requests,
        resident_mb=int(found["VmRSS"].split()[0]) / 1024,
        private_mb=int(found["RssAnon"].split()[0]) / 1024,
        handles=len(os.listdir(f"/proc/{process}/fd")),
        threads=int(found["Threads"]),
        children=children,
    )


@dataclass
class Tally:
    """How requests ended, by kind, and what they took."""

    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: Kind, end: str, seconds: float) -> None:
        """Count one."""
        with self.lock:
            self.ends[kind.name, end] += 1
            self.seconds[kind.name].append(seconds)
            if end not in kind.right:
                self.wrong[kind.name, end] += 1


def send(clients: Sequence[Client], kinds: Sequence[Kind], tally: Tally) -> None:
    """Send one request of each kind given, as many at a time as there are clients."""
    waiting: SimpleQueue[Kind] = SimpleQueue()
    for kind in kinds:
        waiting.put(kind)

    def work(client: Client) -> None:
        while True:
            try:
                kind = waiting.get_nowait()
            except Empty:
                break
            began = time.perf_counter()
            try:
                end = kind.run(client)
            except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as problem:
                # No answer, or none of the form it has to have: that is an end too, and the table shows it.
                client.close()
                end = f"{type(problem).__name__}: {problem}"[:80]
            tally.note(kind, end, time.perf_counter() - began)
        client.close()

    threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def models(folder: Path) -> Iterator[dict[str, str]]:
    """Make the tiny models and a language model at a server; yield the settings that name them."""
    said = ScriptedLanguageModel(
        lambda messages, wanted: f"{messages[-1].content[-40:]} 팀장이 승인합니다 [1]."
    )
    server = ChatServer(said)
    upstream = Loopback(server.app())
    forgetting = threading.Event()

    def forget() -> None:
        # The fakes remember all they were asked; that is the bench's memory, not the service's, but it need not be.
        while not forgetting.wait(5):
            for kept in (server.bodies, server.headers, said.asked):
                kept.clear()

    threading.Thread(target=forget, daemon=True).start()
    try:
        yield {
            **_encoders(folder),
            "RAGTRACE_LANGUAGE_URL": f"http://127.0.0.1:{upstream.port}/v1",
            "RAGTRACE_LANGUAGE_MODEL": "tiny",
            "RAGTRACE_LANGUAGE_PARALLEL": str(WORKERS),
        }
    finally:
        forgetting.set()
        upstream.stop()


@contextmanager
def llama(folder: Path) -> Iterator[dict[str, str]]:
    """Make the tiny models, the language model as GGUF; yield the settings that name them."""
    tiny_llama.CONTEXT = 4096
    tiny_llama.write(folder, {"tiny.gguf": tiny_llama.gguf()})
    yield {
        **_encoders(folder),
        "RAGTRACE_LANGUAGE_MODEL": str(folder / "tiny.gguf"),
        "RAGTRACE_LANGUAGE_CONTEXT_TOKENS": "4096",
        "RAGTRACE_LANGUAGE_MAX_TOKENS": "32",
    }


@contextmanager
def starter(folder: Path) -> Iterator[dict[str, str]]:
    """Yield no settings."""
    yield {}


STACKS: Mapping[str, Callable[[Path], Any]] = {"starter": starter, "models": models, "llama": llama}


def _encoders(folder: Path) -> dict[str, str]:
    return {
        "RAGTRACE_EMBEDDING_MODEL": str(encoders.bge_m3(folder / "bge-m3")),
        "RAGTRACE_RERANKER_MODEL": str(rerankers.cross_encoder(folder / "reranker")),
        "RAGTRACE_VECTORS_COLBERT": "true",
        "RAGTRACE_SEARCH_SPARSE_WEIGHT": "0.3",
        "RAGTRACE_SEARCH_COLBERT_WEIGHT": "0.3",
        "RAGTRACE_ANSWER_MODEL": "language",
    }


def written(folder: Path, number: int) -> Path:
    """Write the documents as they are in a round: one in ten has changed since the last."""
    folder.mkdir(exist_ok=True)
    for place, (name, text) in enumerate(_RULES.items()):
        changed = f"{text}\n## 고침\n{number}번째로 고쳤습니다.\n" if place == number % len(_RULES) else text
        (folder / name).write_text(changed, "utf-8")
    return folder


def soak(scratch: Path, given: argparse.Namespace) -> tuple[list[Measured], Tally]:
    """Run the rounds; return what was measured after each."""
    tally, seen = Tally(), []
    home = scratch / "home"
    (home / "config").mkdir(parents=True)
    with ExitStack() as stack:
        settings = stack.enter_context(STACKS[given.stack](scratch / "models"))
        settings |= {"RAGTRACE_HOME": str(home), "RAGTRACE_SERVER_ACCESS_LOG": "false"}
        # An interpreter of an environment of its own knows the service by its source.
        more = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        settings["PYTHONPATH"] = os.pathsep.join((str(REPOSITORY / "service/src"), *filter(None, more)))
        for number, folder in enumerate((*given.documents, written(scratch / "documents", 0))):
            _ingest(given.python, settings, folder, f"soak{number}")
        process, address = stack.enter_context(service(str(home), given.python, settings))
        port = int(address.rpartition(":")[2])
        clients = [Client(port, QUESTIONS, seed) for seed in range(WORKERS)]
        kinds = [each for each in KINDS if given.stack != "starter" or not each.language]
        weights = [each.weight for each in kinds]
        seen.append(measure(process.pid, 0))
        for number in range(1, ROUNDS + 1):
            count = given.requests * number // ROUNDS - given.requests * (number - 1) // ROUNDS
            send(clients, clients[0].draw.choices(kinds, weights, k=count), tally)
            if not given.still:
                _ingest(
                    given.python,
                    settings,
                    written(scratch / "documents", number),
                    f"soak{len(given.documents)}",
                )
            time.sleep(given.settle)
            seen.append(measure(process.pid, given.requests * number // ROUNDS))
            _show(seen[-1])
    return seen, tally


def _ingest(python: str, settings: Mapping[str, str], folder: Path, source: str) -> None:
    words = [python, "-m", "ragtrace", "--json", "ingest", str(folder), "--source", source]
    done = subprocess.run(words, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ingest failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def grown(seen: Sequence[Measured], tally: Tally) -> list[str]:
    """Return what is not as it should be: wrong ends, and what has grown since the first fifth."""
    early, last = seen[1 : len(seen) // 5 + 1], seen[-1]
    problems = [f"{count} x {kind}: {end}" for (kind, end), count in sorted(tally.wrong.items())]
    memory = max(each.resident_mb for each in early)
    if last.resident_mb > memory * (1 + MEMORY_GROWTH):
        problems.append(f"memory {memory:.0f} -> {last.resident_mb:.0f} MB")
    for name in ("handles", "threads", "children"):
        before, after = max(getattr(each, name) for each in early), getattr(last, name)
        if after > before + SLACK:
            problems.append(f"{name} {before} -> {after}")
    return problems


def _show(one: Measured) -> None:
    cells = (
        one.requests,
        f"{one.resident_mb:.1f}",
        f"{one.private_mb:.1f}",
        one.handles,
        one.threads,
        one.children,
    )
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def report(tally: Tally) -> None:
    """Print how each kind ended and what it took."""
    print("\n| kind | ends | ms p50 | ms p95 | ms max |\n|---|---|---:|---:|---:|")
    for kind, seconds in sorted(tally.seconds.items()):
        seconds.sort()
        ends = ", ".join(
            f"{end} {count}" for (name, end), count in sorted(tally.ends.items()) if name == kind
        )
        p50, p95 = seconds[len(seconds) // 2], seconds[len(seconds) * 95 // 100]
        print(f"| {kind} | {ends} | {p50 * 1000:.1f} | {p95 * 1000:.1f} | {seconds[-1] * 1000:.1f} |")


def main(words: Sequence[str] | None = None) -> int:
    """Soak, print, and say by the exit code whether anything grew or went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soaking", description=__doc__)
    parser.add_argument("--stack", choices=sorted(STACKS), default="starter")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument(
        "--documents", type=Path, action="append", default=[], help="taken in besides the bench's own"
    )
    parser.add_argument("--python", default=sys.executable, help="the interpreter that the service runs in")
    parser.add_argument("--still", action="store_true", help="change no documents meanwhile")
    parser.add_argument(
        "--settle", type=float, default=_SETTLE_S, help="seconds without requests before measuring"
    )
    given = parser.parse_args(words)
    print(
        "| requests | resident MB | private MB | handles | threads | children |\n|---:|---:|---:|---:|---:|---:|"
    )
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ragtrace-soak-") as scratch:
        seen, tally = soak(Path(scratch), given)
    report(tally)
    problems = grown(seen, tally)
    took = time.perf_counter() - began
    print(
        f"\n{given.stack}: {given.requests} requests in {took:.0f} s. "
        + json.dumps(problems, ensure_ascii=False)
    )
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
