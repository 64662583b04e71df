"""Use case: answer a question from the documents. Command line, HTTP and evaluation all ask through it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ragtrace.application.ports import Answerer, never
from ragtrace.application.rooms import Rooms
from ragtrace.domain.analysis import Analysis
from ragtrace.domain.answers import (
    NO_EVIDENCE,
    NO_WISHES,
    Account,
    Answer,
    AnswerPiece,
    Passage,
    Question,
    Wishes,
)
from ragtrace.domain.conversation import Turn
from ragtrace.domain.retrieval import Found
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import InvalidRequest, NotSupported, TooLarge
from ragtrace.text import Text

# What a question has from those before it counts so much of what it says itself, when support is measured.
INHERITED_SHARE = 0.25


@dataclass(frozen=True)
class Asking:
    """A question with everything an asker may say beside it.

    Args:
        text: the question.
        rag: whether to look into the documents; without, only a language model can answer.
        scope: where to look; its days, where it has some, count instead of those that the question names.
        history: what was said before, oldest first.
        room: name of the conversation; its latest turns count where `history` is empty, and the answer joins them.
        instructions: what else the answer should heed; the rules about sources come first.
        wishes: length and manner of generated text.
        top_n: how many passages, where not as configured.
    """

    text: str
    rag: bool = True
    scope: Scope = EVERYTHING
    history: tuple[Turn, ...] = ()
    room: str = ""
    instructions: str = ""
    wishes: Wishes = NO_WISHES
    top_n: int | None = None


class Finder(Protocol):
    """What finds passages: `application.retrieve.Retrieve`."""

    def find(
        self, text: str, scope: Scope = EVERYTHING, *, extra: Sequence[str] = (), top_n: int | None = None
    ) -> Found:
        """Find the passages for a question."""
        ...


class Understanding(Protocol):
    """What says what a question is about: `application.analysis.Analyst`."""

    def analyse(
        self, text: str, history: Sequence[Turn] = (), cancelled: Callable[[], bool] = never
    ) -> Analysis:
        """Return what a question is about."""
        ...


@dataclass(frozen=True)
class Prepared:
    """A question that was understood, with the passages found for it, best first."""

    asking: Asking
    analysis: Analysis
    found: Found

    @property
    def question(self) -> Question:
        """Return the question as the answerer gets it."""
        return self.found.question

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Return the passages by their numbers."""
        return self.found.passages


@dataclass(frozen=True)
class Ask:
    """The use case with everything it needs. `use_period` lets the days that a question names narrow the search."""

    retriever: Finder
    model: Answerer
    analyst: Understanding
    question_chars: int = 2000
    use_period: bool = True
    rooms: Rooms = field(default_factory=Rooms)

    def retrieve(
        self, asking: Asking | str, *, rag: bool = True, cancelled: Callable[[], bool] = never
    ) -> Prepared:
        """Understand a question and find its passages. Raises `InvalidRequest` when it cannot be asked like that."""
        wanted = asking if isinstance(asking, Asking) else Asking(asking, rag=rag)
        self._check(wanted.text, wanted.rag)
        history = wanted.history or (self.rooms.said(wanted.room) if wanted.room else ())
        asked = Question(
            wanted.text,
            {},
            history=history,
            wishes=wanted.wishes,
            instructions=wanted.instructions,
            rag=wanted.rag,
        )
        if not wanted.rag:
            return Prepared(wanted, Analysis(wanted.text), Found(asked, ()))
        analysis = self.analyst.analyse(wanted.text, history, cancelled)
        found = self.retriever.find(
            analysis.question,
            self._scope(wanted.scope, analysis),
            extra=analysis.keywords,
            top_n=wanted.top_n,
        )
        standalone = analysis.question if analysis.question != wanted.text.strip() else ""
        terms = {
            term: weight * (INHERITED_SHARE if term in analysis.inherited else 1.0)
            for term, weight in found.question.terms.items()
        }
        question = replace(asked, terms=terms, standalone=standalone)
        return Prepared(wanted, analysis, replace(found, question=question))

    def pieces(
        self, prepared: Prepared, cancelled: Callable[[], bool] = never
    ) -> Iterator[AnswerPiece | Account]:
        """Yield the answer piece by piece, then its account; one piece says so where the documents support none."""
        account = Account()
        said: list[str] = []
        sourced = False
        answer = self.model.answer(prepared.question, prepared.passages, cancelled)
        try:
            for piece in answer:
                if isinstance(piece, Account):
                    account = piece
                    continue
                said.append(piece.text)
                sourced = sourced or bool(piece.sources)
                yield piece
        finally:
            # Who stops listening stops the work.
            if isinstance(answer, Generator):
                answer.close()
        stopped = cancelled() or (account.usage is not None and account.usage.finish == "cancelled")
        if not said and not stopped:
            said.append(NO_EVIDENCE)
            yield AnswerPiece(NO_EVIDENCE)
        asking = prepared.asking
        if asking.room and not stopped:
            self.rooms.add(asking.room, [Turn("user", asking.text), Turn("assistant", "".join(said))])
        supported = sourced if account.supported is None else account.supported
        yield Account(supported, account.usage, (*prepared.found.notices, *account.notices))

    def answer(
        self, asking: Asking | str, *, rag: bool = True, cancelled: Callable[[], bool] = never
    ) -> Answer:
        """Answer a question in one go."""
        return self.complete(self.retrieve(asking, rag=rag, cancelled=cancelled), cancelled)

    def complete(self, prepared: Prepared, cancelled: Callable[[], bool] = never) -> Answer:
        """Answer a question whose passages are found."""
        said: list[str] = []
        account = Account()
        for piece in self.pieces(prepared, cancelled):
            if isinstance(piece, Account):
                account = piece
            else:
                said.append(piece.text)
        return Answer(
            "".join(said), prepared.passages, bool(account.supported), account.usage, account.notices
        )

    def _scope(self, asked: Scope, analysis: Analysis) -> Scope:
        if asked.dated or analysis.period is None or not (self.use_period and analysis.narrows):
            return asked
        return replace(asked, since=analysis.period.since, until=analysis.period.until)

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
