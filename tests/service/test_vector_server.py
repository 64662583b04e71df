"""What only a vector server has: a network between, other installations on it, and nobody's lock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ragtrace.adapters.vectors.qdrant_server import ServerVectors
from ragtrace.application.following import Follower
from ragtrace.application.ports import IndexMark
from ragtrace.errors import BusyProblem, UpstreamProblem
from ragtrace.testing.embedding import HashEmbedding
from ragtrace.testing.memory import MemoryRecords
from tests.service.qdrant_loopback import Loopback, loopback
from tests.service.vector_support import DIMENSION, embedding, entry, plan, stored

MARK = IndexMark(1, "model-1", "r")


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


def index(
    server: Loopback, folder: Path, model: str = "model-1", records: str = "r", key: str = ""
) -> ServerVectors:
    return ServerVectors(server.url, key, plan(model), records * 32, folder, 100_000)


def test_a_server_that_is_not_there_is_an_upstream_problem_without_the_key(tmp_path: Path) -> None:
    lost = ServerVectors("http://127.0.0.1:9", "geheim-key", plan(), "r" * 32, tmp_path, 100)
    for ask in (lost.mark, lost.size, lambda: lost.update([], [], MARK), lambda: list(lost.chunk_ids())):
        with pytest.raises(UpstreamProblem) as caught:
            ask()
        assert "127.0.0.1:9" in caught.value.render("ko") and "geheim" not in caught.value.render("en")
    lost.close()


def test_a_failing_server_leaves_the_mark_and_recovers(server: Loopback, tmp_path: Path) -> None:
    vectors = index(server, tmp_path)
    vectors.update([], [entry("d", "1", 1)], MARK)
    server.failing = True
    with pytest.raises(UpstreamProblem, match="server"):
        vectors.update(["d"], [entry("d", "2", 2)], IndexMark(2, "model-1", "r"))
    with pytest.raises(UpstreamProblem):
        vectors.search(embedding(1), "dense", 5)
    server.failing = False
    assert vectors.mark() == MARK
    assert [hit.chunk_id for hit in vectors.search(embedding(1), "dense", 5)] == ["1"]
    vectors.close()


def test_the_key_is_sent(server: Loopback, tmp_path: Path) -> None:
    vectors = index(server, tmp_path, key="abc")
    vectors.size()
    assert server.keys == {"abc"}
    vectors.close()


def test_models_and_installations_have_collections_of_their_own(server: Loopback, tmp_path: Path) -> None:
    made = [
        index(server, tmp_path / "a"),
        index(server, tmp_path / "b", "model-2"),
        index(server, tmp_path / "c", records="s"),
    ]
    for number, each in enumerate(made):
        each.update([], [entry("d", str(number), number)], MARK)
    assert [list(each.chunk_ids()) for each in made] == [["0"], ["1"], ["2"]]
    made[0].discard()
    left = {each.name for each in server.engine.get_collections().collections}
    assert left == {made[0].collection, made[2].collection}
    assert (made[0].size(), made[2].size()) == (0, 1)
    for each in made:
        each.close()


def test_one_process_of_a_data_folder_changes_it_and_all_search(server: Loopback, tmp_path: Path) -> None:
    owner, reader = index(server, tmp_path), index(server, tmp_path)
    owner.update([], [entry("d", "1", 1)], MARK)
    assert reader.usable and not reader.owned
    assert [hit.chunk_id for hit in reader.search(embedding(1), "dense", 5)] == ["1"]
    with pytest.raises(BusyProblem):
        reader.update([], [], MARK)
    with pytest.raises(BusyProblem):
        reader.acquire(insist=True)
    assert owner.wished
    owner.close()
    reader.acquire()
    reader.close()


def test_a_collection_deleted_at_the_server_is_made_again(server: Loopback, tmp_path: Path) -> None:
    records = MemoryRecords()
    records.apply([stored(f"{n}.txt", f"글 {n}") for n in range(5)], [])
    model = HashEmbedding(dimension=DIMENSION)
    vectors = ServerVectors(server.url, "", plan(), "memory", tmp_path, 100)
    work = Follower(records, model)
    work.follow(vectors)
    server.engine.delete_collection(vectors.collection)
    records.apply([stored("9.txt", "새 글")], [])
    with pytest.raises(UpstreamProblem):
        work.follow(vectors)
    work.follow(vectors)
    assert work.in_step(vectors) and vectors.size() == 6
    vectors.close()
