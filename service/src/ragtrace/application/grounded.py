"""The answerer that lets a language model write, from numbered sources, and shows only what those support.

The beginning of an answer is held back until a source is cited or most of its terms stand in the sources; from there on
it streams. What never gets that far is not shown: the documents do not say it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from ragtrace.application.ports import Generation, LanguageModel, LexicalAnalyzer, Message, Usage, never
from ragtrace.domain.answers import Account, AnswerPiece, Passage, Question
from ragtrace.domain.citations import CitationReader
from ragtrace.domain.conversation import Turn
from ragtrace.domain.grounding import best_source, coverage, denies, korean, refuses, unseen_numbers
from ragtrace.domain.prompting import Budget, Prompt, make_prompt
from ragtrace.domain.thinking import Thoughts
from ragtrace.text import Text

# So many terms show whether an answer speaks of the sources; fewer are as likely words of the question.
_OPENING_TERMS = 4
# An opening that was not enough is looked at again when it has grown by so much: what is analysed stays in proportion.
_LOOK_AGAIN = 1.1
# What cites a source of its language has at least this share of its terms from the sources, unless it has hardly any.
_CITED_SHARE = 0.2
_FEW_TERMS = 3
_CITED_NOTHING = Text(
    "답변에 인용된 출처가 없고, 내용을 문서에서 확인하지 못했습니다.",
    "The answer cites no source, and the documents do not confirm it.",
)
_CUT = Text(
    "답변이 최대 길이에서 끊겼습니다.",
    "The answer was cut at its greatest length.",
)

_DEFAULTS = Generation()
Terms = Callable[[str], frozenset[str]]


@dataclass(frozen=True)
class Grounded:
    """An `Answerer` over a language model.

    Args:
        generation: what holds where the asker wishes nothing else.
        history_tokens: what was said before may take so many tokens of the prompt.
        min_support: share of an answer's terms that must stand in the sources where it cites none.
    """

    model: LanguageModel
    analyzer: LexicalAnalyzer
    generation: Generation = _DEFAULTS
    history_tokens: int = 1024
    min_support: float = 0.5

    answers_alone = True

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.model.name

    def load(self) -> None:
        """Load analyzer and model."""
        self.analyzer.load()
        self.model.load()

    def answer(
        self, question: Question, passages: Sequence[Passage], cancelled: Callable[[], bool] = never
    ) -> Iterator[AnswerPiece | Account]:
        """Yield the answer and its account. Raises what `LanguageModel.stream` raises, and `TooLarge`."""
        if question.rag and not passages:
            # Nothing to rest on: no model is asked.
            return
        wishes = question.wishes
        longest = min(wishes.max_tokens or self.generation.max_tokens, self.generation.max_tokens)
        budget = Budget(self.model.context_tokens, longest, self.history_tokens)
        prompt = make_prompt(question, passages, budget, self._cost)
        generation = replace(
            self.generation,
            max_tokens=max(1, min(longest, self.model.context_tokens - prompt.tokens)),
            temperature=self.generation.temperature if wishes.temperature is None else wishes.temperature,
            top_p=self.generation.top_p if wishes.top_p is None else wishes.top_p,
            seed=self.generation.seed if wishes.seed is None else wishes.seed,
            stop=wishes.stop or self.generation.stop,
        )
        stream = self.model.stream(_messages(prompt.system, prompt.turns), generation, cancelled)
        try:
            if question.rag:
                said = _spoken(stream)
                yield from self._checked(said, prompt, passages[: prompt.sources], len(passages))
            else:
                yield from _plain(_spoken(stream))
        finally:
            # An answer that nobody reads on must not be written on.
            if isinstance(stream, Generator):
                stream.close()

    def _cost(self, system: str, turns: Sequence[Turn]) -> int:
        return self.model.count_tokens(_messages(system, turns))

    def _terms(self, text: str) -> frozenset[str]:
        return frozenset(self.analyzer.analyze([text])[0])

    def _checked(
        self, stream: Iterator[str | Usage], prompt: Prompt, passages: Sequence[Passage], found: int
    ) -> Iterator[AnswerPiece | Account]:
        reader = CitationReader(len(passages))
        texts = [f"{each.heading}\n{each.text}" for each in passages]
        known = [frozenset(terms) for terms in self.analyzer.analyze(texts)]
        gate = _Gate(known, self._terms, self.min_support, in_korean=korean(texts))
        usage: Usage | None = None
        for part in stream:
            if isinstance(part, Usage):
                usage = part
                continue
            for piece in reader.feed(part):
                yield from gate.let_through(piece)
        for piece in reader.finish():
            yield from gate.let_through(piece)
        supported = yield from gate.finish()
        notices = _left_out(found, len(passages))
        if usage is not None and usage.finish == "length":
            notices = (*notices, _CUT)
        if gate.open and not supported and not refuses(gate.text):
            notices = (*notices, _CITED_NOTHING)
        if gate.open:
            facts = [*texts, *(each.date for each in passages), prompt.turns[-1].text]
            notices = (*notices, *_unseen(unseen_numbers(gate.text, facts)))
        yield Account(supported, usage, notices)


class _Gate:
    """Holds the beginning of an answer back until the sources support it."""

    def __init__(
        self, sources: Sequence[Collection[str]], terms: Terms, least: float, *, in_korean: bool
    ) -> None:
        self._sources = sources
        self._terms = terms
        self._least = least
        # What cites a Korean source has some of its words. Sources in another language share few with any answer.
        self._least_cited = _CITED_SHARE if in_korean else 0.0
        self._held: list[AnswerPiece] = []
        self._cited = False
        self._looked = 0
        self.open = False
        self.text = ""

    def let_through(self, piece: AnswerPiece) -> Iterator[AnswerPiece]:
        """Yield what may be shown by now."""
        self.text += piece.text
        # "Nothing was found [1]" cites nothing.
        self._cited = self._cited or (bool(piece.sources) and not denies(self.text))
        if self.open:
            yield piece
            return
        self._held.append(piece)
        if self._cites(piece) or self._speaks_of_the_sources(piece.text):
            yield from self._release()

    def finish(self) -> Generator[AnswerPiece, None, bool]:
        """Yield what is left, with the source that supports an answer which names none; return whether one does."""
        if self._cited and (self.open or self._shares(self._least_cited)):
            yield from self._release()
            return True
        terms = self._terms(self.text)
        if not self.text.strip() or refuses(self.text) or coverage(terms, self._sources) < self._least:
            return False
        yield from self._release(at_end=True)
        number = best_source(terms, self._sources)
        yield AnswerPiece(f" [{number}]", (number,))
        return True

    def _release(self, *, at_end: bool = False) -> Iterator[AnswerPiece]:
        """Open the gate, and yield what stood before it in one piece."""
        self.open = True
        if self._held:
            text = "".join(each.text for each in self._held).lstrip()
            numbers = tuple(dict.fromkeys(number for each in self._held for number in each.sources))
            self._held = []
            yield AnswerPiece(text.rstrip() if at_end else text, numbers)

    def _cites(self, piece: AnswerPiece) -> bool:
        return self._cited and bool(piece.sources) and self._shares(self._least_cited)

    def _shares(self, least: float) -> bool:
        terms = self._terms(self.text)
        # "Yes, that is possible [1]." has too few terms to miss any.
        return len(terms) < _FEW_TERMS or coverage(terms, self._sources) >= least

    def _speaks_of_the_sources(self, latest: str) -> bool:
        # Words are only looked at when one has ended; half a word is another word.
        if not latest[-1:].isspace() and not latest[:1].isspace():
            return False
        said = self.text if latest[-1:].isspace() else self.text.rsplit(None, 1)[0]
        if len(said) < self._looked * _LOOK_AGAIN or refuses(said):
            return False
        self._looked = len(said)
        terms = self._terms(said)
        return len(terms) >= _OPENING_TERMS and coverage(terms, self._sources) >= self._least


def _spoken(stream: Iterator[str | Usage]) -> Iterator[str | Usage]:
    """Yield what a model says without what it thinks aloud before."""
    thoughts = Thoughts()
    for part in stream:
        if isinstance(part, Usage):
            if rest := thoughts.finish():
                yield rest
            yield part
        elif text := thoughts.feed(part):
            yield text


def _plain(stream: Iterator[str | Usage]) -> Iterator[AnswerPiece | Account]:
    usage: Usage | None = None
    for part in stream:
        if isinstance(part, Usage):
            usage = part
        else:
            yield AnswerPiece(part)
    yield Account(True, usage, (_CUT,) if usage is not None and usage.finish == "length" else ())


def _messages(system: str, turns: Sequence[Turn]) -> list[Message]:
    return [Message("system", system), *(Message(turn.speaker, turn.text) for turn in turns)]


def _left_out(found: int, read: int) -> tuple[Text, ...]:
    if read == found:
        return ()
    return (
        Text(
            f"모델의 문맥 길이 때문에 출처 {found}개 가운데 앞의 {read}개만 읽었습니다.",
            f"Only the first {read} of {found} sources were read: the model's context holds no more.",
        ),
    )


def _unseen(numbers: Sequence[str]) -> tuple[Text, ...]:
    if not numbers:
        return ()
    listed = ", ".join(numbers[:5])
    return (
        Text(
            f"출처에 그대로 적혀 있지 않은 숫자입니다. 확인하십시오: {listed}",
            f"These numbers do not stand in the sources; check them: {listed}",
        ),
    )
