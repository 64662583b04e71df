"""The lexical index beside rank_bm25, which the field measures with: what is equal, and what differs and why.

Equal with k1 = 1.2 and the same inverse document frequency, but for tantivy's lengths in one byte (above 40 terms) and
the one document more that carries the mark. rank_bm25's own default differs in two ways: k1 = 1.5, and an inverse
document frequency that falls below zero for terms in more than half of the documents, where it puts a quarter of the mean.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ragtrace.application.ports import IndexEntry, IndexMark
from tests.support.engines import missing

if _why := missing("rank_bm25", "tantivy"):
    pytest.skip(_why, allow_module_level=True)
tantivy_index = import_module("ragtrace.adapters.tantivy_index")
rank_bm25 = import_module("rank_bm25")
WORDS = [f"w{number}" for number in range(300)]
TOP = 10


def corpus(longest: int) -> list[list[str]]:
    draw = random.Random(longest)
    weights = [1 / (number + 1) for number in range(len(WORDS))]
    return [draw.choices(WORDS, weights, k=draw.randint(1, longest)) for _ in range(500)]


def ours(folder: Path, documents: list[list[str]]) -> Any:
    index = tantivy_index.TantivyIndex(folder)
    entries = [IndexEntry("d", str(place), (), tuple(body)) for place, body in enumerate(documents)]
    index.update([], entries, IndexMark(1, "a", "r"))
    return index


def with_our_rarity(documents: list[list[str]]) -> Any:
    """Return rank_bm25 with the inverse document frequency that never falls below zero."""
    theirs = rank_bm25.BM25Okapi(documents, k1=1.2, b=0.75)
    size = len(documents) + 1
    holding = Counter(term for document in documents for term in set(document))
    theirs.idf = {term: math.log(1 + (size - n + 0.5) / (n + 0.5)) for term, n in holding.items()}
    # The mark's document has no terms and makes the mean a little shorter.
    theirs.avgdl *= len(documents) / size
    return theirs


def questions() -> list[list[str]]:
    draw = random.Random(11)
    return [list(dict.fromkeys(draw.choices(WORDS, k=4))) for _ in range(60)]


def best(scores: Sequence[float]) -> set[int]:
    return set(sorted(range(len(scores)), key=lambda place: (-scores[place], str(place)))[:TOP])


@pytest.mark.parametrize(("longest", "near"), [(40, 1e-5), (400, 0.07)])
def test_scores_are_those_of_rank_bm25_with_the_same_rarity(
    tmp_path: Path, longest: int, near: float
) -> None:
    documents = corpus(longest)
    index, theirs = ours(tmp_path, documents), with_our_rarity(documents)
    for question in questions():
        scores = theirs.get_scores(question).tolist()
        found = {hit.chunk_id: hit.score for hit in index.search(dict.fromkeys(question, 1.0), 500)}
        expected = {str(place): score for place, score in enumerate(scores) if score > 0}
        assert found == pytest.approx(expected, rel=near)


def test_the_best_ten_are_mostly_those_of_rank_bm25_as_it_comes(tmp_path: Path) -> None:
    documents = corpus(40)
    index, theirs = ours(tmp_path, documents), rank_bm25.BM25Okapi(documents)
    shared = []
    for question in questions():
        found = {int(hit.chunk_id) for hit in index.search(dict.fromkeys(question, 1.0), TOP)}
        wanted = best(theirs.get_scores(question).tolist())
        shared.append(len(found & wanted) / TOP)
    assert sum(shared) / len(shared) > 0.9
