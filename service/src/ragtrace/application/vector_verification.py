"""Use case: do the vectors hold every chunk of the records, no other, and is a chunk found by its own text?"""

from __future__ import annotations

from dataclasses import dataclass

from ragtrace.application.following import behind, embedded_text, place_of
from ragtrace.application.ports import EmbeddingModel, Output, Records, VectorIndex
from ragtrace.limits import SEARCH_POOL, VERIFY_VECTORS
from ragtrace.text import Text

# A vector compared with a stored copy of itself; int8 weights batched otherwise differ in the third digit.
_SAME = 0.99


@dataclass(frozen=True)
class VectorVerification:
    """What was compared and what is wrong. `behind` documents are still to be taken, which is no damage.

    What is `damaged` no following mends: the vectors have to be made anew.
    """

    behind: int
    chunks: int
    indexed: int
    missing: int
    surplus: int
    asked: int
    found: int
    damaged: bool
    problems: tuple[Text, ...]

    @property
    def complete(self) -> bool:
        """Say whether the vectors may be trusted."""
        return not self.problems


def verify_vectors(
    records: Records, index: VectorIndex, model: EmbeddingModel, *, followed: bool = False
) -> VectorVerification:
    """Compare every chunk's id, and search for a sample of chunks by their own text. Reads only.

    Args:
        followed: a running service keeps the index in step, so that being behind is no problem.
    """
    left = behind(records, index, model)
    mark = index.mark()
    changed = {key for _, key in records.changes(*place_of(mark), 1 << 40)} if mark and left else set()
    waiting = {chunk.id for one in records.load(sorted(changed)) for chunk in one.chunks}
    recorded, indexed = set(records.chunk_ids()), set(index.chunk_ids())
    missing = len(recorded - indexed - waiting)
    # The old chunks of a changed document are there until it is taken.
    surplus = 0 if left else len(indexed - recorded)
    usable = index.usable and not (mark is None or mark.sequence < 0)
    asked, found = _search(records, index, model, recorded & indexed - waiting) if usable else (0, 0)
    problems = []
    if not usable:
        problems.append(
            Text("벡터 색인이 아직 다 만들어지지 않았습니다.", "The vector index is not complete yet.")
        )
    elif left and not followed:
        problems.append(
            Text(f"아직 벡터가 없는 변경: 문서 {left}개", f"Changes without vectors yet: {left} documents")
        )
    if missing and usable:
        problems.append(Text(f"벡터가 없는 조각: {missing}개", f"Chunks without vectors: {missing}"))
    if surplus:
        problems.append(
            Text(
                f"기록에 없는 벡터: {surplus}개", f"Vectors of chunks that the records do not have: {surplus}"
            )
        )
    if found < asked:
        problems.append(
            Text(
                f"자기 글로 찾아지지 않는 조각: {asked - found}개(표본 {asked}개)",
                f"Chunks not found by their own text: {asked - found} of {asked} sampled",
            )
        )
    damaged = (usable and missing > 0) or surplus > 0 or found < asked
    return VectorVerification(
        left, len(recorded), len(indexed), missing, surplus, asked, found, damaged, tuple(problems)
    )


def _search(records: Records, index: VectorIndex, model: EmbeddingModel, chunks: set[str]) -> tuple[int, int]:
    """Return how many chunks were embedded anew and searched for, and how many were found with their own vector."""
    every = sorted(chunks)
    sample = every[:: max(1, len(every) // VERIFY_VECTORS)][:VERIFY_VECTORS]
    passages = records.passages(sample)
    leg: Output = "dense" if "dense" in index.legs else "sparse"
    texts = {
        key: embedded_text(passage.title, passage.section, passage.text) for key, passage in passages.items()
    }
    found = 0
    for key, query in zip(texts, model.embed(list(texts.values()), frozenset({leg})), strict=True):
        hits = index.search(query, leg, SEARCH_POOL)
        best = hits[0].score if hits else 0.0
        own = next((hit.score for hit in hits if hit.chunk_id == key), 0.0)
        # Equal texts have equal vectors, so that another chunk may stand first, with the same score.
        found += own > 0 and own >= _SAME * best and (leg != "dense" or own >= _SAME)
    return len(texts), found
