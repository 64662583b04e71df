"""Bring the index in step with the records.

Records are the truth. A change is written to them first, together with a note of the documents it touched; then the
index commits the same change with a mark; then the note is removed. Whatever instant a process dies at, the mark and
the notes say what is left to do, and doing it twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ragtrace.application.ports import (
    IndexEntry,
    IndexMark,
    LexicalAnalyzer,
    LexicalIndex,
    Records,
    StoredDocument,
)

BATCH = 300


@dataclass(frozen=True)
class Reconciled:
    """What had to be done: nothing, a few documents again, or the whole index."""

    documents: int
    rebuilt: bool


def in_step(records: Records, index: LexicalIndex, analyzer: LexicalAnalyzer) -> bool:
    """Say whether the index shows exactly what the records hold."""
    state = records.state()
    return not state.pending and index.mark() == IndexMark(
        state.sequence, analyzer.fingerprint, state.records
    )


def bring_in_step(
    records: Records,
    index: LexicalIndex,
    analyzer: LexicalAnalyzer,
    progress: Callable[[int, int], None] | None = None,
) -> Reconciled:
    """Finish what an interrupted change left, or rebuild an index that does not belong to these records.

    Call it with the write lock held.
    """
    if in_step(records, index, analyzer):
        return Reconciled(0, rebuilt=False)
    state = records.state()
    mark = index.mark()
    rebuild = (
        mark is None
        or mark.records != state.records
        or mark.analyzer != analyzer.fingerprint
        or mark.sequence > state.sequence
        or mark.sequence < state.settled
    )
    if rebuild:
        index.clear()
    wanted = records.document_ids() if rebuild else list(state.pending)
    # Only the last commit may claim the sequence; the ones before it stay unfinished on purpose.
    unfinished = IndexMark(-1, analyzer.fingerprint, state.records)
    finished = IndexMark(state.sequence, analyzer.fingerprint, state.records)
    for start in range(0, max(len(wanted), 1), BATCH):
        ids = wanted[start : start + BATCH]
        last = start + BATCH >= len(wanted)
        keep = mark if mark is not None and not rebuild else unfinished
        index.update(ids, index_entries(records.load(ids), analyzer), finished if last else keep)
        if progress is not None:
            progress(min(start + BATCH, len(wanted)), len(wanted))
    records.settle(state.sequence)
    return Reconciled(len(wanted), rebuilt=rebuild)


def index_entries(stored: Sequence[StoredDocument], analyzer: LexicalAnalyzer) -> Iterator[IndexEntry]:
    """Analyze the chunks of documents in one batch."""
    pairs = [(one.document, chunk) for one in stored for chunk in one.chunks]
    bodies = analyzer.analyze([chunk.text for _, chunk in pairs])
    headings = [" \n ".join((document.title, *chunk.section)) for document, chunk in pairs]
    distinct = list(dict.fromkeys(headings))
    terms = dict(zip(distinct, analyzer.analyze(distinct), strict=True))
    for (document, chunk), body, heading in zip(pairs, bodies, headings, strict=True):
        yield IndexEntry(document.id, chunk.id, terms[heading], body)
