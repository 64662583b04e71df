"""One child process that runs checks: how it is started, listened to, limited and ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Dict, List, NamedTuple, Optional, Sequence, Union

import bundle
from validator import limits
from validator.model import Check
from validator.subject import Subject

Message = Dict[str, Any]


class Ended(NamedTuple):
    """A child that will give no more results, and why: ``timeout``, ``output`` or ``exit``."""

    reason: str
    code: int
    after_s: float
    last_output: str


def import_paths(extra: Sequence[str] = ()) -> List[str]:
    """Return the folders from which a child imports this package, ``bundle`` and what else holds checks."""
    folders = [Path(__file__).resolve().parent.parent, Path(str(bundle.__file__)).resolve().parent.parent]
    return list(dict.fromkeys([str(folder) for folder in folders] + list(extra)))


class Child:
    """A running child; ``result_of`` waits for one check, ``close`` ends whatever is left."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._events: queue.Queue[Union[Message, str]] = queue.Queue()
        self._output = b""
        self._last_event = time.monotonic()
        self._threads = [
            threading.Thread(target=self._listen, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._drain, args=(process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    def start(
        cls, checks: Sequence[str], subject: Subject, modules: Sequence[str], paths: Sequence[str] = ()
    ) -> Child:
        """Start a child for the named checks; it writes no byte code anywhere."""
        request = {
            "paths": import_paths(paths),
            "modules": list(modules),
            "checks": list(checks),
            "subject": subject.to_wire(),
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=sys.platform != "win32",
        )
        child = cls(process)
        child._ask(request)
        return child

    def _ask(self, request: Dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.close()
        except OSError:
            self._events.put("exit")

    def result_of(self, item: Check) -> Union[Message, Ended]:
        """Return the message with the result of *item*, or why there is none."""
        deadline = time.monotonic() + limits.WORKER_START_S
        while True:
            try:
                event = self._events.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                return self._ended("timeout")
            if isinstance(event, str):
                return self._ended(event)
            if event.get("begin") == item.id:
                self._last_event = time.monotonic()
                deadline = self._last_event + item.timeout_s + limits.GRACE_S
            elif event.get("id") == item.id:
                return event

    def _ended(self, reason: str) -> Ended:
        after = time.monotonic() - self._last_event
        self.close()
        lines = self._output.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1][:200] if lines and reason == "exit" else ""
        return Ended(reason, self._process.returncode or 0, round(after, 4), last)

    def close(self) -> None:
        """End the child and everything it started."""
        if sys.platform != "win32":
            self._kill_group()
        elif self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(timeout=5)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None and not any(thread.is_alive() for thread in self._threads):
                stream.close()

    def _kill_group(self) -> None:
        """Kill the child's session; one that ended by itself keeps its exit status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.3)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            if self._process.poll() is None:
                self._process.kill()

    def _listen(self, stream: Optional[IO[bytes]]) -> None:
        assert stream is not None
        while True:
            line = stream.readline(limits.RESULT_LINE_BYTES + 1)
            if not line:
                break
            try:
                message = json.loads(line) if len(line) <= limits.RESULT_LINE_BYTES else None
            except ValueError:
                message = None
            if not isinstance(message, dict):
                self._events.put("output")
                break
            self._events.put(message)
        self._events.put("exit")

    def _drain(self, stream: Optional[IO[bytes]]) -> None:
        assert stream is not None
        total = 0
        while True:
            piece = os.read(stream.fileno(), 65536)
            if not piece:
                return
            total += len(piece)
            self._output = (self._output + piece)[-4096:]
            if total > limits.CHECK_OUTPUT_BYTES:
                self._events.put("output")
                return
