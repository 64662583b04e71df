"""Deciding is pure: facts, manifest and state in, steps out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bundle.errors import PolicyError, PreflightError
from bundle.manifest import FileEntry, Manifest, Project, ServiceSpec, Target
from installer import preflight
from installer.accepted import Accepted
from installer.facts import HostFacts, Interpreter, PrefixFacts
from installer.paths import generation_name
from installer.plan import BESIDE, Arrival, Plan, Request, destination, plan_install
from installer.pointer import Pointer
from installer.settings import ServiceSettings
from installer.state import InstallationState

DIGEST = "ab" * 32
NAME = generation_name(5, DIGEST)
OLD = generation_name(4, "cd" * 32)
PLACE = PrefixFacts("/opt/r", "/opt", True, True, False, True, 10**12, -1)
FACTS = HostFacts(
    "linux",
    "x86_64",
    "glibc",
    "2.36",
    1000,
    8000,
    False,
    (Interpreter("/usr/bin/python3", "3.11"),),
    PLACE,
    "",
)
SERVICE = ServiceSpec("ragtrace", ("serve",), "127.0.0.1", 8400, "/readyz", 60)
RUNNING = ServiceSettings("process", "ragtrace", "", "127.0.0.1", 8400, True)


def entry(path: str, kind: str, size: int = 1000) -> FileEntry:
    return FileEntry(path, size, "0" * 64, 0o644, kind, "x")


FILES = (
    entry("01_Prerequisites/uv", "uv"),
    entry("02_Dependencies/wheels/a-1-py3-none-any.whl", "wheel"),
    entry("03_Source/src/a.py", "source", 7),
)
MANIFEST = Manifest(
    "ragtrace-enterprise", "5.0", "starter", 5, "2026-11-20T00:00:00Z", None,
    Target("linux-x86_64", "linux", "x86_64", "glibc", "2.28", ("3.12", "3.11")),
    Project("ragtrace", "5.0"), SERVICE, 1000, 5000, (), FILES,
)  # fmt: skip
EMPTY = InstallationState()
INSTALLED = InstallationState(
    pointer=Pointer(NAME, DIGEST, 5, (OLD,)), complete=(OLD, NAME), accepted=Accepted(True, 5, (OLD, NAME), "t"),
    service=RUNNING, configured=True, running=NAME,
)  # fmt: skip
EARLIER = replace(
    INSTALLED,
    pointer=Pointer(OLD, "cd" * 32, 4),
    complete=(OLD,),
    accepted=Accepted(True, 4, (OLD,), "t"),
    running=OLD,
)
SWITCH = ("standby", "switch", "unit", "start", "health", "accept")
BUILD = ("generation", "environment", "files", "receipt")


def plan(
    state: InstallationState = EMPTY,
    facts: HostFacts = FACTS,
    manifest: Manifest = MANIFEST,
    arrival: Arrival = BESIDE,
    **asked: Any,
) -> Plan:
    return plan_install(facts, manifest, DIGEST, state, Request(**asked), arrival)


def test_a_first_installation_builds_configures_and_switches() -> None:
    made = plan()
    assert made.names() == (*BUILD, "standby", "settings", *SWITCH[1:])
    assert (made.action, made.base, made.generation) == ("install", None, NAME)


def test_an_upgrade_leaves_the_settings_alone() -> None:
    made = plan(EARLIER)
    assert made.names() == (*BUILD, "standby", "bytecode", *SWITCH[1:])
    assert (made.action, made.base) == ("upgrade", EARLIER.pointer)
    assert "bytecode" not in plan(replace(EARLIER, running="")).names()


def test_an_installed_and_running_release_needs_nothing() -> None:
    assert plan(INSTALLED).steps == ()
    assert plan(INSTALLED).action == "none"


def test_a_stopped_service_is_only_started() -> None:
    assert plan(replace(INSTALLED, running="")).names() == ("standby", "unit", "start", "health", "accept")


def test_another_port_changes_settings_and_restarts() -> None:
    assert plan(INSTALLED, port=9000).names() == ("standby", "settings", "unit", "start", "health", "accept")


def test_a_release_that_was_never_accepted_has_nothing_to_fall_back_to_but_nothing() -> None:
    state = replace(INSTALLED, pointer=Pointer(NAME, DIGEST, 5), accepted=Accepted())
    made = plan(state)
    assert (made.action, made.base, made.names()) == ("resume", None, SWITCH)


def test_a_complete_release_that_is_not_active_is_checked_not_built() -> None:
    assert plan(replace(EARLIER, complete=(OLD, NAME))).names() == ("check", *SWITCH)


def test_no_start_neither_starts_nor_waits() -> None:
    assert plan(start=False).names() == (*BUILD, "standby", "settings", "switch", "unit", "accept")


def test_the_host_interpreter_is_preferred_to_the_bundled_one() -> None:
    carried = replace(MANIFEST, files=(*FILES, entry("01_Prerequisites/python-3.12.tar.gz", "interpreter")))
    assert plan(manifest=carried).archive is None
    bare = plan(manifest=carried, facts=replace(FACTS, pythons=()))
    assert bare.archive is not None
    assert bare.names()[:3] == ("generation", "interpreter", "environment")


def test_the_bundled_interpreter_is_used_on_request_although_the_host_has_one() -> None:
    carried = replace(MANIFEST, files=(*FILES, entry("01_Prerequisites/python-3.12.tar.gz", "interpreter")))
    made = plan(manifest=carried, python="bundled")
    assert (made.interpreter, made.archive) == (None, carried.files[-1])
    assert findings(manifest=carried, python="bundled") == []
    assert findings(python="bundled") == ["python"], "a bundle without one cannot give it"


def test_contents_that_arrive_as_a_stream_are_taken_into_the_store_first() -> None:
    made = plan(arrival=Arrival("delta", 700))
    assert made.names()[:3] == ("generation", "contents", "environment")
    steps = {step.name: step for step in made.steps}
    assert steps["contents"].bytes == 700
    assert "델타" in steps["contents"].title.ko
    assert steps["files"].bytes == 7, "the generation's own copy of the source"


def test_models_are_counted_once_and_only_where_the_store_lacks_them() -> None:
    model = replace(entry("07_Models/m/w.bin", "model", 10**9), sha256="1" * 64)
    carried = replace(MANIFEST, files=(*FILES, model))
    first = {step.name: step.bytes for step in plan(manifest=carried).steps}
    assert 10**9 < first["files"] < 10**9 + 10_000
    again = {step.name: step.bytes for step in plan(manifest=carried, arrival=Arrival(lacking_bytes=0)).steps}
    assert again["files"] == 7


def test_a_repaired_release_is_the_same_release() -> None:
    rebuilt = f"{NAME}-r2"
    state = replace(
        INSTALLED,
        pointer=Pointer(rebuilt, DIGEST, 5, (OLD,)),
        complete=(OLD, rebuilt),
        accepted=Accepted(True, 5, (OLD, NAME), "t"),
        running=rebuilt,
    )
    assert plan(state).action == "none"
    assert plan(state).generation == rebuilt
    kept = replace(EARLIER, complete=(OLD, rebuilt))
    assert plan(kept).names() == ("check", *SWITCH)
    assert plan(kept).generation == rebuilt


def test_a_service_user_needs_an_interpreter_it_can_reach() -> None:
    root = replace(FACTS, euid=0, systemd=True)
    assert plan(facts=root).settings == replace(RUNNING, manager="systemd", user="ragtrace")
    hidden = replace(root, pythons=(Interpreter("/root/python3.11", "3.11", False),))
    assert plan(facts=hidden).interpreter is None


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    (
        ("03_Source/src/a.py", "source", "source/src/a.py"),
        ("03_Source/config.default/ragtrace.yaml", "config", "config.default/ragtrace.yaml"),
        ("04_Scripts/installer/cli.py", "installer", "tools/04_Scripts/installer/cli.py"),
        (
            "06_Verification/enterprise_validator.py",
            "validator",
            "tools/06_Verification/enterprise_validator.py",
        ),
        ("07_Models/bge-m3/model.onnx", "model", "models/bge-m3/model.onnx"),
        ("02_Dependencies/wheels/a.whl", "wheel", None),
        ("05_Documentation/a.md", "document", None),
        ("05_Documentation/advisories.json", "advisories", "tools/05_Documentation/advisories.json"),
    ),
)
def test_each_kind_of_file_has_its_place(path: str, kind: str, expected: str | None) -> None:
    found = destination(entry(path, kind))
    assert (None if found is None else found.as_posix()) == expected


def findings(
    facts: HostFacts = FACTS, manifest: Manifest = MANIFEST, state: InstallationState = EMPTY, **asked: Any
) -> list[str]:
    request = Request(**asked)
    made = plan_install(facts, manifest, DIGEST, state, request)
    return [finding.name for finding in preflight.check_host(facts, manifest, state, made, request)]


def place(**changes: Any) -> HostFacts:
    return replace(FACTS, prefix=replace(PLACE, **changes))


def test_a_fitting_host_has_no_findings() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    (
        (replace(FACTS, arch="aarch64"), ["platform"]),
        (replace(FACTS, libc_version="2.17"), ["libc"]),
        (replace(FACTS, libc="musl", libc_version=""), ["libc"]),
        (replace(FACTS, pythons=(Interpreter("/p", "3.9"),)), ["python"]),
        (replace(FACTS, memory_mb=512), ["memory"]),
        (replace(FACTS, port_problem="taken"), ["port"]),
        (replace(FACTS, port_problem="address"), ["port"]),
        (place(writable=False), ["permission"]),
        (place(is_folder=False), ["prefix"]),
        (place(free_bytes=1000), ["disk"]),
        (place(free_files=3), ["inodes"]),
        (place(noexec=True), ["noexec"]),
    ),
)
def test_each_misfit_is_found(facts: HostFacts, expected: list[str]) -> None:
    assert findings(facts) == expected


def test_systemd_needs_root_and_a_place_the_service_can_reach() -> None:
    assert findings(manager="systemd") == ["service-manager"]
    hidden = replace(place(reachable=False), euid=0, systemd=True)
    assert findings(hidden, manager="systemd") == ["prefix-hidden"]


def test_all_findings_come_at_once_and_refuse_with_12() -> None:
    bad = replace(
        place(writable=False, free_bytes=0), arch="riscv64", memory_mb=1, port_problem="taken", pythons=()
    )
    request = Request()
    made = plan_install(bad, MANIFEST, DIGEST, EMPTY, request)
    found = preflight.check_host(bad, MANIFEST, EMPTY, made, request)
    assert len(found) == 6
    with pytest.raises(PreflightError) as refused:
        preflight.require(found, "/opt/r")
    assert len(refused.value.details) == 6


def test_our_own_service_does_not_block_its_port() -> None:
    assert findings(replace(FACTS, port_problem="taken"), state=EARLIER) == []
    assert findings(replace(FACTS, port_problem="taken"), state=EARLIER, port=9999) == ["port"]


def test_a_lower_sequence_is_a_downgrade_unless_kept_or_allowed() -> None:
    newer = replace(EARLIER, accepted=Accepted(True, 9, (OLD,), "t"))
    with pytest.raises(PolicyError) as refused:
        preflight.check_policy(MANIFEST, plan(newer), newer, Request())
    assert refused.value.exit_code == 11
    preflight.check_policy(MANIFEST, plan(newer), newer, Request(allow_downgrade=True))
    kept = replace(newer, pointer=Pointer(OLD, "x", 9, (NAME,)))
    preflight.check_policy(MANIFEST, plan(kept), kept, Request())
