"""Use case: find the passages for a question, and say of each why it stands where it stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter

from ragtrace.application.ports import (
    OUTPUTS,
    EmbeddingModel,
    Hit,
    LexicalAnalyzer,
    LexicalIndex,
    Output,
    Records,
    Reranker,
    VectorIndex,
)
from ragtrace.domain.answers import Passage, Question
from ragtrace.domain.fusion import Fused, Leg, Ranking, effective, fuse
from ragtrace.domain.retrieval import Candidate, Fate, Found, SearchRules, Trace
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.domain.widening import Widened, widen
from ragtrace.errors import InvalidRequest
from ragtrace.limits import QUESTION_TERMS
from ragtrace.text import Text


@dataclass(frozen=True)
class Retrieve:
    """The use case with everything it needs; without a model for vectors, search is lexical."""

    records: Records
    index: LexicalIndex
    analyzer: LexicalAnalyzer
    rules: SearchRules = field(default_factory=SearchRules)
    embedding: EmbeddingModel | None = None
    vectors: VectorIndex | None = None
    reranker: Reranker | None = None

    def find(
        self, text: str, scope: Scope = EVERYTHING, *, extra: Sequence[str] = (), top_n: int | None = None
    ) -> Found:
        """Find the passages for a question.

        Args:
            text: the question, for every leg and for the reranker.
            scope: days are widened where they hold too little, groups never are.
            extra: further words (keywords of an analysis) that only the lexical leg looks for.
            top_n: how many passages, where it is not what the rules say.

        Raises:
            InvalidRequest: `top_n` is no number of passages.
            ModelProblem: embedding or reranking failed; there is no answer with half of the scores.
        """
        wished = self.rules.top_n if top_n is None else top_n
        if wished < 1:
            raise InvalidRequest(
                Text("가져올 조각은 1개 이상이어야 합니다.", "At least one passage is needed.")
            )
        watch = _Watch()
        with watch.part("terms"):
            own, terms = self._terms(text, extra)
            question = Question(text, self._weights(own))
        with watch.part("range"):
            widened = widen(scope, self.index.count, self.rules.least_in_range) if scope.dated else None
        inside = widened.scope if widened else scope
        wanted = wished if self.reranker is None else max(wished, self.rules.rerank_pool)
        legs, notices = self._vector_legs()
        rankings = self._rankings(text, terms, legs, inside, max(wanted, self.rules.pool), watch)
        fused = fuse(self.rules.method, rankings, self.rules.weights)
        with watch.part("passages"):
            passages, fates = self._passages(fused, inside, wanted)
        scores: dict[str, float] = {}
        if self.reranker is not None and passages:
            with watch.part("rerank"):
                passages, scores = _reranked(self.reranker, text, passages)
        passages = passages[:wished]
        explain = Trace(
            terms=tuple(terms),
            method=self.rules.method,
            found={leg: len(ranking) for leg, ranking in rankings.items()},
            weights=effective(self.rules.method, rankings, self.rules.weights),
            candidates=_candidates(fused, fates, scores, passages),
            milliseconds=watch.milliseconds,
        )
        if widened is not None and not all(scope.holds(one.date, one.group) for one in passages):
            # In a small corpus most ranges are widened; it matters to a reader where something came of it.
            notices = [_widening(scope, widened), *notices]
        return Found(question, tuple(passages), explain, inside, widened, tuple(notices))

    def _terms(self, text: str, extra: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the terms of the question alone, and together with the further words."""
        own = list(dict.fromkeys(self.analyzer.question_terms(text)))[:QUESTION_TERMS]
        further = [term for words in self.analyzer.analyze(list(extra)) for term in words]
        return own, list(dict.fromkeys((*own, *further)))[:QUESTION_TERMS]

    def _weights(self, terms: list[str]) -> dict[str, float]:
        """Weigh terms by inverse document frequency (BM25's, Robertson and Zaragoza 2009).

        A term that no document has counts as one that a single document has: in a small corpus it would
        otherwise outweigh everything that was found.
        """
        size = self.index.size()
        frequencies = self.index.frequencies(terms)
        return {term: _inverse_frequency(size, max(1, frequencies[term])) for term in terms}

    def _rankings(
        self, text: str, terms: Sequence[str], legs: Sequence[Output], scope: Scope, limit: int, watch: _Watch
    ) -> dict[Leg, Ranking]:
        """Ask the lexical leg, if it has a weight, and these legs of the vectors."""
        rankings: dict[Leg, Ranking] = {}
        if self._weighs("lexical") and terms:
            with watch.part("lexical"):
                hits = self.index.search(dict.fromkeys(terms, 1.0), limit, scope)
            rankings["lexical"] = _ranking(hits)
        if not legs or self.embedding is None or self.vectors is None:
            return rankings
        with watch.part("embed"):
            query = self.embedding.embed([text], frozenset(legs))[0]
        for leg in legs:
            with watch.part(leg):
                hits = self.vectors.search(query, leg, limit, scope)
            rankings[leg] = _ranking(hits)
        return rankings

    def _vector_legs(self) -> tuple[list[Output], list[Text]]:
        """Return the legs that have a weight and can be searched by, and say what cannot."""
        wanted: list[Output] = [leg for leg in OUTPUTS if self._weighs(leg)]
        if not wanted or self.embedding is None or self.vectors is None:
            return [], []
        if not self.vectors.usable:
            # Half of the vectors would favour what was embedded first; until all are made, words have to do.
            return [], [
                Text(
                    "벡터를 아직 만드는 중이거나 실행 중인 서비스가 쓰고 있어 낱말로만 찾았습니다.",
                    "The vectors are still being made, or belong to the running service; only words were searched.",
                )
            ]
        able = self.vectors.legs & self.embedding.outputs
        notices = [
            Text(f"벡터 색인에 {leg}이(가) 없습니다.", f"The vector index has no {leg} leg.")
            for leg in wanted
            if leg not in able
        ]
        return [leg for leg in wanted if leg in able], notices

    def _weighs(self, leg: Leg) -> bool:
        return self.rules.weights.get(leg, 0.0) > 0

    def _passages(
        self, fused: Sequence[Fused], scope: Scope, wanted: int
    ) -> tuple[list[Passage], dict[str, Fate]]:
        """Read as many passages as wanted, best first, and say what became of the chunks that were passed over."""
        kept: list[Passage] = []
        fates: dict[str, Fate] = {}
        texts: set[str] = set()
        start = 0
        while len(kept) < wanted and start < len(fused):
            batch = fused[start : start + 2 * wanted]
            start += len(batch)
            known = self.records.passages([one.chunk_id for one in batch])
            for one in batch:
                if len(kept) == wanted:
                    break
                passage = known.get(one.chunk_id)
                if passage is None:
                    # Replaced a moment ago; the index will show it soon.
                    fates[one.chunk_id] = "gone"
                elif not scope.holds(passage.date, passage.group):
                    # The records are the truth about rights, also while an index is a moment behind.
                    fates[one.chunk_id] = "outside"
                elif _same(passage.text) in texts:
                    fates[one.chunk_id] = "duplicate"
                else:
                    texts.add(_same(passage.text))
                    kept.append(replace(passage, score=one.score))
        return kept, fates


def rerank_text(passage: Passage) -> str:
    """Return what a cross-encoder reads: a chunk seldom repeats what its heading says."""
    return f"{passage.heading}\n{passage.text}" if passage.heading else passage.text


def _reranked(
    reranker: Reranker, text: str, passages: Sequence[Passage]
) -> tuple[list[Passage], dict[str, float]]:
    """Return the passages in the reranker's order, and its scores; of equals the one that fusion had first stays first."""
    scores = reranker.scores(text, [rerank_text(passage) for passage in passages])
    scored = [replace(passage, score=score) for passage, score in zip(passages, scores, strict=True)]
    ordered = sorted(scored, key=lambda passage: -passage.score)
    return ordered, {passage.chunk_id: passage.score for passage in scored}


def requested_scope(since: str = "", until: str = "", groups: frozenset[str] | None = None) -> Scope:
    """Return the scope that somebody typed. Raises `InvalidRequest` where a bound is no day, or the range is empty."""
    try:
        scope = Scope(since.strip(), until.strip(), groups)
    except ValueError as error:
        raise InvalidRequest(
            Text("날짜가 아닙니다.", "That is not a day."),
            where=f"{since.strip()}:{until.strip()}",
            hint=Text("YYYY-MM-DD로 적으십시오.", "Write YYYY-MM-DD."),
        ) from error
    if scope.since and scope.until and scope.since > scope.until:
        raise InvalidRequest(
            Text("기간의 시작이 끝보다 늦습니다.", "The range begins after its end."),
            where=f"{scope.since}:{scope.until}",
        )
    return scope


def _widening(asked: Scope, widened: Widened) -> Text:
    days = _days(asked)
    if widened.months is None:
        return Text(
            f"{days.ko} 문서가 적어 모든 기간에서 찾았습니다.",
            f"Few documents are dated {days.en}; all days were searched.",
        )
    wider = _days(widened.scope)
    return Text(
        f"{days.ko} 문서가 적어 {widened.months}개월 넓혀 {wider.ko}의 문서에서 찾았습니다.",
        f"Few documents are dated {days.en}; those {wider.en} were searched, {widened.months} months wider.",
    )


def _days(scope: Scope) -> Text:
    since = Text(f"{scope.since}부터", f"from {scope.since}") if scope.since else Text("", "")
    until = Text(f"{scope.until}까지", f"up to {scope.until}") if scope.until else Text("", "")
    return Text(f"{since.ko} {until.ko}".strip(), f"{since.en} {until.en}".strip())


def _ranking(hits: Sequence[Hit]) -> Ranking:
    return [(hit.chunk_id, hit.score) for hit in hits]


def _same(text: str) -> str:
    return " ".join(text.split())


def _candidates(
    fused: Sequence[Fused],
    fates: Mapping[str, Fate],
    scores: Mapping[str, float],
    passages: Sequence[Passage],
) -> tuple[Candidate, ...]:
    """Return all candidates: first those kept, in their final order, then the rest as fusion had them."""
    places = {passage.chunk_id: place for place, passage in enumerate(passages, start=1)}
    made = [
        Candidate(
            one.chunk_id,
            places.get(one.chunk_id, 0),
            "kept" if one.chunk_id in places else fates.get(one.chunk_id, "below"),
            number,
            one.score,
            one.contributions,
            scores.get(one.chunk_id),
        )
        for number, one in enumerate(fused, start=1)
    ]
    return tuple(sorted(made, key=lambda each: (each.rank or math.inf, each.fused_rank)))


def _inverse_frequency(size: int, frequency: int) -> float:
    return math.log(1 + (max(size, frequency) - frequency + 0.5) / (frequency + 0.5))


class _Watch:
    """Takes the time of each part, in milliseconds."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        finally:
            self.milliseconds[name] = round((perf_counter() - began) * 1000, 3)
