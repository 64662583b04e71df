"""Every finding says what was measured, what is needed and what to do, in both languages; notes refuse nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bundle.errors import PreflightError
from bundle.manifest import Manifest, Package
from installer import preflight
from installer.facts import HostFacts
from installer.plan import Request, plan_install
from installer.preflight import Finding

from .test_plan import DIGEST, EMPTY, FACTS, MANIFEST, PLACE, place

ROOT = replace(FACTS, euid=0, systemd=True)
WINDOWS = replace(FACTS, os="windows", arch="x86_64", libc="", euid=-1)
MACOS = replace(FACTS, os="macos", libc="macos", libc_version="14.5")
UNFIT = replace(
    place(writable=False, free_bytes=0, free_files=1, noexec=True, filesystem="vfat", path_limit=100),
    arch="riscv64", libc_version="2.17", memory_mb=1, memory_capped=True, port_problem="taken", pythons=(),
)  # fmt: skip


def found(facts: HostFacts, manifest: Manifest = MANIFEST, **asked: Any) -> tuple[Finding, ...]:
    request = Request(**asked)
    made = plan_install(facts, manifest, DIGEST, EMPTY, request)
    return preflight.check_host(facts, manifest, EMPTY, made, request)


def names(facts: HostFacts, manifest: Manifest = MANIFEST, **asked: Any) -> list[str]:
    return [finding.name for finding in found(facts, manifest, **asked)]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert names(UNFIT) == [
        "platform", "libc", "python", "memory", "permission", "disk", "inodes", "noexec", "file-system", "long-paths",
        "port",
    ]  # fmt: skip


@pytest.mark.parametrize("finding", found(UNFIT), ids=lambda finding: finding.name)
def test_a_finding_has_a_measurement_a_need_and_a_remedy_in_both_languages(finding: Finding) -> None:
    assert finding.measured and finding.needed
    line = finding.line()
    for part in (f"[{finding.name}]", finding.measured, finding.needed):
        assert part in line.ko and part in line.en
    assert finding.remedy.ko in line.ko and finding.remedy.en in line.en
    assert any("가" <= character <= "힣" for character in finding.text.ko + finding.remedy.ko)
    assert finding.text.en.isascii() and finding.remedy.en.replace("…", "").isascii()


NOTES = {
    "container": (replace(FACTS, container="docker"), MANIFEST),
    "selinux": (replace(ROOT, selinux=True), MANIFEST),
    "cpu": (replace(FACTS, cpu_level=1), MANIFEST),
    "gpu": (FACTS, replace(MANIFEST, packages=(Package("torch", "2.9.0+cu128", ("3.11",)),))),
}


@pytest.mark.parametrize("name", sorted(NOTES))
def test_a_note_is_told_and_refuses_nothing(name: str) -> None:
    facts, manifest = NOTES[name]
    listed = found(facts, manifest)
    assert [finding.name for finding in listed] == [name]
    preflight.require(listed, "/opt/r")
    assert len(preflight.notes(listed)) == 1


def test_a_refusal_shows_the_notes_after_its_reasons() -> None:
    with pytest.raises(PreflightError) as refused:
        preflight.require(found(replace(FACTS, cpu_level=1, memory_mb=1)), "/opt/r")
    assert [detail.en.split("]")[0] for detail in refused.value.details] == ["[memory", "[cpu"]
    assert "1 finding" in refused.value.summary.en


@pytest.mark.parametrize(
    ("facts", "packages"),
    (
        (replace(FACTS, gpu_driver="580.1"), "2.9.0+cu128"),
        (FACTS, "2.9.0+cpu"),
        (FACTS, "2.9.0"),
    ),
)
def test_a_driver_or_no_need_for_one_is_nothing_to_note(facts: HostFacts, packages: str) -> None:
    assert names(facts, replace(MANIFEST, packages=(Package("torch", packages, ("3.11",)),))) == []


def test_a_limit_of_the_container_is_named_as_the_cause() -> None:
    (capped,) = found(replace(FACTS, memory_mb=512, memory_capped=True))
    (small,) = found(replace(FACTS, memory_mb=512))
    assert "cgroup" in capped.remedy.ko and "cgroup" not in small.remedy.ko


@pytest.mark.parametrize(
    ("facts", "manager", "user"),
    (
        (FACTS, "process", ""),
        (replace(FACTS, container="docker", euid=0), "process", ""),
        (ROOT, "systemd", "ragtrace"),
        (replace(ROOT, container="lxc"), "systemd", "ragtrace"),
        (replace(FACTS, systemd=True, user_systemd=True, lingering=True), "systemd", ""),
        (replace(FACTS, systemd=True, user_systemd=True), "process", ""),
        (WINDOWS, "windows", ""),
        (MACOS, "launchd", ""),
        (replace(MACOS, euid=0), "launchd", "_ragtrace"),
    ),
)
def test_each_host_has_the_manager_that_fits(facts: HostFacts, manager: str, user: str) -> None:
    settings = plan_install(facts, MANIFEST, DIGEST, EMPTY, Request()).settings
    assert settings is not None and (settings.manager, settings.user) == (manager, user)


@pytest.mark.parametrize(
    ("facts", "manager", "fits"),
    (
        (FACTS, "systemd", False),
        (replace(FACTS, systemd=True, user_systemd=True), "systemd", True),
        (replace(FACTS, systemd=True), "systemd", False),
        (FACTS, "launchd", False),
        (FACTS, "windows", False),
        (WINDOWS, "process", False),
        (FACTS, "none", True),
    ),
)
def test_a_manager_of_another_system_is_refused_with_one_that_fits(
    facts: HostFacts, manager: str, fits: bool
) -> None:
    listed = [one for one in found(facts, manager=manager) if one.name == "service-manager"]
    assert bool(listed) is not fits
    assert all(f"--service-manager {facts.manager}" in one.remedy.ko for one in listed)


@pytest.mark.parametrize(("limit", "expected"), ((0, []), (1000, []), (230, ["long-paths"])))
def test_long_paths_are_refused_where_windows_limits_them(limit: int, expected: list[str]) -> None:
    here = replace(FACTS, prefix=replace(PLACE, path="/" + "a" * 40, path_limit=limit))
    assert names(here) == expected


@pytest.mark.parametrize("kind", ("vfat", "exfat", "msdos"))
def test_a_file_system_without_links_and_permissions_is_refused(kind: str) -> None:
    assert names(place(filesystem=kind)) == ["file-system"]
    assert names(place(filesystem="tmpfs")) == []
