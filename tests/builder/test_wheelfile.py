"""Wheel hygiene on entry to the cache."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.wheels import wheelfile
from bundle.errors import BuildError, IntegrityError
from tests.support.wheels import wheel_bytes

NAME = "pkg-1.0-py3-none-any.whl"
INFO = "pkg-1.0.dist-info"


def link_member() -> bytes:
    buffer = io.BytesIO(wheel_bytes("pkg", "1.0"))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("pkg/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def bomb() -> bytes:
    return wheel_bytes("pkg", "1.0", {"pkg/zeros": bytes(120_000_000)})


DEFECTS: dict[str, tuple[bytes, str]] = {
    "not a zip": (b"hello", "not a readable wheel"),
    "truncated": (wheel_bytes("pkg", "1.0")[:-40], "not a readable wheel"),
    "file not in RECORD": (wheel_bytes("pkg", "1.0", extra_members={"pkg/evil.py": b"x"}), "evil.py is not in RECORD"),
    "RECORD names a missing file": (
        wheel_bytes("pkg", "1.0", record={"pkg/gone.py": "sha256=AAAA,1"}), "gone.py, which is not there",
    ),
    "hash differs": (
        wheel_bytes("pkg", "1.0", record={"pkg/__init__.py": "sha256=AAAA,1"}), "__init__.py differs from RECORD",
    ),
    "weak hash": (wheel_bytes("pkg", "1.0", record={"pkg/__init__.py": "md5=AAAA,1"}), "no strong hash"),
    "name differs": (wheel_bytes("pkg", "1.0", metadata_name="other"), "METADATA names 'other'"),
    "traversal": (wheel_bytes("pkg", "1.0", {"../evil.py": "x"}), "member '../evil.py'"),
    "absolute": (wheel_bytes("pkg", "1.0", {"/etc/evil": "x"}), "member '/etc/evil'"),
    "case collision": (wheel_bytes("pkg", "1.0", {"pkg/A.py": "x", "pkg/a.py": "x"}), "differ only in case"),
    "symbolic link": (link_member(), "symbolic link"),
    "bomb": (bomb(), "implausible size"),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_defective_wheel_is_refused(tmp_path: Path, defect: str) -> None:
    data, reason = DEFECTS[defect]
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(BuildError) as caught:
        wheelfile.check(tmp_path / NAME, NAME)
    assert reason in caught.value.where


def test_a_sound_wheel_is_accepted_and_measured(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(wheel_bytes("pkg", "1.0", {"pkg/data": "x" * 1000}))
    wheelfile.check(tmp_path / NAME, NAME)
    assert wheelfile.unpacked_size(tmp_path / NAME) > 1000


def test_the_file_name_must_be_the_wheels_own(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(wheel_bytes("pkg", "1.0"))
    with pytest.raises(BuildError) as caught:
        wheelfile.check(tmp_path / NAME, "pkg-2.0-py3-none-any.whl")
    assert "version" in caught.value.where


def test_a_poisoned_wheel_gives_no_script_and_is_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    data = wheel_bytes("tool", "1.0", {"tool-1.0.data/scripts/tool": "#!/bin/sh\n"})
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / "w").write_bytes(data)
    cache.admit(tmp_path / "w", digest)
    cache.path(digest).write_bytes(wheel_bytes("tool", "1.0", {"tool-1.0.data/scripts/tool": "evil"}))
    with pytest.raises(IntegrityError):
        wheelfile.script_in_cache(cache, digest, "tool")
    assert not cache.has(digest)
    cache.path(digest).write_bytes(data)
    assert cache.path(wheelfile.script_in_cache(cache, digest, "tool")).read_bytes() == b"#!/bin/sh\n"
