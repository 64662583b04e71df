"""System checks: each passes on a fitting host and fails on a defect."""

from __future__ import annotations

import os
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from bundle.manifest import Target
from tests.validator.fakes import Installation, host_target, run, status
from validator.checks import system
from validator.host import facts
from validator.model import Status
from validator.subject import Subject


def changed_target(**changes: object) -> Target:
    values = {**host_target().__dict__, **changes}
    return Target(**values)


def installed(tmp_path: Path, **changes: object) -> Subject:
    return Installation(tmp_path / "prefix", **changes).subject()


@pytest.mark.parametrize("item", [c for c in system.CHECKS if c.id != "SYS-004"], ids=lambda c: c.id)
def test_a_fitting_host_passes(installation: Installation, item: object) -> None:
    assert status(item, installation.subject()) is Status.PASS  # type: ignore[arg-type]


def test_a_python_outside_the_target_fails(tmp_path: Path) -> None:
    subject = installed(tmp_path, target=changed_target(pythons=("3.99",)))
    assert status(system.python_version, subject) is Status.FAIL


@pytest.mark.parametrize("change", [{"arch": "s390x"}, {"os": "windows"}])
def test_another_platform_fails(tmp_path: Path, change: dict[str, str]) -> None:
    assert status(system.platform_fits, installed(tmp_path, target=changed_target(**change))) is Status.FAIL


def test_an_old_c_library_fails(tmp_path: Path) -> None:
    subject = installed(tmp_path, target=changed_target(libc_min="9.99"))
    assert status(system.libc_floor, subject) is Status.FAIL


def test_without_a_manifest_there_is_nothing_to_compare(tmp_path: Path) -> None:
    subject = Subject(tmp_path / "none")
    for item in (system.python_version, system.platform_fits, system.libc_floor, system.clock):
        assert status(item, subject) is Status.SKIP


@pytest.mark.parametrize(
    ("flags", "cores", "expected"),
    [
        (frozenset(system.MODERN_FLAGS), 2, Status.PASS),
        (None, 4, Status.PASS),
        (frozenset(system.REQUIRED_FLAGS), 4, Status.WARN),
        (frozenset(system.MODERN_FLAGS), 1, Status.WARN),
        (frozenset({"sse2"}), 4, Status.FAIL),
    ],
)
def test_cpu_is_judged_by_cores_and_instructions(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    flags: frozenset[str] | None,
    cores: int,
    expected: Status,
) -> None:
    monkeypatch.setattr(facts, "cpu_flags", lambda: flags)
    monkeypatch.setattr(facts, "usable_cpus", lambda: cores)
    assert status(system.cpu, Subject(tmp_path)) is expected


def test_too_little_memory_fails(tmp_path: Path) -> None:
    assert status(system.memory, installed(tmp_path, memory_mb=1 << 30)) is Status.FAIL


def test_a_control_group_limit_counts_as_the_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
    (tmp_path / "memory.max").write_text("102400\n")
    (tmp_path / "memory.current").write_text("2400\n")
    assert facts.memory_bytes(tmp_path, tmp_path) == (102400, 100000)
    (tmp_path / "memory.max").write_text("max\n")
    assert facts.memory_bytes(tmp_path, tmp_path) == (1024000, 921600)


def test_unreadable_memory_is_unknown_not_passed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(facts, "memory_bytes", lambda: (0, 0))
    assert status(system.memory, Subject(tmp_path)) is Status.UNKNOWN


def test_a_full_disk_fails_and_a_tight_one_warns(
    monkeypatch: pytest.MonkeyPatch, installation: Installation, tmp_path: Path
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    assert status(system.disk_space, installation.subject()) is Status.FAIL
    assert status(system.disk_space, Subject(tmp_path / "none")) is Status.FAIL
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, system.SMALLEST_FREE_BYTES + 1))
    assert status(system.disk_space, installation.subject()) is Status.WARN


def test_no_inodes_fails_and_uncounted_inodes_skip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((*tuple(real)[:5], 1000, 3, 3, 0, 255)))
    assert status(system.inodes, Subject(tmp_path)) is Status.FAIL
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((*tuple(real)[:5], 0, 0, 0, 0, 255)))
    assert status(system.inodes, Subject(tmp_path)) is Status.SKIP


@pytest.mark.parametrize("created", ["2099-01-01T00:00:00Z", "1999-01-01T00:00:00Z"])
def test_a_clock_before_or_long_after_the_build_fails(tmp_path: Path, created: str) -> None:
    assert status(system.clock, installed(tmp_path, created=created)) is Status.FAIL


def test_a_locale_that_is_not_utf8_warns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda do_setlocale=True: "ISO-8859-1")
    assert status(system.utf8, Subject(tmp_path)) is Status.WARN


def test_a_port_held_by_a_stranger_fails(installation: Installation) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", installation.port))
        stranger.listen()
        assert status(system.port, installation.subject()) is Status.FAIL


def test_a_port_held_by_our_own_service_passes(running: Installation) -> None:
    assert status(system.port, running.subject()) is Status.PASS


def test_it_is_still_ours_where_the_pointer_is_damaged(running: Installation) -> None:
    (running.root / "current.json").write_text("{")
    assert status(system.port, running.subject()) is Status.PASS


def test_a_port_that_only_root_may_take_is_unknown_and_a_strange_address_is_named(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "_bind_problem", lambda host, port: PermissionError(13, "Permission denied"))
    assert status(system.port, installation.subject()) is Status.UNKNOWN
    monkeypatch.undo()
    installation.settings.write_text(
        f"RAGTRACE_SERVER_HOST=192.0.2.7\nRAGTRACE_SERVER_PORT={installation.port}\n"
    )
    outcome = run(system.port, installation.subject())
    assert outcome.status is Status.FAIL
    assert "no such address" in outcome.details.en
