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
    RecordsState,
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
    return shows(records.state(), index.mark(), analyzer.fingerprint)


def shows(state: RecordsState, mark: IndexMark | None, fingerprint: str) -> bool:
    """Say whether an index with this mark shows exactly what records in this state hold."""
    return not state.pending and mark == IndexMark(state.sequence, fingerprint, state.records)


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
    resume = _resumable(mark, state, analyzer.fingerprint) if rebuild else ""
    if rebuild and not resume:
        index.clear()
    every = [key for key in records.document_ids() if key > resume] if rebuild else list(state.pending)
    # Only the last commit may claim the sequence; the ones before it stay unfinished on purpose.
    finished = IndexMark(state.sequence, analyzer.fingerprint, state.records)
    for start in range(0, max(len(every), 1), BATCH):
        ids = every[start : start + BATCH]
        last = start + BATCH >= len(every)
        if last:
            following = finished
        elif rebuild or mark is None:
            following = IndexMark(-1, analyzer.fingerprint, state.records, ids[-1], state.sequence)
        else:
            following = mark
        index.update(ids, index_entries(records.load(ids), analyzer), following)
        if progress is not None:
            progress(min(start + BATCH, len(every)), len(every))
    records.settle(state.sequence)
    return Reconciled(len(every), rebuilt=rebuild)


def commit_change(
    records: Records,
    index: LexicalIndex,
    analyzer: LexicalAnalyzer,
    stored: Sequence[StoredDocument],
    removed: Sequence[str],
) -> int:
    """Replace and remove documents in records and index; return the new sequence. The write lock is held, and the
    index was in step.
    """
    sequence = records.apply(stored, removed)
    mark = IndexMark(sequence, analyzer.fingerprint, records.state().records)
    index.update([*removed, *(one.document.id for one in stored)], index_entries(stored, analyzer), mark)
    records.settle(sequence)
    return sequence


def interrupted(records: Records, index: LexicalIndex, analyzer: LexicalAnalyzer) -> bool:
    """Say whether a rebuild of these records was begun and not finished."""
    return bool(_resumable(index.mark(), records.state(), analyzer.fingerprint))


def _resumable(mark: IndexMark | None, state: RecordsState, fingerprint: str) -> str:
    """Return the id up to which an interrupted rebuild of these very records had come, or nothing.

    Documents are taken in the order of their ids, and nobody changes records without finishing the index first.
    """
    if mark is None or mark.through == "":
        return ""
    same = IndexMark(-1, fingerprint, state.records, mark.through, state.sequence)
    return mark.through if mark == same else ""


def index_entries(stored: Sequence[StoredDocument], analyzer: LexicalAnalyzer) -> Iterator[IndexEntry]:
    """Analyze the chunks of documents in one batch."""
    pairs = [(one.document, chunk) for one in stored for chunk in one.chunks]
    bodies = analyzer.analyze([chunk.text for _, chunk in pairs])
    headings = [" \n ".join((document.title, *chunk.section)) for document, chunk in pairs]
    distinct = list(dict.fromkeys(headings))
    terms = dict(zip(distinct, analyzer.analyze(distinct), strict=True))
    for (document, chunk), body, heading in zip(pairs, bodies, headings, strict=True):
        yield IndexEntry(document.id, chunk.id, terms[heading], body, document.date, document.group)
