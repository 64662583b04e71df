"""PKG-005: libraries of another machine, of a newer C library, damaged or lacking others are named; hostile ones too."""

from __future__ import annotations

import os
import platform
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import elves
from tests.validator.fakes import Installation, run
from validator.checks import binaries
from validator.host import elf, facts
from validator.model import Status

MACHINE = elf.MACHINES.get(facts.architecture(), 0)
OTHER = elves.AARCH64 if MACHINE == elves.X86_64 else elves.X86_64
needs_known_host = pytest.mark.skipif(
    not MACHINE or platform.libc_ver()[0] != "glibc", reason="a glibc host of a known machine"
)
GOOD = {"machine": MACHINE, "needed": ["libc.so.6"], "versions": {"libc.so.6": ["GLIBC_2.17", "GLIBC_2.2.5"]}}


def plant(installation: Installation, data: bytes, name: str = "core.cpython-311.so") -> Path:
    path = installation.site / "toy_index" / name
    path.write_bytes(data)
    return path


def test_without_native_files_there_is_nothing_to_look_at(installation: Installation) -> None:
    assert run(binaries.binaries_fit, installation.subject()).status is Status.SKIP


@needs_known_host
def test_a_fitting_library_passes_and_says_what_it_needs(installation: Installation) -> None:
    plant(installation, elves.library(**GOOD))  # type: ignore[arg-type]
    outcome = run(binaries.binaries_fit, installation.subject())
    assert outcome.status is Status.PASS, outcome
    assert outcome.measured == "1 files, need glibc 2.17"


@needs_known_host
@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"machine": OTHER}, "bit"),
        ({"machine": elves.I386, "bits": 32}, "machine 3, 32 bit"),
        ({"versions": {"libc.so.6": ["GLIBC_2.17", "GLIBC_2.99"]}}, "GLIBC_2.99"),
        ({"versions": {"libm.so.6": ["GLIBC_2.2.5"], "libc.so.6": ["GLIBC_9.1"]}}, "GLIBC_9.1"),
        ({"interpreter": "/lib/ld-of-nobody.so.1"}, "ld-of-nobody.so.1 is missing"),
        ({"changes": {10: 2}}, "a name without an end"),
    ],
)
def test_a_library_that_cannot_be_loaded_fails(
    installation: Installation, change: dict[str, object], word: str
) -> None:
    plant(installation, elves.library(**{**GOOD, **change}))  # type: ignore[arg-type]
    outcome = run(binaries.binaries_fit, installation.subject())
    assert outcome.status is Status.FAIL, outcome
    assert "core.cpython-311.so: " in outcome.details.en and word in outcome.details.en
    assert outcome.remedy == "repair"


@needs_known_host
def test_a_truncated_library_fails(installation: Installation) -> None:
    data = elves.library(**GOOD)  # type: ignore[arg-type]
    plant(installation, data[: len(data) // 2])
    outcome = run(binaries.binaries_fit, installation.subject())
    assert outcome.status is Status.FAIL
    assert "ends too early" in outcome.details.en


@needs_known_host
def test_a_missing_library_warns_until_it_is_there(installation: Installation) -> None:
    wants = {**GOOD, "needed": ["libtoy-1a2b.so.3", "libc.so.6"], "runpath": "$ORIGIN/../toy_index.libs"}
    plant(installation, elves.library(**wants))  # type: ignore[arg-type]
    outcome = run(binaries.binaries_fit, installation.subject())
    assert outcome.status is Status.WARN
    assert "libtoy-1a2b.so.3" in outcome.details.en
    (installation.site / "toy_index.libs").mkdir()
    (installation.site / "toy_index.libs" / "libtoy-1a2b.so.3").write_bytes(elves.library(**GOOD))  # type: ignore[arg-type]
    assert run(binaries.binaries_fit, installation.subject()).status is Status.PASS


@needs_known_host
def test_a_library_that_another_one_brings_along_counts_as_found(installation: Installation) -> None:
    plant(installation, elves.library(**{**GOOD, "needed": ["libtoy.so.1"]}))  # type: ignore[arg-type]
    plant(installation, elves.library(**GOOD, soname="libtoy.so.1"), "other-name.so")  # type: ignore[arg-type]
    assert run(binaries.binaries_fit, installation.subject()).status is Status.PASS


@needs_known_host
def test_what_is_loaded_only_where_it_can_be_is_no_finding(installation: Installation) -> None:
    wants = elves.library(**{**GOOD, "needed": ["libnvinfer.so.10"]})  # type: ignore[arg-type]
    plant(installation, wants, "libonnxruntime_providers_tensorrt.so")
    plant(installation, elves.library(machine=190), "kernel.cubin.so")
    program = plant(installation, elves.library(machine=OTHER), "helper-for-another-machine")
    program.chmod(0o755)
    assert run(binaries.binaries_fit, installation.subject()).status is Status.PASS


def test_where_there_is_no_glibc_only_machine_and_needs_are_compared(tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(elves.library(versions={"libc.so.6": ["GLIBC_9.9"]}))
    assert binaries.examine([tmp_path], "x86_64", ()).wrong == []
    assert binaries.examine([tmp_path], "x86_64", (2, 31)).wrong == ["a.so: GLIBC_9.9"]
    assert binaries.examine([tmp_path], "aarch64", ()).wrong == ["a.so: x86_64, 64 bit"]


@pytest.mark.parametrize(
    "version", ["GLIBC_ABI_DT_RELR", "GLIBC_PRIVATE", "GLIBCXX_3.4.30", "LIBXML2_2.4.30"]
)
def test_only_versions_of_the_c_library_count(tmp_path: Path, version: str) -> None:
    (tmp_path / "a.so").write_bytes(elves.library(versions={"libc.so.6": [version]}))
    found = binaries.examine([tmp_path], "x86_64", (2, 35)).wrong
    assert found == (["a.so: GLIBC_2.36"] if version == "GLIBC_ABI_DT_RELR" else [])


@pytest.mark.parametrize("bits", [32, 64])
def test_what_was_written_is_read(tmp_path: Path, bits: int) -> None:
    (tmp_path / "a.so").write_bytes(
        elves.library(
            bits=bits,
            machine=elves.I386 if bits == 32 else elves.X86_64,
            needed=["libc.so.6", "libm.so.6"],
            versions={"libc.so.6": ["GLIBC_2.4", "GLIBC_2.9"], "libm.so.6": ["GLIBC_2.0"]},
            runpath="$ORIGIN:/opt/x",
            soname="liba.so.1",
            interpreter="/lib/ld.so",
        )
    )
    found = elf.read(tmp_path / "a.so")
    assert (found.bits, found.soname, found.interpreter) == (bits, "liba.so.1", "/lib/ld.so")
    assert found.needed == ("libc.so.6", "libm.so.6")
    assert found.search == ("$ORIGIN", "/opt/x")
    assert found.versions == {"libc.so.6": ("GLIBC_2.4", "GLIBC_2.9"), "libm.so.6": ("GLIBC_2.0",)}


@pytest.mark.parametrize("bits", [32, 64])
def test_no_damage_does_more_than_be_named(tmp_path: Path, bits: int) -> None:
    whole = elves.library(
        bits=bits, needed=["libc.so.6"], versions={"libc.so.6": ["GLIBC_2.4"]}, runpath="a", interpreter="/l"
    )
    path = tmp_path / "a.so"
    chance = random.Random(5)
    damaged = [whole[:end] for end in range(0, len(whole), 7)]
    for _ in range(1500):
        broken = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.choice(
                (0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))
            )
        damaged.append(bytes(broken))
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            elf.read(path)
        except elf.Malformed:
            refused += 1
    assert refused > len(damaged) // 10


def test_counts_of_a_hostile_file_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.so"
    path.write_bytes(elves.library(versions={"libc.so.6": ["GLIBC_2.4"] * 1500}))
    with pytest.raises(elf.Malformed, match="more symbol versions"):
        elf.read(path)
    path.write_bytes(elves.library(needed=["a"] * 5000))
    with pytest.raises(elf.Malformed, match="no end"):
        elf.read(path)


def some_real_libraries() -> list[Path]:
    site = Path(sys.prefix) / "lib"
    return sorted(path for path in site.rglob("*.so*") if path.is_file() and not path.is_symlink())[:25]


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not on this host")
def test_real_libraries_are_read_as_readelf_reads_them() -> None:
    paths = [*some_real_libraries(), Path(os.path.realpath(sys.executable))]
    assert len(paths) > 5
    for path in paths:
        text = subprocess.run(
            ["readelf", "-W", "-d", "-V", "-l", str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        ).stdout
        found = elf.read(path)
        assert list(found.needed) == re.findall(r"\(NEEDED\)\s+Shared library: \[(.*?)\]", text), path
        needs = text.partition("Version needs section")[2]
        assert sorted(name for names in found.versions.values() for name in names) == sorted(
            re.findall(r"Name: (\S+)  Flags:", needs)
        ), path
        asked = re.search(r"Requesting program interpreter: (.*?)\]", text)
        assert found.interpreter == (asked.group(1) if asked else "")
