"""Let the vector index follow the records.

The records keep, for each document, the number of the change that touched it last. Whoever owns the vector index reads
on from its mark in that order, embeds, updates, and moves the mark; no lock keeps a writer of documents waiting for a
model meanwhile. A document that changes again moves to the end of the journal and is met again; doing one twice does no
harm; so a kill at any instant costs the last update at most. See docs/adr/0033.

The mark: `sequence` is the last change that is shown completely, -1 until the first time; while more is to do,
(`toward`, `through`) is the place in the journal up to which the documents are in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ragtrace.application.ports import (
    Embedding,
    EmbeddingModel,
    IndexMark,
    Output,
    Records,
    RecordsState,
    StoredDocument,
    VectorEntry,
    VectorIndex,
)
from ragtrace.application.ports.language import never
from ragtrace.errors import ModelProblem
from ragtrace.limits import VECTOR_BATCH, VECTOR_DOCUMENTS

LOG = logging.getLogger("ragtrace")
# What of a chunk is embedded; another number makes all vectors anew.
_TEXT_VERSION = 1
_ALL = 1 << 40
_PROBE = "가나다 abc 123"
Progress = Callable[[int, int], None]


def vector_fingerprint(model: EmbeddingModel, legs: frozenset[Output]) -> str:
    """Name all that vectors depend on: the model, which of its outputs are kept, and the text that is embedded."""
    return f"{model.fingerprint}|{'+'.join(sorted(legs))}|t{_TEXT_VERSION}"


def embedded_text(title: str, section: Sequence[str], text: str) -> str:
    """Return what of a chunk is embedded: where it stands, then what it says."""
    heading = " › ".join(part for part in (title, *(part for part in section if part != title)) if part)
    return f"{heading}\n{text}" if heading else text


def follows(state: RecordsState, mark: IndexMark | None, fingerprint: str) -> bool:
    """Say whether a vector index with this mark shows exactly what records in this state hold."""
    return mark == IndexMark(state.sequence, fingerprint, state.records)


@dataclass
class Follower:
    """Brings a vector index in step. One at a time for an index: its owner. `model` may remember what it made before."""

    records: Records
    model: EmbeddingModel
    batch: int = VECTOR_BATCH

    def in_step(self, index: VectorIndex) -> bool:
        """Say whether the index shows exactly what the records hold."""
        return follows(self.records.state(), index.mark(), vector_fingerprint(self.model, index.legs))

    def follow(
        self,
        index: VectorIndex,
        progress: Progress | None = None,
        stopped: Callable[[], bool] = never,
    ) -> int:
        """Bring `index` in step, or as far as it gets until `stopped`; return how many documents were taken.

        Raises:
            ModelProblem: the model cannot be used; what was done stays.
        """
        done = total = 0
        while not stopped():
            # First the state, then the journal: what changes in between is met in the next round.
            state = self.records.state()
            mark = self._usable_mark(index, state)
            if mark == IndexMark(state.sequence, mark.analyzer, state.records):
                return done
            place = place_of(mark)
            rows = self.records.changes(*place, VECTOR_DOCUMENTS)
            if not rows:
                index.update([], [], IndexMark(state.sequence, mark.analyzer, state.records))
                continue
            total = total or len(self.records.changes(*place, _ALL))
            for taken in self._batches(rows, mark, index):
                done += taken
                if progress is not None:
                    progress(done, max(total, done))
                if stopped():
                    break
        return done

    def mend(self, index: VectorIndex) -> int:
        """Take documents again whose chunks an index lacks that claims to be in step; say how many.

        Chunk ids name document, place and text, so that equal ids are equal texts. An index with chunks that nobody
        knows is begun anew.
        """
        if not self.in_step(index):
            return 0
        recorded, indexed = set(self.records.chunk_ids()), set(index.chunk_ids())
        missing, surplus = recorded - indexed, indexed - recorded
        # What changed while it was looked at is no finding.
        if not (missing or surplus) or not self.in_step(index):
            return 0
        LOG.warning("vectors differ from the records: %d missing, %d surplus", len(missing), len(surplus))
        if surplus:
            index.clear()
            return self.records.counts()[0]
        mark = index.mark()
        assert mark is not None
        lacking = sorted({one.document_id for one in self.records.passages(sorted(missing)).values()})
        for start in range(0, len(lacking), VECTOR_DOCUMENTS):
            keys = lacking[start : start + VECTOR_DOCUMENTS]
            for one in self.records.load(keys):
                self._write([(mark.sequence, one.document.id)], [*_chunks(one)], mark, index, mark)
        return len(lacking)

    def _usable_mark(self, index: VectorIndex, state: RecordsState) -> IndexMark:
        """Return the mark to go on from; an index that does not belong to these records begins anew."""
        mark, fingerprint = index.mark(), vector_fingerprint(self.model, index.legs)
        foreign = mark is not None and (
            mark.records != state.records
            or mark.analyzer != fingerprint
            or max(mark.sequence, mark.toward) > state.sequence
        )
        if foreign:
            index.clear()
        if mark is None or foreign:
            return IndexMark(-1, fingerprint, state.records)
        return mark

    def _batches(self, rows: Sequence[tuple[int, str]], mark: IndexMark, index: VectorIndex) -> Iterator[int]:
        """Take documents in the journal's order, as many a time as a batch of chunks holds; yield how many."""
        waiting: list[tuple[int, str]] = []
        entries: list[tuple[VectorEntry, str]] = []
        by_id = {one.document.id: one for one in self.records.load([key for _, key in rows])}
        for row in rows:
            waiting.append(row)
            entries += [*_chunks(by_id.get(row[1]))]
            if len(entries) >= self.batch:
                yield self._write(waiting, entries, mark, index)
                waiting, entries = [], []
        if waiting:
            yield self._write(waiting, entries, mark, index)

    def _write(
        self,
        rows: Sequence[tuple[int, str]],
        pending: Sequence[tuple[VectorEntry, str]],
        mark: IndexMark,
        index: VectorIndex,
        following: IndexMark | None = None,
    ) -> int:
        """Embed and write; a document of many batches is written in parts, and the mark passes it with the last one."""
        following = following or IndexMark(
            mark.sequence, mark.analyzer, mark.records, rows[-1][1], rows[-1][0]
        )
        before = index.mark() or IndexMark(-1, mark.analyzer, mark.records, "", 0)
        gone = [key for _, key in rows]
        for start in range(0, max(len(pending), 1), self.batch):
            part = pending[start : start + self.batch]
            last = start + self.batch >= len(pending)
            index.update(gone, self._embedded(part, index.legs), following if last else before)
            gone = []
        return len(rows)

    def _embedded(
        self, pending: Sequence[tuple[VectorEntry, str]], legs: frozenset[Output]
    ) -> list[VectorEntry]:
        found = self._embed([text for _, text in pending], legs)
        return [
            VectorEntry(each.document_id, each.chunk_id, one, each.date, each.group)
            for (each, _), one in zip(pending, found, strict=True)
        ]

    def _embed(self, texts: Sequence[str], legs: frozenset[Output]) -> list[Embedding]:
        """Embed texts; one that the model cannot turn into numbers gets no vectors, and does not stop the rest.

        Raises:
            ModelProblem: the model cannot be used for any text.
        """
        if not texts:
            return []
        try:
            return list(self.model.embed(texts, legs))
        except ModelProblem:
            # Is it the model, or one of the texts?
            self.model.embed([_PROBE], legs)
        found: list[Embedding] = []
        for text in texts:
            try:
                found += self.model.embed([text], legs)
            except ModelProblem as problem:
                LOG.warning("a chunk cannot be embedded and is found by words only: %s", problem)
                found.append(_NO_EMBEDDING)
        return found


# A chunk that has no vectors is kept without, so that the index has every chunk of the records.
_NO_EMBEDDING = Embedding(None, None, None, None, 0)


def _chunks(stored: StoredDocument | None) -> Iterator[tuple[VectorEntry, str]]:
    """Yield the chunks of a document that still exists, each with the text to embed."""
    if stored is None:
        return
    document = stored.document
    for chunk in stored.chunks:
        entry = VectorEntry(document.id, chunk.id, _NO_EMBEDDING, document.date, document.group)
        yield entry, embedded_text(document.title, chunk.section, chunk.text)


def behind(records: Records, index: VectorIndex, model: EmbeddingModel) -> int:
    """Return how many documents an index has still to take; anybody may ask, owner or not."""
    state, mark = records.state(), index.mark()
    name = vector_fingerprint(model, index.legs)
    if mark is None or mark.records != state.records or mark.analyzer != name:
        return records.counts()[0]
    return 0 if follows(state, mark, name) else len(records.changes(*place_of(mark), _ALL))


def place_of(mark: IndexMark) -> tuple[int, str]:
    """Return the place in the journal after which an index with this mark has to go on."""
    return (mark.toward, mark.through) if mark.toward >= 0 else (mark.sequence + 1, "")
