"""What an operator names as trusted, as read from a command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundle import anchors, limits
from bundle.errors import UsageProblem
from bundle.trust import Anchors


def test_what_is_named_becomes_the_anchors(tmp_path: Path) -> None:
    place = tmp_path / "allowed_signers"
    place.write_text("# 우리\nbuilder ssh-ed25519 AAAA\n", encoding="utf-8")
    found = anchors.given(place, ["SHA256:x"], 2)
    assert found == Anchors(place.read_text(encoding="utf-8"), ("SHA256:x",), 2)
    assert not anchors.given(None, ())


def test_a_file_that_comes_through_a_pipe_is_read_too() -> None:
    """As the shell's ``<(…)`` gives it."""
    reader, writer = os.pipe()
    os.write(writer, b"builder ssh-ed25519 AAAA\n")
    os.close(writer)
    try:
        assert anchors.given(Path(f"/dev/fd/{reader}"), ()).allowed_signers.startswith("builder")
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xff\xfe", "cannot be read"),
        (b"#" * (limits.ALLOWED_SIGNERS_BYTES + 1), "too large"),
    ],
)
def test_a_file_that_names_nobody_is_an_error_and_not_the_same_as_none(
    tmp_path: Path, data: bytes, message: str
) -> None:
    place = tmp_path / "allowed_signers"
    place.write_bytes(data)
    with pytest.raises(UsageProblem, match=message):
        anchors.given(place, ())


def test_a_missing_file_and_a_senseless_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="cannot be read"):
        anchors.given(tmp_path / "missing", ())
    for number in (0, 9, -1):
        with pytest.raises(UsageProblem, match="from 1 to 8"):
            anchors.given(None, (), number)
