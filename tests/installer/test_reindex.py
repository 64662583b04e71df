"""`--rebuild-index`: the service stops, its own command runs, the service comes back whatever came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from installer import journal
from tests.support.bundles import REPOSITORY, SERVICE, Bundle
from tests.support.wheels import wheel_bytes

from .site import Site

# Notes whether the service answers while it runs, and does what `data/verdict` says.
MAIN = """
import os, socket, sys, time
from pathlib import Path
data = Path(os.environ["RAGTRACE_HOME"], "data")
if sys.argv[1:3] == ["index", "verify"]:
    assert sys.argv[3:] == ["--json"] and Path.cwd() == data
    print("talk of the model", file=sys.stderr)
    print((data / "verified").read_text() if (data / "verified").exists() else "an older release")
    sys.exit(1)
if sys.argv[1:3] == ["index", "rebuild"]:
    assert sys.argv[3] == "--json" and Path.cwd() == data
    (data / "part").write_text(" ".join(sys.argv[4:]))
    with socket.socket() as probe:
        busy = probe.connect_ex(("127.0.0.1", int(os.environ["RAGTRACE_SERVER_PORT"]))) == 0
    (data / "rebuilt").write_text("while serving" if busy else "stopped")
    verdict = (data / "verdict").read_text() if (data / "verdict").exists() else "good"
    if verdict == "hang":
        time.sleep(600)
    print("the records cannot be read" if verdict == "bad" else "done")
    sys.exit(verdict != "good")
import ragtrace.fake
"""


@pytest.fixture
def installed(site: Site, bundle_for: Callable[..., Bundle]) -> Site:
    files = {
        "ragtrace/__init__.py": "",
        "ragtrace/__main__.py": MAIN,
        "ragtrace/fake.py": SERVICE.format(version="1.0.0", mode="healthy"),
    }
    wheel = wheel_bytes("ragtrace", "1.0.0", files)
    done = site.install(bundle_for(wheels={"ragtrace-1.0.0-py3-none-any.whl": wheel}))
    assert done.code == 0, done.err
    return site


def said(site: Site) -> str:
    path = site.prefix.data / "rebuilt"
    return path.read_text() if path.exists() else ""


def test_the_index_is_built_while_the_service_is_stopped_and_it_runs_again(installed: Site) -> None:
    done = installed.run("--rebuild-index", "--json")
    assert (done.code, done.document["action"]) == (0, "rebuild-index"), done.out
    assert said(installed) == "stopped"
    assert installed.answering() == installed.active()
    assert installed.undeclared() == []
    last = list(journal.read_lines(installed.prefix.audit))[-1]
    assert (last["action"], last["outcome"]) == ("rebuild-index", "ok")


@pytest.mark.parametrize(
    ("damaged", "part"),
    [
        (["words"], "--part words"),
        (["vectors"], "--part vectors"),
        (["words", "vectors"], ""),
        ([], "--part words"),
        (None, ""),
    ],
)
def test_only_what_is_damaged_is_built_again(installed: Site, damaged: list[str] | None, part: str) -> None:
    if damaged is not None:
        (installed.prefix.data / "verified").write_text(json.dumps({"to_rebuild": damaged}, indent=2))
    assert installed.run("--rebuild-index").code == 0
    assert (installed.prefix.data / "part").read_text() == part


def test_a_rebuild_that_fails_says_why_and_the_service_runs_again(installed: Site) -> None:
    (installed.prefix.data / "verdict").write_text("bad")
    done = installed.run("--rebuild-index", "--json")
    assert done.code == 13, done.out
    assert "the records cannot be read" in "\n".join(done.document["details"])
    assert installed.answering() == installed.active()
    assert list(journal.read_lines(installed.prefix.audit))[-1]["outcome"] != "ok"


def test_a_service_that_was_stopped_on_purpose_stays_stopped(installed: Site) -> None:
    assert installed.run("--stop").code == 0
    assert installed.run("--rebuild-index").code == 0
    assert (said(installed), installed.answering()) == ("stopped", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_rebuild_ends_with_a_running_service(installed: Site, number: int) -> None:
    """Asked to end, the installer starts the service itself; killed outright, its next run does."""
    (installed.prefix.data / "verdict").write_text("hang")
    process = subprocess.Popen(
        installed.command("--rebuild-index"),
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not said(installed) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert said(installed) == "stopped"
    process.send_signal(number)
    assert process.wait(60) == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    if number == signal.SIGKILL:
        (installed.prefix.data / "verdict").unlink()
        assert installed.run("--prune").code == 0
    assert installed.answering() == installed.active()
    assert installed.undeclared() == []


def test_a_dry_run_of_it_is_refused_and_where_nothing_is_installed_there_is_no_index(
    installed: Site, tmp_path: Path
) -> None:
    pid = installed.run("--status", "--json").document["service"]["pid"]
    assert installed.run("--rebuild-index", "--dry-run").code == 2
    assert installed.run("--status", "--json").document["service"]["pid"] == pid
    assert Site(tmp_path / "nowhere at all").run("--rebuild-index").code == 2
