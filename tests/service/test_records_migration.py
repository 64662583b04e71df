"""Records of format 1, as the first release wrote them, become format 2 with nothing lost, whenever it is killed."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection

from ragtrace.adapters import data_format, sqlite_schema
from ragtrace.adapters.sqlite_records import SqliteRecords
from ragtrace.errors import StorageProblem
from ragtrace.text import Text
from tests.service.test_cli import home, result, run

__all__ = ["home"]

# What release 0.1.0 wrote: taken from its database by `.dump`.
DUMP = """
CREATE TABLE meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL, PRIMARY KEY (key));
INSERT INTO meta VALUES('records','6d1f0c');
INSERT INTO meta VALUES('sequence','7');
INSERT INTO meta VALUES('settled','7');
INSERT INTO meta VALUES('schema','1');
CREATE TABLE documents (
    id VARCHAR NOT NULL, source VARCHAR NOT NULL, path VARCHAR NOT NULL, title VARCHAR NOT NULL, date VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL, size INTEGER NOT NULL, recipe VARCHAR NOT NULL, chunk_count INTEGER NOT NULL,
    updated_at VARCHAR NOT NULL, PRIMARY KEY (id), UNIQUE (source, path)
);
INSERT INTO documents VALUES('d1','문서','a.txt','휴가','2025-01-02','00',5,'p1-c1-600-150-80',2,'2026-01-01T00:00:00+00:00');
INSERT INTO documents VALUES('d2','문서','b.txt','출장','','11',6,'p1-c1-600-150-80',1,'2026-01-01T00:00:00+00:00');
CREATE TABLE chunks (
    id VARCHAR NOT NULL, document_id VARCHAR NOT NULL, position INTEGER NOT NULL, section TEXT NOT NULL,
    text TEXT NOT NULL, PRIMARY KEY (id), FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE CASCADE
);
INSERT INTO chunks VALUES('c1','d1',0,'["휴가 규정"]','휴가 신청은 3일 전까지 합니다.');
INSERT INTO chunks VALUES('c2','d1',1,'[]','연차는 15일입니다.');
INSERT INTO chunks VALUES('c3','d2',0,'[]','출장 보고는 닷새 안에 합니다.');
CREATE TABLE pending (document_id VARCHAR NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (document_id));
CREATE INDEX chunks_by_document ON chunks (document_id, position);
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A data folder of the first release, with its index, below the home of `home`."""
    folder = tmp_path / "home" / "data"
    (folder / "index" / "bm25-v1").mkdir(parents=True)
    (folder / "index" / "bm25-v1" / "meta.json").write_text("{}")
    (folder / "FORMAT.json").write_text(json.dumps({"format": "ragtrace-data", "version": 1}))
    with contextlib.closing(sqlite3.connect(folder / "records.sqlite3")) as database:
        database.executescript(DUMP)
    return folder


def quiet(_text: Text) -> None:
    """Nobody listens."""


def columns(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    with contextlib.closing(sqlite3.connect(folder / "records.sqlite3")) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: database.execute(f"PRAGMA table_info({name})").fetchall() for name in sorted(names)}


def test_documents_and_chunks_stay_and_the_journal_names_every_document(old: Path) -> None:
    assert data_format.migrate(old, quiet) == (1, 2)
    records = SqliteRecords(old / "records.sqlite3")
    first, second = records.documents()
    assert (first.title, first.group, second.path) == ("휴가", "", "b.txt")
    (one,) = records.load(["d1"])
    assert [(chunk.text, chunk.page) for chunk in one.chunks] == [
        ("휴가 신청은 3일 전까지 합니다.", 0),
        ("연차는 15일입니다.", 0),
    ]
    assert records.changes(0, "", 9) == [(7, "d1"), (7, "d2")]
    assert (records.state().records, records.state().sequence, records.refused()) == ("6d1f0c", 7, [])
    assert not (old / "index" / "bm25-v1").exists()
    assert records.apply([], ["d1"]) == 8
    assert records.counts() == (1, 1)
    records.close()


def test_migrated_and_new_records_have_the_same_tables(old: Path, tmp_path: Path) -> None:
    data_format.migrate(old, quiet)
    SqliteRecords(tmp_path / "new" / "records.sqlite3").close()
    assert columns(old) == columns(tmp_path / "new")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("statements", range(len(sqlite_schema._CHANGES_2) + 1))
def test_killed_after_any_statement_it_is_done_by_the_next_run(
    old: Path, statements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = columns(old)
    done = 0
    execute = Connection.exec_driver_sql

    def dying(self: Connection, statement: str, *arguments: object) -> object:
        nonlocal done
        if statement in sqlite_schema._CHANGES_2:
            if done == statements:
                raise Killed
            done += 1
        return execute(self, statement, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "exec_driver_sql", dying)
        if statements < len(sqlite_schema._CHANGES_2):
            with pytest.raises(Killed):
                data_format.migrate(old, quiet)
            assert columns(old) == before
            with pytest.raises(StorageProblem):
                data_format.require(old)
        else:
            data_format.migrate(old, quiet)
    assert data_format.migrate(old, quiet)[1] == 2
    records = SqliteRecords(old / "records.sqlite3")
    assert records.counts() == (2, 3)
    records.close()


def test_killed_between_schema_and_number_it_is_done_by_the_next_run(old: Path) -> None:
    data_format.migrate(old, quiet)
    (old / "FORMAT.json").write_text(json.dumps({"format": "ragtrace-data", "version": 1, "migrating": 2}))
    assert data_format.migrate(old, quiet) == (1, 2)
    assert data_format.read(old) == data_format.DataFormat(2)


@pytest.mark.parametrize("left", (b"", None), ids=("empty", "missing"))
def test_the_index_of_lost_records_stays_as_their_last_trace(old: Path, left: bytes | None) -> None:
    (old / "records.sqlite3").unlink()
    if left is not None:
        (old / "records.sqlite3").write_bytes(left)
    data_format.migrate(old, quiet)
    assert (old / "index" / "bm25-v1" / "meta.json").exists()


def test_damaged_records_are_left_as_they_are_and_it_says_so(old: Path) -> None:
    (old / "records.sqlite3").write_bytes(b"not a database" * 999)
    with pytest.raises(StorageProblem, match="damaged"):
        data_format.migrate(old, quiet)
    assert (old / "records.sqlite3").read_bytes() == b"not a database" * 999
    assert (old / "index" / "bm25-v1").exists()


def test_the_commands_refuse_old_data_until_it_is_migrated_and_answer_afterwards(
    old: Path, home: Path
) -> None:
    extra = {"RAGTRACE_ANALYZER_KIND": "whitespace"}
    refused = run(home, "documents", "list", **extra)
    assert refused.returncode == 1 and "ragtrace migrate" in refused.stderr
    assert result(run(home, "migrate", "--json", **extra)) == {"before": 1, "after": 2}
    asked = result(run(home, "ask", "연차는 15일입니다.", "--json", **extra))
    assert asked["supported"] and "15일" in asked["answer"]
    assert result(run(home, "index", "verify", "--json", **extra))["ok"]
