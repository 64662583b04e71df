"""What lies between the data and a release is decided before anything is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bundle.errors import PolicyError
from bundle.manifest import DataFormat
from installer import dataformat, preflight
from installer.dataformat import NO_DATA, DataState, check, course
from installer.paths import Prefix
from installer.plan import Request

from .test_plan import EARLIER, FACTS, INSTALLED, MANIFEST, PLACE, SERVICE, plan

THREE = DataFormat(3, (1, 2), ("migrate",), (1,))
RELEASE = replace(MANIFEST, service=replace(SERVICE, data=THREE))


@pytest.mark.parametrize(
    ("data", "expected"),
    (
        (DataState(3, marked=True), "none"),
        (DataState(2, marked=True), "migrate"),
        (DataState(1), "irreversible"),
        (DataState(4, marked=True), "newer"),
        (DataState(problem="torn", marked=True), "unreadable"),
        (NO_DATA, "begin"),
        (DataState(before=3), "none"),
        (DataState(before=2), "begin"),
    ),
    ids=str,
)
def test_each_state_of_the_data_has_its_course(data: DataState, expected: str) -> None:
    assert course(data, THREE) == expected
    assert course(data, None) == "none", "nobody knows, nothing is checked"
    if expected in ("none", "migrate", "begin"):
        check(data, THREE, "3.0")
    else:
        with pytest.raises(PolicyError) as refused:
            check(data, THREE, "3.0")
        assert refused.value.exit_code == 11
        assert refused.value.hint is not None


def test_a_release_without_a_declaration_has_format_1_once_the_data_moved_on() -> None:
    assert dataformat.declared_by(MANIFEST, DataState(1, marked=True)) is None
    assert dataformat.declared_by(MANIFEST, DataState(2)) is None
    assert dataformat.declared_by(MANIFEST, DataState(2, marked=True)) == DataFormat(1)
    assert dataformat.declared_by(replace(MANIFEST, service=None), DataState(2, marked=True)) is None


def test_the_snapshot_comes_before_the_switch_and_its_bytes_are_planned() -> None:
    data = DataState(2, marked=True, files=3, bytes=10**9)
    made = plan(replace(EARLIER, data=data), manifest=RELEASE)
    names = made.names()
    assert names[names.index("standby") :][:5] == ("standby", "bytecode", "snapshot", "migrate", "switch")
    assert made.bytes_needed > plan(EARLIER).bytes_needed + 10**9


def test_data_that_fell_behind_the_active_release_are_migrated_too() -> None:
    assert plan(INSTALLED, manifest=RELEASE).names()[1] == "snapshot", (
        "no data yet, and nobody knows the format"
    )
    settled = replace(INSTALLED, data=DataState(3, marked=True))
    assert plan(settled, manifest=RELEASE).action == "none"
    behind = replace(INSTALLED, data=DataState(2, marked=True))
    assert plan(behind, manifest=RELEASE).names()[:3] == ("standby", "snapshot", "migrate")


def test_a_rollback_looks_for_room_only_where_it_keeps_data() -> None:
    full = replace(PLACE, free_bytes=0)
    plain = plan(EARLIER)
    assert preflight.check_room(full, plain, EARLIER) == ()
    odd = replace(EARLIER, data=DataState(2, marked=True, bytes=1000, odd="index/socket"))
    keeping = plan(odd, manifest=RELEASE)
    assert [found.name for found in preflight.check_room(full, keeping, odd)] == ["disk", "data"]
    assert "data" in [f.name for f in preflight.check_host(FACTS, RELEASE, odd, keeping, Request())]


@pytest.mark.parametrize(
    ("files", "expected"),
    (
        ({}, NO_DATA),
        ({"logs/a": b"", "cache/b": b""}, NO_DATA),
        ({"documents/a": b""}, DataState(1)),
        ({"FORMAT.json": b'{"format": "ragtrace-data", "version": 7}'}, DataState(7, marked=True)),
    ),
    ids=str,
)
def test_the_format_is_read_from_the_data(
    tmp_path: Path, files: dict[str, bytes], expected: DataState
) -> None:
    for name, content in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert dataformat.read(Prefix(tmp_path)) == expected


@pytest.mark.parametrize(
    "content",
    (b"", b"[]", b'{"format": "ragtrace-data"}', b'{"format": "x", "version": 1}', b"[" * 100_000)
    + tuple(b'{"format": "ragtrace-data", "version": %s}' % n for n in (b"0", b"true", b'"1"', b"1.5")),
)
def test_a_format_that_cannot_be_read_is_a_problem_not_a_guess(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "FORMAT.json").write_bytes(content)
    found = dataformat.read(Prefix(tmp_path))
    assert found.version is None
    assert found.problem


def test_a_link_in_the_place_of_the_format_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").write_bytes(b'{"format": "ragtrace-data", "version": 7}')
    (tmp_path / "data" / "FORMAT.json").symlink_to(tmp_path / "elsewhere")
    assert dataformat.read(Prefix(tmp_path)).problem
