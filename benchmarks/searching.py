"""One search over many chunks against what is usually written: rank_bm25, and a cosine for each chunk in a loop.

    python -m benchmarks.searching PAGES [--chunks 100000] [--questions 200] [--baseline 5]

PAGES is a folder of Korean HTML (Debian's ``libreoffice-help-ko``). Its chunks, analyzed by Kiwi, are mixed to as many as
are wanted; days lie evenly over ten years, three quarters of the chunks belong to one of three groups. The service's own
use case is measured, records and both indexes on disk: Kiwi on the question, counting of ranges, both legs, fusion, reading
the passages. Vectors are the twin's (hashed words, 1,024 numbers): what a model takes for a question is not in it, on
either side. The other side gets the question's terms and vector for nothing. Needs the package rank-bm25.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ragtrace.adapters.kiwi import KiwiAnalyzer
from ragtrace.adapters.sqlite_records import SqliteRecords
from ragtrace.adapters.tantivy_index import TantivyIndex
from ragtrace.adapters.vectors.choose import build as build_vectors
from ragtrace.adapters.vectors.embedded import EmbeddedVectors
from ragtrace.application.following import Follower
from ragtrace.application.ports import IndexEntry, IndexMark, StoredDocument
from ragtrace.application.retrieve import Retrieve
from ragtrace.domain.chunks import Chunk, chunk_id
from ragtrace.domain.documents import Document, document_id
from ragtrace.domain.retrieval import SearchRules
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.settings import VectorSettings
from ragtrace.testing.embedding import HashEmbedding

from .retrieval import pages

GROUPS = ("", "a", "b", "c")
SCOPES = {
    "everything": EVERYTHING,
    "one month": Scope("2020-03-01", "2020-03-31"),
    "five years": Scope("2018-01-01", "2022-12-31"),
    "one group": Scope(groups=frozenset({"a"})),
    "a year of one group": Scope("2020-01-01", "2020-12-31", frozenset({"a"})),
}
_CHUNKS_A_DOCUMENT = 10
_BATCH = 1000
_DIMENSION = 1024


@dataclass(frozen=True)
class Corpus:
    """Documents, and the terms of each of their chunks in order."""

    documents: list[StoredDocument]
    terms: list[tuple[str, ...]]


def mixed(texts: Sequence[str], terms: Sequence[tuple[str, ...]], count: int) -> Corpus:
    """Return so many chunks, each the text of one page and a few words of another."""
    draw = random.Random(20261120)
    documents: list[StoredDocument] = []
    found: list[tuple[str, ...]] = []
    for number in range(count // _CHUNKS_A_DOCUMENT):
        key = document_id("mixed", str(number))
        day = f"{draw.randint(2015, 2024)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
        chunks = []
        for position in range(_CHUNKS_A_DOCUMENT):
            one, other = draw.randrange(len(texts)), draw.randrange(len(texts))
            text = f"{texts[one]}\n{other} {texts[other][:40]}"
            chunks.append(Chunk(chunk_id(key, position, text), key, position, (), text))
            found.append((*terms[one], *terms[other][:5]))
        group = GROUPS[number % len(GROUPS)]
        documents.append(
            StoredDocument(
                Document(key, "mixed", str(number), "", day, "", 0, "", len(chunks), "", group), tuple(chunks)
            )
        )
    return Corpus(documents, found)


def filled(corpus: Corpus, analyzer: KiwiAnalyzer, folder: Path) -> Retrieve:
    """Return the use case over records and indexes on disk that hold the corpus."""
    records, index = SqliteRecords(folder / "records.sqlite3"), TantivyIndex(folder / "index")
    terms = iter(corpus.terms)
    for start in range(0, len(corpus.documents), _BATCH):
        some = corpus.documents[start : start + _BATCH]
        sequence = records.apply(some, [])
        entries = [
            IndexEntry(one.document.id, chunk.id, (), next(terms), one.document.date, one.document.group)
            for one in some
            for chunk in one.chunks
        ]
        index.update([], entries, IndexMark(sequence, analyzer.fingerprint, "mixed"))
    model = HashEmbedding(_DIMENSION, frozenset({"dense"}))
    vectors = build_vectors(folder / "vectors", VectorSettings(), model, records.state().records)
    vectors.acquire()
    follower = Follower(records, model)
    follower.follow(vectors)
    # As the service does it: codes of the vectors, or a graph over them, made in a child and taken over.
    assert isinstance(vectors, EmbeddedVectors)
    vectors.maintain(follower.follow)
    while vectors.building:
        time.sleep(0.2)
        vectors.maintain(follower.follow)
    return Retrieve(records, index, analyzer, SearchRules(), model, vectors)


def usual(corpus: Corpus, model: HashEmbedding) -> Callable[[Sequence[str], str], object]:
    """Return the search that is usually written: every score of every chunk, min-max, sum, sort."""
    rank_bm25: Any = importlib.import_module("rank_bm25")
    lexical = rank_bm25.BM25Okapi([list(each) for each in corpus.terms])
    texts = [chunk.text for one in corpus.documents for chunk in one.chunks]
    vectors = [each.dense for each in model.embed(texts, frozenset({"dense"}))]

    def search(terms: Sequence[str], text: str) -> list[int]:
        asked = model.embed([text], frozenset({"dense"}))[0].dense
        assert asked is not None
        words = lexical.get_scores(list(terms))
        cosines = np.array(
            [
                np.dot(asked, each) / (np.linalg.norm(asked) * np.linalg.norm(each))
                for each in vectors
                if each is not None
            ]
        )
        fused = 0.6 * _stretched(cosines) + 0.4 * _stretched(words)
        return sorted(range(len(fused)), key=lambda place: -fused[place])[:5]

    return search


def _stretched(scores: np.ndarray) -> np.ndarray:
    span = scores.max() - scores.min()
    return (scores - scores.min()) / span if span > 0 else np.ones_like(scores)


def timed(run: Callable[[str], object], questions: Sequence[str]) -> tuple[float, float]:
    """Return the median and the 95th percentile in milliseconds."""
    spent = []
    for question in questions:
        began = time.perf_counter()
        run(question)
        spent.append((time.perf_counter() - began) * 1000)
    spent.sort()
    return spent[len(spent) // 2], spent[len(spent) * 95 // 100]


def rows(search: Retrieve, questions: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Yield what is asked, and its median and 95th percentile."""
    words = Retrieve(search.records, search.index, search.analyzer, SearchRules())
    for way, chosen in (("words", words), ("words and dense", search)):
        for name, scope in SCOPES.items():
            timed(lambda question, one=chosen, inside=scope: one.find(question, inside), questions[:10])  # type: ignore[misc]
            median, slow = timed(
                lambda question, one=chosen, inside=scope: one.find(question, inside),  # type: ignore[misc]
                questions,
            )
            yield f"{way}, {name}", median, slow


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searching", description=__doc__)
    parser.add_argument("pages", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument(
        "--baseline", type=int, default=5, help="questions for the other side, 0 leaves it out"
    )
    given = parser.parse_args(words)
    found = list(pages(given.pages, titles=True))
    texts = [chunk.text for _, one in found for chunk in one.chunks]
    analyzer = KiwiAnalyzer(min(os.cpu_count() or 1, 8), False)
    corpus = mixed(texts, analyzer.analyze(texts), given.chunks)
    titles = list(dict.fromkeys(title for title, _ in found if len(title) > 8))
    questions = [f"{title}은(는) 어떻게 하나요?" for title in titles][: given.questions]
    print(
        f"{given.chunks} chunks, {len(questions)} questions\n\n| search | ms p50 | ms p95 |\n|---|---:|---:|"
    )
    with tempfile.TemporaryDirectory(prefix="ragtrace-searching-") as scratch:
        search = filled(corpus, analyzer, Path(scratch))
        measured = {}
        for name, median, slow in rows(search, questions):
            measured[name] = median
            print(f"| {name} | {median:.2f} | {slow:.2f} |", flush=True)
        if given.baseline:
            model = HashEmbedding(_DIMENSION, frozenset({"dense"}))
            other = usual(corpus, model)
            asked = {question: analyzer.question_terms(question) for question in questions}
            median, slow = timed(
                lambda question: other(asked[question], question), questions[: given.baseline]
            )
            print(f"| rank_bm25 and a loop of cosines, everything | {median:.2f} | {slow:.2f} |")
            print(f"\n{median / measured['words and dense, everything']:.0f} x")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
