"""Hashing, copying and atomic replacement."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bundle import atomic, hashing
from bundle.errors import IntegrityError
from bundle.text import Text, choose_language, human_size, language_argument


def test_a_copy_is_hashed_while_it_is_made(tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    (tmp_path / "a").write_bytes(data)
    expected = (len(data), hashlib.sha256(data).hexdigest())
    assert hashing.copy_hashed(tmp_path / "a", tmp_path / "b", 0o755, expected) == expected
    assert (tmp_path / "b").read_bytes() == data
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755


def test_a_copy_that_differs_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    with pytest.raises(IntegrityError):
        hashing.copy_hashed(tmp_path / "a", tmp_path / "b", 0o644, (5, "0" * 64))
    assert not (tmp_path / "b").exists()


def test_an_existing_destination_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        hashing.copy_hashed(tmp_path / "a", tmp_path / "b", 0o644)
    assert (tmp_path / "b").read_bytes() == b"old"


def test_many_files_are_hashed_and_unreadable_ones_reported(tmp_path: Path) -> None:
    paths = []
    for number in range(50):
        place = tmp_path / str(number)
        place.write_bytes(b"x" * number)
        paths.append(place)
    paths.append(tmp_path / "missing")
    outcome = {path.name: digest for path, _, digest in hashing.hash_files(paths, threads=3)}
    assert outcome["7"] == hashlib.sha256(b"x" * 7).hexdigest()
    assert isinstance(outcome["missing"], FileNotFoundError)
    assert len(outcome) == 51


def test_links_are_not_followed_when_hashing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(OSError):
        hashing.sha256_file(tmp_path / "link")


def test_atomic_replacement_leaves_old_or_new(tmp_path: Path) -> None:
    place = tmp_path / "state.json"
    atomic.write_atomic(place, b"one", 0o600)
    atomic.write_atomic(place, b"two", 0o600)
    assert place.read_bytes() == b"two"
    assert place.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]


def test_a_leftover_of_a_killed_run_does_not_stop_the_next(tmp_path: Path) -> None:
    (tmp_path / ".state.json.new").write_bytes(b"torn")
    atomic.write_atomic(tmp_path / "state.json", b"whole")
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    ("argument", "environment", "expected"),
    [
        ("ko", {"LANG": "en_US.UTF-8"}, "ko"),
        (None, {"LANG": "ko_KR.UTF-8"}, "ko"),
        (None, {"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}, "en"),
        (None, {"RAGTRACE_LANG": "ko", "LC_ALL": "C"}, "ko"),
        (None, {}, "en"),
    ],
)
def test_language_is_chosen_by_argument_then_environment(
    argument: str | None, environment: dict[str, str], expected: str
) -> None:
    assert choose_language(argument, environment) == expected


def test_sizes_and_language_arguments_read_as_people_write_them() -> None:
    assert [human_size(item) for item in (0, 999, 1500, 2_000_000, 16_000_000_000)] == [
        "0 B", "999 B", "1.5 KB", "2.0 MB", "16.0 GB",
    ]  # fmt: skip
    assert language_argument(["plan", "--lang", "ko"]) == "ko"
    assert language_argument(["--lang=en"]) == "en"
    assert Text("가", "a").to("ko") == "가"
