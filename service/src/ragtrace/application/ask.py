"""Use case: answer a question from the documents."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ragtrace.application.ports import Answerer, LexicalAnalyzer, LexicalIndex, Records
from ragtrace.domain.answers import NO_EVIDENCE, Answer, AnswerPiece, Passage, Question
from ragtrace.errors import InvalidRequest, NotSupported, TooLarge
from ragtrace.limits import QUESTION_TERMS, SEARCH_POOL
from ragtrace.text import Text


@dataclass(frozen=True)
class Retrieved:
    """A question with the passages found for it, best first."""

    question: Question
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class Ask:
    """The use case with everything it needs."""

    records: Records
    index: LexicalIndex
    analyzer: LexicalAnalyzer
    model: Answerer
    top_n: int = 5
    question_chars: int = 2000

    def retrieve(self, text: str, *, rag: bool = True) -> Retrieved:
        """Find the passages for a question. Raises `InvalidRequest` when it cannot be asked like that."""
        self._check(text, rag)
        terms = list(dict.fromkeys(self.analyzer.question_terms(text)))[:QUESTION_TERMS]
        question = Question(text, self._weights(terms))
        if not rag or not terms:
            return Retrieved(question, ())
        hits = self.index.search(dict.fromkeys(terms, 1.0), max(SEARCH_POOL, self.top_n))
        passages = self.records.passages([hit.chunk_id for hit in hits])
        found: list[Passage] = []
        texts: set[str] = set()
        for hit in hits:
            passage = passages.get(hit.chunk_id)
            # A chunk the records no longer know was replaced a moment ago; the same text twice helps nobody.
            if passage is not None and passage.text not in texts:
                texts.add(passage.text)
                found.append(replace(passage, score=hit.score))
        return Retrieved(question, tuple(found[: self.top_n]))

    def pieces(self, retrieved: Retrieved) -> Iterator[AnswerPiece]:
        """Yield the answer piece by piece; one piece says so where the documents support none."""
        empty = True
        for piece in self.model.answer(retrieved.question, retrieved.passages):
            empty = False
            yield piece
        if empty:
            yield AnswerPiece(NO_EVIDENCE)

    def answer(self, text: str, *, rag: bool = True) -> Answer:
        """Answer a question in one go."""
        retrieved = self.retrieve(text, rag=rag)
        pieces = list(self.pieces(retrieved))
        supported = any(piece.sources for piece in pieces) or self.model.answers_alone
        return Answer("".join(piece.text for piece in pieces), retrieved.passages, supported)

    def _check(self, text: str, rag: bool) -> None:
        if not text.strip():
            raise InvalidRequest(Text("질문이 비어 있습니다.", "The question is empty."))
        if len(text) > self.question_chars:
            raise TooLarge(
                Text(
                    f"질문이 {self.question_chars}자를 넘습니다.",
                    f"The question is longer than {self.question_chars} characters.",
                ),
                hint=Text("질문을 줄여 주십시오.", "Shorten the question."),
            )
        if not rag and not self.model.answers_alone:
            raise NotSupported(
                Text(
                    f"'{self.model.name}' 답변기는 문서 검색 없이(rag: false) 답할 수 없습니다.",
                    f"The '{self.model.name}' answerer cannot answer without retrieval (rag: false).",
                ),
                hint=Text(
                    "rag를 true로 두거나 언어 모델을 설정하십시오.",
                    "Leave rag true, or configure a language model.",
                ),
            )

    def _weights(self, terms: list[str]) -> dict[str, float]:
        """Weigh terms by inverse document frequency (BM25's, Robertson and Zaragoza 2009).

        A term that no document has counts as one that a single document has: in a small corpus it would
        otherwise outweigh everything that was found.
        """
        size = self.index.size()
        frequencies = self.index.frequencies(terms)
        return {term: _inverse_frequency(size, max(1, frequencies[term])) for term in terms}


def _inverse_frequency(size: int, frequency: int) -> float:
    return math.log(1 + (max(size, frequency) - frequency + 0.5) / (frequency + 0.5))
