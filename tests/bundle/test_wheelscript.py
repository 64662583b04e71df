"""A program is taken out of its wheel whole and executable, or refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from bundle import limits
from bundle.errors import IntegrityError
from bundle.hashing import sha256_bytes
from bundle.wheelscript import take_script
from tests.support.wheels import wheel_bytes

PROGRAM = b"#!/bin/sh\n" + b"echo program\n" * 10_000


def wheel(tmp_path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    place = tmp_path / "tool-1.0-py3-none-any.whl"
    place.write_bytes(buffer.getvalue())
    return place


def test_the_program_is_written_executable_with_its_digest(tmp_path: Path) -> None:
    place = wheel(tmp_path, {"tool-1.0.data/scripts/tool": PROGRAM, "tool/scripts/tool": b"module"})
    out = tmp_path / "out"
    assert take_script(place, "tool", out) == (len(PROGRAM), sha256_bytes(PROGRAM))
    assert out.read_bytes() == PROGRAM and out.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "members",
    [
        {"tool/__init__.py": b""},
        {"tool-1.0.data/scripts/other": PROGRAM},
        {"tool-1.0.data/scripts/../scripts/tool": PROGRAM},
        {"a.data/scripts/tool": PROGRAM, "b.data/scripts/tool": PROGRAM},
    ],
)
def test_a_wheel_without_that_one_program_is_refused(tmp_path: Path, members: dict[str, bytes]) -> None:
    with pytest.raises(IntegrityError):
        take_script(wheel(tmp_path, members), "tool", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_program_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TOOL_BYTES", len(PROGRAM) - 1)
    with pytest.raises(IntegrityError, match="taken out"):
        take_script(wheel(tmp_path, {"t-1.data/scripts/tool": PROGRAM}), "tool", tmp_path / "out")


def test_damaged_bytes_in_the_wheel_are_noticed(tmp_path: Path) -> None:
    place = wheel(tmp_path, {"t-1.data/scripts/tool": PROGRAM}, zipfile.ZIP_STORED)
    data = bytearray(place.read_bytes())
    data[5000] ^= 1
    place.write_bytes(bytes(data))
    with pytest.raises(IntegrityError):
        take_script(place, "tool", tmp_path / "out")


def test_something_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.whl").write_bytes(wheel_bytes("tool", "1.0")[:50])
    with pytest.raises(IntegrityError):
        take_script(tmp_path / "w.whl", "tool", tmp_path / "out")
