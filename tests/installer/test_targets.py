"""Every target of `manifests/targets/` against every kind of host: one fits, the others are refused by name."""

from __future__ import annotations

import platform
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from builder import inputs
from bundle.manifest import Target
from installer import facts
from installer.facts import HostFacts
from tests.installer import test_plan as plans

NAMES = sorted(path.stem for path in (inputs.MANIFESTS / "targets").glob("*.toml"))
# What `installer.facts` finds on a host just new enough for the target of the same name.
HOSTS = {
    "linux-x86_64": ("linux", "x86_64", "glibc", "2.28"),
    "linux-aarch64": ("linux", "aarch64", "glibc", "2.28"),
    "linux-x86_64-musl": ("linux", "x86_64", "musl", "1.2.2"),
    "linux-aarch64-musl": ("linux", "aarch64", "musl", "1.2.2"),
    "windows-amd64": ("windows", "x86_64", "", ""),
    "macos-arm64": ("macos", "aarch64", "macos", "14.0"),
    "macos-x86_64": ("macos", "x86_64", "macos", "13.0"),
}


def found(target: str, host: tuple[str, str, str, str]) -> set[str]:
    spec = inputs.load_target(target)
    manifest = replace(
        plans.MANIFEST,
        target=Target(spec.name, spec.os, spec.arch, spec.libc, spec.libc_min, ("3.11",)),
    )
    here: HostFacts = replace(plans.FACTS, os=host[0], arch=host[1], libc=host[2], libc_version=host[3])
    return set(plans.findings(here, manifest))


@pytest.mark.parametrize("target", NAMES)
def test_a_target_fits_its_own_hosts_and_no_others(target: str) -> None:
    assert found(target, HOSTS[target]) == set()
    for name, host in HOSTS.items():
        assert name == target or found(target, host) & {"platform", "libc"}, name


@pytest.mark.parametrize(
    ("target", "version"),
    [
        ("linux-x86_64", "2.27"),
        ("linux-x86_64-musl", "1.1.24"),
        ("macos-arm64", "13.7"),
        ("macos-x86_64", "12"),
    ],
)
def test_a_host_below_the_floor_is_refused(target: str, version: str) -> None:
    host = HOSTS[target]
    assert found(target, (host[0], host[1], host[2], version)) == {"libc"}


def test_a_newer_macos_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("26.1", ("", "", ""), "arm64"))
    assert found("macos-arm64", ("macos", "aarch64", *facts.libc_of_host())) == set()


@pytest.mark.parametrize(("kernel", "version"), [("23.6.0", "14"), ("24.1.0", "15"), ("25.0.0", "26")])
def test_a_macos_that_calls_itself_10_16_is_told_by_its_kernel(
    kernel: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("10.16", ("", "", ""), "x86_64"))
    monkeypatch.setattr(platform, "release", lambda: kernel)
    assert facts.libc_of_host() == ("macos", version)


@pytest.mark.parametrize(
    ("words", "version"),
    [("musl libc (x86_64)\nVersion 1.2.4\nDynamic Program Loader", "1.2.4"), ("Segmentation fault", "")],
)
def test_musl_is_asked_for_its_version(words: str, version: str, tmp_path: Path) -> None:
    loader = tmp_path / "ld-musl-x86_64.so.1"
    loader.write_text(f"#!/bin/sh\nprintf '{words}' >&2\nexit 1\n".replace("\\n", "\n"))
    loader.chmod(0o755)
    assert facts.musl_version(loader) == version
    assert facts.musl_version(tmp_path / "absent") == ""
