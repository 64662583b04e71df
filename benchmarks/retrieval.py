"""Find Korean pages by their titles: mean reciprocal rank and recall@5 by analyzer, leg and fusion.

    python -m benchmarks.retrieval PAGES [--analyzer kiwi whitespace okt] [--model FOLDER] [--engine torch] [--titles]

PAGES is a folder of HTML, such as Debian's ``libreoffice-help-ko``. Each title is asked once; a page counts as found at
the rank of its best passage. Without ``--titles`` neither titles nor headings are indexed: a title is easily found by
itself, and says little about how texts are found. The service's own use case is what is measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ragtrace.adapters.html import HtmlParser
from ragtrace.adapters.sqlite_records import SqliteRecords
from ragtrace.adapters.tantivy_index import TantivyIndex
from ragtrace.adapters.vectors.choose import build as build_vectors
from ragtrace.application.following import Follower
from ragtrace.application.ports import EmbeddingModel, IndexMark, LexicalAnalyzer, StoredDocument, VectorIndex
from ragtrace.application.reconcile import index_entries
from ragtrace.application.retrieve import Retrieve
from ragtrace.domain.chunks import ChunkRules, chunk_document
from ragtrace.domain.documents import Document, document_id
from ragtrace.domain.fusion import Leg
from ragtrace.domain.retrieval import SearchRules
from ragtrace.errors import ParseProblem
from ragtrace.settings import EmbeddingSettings, VectorSettings

POOL = 50
TOP = 5
# Titles of a few letters ("기타") say nothing about a page.
LEAST_LETTERS = 4
_BATCH = 500


@dataclass(frozen=True)
class Score:
    """What was found of so many questions, and what one question took in the middle and at the 95th percentile."""

    questions: int
    reciprocal_rank: float
    recall: float
    median_ms: float
    slow_ms: float

    def line(self, name: str) -> str:
        """Return a row of a Markdown table."""
        return (
            f"| {name} | {self.reciprocal_rank:.3f} | {self.recall:.3f} "
            f"| {self.median_ms:.1f} / {self.slow_ms:.1f} | {self.questions} |"
        )


def pages(folder: Path, *, titles: bool) -> Iterator[tuple[str, StoredDocument]]:
    """Yield the title and the document of every page that holds text."""
    parser, rules = HtmlParser(), ChunkRules()
    for file in sorted(folder.rglob("*.html")):
        name = file.relative_to(folder).as_posix()
        try:
            parsed = parser.parse(file.read_bytes(), name)
        except ParseProblem:
            continue
        key = document_id("pages", name)
        chunks = chunk_document(key, parsed, rules)
        if not titles:
            chunks = tuple(replace(chunk, section=()) for chunk in chunks)
        if chunks:
            title = parsed.title if titles else ""
            document = Document(key, "pages", name, title, "", "", 0, "", len(chunks), "")
            yield parsed.title, StoredDocument(document, chunks)


def measure(search: Retrieve, questions: Mapping[str, set[str]]) -> Score:
    """Ask every title and return how the pages of that title were found."""
    ranks: list[int] = []
    spent: list[float] = []
    for title, wanted in questions.items():
        began = time.perf_counter()
        found = search.find(title)
        spent.append((time.perf_counter() - began) * 1000)
        order = list(dict.fromkeys(passage.document_id for passage in found.passages))
        ranks.append(next((place for place, key in enumerate(order, start=1) if key in wanted), 0))
    spent.sort()
    count = len(ranks)
    return Score(
        count,
        sum(1 / rank for rank in ranks if rank) / count,
        sum(0 < rank <= TOP for rank in ranks) / count,
        spent[count // 2],
        spent[count * 95 // 100],
    )


def analyzer(name: str) -> LexicalAnalyzer:
    """Return an analyzer by its name in the configuration."""
    if name == "okt":
        from ragtrace.adapters.okt import OktAnalyzer

        return OktAnalyzer()
    if name == "kiwi":
        from ragtrace.adapters.kiwi import KiwiAnalyzer

        return KiwiAnalyzer(1, False)
    from ragtrace.adapters.whitespace import WhitespaceAnalyzer

    return WhitespaceAnalyzer()


def rules(weights: Mapping[Leg, float], method: str = "weighted") -> SearchRules:
    """Return rules that give as many passages as there are candidates, so that a page's rank can be told."""
    return SearchRules(POOL, POOL, "rrf" if method == "rrf" else "weighted", weights, 0)


def ways(outputs: frozenset[str]) -> Iterator[tuple[str, SearchRules]]:
    """Yield names and rules of what is compared where there is a model."""
    for leg in ("dense", "sparse"):
        if leg in outputs:
            yield leg, rules({leg: 1.0, "lexical": 0.0})
    for share in (0.2, 0.4, 0.6, 0.8):
        name = f"dense {share:.1f} : words {1 - share:.1f}"
        yield name, rules({"dense": share, "lexical": 1 - share})
    yield "reciprocal ranks", rules({"dense": 0.5, "lexical": 0.5}, "rrf")


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print one row for each way."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("pages", type=Path)
    parser.add_argument(
        "--analyzer", nargs="+", default=["whitespace", "kiwi"], choices=["whitespace", "kiwi", "okt"]
    )
    parser.add_argument("--model", type=Path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--titles", action="store_true")
    parser.add_argument(
        "--limit", type=int, default=0, help="ask every n-th title so that at most so many are asked"
    )
    given = parser.parse_args(words)
    found = list(pages(given.pages, titles=given.titles))
    questions: dict[str, set[str]] = {}
    for title, one in found:
        if len(title) >= LEAST_LETTERS:
            questions.setdefault(title, set()).add(one.document.id)
    step = -(-len(questions) // given.limit) if given.limit else 1
    questions = dict(list(questions.items())[::step])
    with tempfile.TemporaryDirectory(prefix="ragtrace-retrieval-") as scratch:
        _compare(given, [one for _, one in found], questions, Path(scratch))
    return 0


def _compare(
    given: argparse.Namespace,
    documents: Sequence[StoredDocument],
    questions: Mapping[str, set[str]],
    scratch: Path,
) -> None:
    records = SqliteRecords(scratch / "records.sqlite3")
    records.apply(documents, [])
    count, chunks = records.counts()
    print(f"{count} pages, {chunks} chunks, {len(questions)} titles asked\n")
    model, vectors = _vectors(given, records, scratch) if given.model else (None, None)
    print("| search | MRR | recall@5 | ms p50 / p95 | questions |\n|---|---:|---:|---:|---:|")
    for name in given.analyzer:
        search = _lexical(name, records, documents, scratch / name)
        print(measure(search, questions).line(f"words, {name}"), flush=True)
        if model is None or vectors is None:
            continue
        for way, chosen in ways(frozenset(vectors.legs)):
            fused = replace(search, rules=chosen, embedding=model, vectors=vectors)
            print(measure(fused, questions).line(f"{way}, {name}"), flush=True)
    records.close()


def _lexical(
    name: str, records: SqliteRecords, documents: Sequence[StoredDocument], folder: Path
) -> Retrieve:
    chosen = analyzer(name)
    index = TantivyIndex(folder)
    for start in range(0, len(documents), _BATCH):
        some = documents[start : start + _BATCH]
        index.update([], index_entries(some, chosen), IndexMark(1, chosen.fingerprint, "measured"))
    return Retrieve(records, index, chosen, rules({"lexical": 1.0}))


def _vectors(
    given: argparse.Namespace, records: SqliteRecords, scratch: Path
) -> tuple[EmbeddingModel, VectorIndex]:
    """Embed every chunk into an index of the service's own kind."""
    from ragtrace.adapters.embedding.choose import build

    model = build(given.model, EmbeddingSettings(engine=given.engine))
    vectors = build_vectors(scratch / "vectors", VectorSettings(), model, "measured")
    vectors.acquire()
    began = time.perf_counter()
    Follower(records, model).follow(vectors)
    print(f"(embedded {vectors.size()} chunks in {time.perf_counter() - began:.0f} s)\n", flush=True)
    return model, vectors


if __name__ == "__main__":
    raise SystemExit(main())
