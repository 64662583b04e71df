"""Run checks inside a child process and write one line per result; started by ``engine`` only.

Standard output belongs to the protocol. What a check prints goes to standard error, which the parent caps.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, TextIO

if TYPE_CHECKING:
    from validator.model import Check
    from validator.subject import Subject


def main() -> int:
    """Read the request from standard input, run the checks one after the other, report each at once."""
    request = json.loads(sys.stdin.buffer.readline())
    sys.path[:0] = request["paths"]
    channel = _claim_channel()

    from validator.registry import load
    from validator.subject import Subject

    checks: Dict[str, Check] = {item.id: item for item in load(request["modules"])}
    subject = Subject.from_wire(request["subject"])
    for identity in request["checks"]:
        _send(channel, {"begin": identity})
        _limit_memory(checks[identity].memory_mb)
        started = time.monotonic()
        outcome = run_check(checks[identity], subject)
        _send(
            channel, {"id": identity, "outcome": outcome, "duration_s": round(time.monotonic() - started, 4)}
        )
    return 0


def run_check(item: Check, subject: Subject) -> Dict[str, Any]:
    """Return the wire form of what *item* finds; a check that raises becomes an ``error``."""
    from bundle.text import Text
    from validator.conditions import not_permitted, unmet
    from validator.model import Outcome, Status

    known = unmet(item, subject)
    if known is not None:
        return known.to_wire()
    if item.needs_service and subject.manifest is not None and subject.manifest.service is None:
        what = Text("이 번들에는 서비스가 없습니다", "this bundle carries no service")
        return Outcome(Status.SKIP, what).to_wire()
    try:
        return item.function(subject).to_wire()
    except PermissionError as error:
        return not_permitted(error).to_wire()
    except MemoryError:
        what = Text("검사가 메모리 한도를 넘었습니다", "the check went over its memory limit")
        return Outcome(Status.ERROR, what, expected=f"<= {item.memory_mb} MiB").to_wire()
    except Exception as error:  # noqa: BLE001  a broken check must not take the others with it
        name = type(error).__name__
        what = Text(
            f"검사 자체가 실패했습니다: {name}: {str(error)[:300]}",
            f"the check itself failed: {name}: {str(error)[:300]}",
        )
        return Outcome(Status.ERROR, what).to_wire()


def _claim_channel() -> TextIO:
    """Keep the real standard output for results; everything else that is printed goes to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return channel


def _send(channel: TextIO, message: Dict[str, Any]) -> None:
    channel.write(json.dumps(message, ensure_ascii=True) + "\n")
    channel.flush()


def _limit_memory(megabytes: int) -> None:
    """Lower the soft address-space limit; the hard one stays, so commands may be given their own."""
    if sys.platform == "win32":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = megabytes * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
