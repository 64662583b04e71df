"""The scores of the lexical index are BM25's, to the last digits that its compact lengths leave.

Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework", with k1 = 1.2, b = 0.75 and the inverse document
frequency ln(1 + (N - n + 0.5) / (n + 0.5)) that never falls below zero. Two things are tantivy's own: lengths above 40
terms are kept in one byte (coarser by up to 1/8), and the document that carries the mark counts as one without terms.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import pytest

from ragtrace.adapters.tantivy_index import HEADING_BOOST, TantivyIndex
from ragtrace.application.ports import IndexEntry, IndexMark
from ragtrace.domain.scope import Scope

K1, B = 1.2, 0.75
WORDS = [f"w{number}" for number in range(300)]
MARK = IndexMark(1, "a", "r")


def corpus(shortest: int, longest: int, count: int = 300) -> list[list[str]]:
    draw = random.Random(f"{shortest}-{longest}")
    weights = [1 / (number + 1) for number in range(len(WORDS))]
    return [draw.choices(WORDS, weights, k=draw.randint(shortest, longest)) for _ in range(count)]


class Formula:
    """BM25 over these documents."""

    def __init__(self, documents: list[list[str]]) -> None:
        self.counts = [Counter(each) for each in documents]
        self.lengths = [len(each) for each in documents]
        self.size = len(documents) + 1
        self.mean = sum(self.lengths) / self.size
        self.holding = Counter(term for each in self.counts for term in each)

    def score(self, term: str, place: int) -> float:
        frequency = self.counts[place][term]
        rarity = math.log(1 + (self.size - self.holding[term] + 0.5) / (self.holding[term] + 0.5))
        share = 1 - B + B * self.lengths[place] / self.mean
        return rarity * frequency * (K1 + 1) / (frequency + K1 * share)


def filled(folder: Path, bodies: list[list[str]], headings: list[list[str]] | None = None) -> TantivyIndex:
    index = TantivyIndex(folder)
    titles = headings or [[] for _ in bodies]
    index.update(
        [],
        [
            IndexEntry("d", str(place), tuple(title), tuple(body))
            for place, (title, body) in enumerate(zip(titles, bodies, strict=True))
        ],
        MARK,
    )
    return index


@pytest.mark.parametrize(("shortest", "longest", "near"), [(1, 40, 1e-5), (60, 400, 0.07)])
def test_scores_are_those_of_the_formula(tmp_path: Path, shortest: int, longest: int, near: float) -> None:
    documents = corpus(shortest, longest)
    index, formula = filled(tmp_path, documents), Formula(documents)
    draw = random.Random(7)
    for _ in range(30):
        question = {term: draw.choice([0.5, 1.0, 3.0]) for term in draw.choices(WORDS, k=4)}
        found = {hit.chunk_id: hit.score for hit in index.search(question, len(documents))}
        expected = {
            str(place): sum(weight * formula.score(term, place) for term, weight in question.items())
            for place, document in enumerate(documents)
            if set(document) & set(question)
        }
        assert found == pytest.approx(expected, rel=near)


def test_headings_count_as_a_second_field_with_their_boost(tmp_path: Path) -> None:
    bodies, headings = corpus(1, 40), corpus(1, 5)
    index, body, heading = filled(tmp_path, bodies, headings), Formula(bodies), Formula(headings)
    for term in WORDS[:40]:
        found = {hit.chunk_id: hit.score for hit in index.search({term: 1.0}, len(bodies))}
        expected = {
            str(place): body.score(term, place) + HEADING_BOOST * heading.score(term, place)
            for place in range(len(bodies))
            if term in bodies[place] or term in headings[place]
        }
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_score_means_the_same_inside_every_scope(tmp_path: Path) -> None:
    documents = corpus(1, 40)
    index = TantivyIndex(tmp_path)
    index.update(
        [],
        [
            IndexEntry("d", str(place), (), tuple(body), f"20{place % 20:02}-01-01", "g" if place % 2 else "")
            for place, body in enumerate(documents)
        ],
        MARK,
    )
    for term in WORDS[:20]:
        whole = {hit.chunk_id: hit.score for hit in index.search({term: 1.0}, 999)}
        for scope in (Scope("2010-01-01"), Scope(groups=frozenset()), Scope("2005-01-01", "2006-01-01")):
            inside = {hit.chunk_id: hit.score for hit in index.search({term: 1.0}, 999, scope)}
            assert inside == pytest.approx({key: whole[key] for key in inside}, rel=1e-6)
            assert len(inside) < len(whole) or len(whole) < 3
