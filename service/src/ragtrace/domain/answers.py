"""Questions, passages and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ragtrace.domain.conversation import Turn
from ragtrace.text import Text

Finish = Literal["stop", "length", "cancelled"]
NO_EVIDENCE = "문서에서 근거를 찾지 못했습니다."


@dataclass(frozen=True)
class Usage:
    """What a generation cost: tokens read and made, seconds to the first token and in all, and why it ended."""

    prompt_tokens: int
    answer_tokens: int
    first_token_s: float
    seconds: float
    finish: Finish

    @property
    def tokens_per_s(self) -> float:
        """Return the rate after the first token; 0 where there is none."""
        spent = self.seconds - self.first_token_s
        return (self.answer_tokens - 1) / spent if self.answer_tokens > 1 and spent > 0 else 0.0


@dataclass(frozen=True)
class Wishes:
    """What the asker wants of the text that is generated; None where the configuration decides."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


NO_WISHES = Wishes()


@dataclass(frozen=True)
class Question:
    """A question with its search terms, each with a weight: the rarer in the corpus, the heavier.

    `standalone` says it without what was said before it (`history`), "" where that is the same; `instructions` is what
    the asker wants besides. `rag` false means that it is to be answered without documents.
    """

    text: str
    terms: Mapping[str, float]
    standalone: str = ""
    history: tuple[Turn, ...] = ()
    wishes: Wishes = NO_WISHES
    instructions: str = ""
    rag: bool = True


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
class Account:
    """How an answer came about, said after its last piece.

    `supported` None leaves it to whether a piece named a source. `notices` are for the reader, such as that not all
    sources could be read.
    """

    supported: bool | None = None
    usage: Usage | None = None
    notices: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A whole answer. `supported` is false when the documents hold nothing for it."""

    text: str
    passages: tuple[Passage, ...]
    supported: bool
    usage: Usage | None = None
    notices: tuple[Text, ...] = ()
