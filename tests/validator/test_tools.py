"""Tools checks: each passes on a healthy host and fails on a defect."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.wheels import wheel_bytes
from tests.validator.fakes import Installation, run, status
from validator.checks import tools
from validator.model import Status
from validator.subject import Subject


def bundle_with_uv(tmp_path: Path, script: str, mode: int = 0o755) -> Subject:
    folder = tmp_path / "bundle" / "01_Prerequisites"
    folder.mkdir(parents=True)
    (folder / "uv").write_text(script)
    (folder / "uv").chmod(mode)
    return Subject(tmp_path / "none", tmp_path / "bundle")


def test_uv_that_starts_passes(tmp_path: Path) -> None:
    assert status(tools.uv_runs, bundle_with_uv(tmp_path, "#!/bin/sh\necho uv 9.9\n")) is Status.PASS


def test_uv_without_an_execute_bit_is_tried_as_a_copy(tmp_path: Path) -> None:
    assert status(tools.uv_runs, bundle_with_uv(tmp_path, "#!/bin/sh\necho uv 9.9\n", 0o644)) is Status.PASS


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\nexit 3\n", "\x7fELF broken", "#!/bin/sh\necho something else\n"]
)
def test_uv_that_does_not_start_fails(tmp_path: Path, script: str) -> None:
    assert status(tools.uv_runs, bundle_with_uv(tmp_path, script)) is Status.FAIL


def test_uv_in_its_wheel_is_taken_out_and_started(tmp_path: Path) -> None:
    subject = bundle_with_uv(tmp_path, "unused")
    folder = tmp_path / "bundle" / "01_Prerequisites"
    (folder / "uv").unlink()
    scripts = {"uv-9.9.data/scripts/uv": "#!/bin/sh\necho uv 9.9\n"}
    (folder / "uv-9.9-py3-none-any.whl").write_bytes(wheel_bytes("uv", "9.9", scripts))
    assert status(tools.uv_runs, subject) is Status.PASS
    (folder / "uv-9.9-py3-none-any.whl").write_bytes(wheel_bytes("uv", "9.9"))
    assert status(tools.uv_runs, subject) is Status.FAIL
    (folder / "uv-9.9-py3-none-any.whl").write_bytes(b"not a wheel")
    assert status(tools.uv_runs, subject) is Status.FAIL


def test_without_a_bundle_uv_is_skipped(installation: Installation) -> None:
    assert status(tools.uv_runs, installation.subject()) is Status.SKIP


def test_a_host_without_a_unit_passes_and_says_how_the_service_runs(installation: Installation) -> None:
    outcome = run(tools.service_manager, installation.subject())
    assert outcome.status is Status.PASS
    assert outcome.measured in ("process", "systemd")


@pytest.mark.parametrize(
    ("state", "expected"),
    [("active", Status.PASS), ("failed", Status.WARN), ("inactive", Status.WARN), ("odd", Status.UNKNOWN)],
)
def test_a_unit_that_is_not_active_warns(tmp_path: Path, state: str, expected: Status) -> None:
    assert tools._unit_state(tmp_path / "ragtrace.service", state).status is expected


def test_a_unit_counts_only_when_it_belongs_to_this_prefix(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".config" / "systemd" / "user"
    folder.mkdir(parents=True)
    unit = folder / "ragtrace.service"
    unit.write_text("[Service]\nExecStart=/elsewhere/python\n")
    assert tools.unit_path(installation.subject()) is None
    unit.write_text(f"[Service]\nExecStart={installation.generation}/venv/bin/python\n")
    assert tools.unit_path(installation.subject()) == unit


def test_a_missing_ssh_keygen_is_a_skip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/ssh-keygen")
    assert status(tools.ssh_keygen, Subject(tmp_path)) is Status.PASS
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert status(tools.ssh_keygen, Subject(tmp_path)) is Status.SKIP
