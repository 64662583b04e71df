"""Generations of the embedded vectors: one owner, another model beside, graphs built in a child, damage, kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragtrace.adapters.vectors import building, embedded, files
from ragtrace.adapters.vectors.embedded import EmbeddedVectors
from ragtrace.adapters.vectors.generations import Generations
from ragtrace.application.ports import IndexMark, VectorIndex
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import BusyProblem, NotReady, StorageProblem
from tests.service.vector_support import embedding, entry, plan

MARK = IndexMark(1, "model-1", "r")


@pytest.fixture
def opened() -> Iterator[list[EmbeddedVectors]]:
    every: list[EmbeddedVectors] = []
    yield every
    for each in every:
        each.close()


def vectors(
    folder: Path, opened: list[EmbeddedVectors], model: str = "model-1", limit: int = 1 << 30
) -> EmbeddedVectors:
    made = EmbeddedVectors(folder, plan(model), limit)
    opened.append(made)
    made.acquire()
    return made


def filled(index: VectorIndex, count: int = 30, sequence: int = 1) -> VectorIndex:
    entries = [entry(f"d{n // 10}", f"{n:032x}", n, date="2024-01-01" if n % 2 else "") for n in range(count)]
    index.update([], entries, IndexMark(sequence, "model-1", "r"))
    return index


def nothing(_: VectorIndex) -> None:
    """Follow nothing."""


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def edges(generation: Path) -> set[int]:
    """Return how many edges a node has in the indexes over dense vectors that were built."""
    return {
        json.loads(path.read_bytes())["m"] for path in generation.rglob("vector_index-dense/hnsw_config.json")
    }


def built(index: EmbeddedVectors, follow: object = nothing) -> None:
    """Maintain until the build that has begun is through."""
    index.maintain(follow)  # type: ignore[arg-type]
    assert index._building is not None
    deadline = time.monotonic() + 60
    while index._building is not None:
        assert time.monotonic() < deadline
        index.maintain(follow)  # type: ignore[arg-type]
        time.sleep(0.02)


def test_one_process_owns_it_and_everybody_reads_the_mark(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    first = vectors(tmp_path, opened)
    filled(first)
    second = EmbeddedVectors(tmp_path, plan(), 100)
    with pytest.raises(BusyProblem):
        second.acquire()
    assert (second.mark(), second.usable, second.owned) == (MARK, False, False)
    with pytest.raises(NotReady):
        second.search(embedding(1), "dense", 5)
    with pytest.raises(BusyProblem):
        second.update([], [], MARK)
    first.close()
    second.acquire()
    opened.append(second)
    assert (second.size(), second.mark(), second.usable) == (30, MARK, True)


def test_whoever_passes_by_is_asked_to_give_it_up(tmp_path: Path, opened: list[EmbeddedVectors]) -> None:
    passing = vectors(tmp_path, opened)
    staying = EmbeddedVectors(tmp_path, plan(), 100)
    opened.append(staying)
    with pytest.raises(BusyProblem):
        staying.acquire()
    assert not passing.wished
    with pytest.raises(BusyProblem):
        staying.acquire(insist=True)
    assert passing.wished
    passing.close()
    staying.acquire(insist=True)
    assert staying.owned and not staying.wished


def test_a_killed_owner_leaves_the_index_to_the_next(tmp_path: Path, opened: list[EmbeddedVectors]) -> None:
    code = (
        "import sys,time; from pathlib import Path; from tests.service.test_vector_generations import *; "
        "filled(vectors(Path(sys.argv[1]), [])); print('ready', flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    with owner:
        assert owner.stdout is not None and owner.stdout.readline() == b"ready\n"
        with pytest.raises(BusyProblem):
            vectors(tmp_path, opened)
        owner.send_signal(signal.SIGKILL)
    index = vectors(tmp_path, opened)
    assert (index.size(), index.mark()) == (30, MARK)
    assert index.search(embedding(3), "dense", 1)[0].chunk_id == f"{3:032x}"


def test_another_model_gets_a_generation_beside_and_the_old_one_stays_until_it_is_complete(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    old = vectors(tmp_path, opened)
    filled(old)
    # Prepared by another process while the old one is being searched.
    new = vectors(tmp_path, opened, "model-2")
    assert kept(tmp_path) == ["g-000001", "g-000002"] and not new.usable and old.usable
    new.update([], [entry("d", "1", 1)], IndexMark(-1, "model-2", "r", "d", 1))
    new.maintain(nothing)
    old.maintain(nothing)
    new.close()
    old.close()
    # Going back before it is complete costs nothing.
    back = vectors(tmp_path, opened)
    assert back.usable and back.size() == 30
    back.close()
    new = vectors(tmp_path, opened, "model-2")
    new.update([], [entry("d", "1", 1)], IndexMark(1, "model-2", "r"))
    new.maintain(nothing)
    assert kept(tmp_path) == ["g-000002"] and new.size() == 1


def test_a_generation_that_another_process_searches_is_not_removed(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    old = vectors(tmp_path, opened)
    filled(old)
    new = vectors(tmp_path, opened, "model-2")
    new.update([], [entry("d", "1", 1)], IndexMark(1, "model-2", "r"))
    new.maintain(nothing)
    assert old.search(embedding(3), "dense", 1)[0].chunk_id == f"{3:032x}"
    assert kept(tmp_path) == ["g-000001", "g-000002"]


def test_other_legs_or_another_dimension_are_another_generation(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    filled(vectors(tmp_path, opened)).close()
    other = EmbeddedVectors(tmp_path, plan(legs=("dense",)), 100)
    opened.append(other)
    other.acquire()
    assert (other.size(), other.usable, other.legs) == (0, False, frozenset({"dense"}))


def test_beyond_the_limit_a_graph_is_built_in_a_child_and_taken_over(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    index = vectors(tmp_path, opened, limit=300)
    filled(index, 400)
    followed = []

    def follow(beside: VectorIndex) -> None:
        # A change that came after the copy is made again in the new one.
        followed.append(beside.mark())
        beside.update(["d0"], [entry("d0", "new", 5000)], IndexMark(2, "model-1", "r"))

    index.maintain(follow)
    assert index._building is not None
    # While the child works, the live index is searched and changed.
    assert index.search(embedding(3), "dense", 1)[0].chunk_id == f"{3:032x}"
    index.update(["d0"], [entry("d0", "new", 5000)], IndexMark(2, "model-1", "r"))
    built(index, follow)
    assert followed == [MARK] and kept(tmp_path) == ["g-000002"]
    assert index._live is not None and index._live.indexed == 400
    assert (index.size(), index.mark()) == (391, IndexMark(2, "model-1", "r"))
    assert edges(tmp_path / "g-000002") == {building.EDGES}
    for number in (10, 123, 399):
        for leg in ("dense", "sparse", "colbert"):
            assert index.search(embedding(number), leg, 1)[0].chunk_id == f"{number:032x}"
    assert index.search(embedding(5000), "dense", 1)[0].chunk_id == "new"
    assert index.count(Scope(since="2024-01-01")) == 195
    inside = index.search(embedding(11), "dense", 50, Scope(since="2024-01-01"))
    assert len(inside) == 50 and inside[0].chunk_id == f"{11:032x}"
    # Nothing more to do; opened again it is the one with the graph.
    index.maintain(nothing)
    assert index._building is None
    index.close()
    again = vectors(tmp_path, opened, limit=300)
    assert again._live is not None and again._live.indexed == 400 and again.size() == 391


def test_many_vectors_are_compared_by_their_codes_first_and_scored_by_themselves(
    tmp_path: Path, opened: list[EmbeddedVectors], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "CODES_FROM", 300)
    index = vectors(tmp_path, opened)
    filled(index, 400)
    asked = [embedding(number) for number in (3, 123, 5000)]
    scopes = (EVERYTHING, Scope(since="2024-01-01"))
    exact = [index.search(each, "dense", 20, scope) for each in asked for scope in scopes]
    built(index)
    assert index._live is not None and (index._live.build, index._live.indexed) == ("codes", 400)
    assert list((tmp_path / "g-000002").rglob("quantized.data")), "no codes were made"
    assert edges(tmp_path / "g-000002") == {0}
    coded = [index.search(each, "dense", 20, scope) for each in asked for scope in scopes]
    for before, after in zip(exact, coded, strict=True):
        assert [hit.chunk_id for hit in after] == [hit.chunk_id for hit in before]
        assert [hit.score for hit in after] == pytest.approx([hit.score for hit in before], abs=1e-6)
    # What comes after is found as well, and a fraction of it is no reason to build again.
    index.update([], [entry("late", "late", 5000)], IndexMark(2, "model-1", "r"))
    assert index.search(embedding(5000), "dense", 1)[0].chunk_id == "late"
    index.maintain(nothing)
    assert index._building is None
    # A lower limit asks for a graph although the codes hold every chunk; cleared, there is neither.
    index.close()
    index = vectors(tmp_path, opened, limit=350)
    built(index)
    assert index._live is not None and index._live.build == "graph"
    index.clear()
    assert (index._live.build, index._live.indexed) == ("plain", 0)
    index.close()
    again = vectors(tmp_path, opened)
    assert again._live is not None and again._live.build == "plain"


def test_the_space_of_deleted_chunks_is_taken_back(tmp_path: Path, opened: list[EmbeddedVectors]) -> None:
    index = vectors(tmp_path, opened)
    for turn in range(4):
        gone = [f"d{n}" for n in range(50)] if turn else []
        index.update(gone, [entry(f"d{n // 10}", f"{turn}-{n}", n) for n in range(500)], MARK)
    assert index._live is not None and index._live.dead == 1500
    before = sorted(index.chunk_ids())
    built(index)
    assert sorted(index.chunk_ids()) == before and index._live.dead == 0 and kept(tmp_path) == ["g-000002"]
    assert index.search(embedding(77), "dense", 1)[0].chunk_id == "3-77"


def test_a_child_that_dies_leaves_the_live_index_as_it_is(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    index = vectors(tmp_path, opened, limit=300)
    filled(index, 400)
    index.maintain(nothing)
    assert index._building is not None
    index._building.process.kill()
    index._building.process.wait()
    with pytest.raises(StorageProblem):
        index.maintain(nothing)
    assert kept(tmp_path) == ["g-000001"] and index.size() == 400
    # Not again and again for the same chunks.
    index.maintain(nothing)
    assert index._building is None


def test_what_another_process_is_making_is_not_tidied_away(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    index = vectors(tmp_path, opened)
    filled(index)
    other = Generations(tmp_path, plan("model-2"))
    with other.choosing():
        begun = other.place_to_build("-new")
        tidying = threading.Thread(target=index.maintain, args=(nothing,))
        tidying.start()
        tidying.join(0.5)
        assert tidying.is_alive() and begun.is_dir()
        placed = other.place(begun)
    tidying.join(20)
    assert not tidying.is_alive() and kept(tmp_path) == ["g-000001", placed.name]


def test_builds_that_a_kill_left_are_removed(tmp_path: Path, opened: list[EmbeddedVectors]) -> None:
    filled(vectors(tmp_path, opened)).close()
    shutil.copytree(tmp_path / "g-000001", tmp_path / "building-77")
    (tmp_path / "building-78-new").mkdir()
    index = vectors(tmp_path, opened)
    index.maintain(nothing)
    assert kept(tmp_path) == ["g-000001"] and index.size() == 30


def test_a_damaged_generation_is_set_aside_and_begun_anew(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    filled(vectors(tmp_path, opened)).close()
    segment = next((tmp_path / "g-000001" / "shard" / "segments").iterdir())
    (segment / "segment.json").write_bytes(b"\0garbage")
    index = vectors(tmp_path, opened)
    assert (index.size(), index.usable, index.mark()) == (0, False, None)
    assert kept(tmp_path) == ["broken", "g-000001"]


def test_a_torn_mark_is_no_mark(tmp_path: Path, opened: list[EmbeddedVectors]) -> None:
    filled(vectors(tmp_path, opened)).close()
    (tmp_path / "g-000001" / files.MARK).write_bytes(b'{"mark": {"seq')
    index = vectors(tmp_path, opened)
    assert (index.mark(), index.size(), index.usable) == (None, 0, False)


def test_discard_gives_up_every_generation_but_not_one_in_use(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    old = vectors(tmp_path, opened)
    filled(old)
    new = vectors(tmp_path, opened, "model-2")
    with pytest.raises(BusyProblem):
        new.discard()
    assert old.size() == 30
    old.close()
    new.discard()
    assert kept(tmp_path) == ["g-000001"] and new.size() == 0


def test_copies_keep_the_holes_of_files(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    with open(source / "sparse", "wb") as stream:
        stream.truncate(64 << 20)
        stream.seek(9 << 20)
        stream.write(b"data" * 1000)
    (source / "empty").touch()
    written = files.copy_tree(source, target)
    assert (target / "sparse").read_bytes() == (source / "sparse").read_bytes()
    assert written < 1 << 20 and (target / "sparse").stat().st_blocks * 512 < 1 << 20
    assert os.listdir(target) != []


def test_a_held_generation_waits_and_is_searched_meanwhile(
    tmp_path: Path, opened: list[EmbeddedVectors]
) -> None:
    import threading

    index = vectors(tmp_path, opened)
    filled(index)
    with files.held(tmp_path / "g-000001"):
        work = threading.Thread(target=lambda: index.update([], [entry("x", "x", 900)], MARK))
        work.start()
        time.sleep(0.2)
        assert work.is_alive() and index.size() == 30
        assert index.search(embedding(3), "dense", 1)[0].chunk_id == f"{3:032x}"
    work.join(10)
    assert index.size() == 31
