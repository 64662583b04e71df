"""Start a service, ask it one question, stop it, then run one command: what is watched while it happens.

Run by `outbound`, as program text in the service's own interpreter, under a tracer, as the owner of the data. The
one argument is a JSON object; standard output is a JSON object. It takes a port that is free in the network it
finds itself in, and its environment is the command's; the service gets the changes that the argument names.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional, Tuple

PORT = "{port}"
STOP_S = 8.0


def tie() -> None:
    """End with whoever started this: no service may outlive the check."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, 9)


def free_port() -> int:
    """Return a loopback port that nobody uses in this network."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, method: str, path: str, body: Optional[bytes], timeout_s: float) -> Tuple[int, str]:
    """Return the status and the beginning of an answer, or 0 and why there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read(300).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


def serve(plan: Dict[str, Any]) -> Dict[str, Any]:
    """Start the service, wait for it, ask, stop; say how far it came."""
    port = free_port()
    changes = {name: str(value).replace(PORT, str(port)) for name, value in plan["environment"].items()}
    begun = time.monotonic()
    with open(plan["log"], "wb") as log:
        process = subprocess.Popen(
            plan["service"],
            env={**os.environ, **changes},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=tie,
        )
        try:
            ready = _wait(process, port, plan["health"], begun + plan["ready_s"])
            took = time.monotonic() - begun
            question = json.dumps(plan["question"]).encode("utf-8")
            status, said = ask(port, "POST", "/query", question, plan["answer_s"]) if ready else (0, "")
        finally:
            _stop(process)
    return {
        "ready": ready,
        "ready_s": round(took, 2),
        "status": status,
        "said": said if status != 200 else "",
    }


def _wait(process: subprocess.Popen[bytes], port: int, path: str, deadline: float) -> bool:
    while process.poll() is None and time.monotonic() < deadline:
        if ask(port, "GET", path, None, 2.0)[0] == 200:
            return True
        time.sleep(0.05)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def command(words: List[str], timeout_s: float) -> Dict[str, Any]:
    """Run the command; say how it ended and what it said last."""
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
            preexec_fn=tie,
        )
    except subprocess.TimeoutExpired:
        return {"code": -1, "said": f"did not end within {timeout_s:g} s"}
    lines = done.stdout[-4096:].decode("utf-8", "replace").strip().splitlines()
    return {"code": done.returncode, "said": lines[-1][:300] if lines and done.returncode else ""}


def main(argument: str) -> int:
    """Do what the plan says, one after the other."""
    tie()
    plan = json.loads(argument)
    told: Dict[str, Any] = {"service": serve(plan) if plan["service"] else None}
    told["command"] = command(plan["command"], plan["command_s"])
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
