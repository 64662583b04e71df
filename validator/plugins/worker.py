"""The child's side of a plugin: import it, list its checks or run some of them, one line per answer.

Its text is handed to an interpreter that may be another one than the validator's, so it imports nothing of ours.
Standard output belongs to the protocol; what a plugin prints goes to standard error, which the parent caps.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
import time
from typing import Any, Dict, List, TextIO


class _Text(importlib.abc.InspectLoader):
    """Imports a module from text that the parent has read, so that nobody can change it in between."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, fullname: str) -> str:
        return self._text


def main() -> int:
    """Read the request from standard input and answer it."""
    request = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = [folder for folder in sys.path if folder]
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    _limit(request["memory_mb"])
    if request["checks"] is None:
        _send(channel, {"begin": "list"})
    try:
        checks = _checks(request)
    except BaseException as error:  # noqa: BLE001  SystemExit included: the parent has to hear of it
        # For each check too: a plugin may be importable one moment and not the next.
        for identity in ("list",) if request["checks"] is None else request["checks"]:
            _send(channel, {"id": identity, "problem": _said(error), "duration_s": 0.0})
        return 0
    if request["checks"] is None:
        _send(channel, {"id": "list", "listed": [_plain(check) for check in checks]})
        return 0
    for identity in request["checks"]:
        _send(channel, {"begin": identity})
        started = time.monotonic()
        answer = _run(checks, identity, dict(request["context"]))
        answer.update(id=identity, duration_s=round(time.monotonic() - started, 4))
        _send(channel, answer)
    return 0


def _checks(request: Dict[str, Any]) -> List[Any]:
    if request["text"] is not None:
        spec = importlib.util.spec_from_loader(
            "ragtrace_plugin", _Text(request["text"]), origin=request["name"]
        )
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["ragtrace_plugin"] = module
        _Text(request["text"]).exec_module(module)
        found: Any = module
    else:
        found = importlib.import_module(request["module"])
        for name in filter(None, request["attribute"].split(".")):
            found = getattr(found, name)
    found = getattr(found, "CHECKS", found)
    if not isinstance(found, (list, tuple)):
        raise TypeError("it has no list CHECKS")
    return list(found)


def _plain(check: object) -> object:
    """Return what a check says of itself, without what cannot be written down."""
    if not isinstance(check, dict):
        return None
    named = {str(key)[:40]: value for key, value in check.items() if key != "run"}
    named["run"] = callable(check.get("run"))
    try:
        return json.loads(json.dumps(named))
    except (TypeError, ValueError, RecursionError):
        return None


def _run(checks: List[Any], identity: str, context: Dict[str, Any]) -> Dict[str, Any]:
    mine = [check for check in checks if isinstance(check, dict) and check.get("id") == identity]
    if not mine:
        return {"problem": "the plugin does not list this check any more"}
    try:
        result = mine[0]["run"](context)
        json.dumps(result)
    except MemoryError:
        return {"problem": "MemoryError: it went over its memory limit"}
    except BaseException as error:  # noqa: BLE001  a plugin may raise anything; SystemExit is no way out either
        return {"problem": _said(error)}
    return {"result": result}


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  even its words may be broken
        text = "?"
    return type(error).__name__ + ": " + text[:1000]


def _send(channel: TextIO, message: Dict[str, Any]) -> None:
    channel.write(json.dumps(message, ensure_ascii=True) + "\n")
    channel.flush()


def _limit(megabytes: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    for which, wanted in ((resource.RLIMIT_AS, megabytes * 1024 * 1024), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (wanted if hard < 0 else min(wanted, hard),) * 2)


if __name__ == "__main__":
    sys.exit(main())
