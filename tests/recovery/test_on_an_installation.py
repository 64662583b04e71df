"""Every action on a real installation with the real installer: the defect is found, put right, and not found again."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.hashing import sha256_bytes
from installer import store
from installer.lock import Lock
from recovery.actions import ACTIONS
from recovery.cli import main
from recovery.engine import Means
from tests.installer.site import Site
from tests.installer.test_config import DEFAULT, real_wheels
from tests.installer.test_reindex import MAIN
from tests.installer.test_sources import tamper
from tests.support.bundles import REPOSITORY, SERVICE, Bundle
from tests.support.wheels import wheel_bytes
from validator.model import Status
from validator.subject import Subject

from .report import entry, report, write

Make = Callable[..., Bundle]
WEIGHTS = random.Random(5).randbytes(200_000)


@pytest.fixture
def installed(site: Site, bundle_for: Make) -> Bundle:
    """A running release with a model, and its own installer."""
    bundle = bundle_for(models={"m/w.bin": WEIGHTS}, tools="full")
    done = site.install(bundle)
    assert done.code == 0, done.err
    return bundle


def recover(site: Site, *words: str, ids: tuple[str, ...] = ()) -> int:
    file = write(site.root.parent / "report.json", report(site.root, *(entry(name) for name in ids)))
    return main(["--diagnosis", str(file), "--prefix", str(site.root), "--lang", "en", *words])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def states(document: dict[str, Any]) -> dict[str, str]:
    return {step["id"]: step["state"] for case in document["causes"] for step in case["actions"]}


def audited(site: Site) -> list[str]:
    lines = site.prefix.audit.read_text(encoding="utf-8").splitlines()
    return [f"{line['action']} {line['outcome']}" for line in map(json.loads, lines)]


def package(site: Site) -> Path:
    folder = site.prefix.generation(site.active())
    return next(folder.glob("venv/lib/python3.*/site-packages")) / "ragtrace" / "__init__.py"


def tree(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything a plan must not touch, but for what the running service writes."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        if (root / "data") in path.parents:
            continue
        facts = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
        found[str(path)] = (facts.st_mode, facts.st_mtime_ns, data)
    return found


def test_a_changed_package_is_repaired(
    site: Site,
    installed: Bundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package(site).write_text("changed = 1\n")
    assert recover(site, "--yes", "--json", ids=("PKG-001",)) == 0
    assert states(told(capsys)) == {"repair": "done"}
    assert site.active() == f"{installed.generation}-r1"
    assert site.answering() == site.active()
    assert {"recovery:repair started", "repair ok", "recovery:repair done"} <= set(audited(site))
    assert site.undeclared() == []


def test_contents_that_are_gone_come_from_the_bundle_and_without_it_the_operator_is_told(
    site: Site,
    installed: Bundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package(site).write_text("changed = 1\n")
    wheel = next(
        item for item in installed.manifest.files if item.path.endswith("ragtrace-1.0.0-py3-none-any.whl")
    )
    tamper(site, wheel.sha256)
    assert recover(site, "--yes", ids=("PKG-001",)) == 3
    shown = capsys.readouterr().out
    assert "nowhere intact" in shown
    assert "name it with --bundle PATH" in shown
    assert site.answering() == installed.generation
    assert recover(site, "--yes", "--bundle", str(installed.root), ids=("PKG-001",)) == 0
    assert site.active() == f"{installed.generation}-r1"


def test_where_nothing_can_be_repaired_the_earlier_release_comes_back(
    site: Site,
    bundle_for: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = bundle_for(tools="full"), bundle_for(tools="full", version="2.0.0", sequence=2)
    assert site.install(first).code == 0
    assert site.install(second).code == 0
    package(site).write_text("changed = 1\n")
    wheel = next(
        item for item in second.manifest.files if item.path.endswith("ragtrace-2.0.0-py3-none-any.whl")
    )
    tamper(site, wheel.sha256)
    assert recover(site, "--yes", "--json", ids=("PKG-001",)) == 0
    assert states(told(capsys)) == {"repair": "failed", "rollback": "done"}
    assert (site.active(), site.answering()) == (first.generation, first.generation)


@pytest.mark.parametrize("place", ["store", "release"])
def test_a_damaged_model_is_taken_out_again(
    site: Site,
    installed: Bundle,
    place: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A store object and the release's file are one file with two names; or the name in the release was replaced."""
    model = site.prefix.generation(site.active()) / "models/m/w.bin"
    if place == "store":
        tamper(site, sha256_bytes(WEIGHTS))
        assert model.read_bytes() != WEIGHTS
        words = ["--bundle", str(installed.root)]
    else:
        model.unlink()
        model.write_bytes(bytes(len(WEIGHTS)))
        model.chmod(0o644)
        words = []
    done = ACTIONS["extract-model"].apply(Means(Subject(site.root), "en", Path(words[1]) if words else None))
    assert done.ok, done.detail
    new = site.prefix.generation(site.active()) / "models/m/w.bin"
    assert new.read_bytes() == WEIGHTS
    assert new.stat().st_ino == store.object_path(site.prefix, sha256_bytes(WEIGHTS)).stat().st_ino
    assert site.answering() == site.active()


def test_a_lost_pointer_is_found_again(
    site: Site,
    installed: Bundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site.prefix.pointer.unlink()
    assert recover(site, "--yes", ids=("RAG-001",)) == 0
    assert "fail" not in capsys.readouterr().out.splitlines()[-1]
    assert (site.active(), site.answering()) == (installed.generation, installed.generation)


def test_a_torn_pointer_is_found_again(site: Site, installed: Bundle) -> None:
    site.prefix.pointer.write_bytes(site.prefix.pointer.read_bytes()[:-30])
    assert recover(site, "--yes", ids=("RAG-001",)) == 0
    assert site.active() == installed.generation


def test_a_service_that_ended_is_started(
    site: Site,
    installed: Bundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site.stop()
    assert recover(site, "--yes", "--json", ids=("RAG-004",)) == 0
    assert states(told(capsys)) == {"restart": "done"}
    assert site.answering() == installed.generation


def test_a_broken_configuration_goes_back(
    site: Site,
    bundle_for: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert site.install(bundle_for(wheels=real_wheels(), tools="full"), "--no-start").code == 0
    yaml = site.prefix.config / "ragtrace.yaml"
    default = site.prefix.generation(site.active()) / "config.default" / "ragtrace.yaml"
    for path in (yaml, default):
        path.write_text(DEFAULT, "utf-8")
    assert site.run("--start").code == 0
    site.prefix.settings.write_text(site.prefix.settings.read_text() + "RAGTRACE_SERVER_PROT=1\n")
    assert recover(site, "--yes", "--json", ids=("RAG-003",)) == 0
    assert states(told(capsys)) == {"restore-configuration": "done"}
    assert "PROT" not in site.prefix.settings.read_text()
    assert len(list(site.prefix.config.glob(".env.2*Z"))) == 1


def test_the_unit_is_registered_again_and_the_index_built_again(
    site: Site,
    bundle_for: Make,
) -> None:
    files = {
        "ragtrace/__init__.py": "",
        "ragtrace/__main__.py": MAIN,
        "ragtrace/fake.py": SERVICE.format(version="1.0.0", mode="healthy"),
    }
    wheel = {"ragtrace-1.0.0-py3-none-any.whl": wheel_bytes("ragtrace", "1.0.0", files)}
    assert site.install(bundle_for(wheels=wheel, tools="full")).code == 0
    means = Means(Subject(site.root), "en")
    for name in ("rebuild-index", "restore-unit"):
        done = ACTIONS[name].apply(means)
        assert done.ok, done.detail
        assert site.answering() == site.active()
    assert (site.prefix.data / "rebuilt").read_text() == "stopped"
    (site.prefix.data / "verdict").write_text("bad")
    failed = ACTIONS["rebuild-index"].apply(means)
    assert not failed.ok
    assert site.answering() == site.active()


def test_space_is_freed_and_how_much_is_said_before(
    site: Site,
    installed: Bundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (site.prefix.logs / "service.log.1").write_bytes(b"x" * 3_000_000)
    means = Means(Subject(site.root), "en")
    preview = ACTIONS["free-space"].preview(means)
    assert preview is not None
    assert int(preview.en.partition("(")[2].partition(" bytes")[0].replace(",", "")) >= 3_000_000
    assert (site.prefix.logs / "service.log.1").exists()
    assert ACTIONS["free-space"].apply(means).ok
    assert not (site.prefix.logs / "service.log.1").exists()
    assert site.answering() == installed.generation


def test_a_snapshot_that_cannot_be_believed_is_refused_and_said(
    site: Site,
    installed: Bundle,
    tmp_path: Path,
) -> None:
    file = tmp_path / "advisories"
    file.write_text("nonsense")
    before = Means(Subject(site.root), "en")
    assert ACTIONS["renew-snapshot"].available(before) is not None
    means = Means(Subject(site.root), "en", advisories=file)
    assert ACTIONS["renew-snapshot"].available(means) is None
    done = ACTIONS["renew-snapshot"].apply(means)
    assert not done.ok
    assert "install.py: " in done.detail


def test_secrets_are_overwritten_in_the_logs_and_nowhere_else(
    site: Site,
    installed: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = "Zq7-pässword/42+XY"
    env = site.prefix.settings
    env.write_text(env.read_text() + f"RAGTRACE_LLM_API_KEY={secret}\n")
    kept = env.read_bytes()
    log = site.prefix.logs / "service.log"
    writer = os.open(log, os.O_WRONLY | os.O_APPEND)
    text = f"before\nkey={secret} end\n".encode() + b"x" * 5_000_000 + f"\n{secret}\n".encode()
    os.write(writer, text)
    stranger = tmp_path / "stranger"
    stranger.write_text(secret)
    (site.prefix.logs / "link.log").symlink_to(stranger)
    copy = site.prefix.config / ".env.bak"
    copy.write_text(env.read_text())
    copy.chmod(0o644)
    size = log.stat().st_size
    try:
        assert recover(site, "--yes", "--json", ids=("SEC-011",)) == 0
        os.write(writer, b"after\n")
    finally:
        os.close(writer)
    assert states(told(capsys)) == {"remove-secret": "done"}
    data = log.read_bytes()
    assert secret.encode() not in data
    assert b"before\nkey=***" in data
    assert data.endswith(b"\nafter\n")
    assert len(data) == size + len(b"after\n")
    assert env.read_bytes() == kept
    assert stranger.read_text() == secret
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert secret not in site.prefix.audit.read_text()


def test_a_plan_changes_nothing_at_all(
    site: Site,
    installed: Bundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package(site).write_text("changed = 1\n")
    (site.prefix.logs / "service.log.1").write_bytes(b"x" * 1_000_000)
    known = (
        "PKG-001",
        "SYS-006",
        "SEC-001",
        "RAG-001",
        "RAG-003",
        "RAG-006",
        "RAG-011",
        "SEC-007",
        "SEC-011",
    )
    before = tree(site.root)
    assert recover(site, "--plan", "--json", ids=known) == 3
    document = told(capsys)
    assert tree(site.root) == before
    assert (site.prefix.logs / "service.log.1").exists()
    assert states(document)["free-space"] == "planned"
    assert document["changed"] is False


def test_another_installer_at_work_is_said_as_such(
    site: Site,
    installed: Bundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package(site).write_text("changed = 1\n")
    with Lock(site.prefix.lock):
        assert recover(site, "--yes", ids=("PKG-001",)) == 3
    assert "another installer is at work" in capsys.readouterr().out
    assert recover(site, "--yes", ids=("PKG-001",)) == 0


ENTRY = "import sys; from recovery.cli import main; sys.exit(main())"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_assistant_leaves_nothing_half_done(
    site: Site,
    installed: Bundle,
    number: int,
) -> None:
    """Ctrl-C ends with the earlier state or the new one; killed outright, the next session finds what there is to do."""
    package(site).write_text("changed = 1\n")
    file = write(site.root.parent / "report.json", report(site.root, entry("PKG-001")))
    words = ["--diagnosis", str(file), "--prefix", str(site.root), "--yes", "--lang", "en"]
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", ENTRY, *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wanted = site.prefix.generation(f"{installed.generation}-r1") / "venv"
    deadline = time.monotonic() + 60
    while not wanted.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    assert wanted.exists(), "it never began to repair"
    process.send_signal(number)
    ended = process.wait(120)
    assert ended in (130, 0) if number == signal.SIGINT else ended == -number
    # An installer whose assistant was killed goes on to its end, and holds the lock until then.
    with Lock(site.prefix.lock, patience_s=300):
        pass
    assert recover(site, "--yes", ids=("PKG-001",)) == 0
    assert site.active().startswith(installed.generation + "-r")
    assert site.answering() == site.active()
    assert site.undeclared() == []


def installed_program() -> dict[str, bytes]:
    """The validator and the assistant as they lie in a release."""
    found = {}
    for name in ("validator", "recovery"):
        for path in sorted((REPOSITORY / name).rglob("*.py")):
            found[f"06_Verification/{path.relative_to(REPOSITORY).as_posix()}"] = path.read_bytes()
    found["06_Verification/recovery_assistant.py"] = (REPOSITORY / "recovery_assistant.py").read_bytes()
    return found


def test_the_installed_assistant_repairs_the_very_release_it_lies_in(
    site: Site,
    bundle_for: Make,
) -> None:
    bundle = bundle_for(tools="full", scripts=installed_program())
    assert site.install(bundle).code == 0
    tools = site.prefix.generation(site.active()) / "tools" / "06_Verification"
    package(site).write_text("changed = 1\n")
    file = write(site.root.parent / "report.json", report(site.root, entry("PKG-001")))
    done = subprocess.run(
        [sys.executable, str(tools / "recovery_assistant.py"), "--diagnosis", str(file), "--yes", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert states(json.loads(done.stdout)) == {"repair": "done"}
    assert not tools.exists(), "the release that it was started from is gone"
    assert site.active() == f"{bundle.generation}-r1"
    assert site.undeclared() == []


def test_every_status_counts_for_the_end(site: Site, installed: Bundle) -> None:
    """What cannot be run again keeps the report's word."""
    for status, code in ((Status.WARN, 4), (Status.UNKNOWN, 5), (Status.FAIL, 3)):
        file = write(site.root.parent / "r.json", report(site.root, entry("APP-001", status.value)))
        assert main(["--diagnosis", str(file), "--prefix", str(site.root), "--yes"]) == code
