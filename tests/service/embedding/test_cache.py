"""The embedding cache on disk: damage, sharing, limits; and a model behind one."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ragtrace.adapters.embedding_cache import SqliteEmbeddingCache
from ragtrace.application.cached_embedding import CachedEmbedding
from ragtrace.application.ports.embedding import OUTPUTS, Embedding, Output
from ragtrace.errors import ModelProblem
from ragtrace.testing.embedding import HashEmbedding, MemoryEmbeddingCache

ALL = frozenset(OUTPUTS)
DENSE: frozenset[Output] = frozenset({"dense"})
MODEL = HashEmbedding(16)


def same(left: Embedding, right: Embedding) -> bool:
    return left.dense is not None and right.dense is not None and np.array_equal(left.dense, right.dense)


def fill(cache: SqliteEmbeddingCache, *texts: str) -> None:
    cache.put("m", texts, MODEL.embed(texts, ALL))


def known(cache: SqliteEmbeddingCache, *texts: str) -> list[bool]:
    return [each is not None for each in cache.get("m", texts, ALL)]


def test_another_process_finds_what_one_kept(tmp_path: Path) -> None:
    fill(SqliteEmbeddingCache(tmp_path / "c.db", 10), "문서")
    assert known(SqliteEmbeddingCache(tmp_path / "c.db", 10), "문서", "검색") == [True, False]


def test_no_text_stands_in_the_file(tmp_path: Path) -> None:
    fill(SqliteEmbeddingCache(tmp_path / "c.db", 10), "비밀번호는 swordfish")
    for path in tmp_path.iterdir():
        assert b"swordfish" not in path.read_bytes() and "비밀".encode() not in path.read_bytes()


def test_more_texts_than_a_statement_has_parameters(tmp_path: Path) -> None:
    cache = SqliteEmbeddingCache(tmp_path / "c.db", 5000)
    texts = [f"글 {number}" for number in range(1203)]
    fill(cache, *texts)
    assert all(known(cache, *texts))


def test_changed_numbers_are_not_believed(tmp_path: Path) -> None:
    cache = SqliteEmbeddingCache(tmp_path / "c.db", 10)
    fill(cache, "문서", "검색")
    with closing(sqlite3.connect(tmp_path / "c.db")) as database, database:
        database.execute("UPDATE entries SET dense = zeroblob(64) WHERE id = 1")
    assert known(cache, "문서", "검색") == [False, True]


@pytest.mark.parametrize("damage", [b"no database at all" * 300, b""])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.db"
    cache = SqliteEmbeddingCache(path, 10)
    fill(cache, "문서")
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert known(cache, "문서") == [False]
    assert bool(damage) == ("embedding cache" in caplog.text)
    fill(cache, "문서")
    assert known(cache, "문서") == [True]


def test_a_file_of_another_layout_is_made_anew(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "c.db")) as database, database:
        database.execute("CREATE TABLE entries (other TEXT)")
        database.execute("PRAGMA user_version = 99")
    cache = SqliteEmbeddingCache(tmp_path / "c.db", 10)
    fill(cache, "문서")
    assert known(cache, "문서") == [True]


def test_a_disk_that_refuses_costs_time_and_not_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = SqliteEmbeddingCache(tmp_path / "no-folder/c.db", 10)
    model = CachedEmbedding(HashEmbedding(16), cache)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert len(model.embed(["문서"], ALL)) == 1
    assert caplog.text.count("embedding cache") == 1


def test_bytes_are_limited_as_entries_are(tmp_path: Path) -> None:
    cache = SqliteEmbeddingCache(tmp_path / "c.db", 1000, most_bytes=2000)
    fill(cache, *[f"글 {number}" for number in range(100)])
    found = known(cache, *[f"글 {number}" for number in range(100)])
    assert 0 < sum(found) < 20 and found[-1] and not found[0]
    with closing(sqlite3.connect(tmp_path / "c.db")) as database:
        kept, size = database.execute("SELECT COUNT(*), SUM(bytes) FROM entries").fetchone()
        assert (kept, size) == database.execute("SELECT entries, bytes FROM totals").fetchone()
    assert kept == sum(found) and size <= 2000


def test_a_cache_of_no_entries_keeps_nothing(tmp_path: Path) -> None:
    cache = SqliteEmbeddingCache(tmp_path / "c.db", 0)
    fill(cache, "문서")
    assert known(cache, "문서") == [False]


def test_threads_may_share_it(tmp_path: Path) -> None:
    cache = SqliteEmbeddingCache(tmp_path / "c.db", 50)
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                text = f"글 {number} {turn}"
                fill(cache, text)
                found = cache.get("m", [text], ALL)[0]
                assert found is None or same(found, MODEL.embed([text], ALL)[0])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with closing(sqlite3.connect(tmp_path / "c.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM entries").fetchone()[0] <= 50


def test_a_text_is_computed_once_and_every_caller_gets_it() -> None:
    inner = HashEmbedding(16)
    model = CachedEmbedding(inner, MemoryEmbeddingCache())
    first = model.embed(["문서", "검색", "문서"], DENSE)
    assert inner.texts == 2 and same(first[0], first[2])
    assert len(model.embed(["검색", "새 글", "문서"], DENSE)) == 3
    assert inner.texts == 3
    model.embed(["문서"], ALL)
    assert inner.texts == 4, "what is remembered has no ColBERT rows"


def test_an_error_is_not_remembered() -> None:
    model = CachedEmbedding(HashEmbedding(16, poison="독"), MemoryEmbeddingCache())
    for _ in range(2):
        with pytest.raises(ModelProblem):
            model.embed(["문서", "독"], DENSE)
    assert len(model.embed(["문서"], DENSE)) == 1
