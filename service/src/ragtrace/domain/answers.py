"""Questions, passages and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NO_EVIDENCE = "문서에서 근거를 찾지 못했습니다."


@dataclass(frozen=True)
class Question:
    """A question with its search terms, each with a weight: the rarer in the corpus, the heavier."""

    text: str
    terms: Mapping[str, float]


@dataclass(frozen=True)
class Passage:
    """A retrieved chunk with what a reader needs to find it again."""

    chunk_id: str
    document_id: str
    path: str
    title: str
    section: tuple[str, ...]
    text: str
    date: str
    score: float = 0.0
    page: int = 0
    group: str = ""

    @property
    def heading(self) -> str:
        """Return title and section in one line."""
        parts = [self.title, *(part for part in self.section if part != self.title)]
        return " › ".join(part for part in parts if part)


@dataclass(frozen=True)
class AnswerPiece:
    """A piece of an answer; `sources` are the numbers (from 1) of the passages it rests on."""

    text: str
    sources: tuple[int, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A whole answer. `supported` is false when the documents hold nothing for it."""

    text: str
    passages: tuple[Passage, ...]
    supported: bool
