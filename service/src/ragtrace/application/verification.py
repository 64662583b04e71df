"""Use case: does the index hold every chunk of the records, no other, and can it be searched?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragtrace.application.ports import LexicalAnalyzer, LexicalIndex, Records, StoredDocument
from ragtrace.application.reconcile import in_step
from ragtrace.limits import SEARCH_POOL, VERIFY_SAMPLES, VERIFY_TERMS
from ragtrace.text import Text


@dataclass(frozen=True)
class Verification:
    """What was compared and what is wrong; `complete` when nothing is."""

    in_step: bool
    chunks: int
    indexed: int
    missing: int
    surplus: int
    asked: int
    found: int
    problems: tuple[Text, ...]

    @property
    def complete(self) -> bool:
        """Say whether the index may be trusted."""
        return not self.problems


def verify(records: Records, index: LexicalIndex, analyzer: LexicalAnalyzer) -> Verification:
    """Compare every chunk's id and search for a sample of chunks by their own words. Reads only."""
    agrees = in_step(records, index, analyzer)
    recorded, indexed, twice = set(records.chunk_ids()), set[str](), 0
    for key in index.chunk_ids():
        twice += key in indexed
        indexed.add(key)
    missing, surplus = len(recorded - indexed), len(indexed - recorded) + twice
    asked, found = _search(records, index, analyzer)
    problems = []
    if not agrees:
        problems.append(
            Text(
                "색인이 기록의 마지막 변경과 맞지 않습니다.", "The index is not at the records' last change."
            )
        )
    if missing:
        problems.append(
            Text(f"색인에 없는 조각: {missing}개", f"Chunks that the index does not have: {missing}")
        )
    if surplus:
        problems.append(
            Text(
                f"기록에 없거나 두 번 있는 조각: {surplus}개",
                f"Chunks that the records do not have, or that stand twice: {surplus}",
            )
        )
    if found < asked:
        problems.append(
            Text(
                f"자기 낱말로 찾아지지 않는 조각: {asked - found}개(표본 {asked}개)",
                f"Chunks not found by their own words: {asked - found} of {asked} sampled",
            )
        )
    return Verification(
        agrees, len(recorded), len(indexed) + twice, missing, surplus, asked, found, tuple(problems)
    )


def _search(records: Records, index: LexicalIndex, analyzer: LexicalAnalyzer) -> tuple[int, int]:
    """Return how many chunks were searched for by their own words, and how many were found."""
    keys = records.document_ids()
    step = max(1, len(keys) // VERIFY_SAMPLES)
    asked = found = 0
    for document in records.load(keys[::step][:VERIFY_SAMPLES]):
        chunk = _middle(document)
        if chunk is None:
            continue
        terms = list(dict.fromkeys(analyzer.analyze([chunk[1]])[0]))[:VERIFY_TERMS]
        if terms:
            asked += 1
            hits = [hit.chunk_id for hit in index.search(dict.fromkeys(terms, 1.0), SEARCH_POOL)]
            # The same text may stand in so many documents that this one is not among the first.
            found += chunk[0] in hits or chunk[1] in _texts(records, hits)
    return asked, found


def _middle(stored: StoredDocument) -> tuple[str, str] | None:
    if not stored.chunks:
        return None
    chunk = stored.chunks[len(stored.chunks) // 2]
    return chunk.id, chunk.text


def _texts(records: Records, keys: Sequence[str]) -> set[str]:
    return {passage.text for passage in records.passages(keys).values()}
