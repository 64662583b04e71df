"""The extractive answerer: sentences of the documents, word for word, with numbered sources. Needs no weights.

A sentence scores by the share of the question's weight that it covers, with half of that for what only its heading
covers. Nothing is written that does not stand in a passage, except the frame: list marks, source numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ragtrace.application.ports import LexicalAnalyzer, never
from ragtrace.domain.answers import AnswerPiece, Passage, Question
from ragtrace.domain.sentences import split_sentences

# What only title or headings cover counts this much of what the sentence itself covers.
HEADING_SHARE = 0.5
# A sentence directly after a good one often carries the step or the condition.
FOLLOWING_SHARE = 0.35
# Passages are in order of rank; each rank lower costs this much.
RANK_COST = 0.04
# Headings, menu entries and table cells say little on their own: what is short, or does not end like a sentence.
SHORT_CHARS = 12
FRAGMENT_SHARE = 0.5
# A further sentence is worth reading when it scores at least this much of the best one.
KEPT_SHARE = 0.6
_WHOLE = re.compile(r"(?:[.!?。！？:]|[다요함음임됨])[\"'”’)\]」』]*$")


@dataclass(frozen=True)
class _Candidate:
    source: int
    position: int
    text: str
    score: float


class ExtractiveModel:
    """Chooses the sentences that best match the question's morphemes."""

    name = "extractive"
    answers_alone = False

    def __init__(self, analyzer: LexicalAnalyzer, sentences: int, min_support: float) -> None:
        self._analyzer = analyzer
        self._sentences = sentences
        self._min_support = min_support

    def load(self) -> None:
        """Load the analyzer."""
        self._analyzer.load()

    def answer(
        self, question: Question, passages: Sequence[Passage], cancelled: Callable[[], bool] = never
    ) -> Iterator[AnswerPiece]:
        """Yield chosen sentences in reading order, then nothing; nothing at all without support."""
        chosen = self._choose(question, passages)
        for number, candidate in enumerate(chosen):
            lead = "" if number == 0 else "\n"
            yield AnswerPiece(f"{lead}{candidate.text} [{candidate.source}]", (candidate.source,))

    def _choose(self, question: Question, passages: Sequence[Passage]) -> list[_Candidate]:
        total = sum(question.terms.values())
        if not passages or total <= 0:
            return []
        support, candidates = self._candidates(question, passages, total)
        if support < self._min_support:
            return []
        best: dict[str, _Candidate] = {}
        for candidate in sorted(candidates, key=lambda each: -each.score):
            best.setdefault(" ".join(candidate.text.split()), candidate)
        ranked = list(best.values())[: self._sentences]
        floor = ranked[0].score * KEPT_SHARE if ranked else 0.0
        kept = [candidate for candidate in ranked if candidate.score > 0 and candidate.score >= floor]
        first = min((candidate.source for candidate in kept[:1]), default=0)
        # The source of the best sentence speaks first, the others follow in order of rank.
        return sorted(kept, key=lambda each: (each.source != first, each.source, each.position))

    def _candidates(
        self, question: Question, passages: Sequence[Passage], total: float
    ) -> tuple[float, list[_Candidate]]:
        """Return the best support any passage gives the whole question, and all sentences with scores."""
        spans = [[passage.text[a:b] for a, b in split_sentences(passage.text)] for passage in passages]
        texts = [sentence for sentences in spans for sentence in sentences]
        analyzed = iter(self._analyzer.analyze([*texts, *(passage.heading for passage in passages)]))
        terms = [[frozenset(next(analyzed)) for _ in sentences] for sentences in spans]
        headings = [frozenset(each) for each in analyzed]

        def share(found: frozenset[str]) -> float:
            return sum(weight for term, weight in question.terms.items() if term in found) / total

        support = 0.0
        candidates: list[_Candidate] = []
        for number, (sentences, found, heading) in enumerate(zip(spans, terms, headings, strict=True)):
            support = max(support, share(heading.union(*found)))
            previous = 0.0
            for position, (text, own) in enumerate(zip(sentences, found, strict=True)):
                cover = share(own)
                score = (
                    cover
                    + HEADING_SHARE * share(heading - own)
                    + FOLLOWING_SHARE * previous
                    - RANK_COST * number
                )
                previous = cover
                if len(text) < SHORT_CHARS or not _WHOLE.search(text):
                    score *= FRAGMENT_SHARE
                candidates.append(_Candidate(number + 1, position, text, score))
        return support, candidates
