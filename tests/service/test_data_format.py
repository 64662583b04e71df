"""The data says its format; only `ragtrace migrate` changes it, and a kill in the middle loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomllib

from ragtrace.adapters import data_format
from ragtrace.adapters.data_format import DataFormat
from ragtrace.errors import StorageProblem
from ragtrace.text import Text
from tests.service.test_cli import free_port, home, result, run

__all__ = ["home"]


def quiet(_text: Text) -> None:
    """Nobody listens."""


def mark(folder: Path, **values: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "FORMAT.json").write_text(json.dumps({"format": "ragtrace-data", **values}))


class Killed(BaseException):
    """The process ends here."""


def test_the_project_declares_the_format_that_the_service_writes(repository: Path) -> None:
    table = tomllib.loads((repository / "service/pyproject.toml").read_text(encoding="utf-8"))
    declared = table["tool"]["ragtrace"]["data"]
    assert declared["version"] == data_format.VERSION
    assert all(0 < version < data_format.VERSION for version in declared["migrates"])


def test_new_data_is_marked_before_anything_else_is_written(home: Path) -> None:
    result(run(home, "status", "--json"))
    found = data_format.read(home / "data")
    assert found == DataFormat(data_format.VERSION)


def test_data_of_a_release_before_the_number_has_format_1(tmp_path: Path) -> None:
    (tmp_path / "records.sqlite3").write_bytes(b"anything")
    assert data_format.read(tmp_path) == DataFormat(1)
    data_format.require(tmp_path, 1)
    assert (tmp_path / "FORMAT.json").is_file()
    with pytest.raises(StorageProblem, match="older"):
        data_format.require(tmp_path, 2)


@pytest.mark.parametrize(
    ("written", "said"),
    (
        ({"version": 99}, "newer than this release"),
        ({"version": 0}, "ragtrace migrate"),
        ({"version": data_format.VERSION, "migrating": data_format.VERSION + 1}, "newer than this release"),
        ({"version": 0, "migrating": data_format.VERSION}, "ragtrace migrate"),
        ({"version": "1"}, "cannot be told"),
        ({"version": True}, "cannot be told"),
        ({}, "cannot be told"),
    ),
    ids=str,
)
def test_data_of_another_format_keeps_the_service_from_starting_and_stays_as_it_is(
    home: Path, written: dict[str, object], said: str
) -> None:
    mark(home / "data", **written)
    before = (home / "data" / "FORMAT.json").read_bytes()
    done = run(home, "serve", RAGTRACE_SERVER_PORT=str(free_port()))
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in (home / "data").iterdir()] == ["FORMAT.json"]
    assert (home / "data" / "FORMAT.json").read_bytes() == before


@pytest.mark.parametrize("torn", (b"", b"{", b"[]", b"\xff", b'{"version": 1}'))
def test_a_torn_format_is_never_repaired(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "FORMAT.json").write_bytes(torn)
    for use in (data_format.require, lambda folder: data_format.migrate(folder, quiet)):
        with pytest.raises(StorageProblem, match="cannot be told"):
            use(tmp_path)
    assert (tmp_path / "FORMAT.json").read_bytes() == torn


def test_migrations_run_in_order_and_only_those_that_are_missing(tmp_path: Path) -> None:
    done: list[int] = []
    steps = [lambda _folder, _tell, n=n: done.append(n) for n in (1, 2, 3)]
    mark(tmp_path, version=2)
    assert data_format.migrate(tmp_path, quiet, steps) == (2, 4)
    assert done == [2, 3]
    assert data_format.migrate(tmp_path, quiet, steps) == (4, 4)
    assert done == [2, 3]
    data_format.require(tmp_path, 4)


def test_a_migration_killed_half_way_is_opened_by_nobody_and_goes_on_where_it_was(tmp_path: Path) -> None:
    runs: list[int] = []

    def first(_folder: Path, _tell: data_format.Tell) -> None:
        runs.append(1)

    def second(_folder: Path, _tell: data_format.Tell) -> None:
        runs.append(2)
        if runs.count(2) == 1:
            raise Killed

    mark(tmp_path, version=1)
    with pytest.raises(Killed):
        data_format.migrate(tmp_path, quiet, (first, second))
    for version in (1, 2, 3):
        with pytest.raises(StorageProblem):
            data_format.require(tmp_path, version)
    assert data_format.migrate(tmp_path, quiet, (first, second)) == (2, 3)
    assert runs == [1, 2, 2]
    assert data_format.read(tmp_path) == DataFormat(3)


def test_newer_data_is_not_migrated_back(tmp_path: Path) -> None:
    mark(tmp_path, version=3)
    with pytest.raises(StorageProblem, match="newer"):
        data_format.migrate(tmp_path, quiet, ())
    mark(tmp_path, version=1, migrating=2)
    with pytest.raises(StorageProblem, match="newer"):
        data_format.migrate(tmp_path, quiet, ())


def test_the_command_does_nothing_where_nothing_is_to_be_done(home: Path) -> None:
    first = result(run(home, "migrate", "--json"))
    assert first == {"before": data_format.VERSION, "after": data_format.VERSION}
    written = (home / "data" / "FORMAT.json").stat().st_mtime_ns
    assert result(run(home, "migrate", "--json")) == first
    assert (home / "data" / "FORMAT.json").stat().st_mtime_ns == written
