"""What is found out about a host, from files as they are found on real ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from installer import facts

# Two lines of a machine with a USB stick at a place with a blank in its name.
MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:27 / /tmp rw,nosuid - tmpfs tmpfs rw
41 22 8:17 / /media/usb\\040stick rw - vfat /dev/sdb1 rw
43 22 0:41 / /srv rw shared:3 master:1 - overlay overlay rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    (("/opt", "ext4"), ("/tmp/x", "tmpfs"), ("/media/usb stick/y", "vfat"), ("/srv", "overlay"), ("/srvx", "ext4")),
)  # fmt: skip
def test_the_file_system_is_that_of_the_nearest_mount(path: str, expected: str) -> None:
    assert facts.filesystem_of(Path(path), MOUNTS) == expected


def test_a_system_that_does_not_tell_has_no_kind() -> None:
    assert facts.filesystem_of(Path("/opt"), "") == ""


def group(root: Path, lines: str, files: dict[str, str]) -> Path:
    """Lay out a control group tree."""
    for name, content in {"proc/self/cgroup": lines, **files}.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    return root


@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    (
        ("0::/\n", {"sys/fs/cgroup/memory.max": "536870912\n"}, 512),
        ("0::/\n", {"sys/fs/cgroup/memory.max": "max\n"}, 0),
        ("0::/a/b\n", {"sys/fs/cgroup/a/memory.max": "1073741824", "sys/fs/cgroup/a/b/memory.max": "max"}, 1024),
        ("0::/a/b\n", {"sys/fs/cgroup/a/memory.max": "1073741824", "sys/fs/cgroup/a/b/memory.max": "104857600"}, 100),
        ("5:memory:/docker/1\n4:cpu:/x\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648"}, 2048),
        ("5:memory:/\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 0),
        ("", {}, 0),
    ),
)  # fmt: skip
def test_the_least_memory_limit_counts(
    lines: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert facts.cgroup_limit_mb(group(tmp_path, lines, files)) == expected


V1 = "fpu cx8 cmov mmx fxsr sse sse2 syscall"
V2 = f"{V1} pni cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"
V3 = f"{V2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"


@pytest.mark.parametrize(
    ("flags", "level"), ((V1, 1), (V2, 2), (V3, 3), (V4, 4), (f"{V1} avx avx2", 1), ("swp half thumb", 0))
)
def test_the_processors_level_is_read_from_its_flags(flags: str, level: int) -> None:
    assert facts.cpu_level(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t:\n") == level
    assert facts.cpu_level("") == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc of a Linux host")
def test_this_host_is_described_without_a_contradiction(tmp_path: Path) -> None:
    found = facts.gather(tmp_path, ("3.11",), "", False, "", 0)
    assert found.prefix.filesystem
    assert found.cpu_level in range(5)
    assert 0 < found.memory_mb <= facts.memory_mb()
    assert found.lingering <= found.user_systemd


@pytest.mark.skipif(not hasattr(os, "execve"), reason="shell scripts")
def test_an_interpreter_that_needs_the_shells_library_path_is_not_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not start as the service, whose environment has none."""
    python = tmp_path / "python3"
    python.write_text(
        f'#!/bin/sh\n[ "$LD_LIBRARY_PATH" = /opt/lib ] || exit 127\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    assert facts.probe(str(python)) is None
