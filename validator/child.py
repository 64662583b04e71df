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
from typing import IO, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import bundle
from validator import limits
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
        return cls.speak([sys.executable, "-I", "-B", str(Path(__file__).with_name("worker.py"))], request)

    @classmethod
    def speak(
        cls,
        argv: Sequence[str],
        request: Dict[str, Any],
        *,
        environment: Optional[Mapping[str, str]] = None,
        owner: Optional[Tuple[int, int]] = None,
        folder: Optional[str] = None,
    ) -> Child:
        """Start *argv* as a child and hand it *request*.

        Args:
            argv: program and arguments.
            request: what it reads from its standard input, as one line of JSON.
            environment: the whole environment; the caller's own when nothing is given.
            owner: user and group to become; only root may ask for it.
            folder: working directory.
        """
        options: Dict[str, Any] = {}
        if owner is not None:
            options.update(user=owner[0], group=owner[1], extra_groups=[])
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment) if environment is not None else None,
            cwd=folder,
            start_new_session=sys.platform != "win32",
            **options,
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

    def result_of(self, identity: str, timeout_s: float) -> Union[Message, Ended]:
        """Return the message with the result of one check, or why there is none."""
        deadline = time.monotonic() + limits.WORKER_START_S
        begun = False
        while True:
            try:
                event = self._events.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                return self._ended("timeout")
            if isinstance(event, str):
                return self._ended(event)
            if event.get("id") == identity:
                return event
            # Once: a child that says it again and again gets no more time for it.
            if event.get("begin") == identity and not begun:
                begun = True
                self._last_event = time.monotonic()
                deadline = self._last_event + timeout_s + limits.GRACE_S

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
        for _ in range(limits.CHILD_MESSAGES):
            line = stream.readline(limits.RESULT_LINE_BYTES + 1)
            if not line:
                break
            try:
                message = json.loads(line) if len(line) <= limits.RESULT_LINE_BYTES else None
            except (ValueError, RecursionError):
                message = None
            if not isinstance(message, dict):
                self._events.put("output")
                break
            self._events.put(message)
        else:
            self._events.put("output")
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
