"""Build the service's index again from its records: the service's own command, while the service is stopped."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Callable, Sequence

from bundle.errors import RestoredError
from bundle.text import Text

from .. import activation, logs
from ..children import minimal_environment, run_tied, tail
from ..console import Console
from ..filesystem import make_directory, remove_tree
from ..health import wait_until_healthy
from ..hosts.interface import ServiceDefinition
from ..lock import Lock
from ..paths import Prefix
from ..settings import read_variables
from ..signals import shielded
from .serving import serving
from .session import Done

# A hundred thousand chunks are embedded again in hours on a small host; this only ends a run that hangs.
TIMEOUT_S = 24 * 3600.0
LOG_LINES = 200
# Comparing reads every file of the index and embeds a sample.
VERIFY_TIMEOUT_S = 3600.0
VERIFY = ("index", "verify", "--json")
COMMAND = ("index", "rebuild", "--json")


def rebuild_index(prefix: Prefix, console: Console) -> Done:
    """Stop the service, have it rebuild its index as its own user, start it again whatever came of that.

    Vectors that are sound stay: embedding takes hours.

    Whether the service is meant to run is not touched: killed at any moment, the next run of the installer
    starts it. The command itself may be killed and run again.

    Raises:
        UsageProblem: there is no service.
        RagTraceError: the rebuild failed, or the service does not answer afterwards.
    """
    with serving(prefix, console, "rebuild-index") as service:
        settings, definition = service.settings, service.required()
        host = activation.host_for(settings)
        activation.stop(prefix, settings, host)
        try:
            _rebuild(prefix, definition, service.lock, console)
        finally:
            if settings.enabled and settings.manager != "none":
                with shielded():
                    host.install_unit(definition)
                    host.start(definition)
                    wait_until_healthy(definition, host)
    return service.done()


def _rebuild(prefix: Prefix, definition: ServiceDefinition, lock: Lock, console: Console) -> None:
    """Run the command; it holds the lock with us and does not outlive us.

    Raises:
        RestoredError: it failed or did not end.
    """
    console.announce(Text("색인 다시 만들기", "building the index again"))
    start = [definition.command[0], "-B", "-s", *definition.command[1:3]]
    environment = minimal_environment({**definition.environment, **read_variables(definition.settings_file)})
    output = prefix.scratch / "index.log"
    make_directory(prefix.scratch)

    def run(words: Sequence[str], timeout_s: float) -> int:
        return run_tied(
            [*start, *words], environment, output, (lock.descriptor,), cwd=str(prefix.data),
            user=definition.user, timeout_s=timeout_s,
        )  # fmt: skip

    try:
        part = _part(run, output)
        output.unlink()
        status = run([*COMMAND, *part], TIMEOUT_S)
        reason = Text(f"종료 코드 {status}", f"exit status {status}")
    except subprocess.TimeoutExpired:
        status, reason = -1, Text("제한 시간 초과", "it did not end in time")
    finally:
        said = tail(output, LOG_LINES)
        remove_tree(prefix.scratch)
    if status == 0:
        return
    kept = logs.keep(prefix, "index", definition.generation, said + "\n")
    raise RestoredError(
        Text(
            f"색인을 다시 만들지 못했습니다: {reason.ko}", f"the index could not be built again: {reason.en}"
        ),
        where=str(kept or prefix.data),
        details=[Text(line, line) for line in said.splitlines()[-10:]],
        state=Text(
            "기록과 릴리스는 그대로이며 서비스를 다시 시작했습니다",
            "records and release are as they were; the service was started again",
        ),
        hint=Text(
            "위의 원인을 없앤 뒤 다시 실행하십시오: install.py --rebuild-index",
            "remove the cause above and run again: install.py --rebuild-index",
        ),
    )


def _part(run: Callable[[Sequence[str], float], int], output: Path) -> tuple[str, ...]:
    """Return the option that leaves sound vectors or words alone; none where that cannot be told.

    What is sound is made anew all the same where somebody asks for it, if only words: that takes minutes.
    """
    try:
        run(VERIFY, VERIFY_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return ()
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        # What the command talks of stands in the same file, before and after its document.
        last = len(lines) - lines[::-1].index("}")
        damaged = json.loads("\n".join(lines[lines.index("{") : last]))["to_rebuild"]
    except (ValueError, KeyError):
        return ()
    if damaged == ["vectors"]:
        return ("--part", "vectors")
    return () if "vectors" in damaged else ("--part", "words")
