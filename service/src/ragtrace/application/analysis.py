"""Question analysis: by a language model with constrained output, by rules where there is none or it writes nonsense."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from ragtrace.application.ports import Clock, Generation, LanguageModel, LexicalAnalyzer, Message, never
from ragtrace.domain.analysis import SCHEMA, Analysis, names_time, narrows_search, needs_table, read_analysis
from ragtrace.domain.citations import without_marks
from ragtrace.domain.conversation import Turn, alternating, joined, leans
from ragtrace.domain.periods import find_period, plainly
from ragtrace.domain.thinking import without_thoughts
from ragtrace.errors import TooLarge

LOG = logging.getLogger("ragtrace")
Mode = Literal["auto", "model", "rules"]
_TOKENS = 320
_TURNS = 4
_TURN_CHARS = 400
# A clearer question keeps what was asked: at least this share of its terms.
_KEPT_SHARE = 0.5

_RULES = """당신은 사내 문서 검색을 돕습니다. 마지막 질문을 분석해 JSON 하나만 씁니다.
- question: 앞의 대화를 보지 않아도 뜻이 통하도록 다시 쓴 질문. 묻는 내용을 바꾸거나 답하지 않습니다. 이미 분명하면 그대로 씁니다.
- keywords: 검색할 핵심 명사 1~8개. 질문과 대화에 나온 말을 씁니다.
- table: 여러 행의 숫자를 세거나 더하거나 견주어야 답할 수 있으면 true, 아니면 false.
- since, until: 질문이 기간을 말하면 그 첫날과 끝날(YYYY-MM-DD), 아니면 빈 글 ""."""


@dataclass(frozen=True)
class Analyst:
    """The use case. `auto` asks the model only about a question that leans on what was said before it: there rules
    can do no more than put both questions together, and everywhere else a model costs seconds before the answer.
    """

    analyzer: LexicalAnalyzer
    clock: Clock
    model: LanguageModel | None = None
    mode: Mode = "auto"

    def analyse(
        self, text: str, history: Sequence[Turn] = (), cancelled: Callable[[], bool] = never
    ) -> Analysis:
        """Return what a question is about. Engine failures of the model are raised; nonsense of it is not believed."""
        ruled = self._by_rules(text, history)
        if self.model is None or not self._worth_asking(text, history):
            return ruled
        told = self._by_model(self.model, text, history, cancelled)
        if told is None:
            return ruled
        return self._believed(told, ruled, text, history)

    def _worth_asking(self, text: str, history: Sequence[Turn]) -> bool:
        if self.mode == "model":
            return True
        constrained = self.model is not None and self.model.constrains
        return self.mode == "auto" and constrained and bool(history) and self._leans(text)

    def _by_rules(self, text: str, history: Sequence[Turn]) -> Analysis:
        today = self._today()
        whole = joined(text.strip(), history, self._leans)
        # The last question may move the time of the one before it: "작년 매출은?" - "그럼 올해는?"
        period = find_period(text, today) or find_period(whole, today)
        clear = plainly(whole, today)
        inherited: frozenset[str] = frozenset()
        if whole != text.strip():
            own = self.analyzer.question_terms(plainly(text, today))
            inherited = frozenset(self.analyzer.question_terms(clear)) - frozenset(own)
        return Analysis(
            clear,
            (),
            needs_table(whole, period),
            period,
            inherited=inherited,
            narrows=period is None or narrows_search(whole, period, today),
        )

    def _by_model(
        self, model: LanguageModel, text: str, history: Sequence[Turn], cancelled: Callable[[], bool]
    ) -> Analysis | None:
        said = [
            Message(turn.speaker, without_marks(turn.text)[:_TURN_CHARS])
            for turn in alternating(history)[-_TURNS:]
        ]
        today = self._today()
        system = f"{_RULES}\n오늘은 {today.year}년 {today.month}월 {today.day}일입니다."
        messages = [Message("system", system), *said, Message("user", f"질문: {text.strip()}")]
        generation = Generation(max_tokens=_TOKENS, schema=SCHEMA)
        try:
            pieces = [
                piece for piece in model.stream(messages, generation, cancelled) if isinstance(piece, str)
            ]
        except TooLarge as problem:
            LOG.info("the question was analysed by rules: %s", problem)
            return None
        found = read_analysis(without_thoughts("".join(pieces)))
        if found is None and not cancelled():
            LOG.info("the question was analysed by rules: the model wrote no analysis")
        return found

    def _believed(self, told: Analysis, ruled: Analysis, text: str, history: Sequence[Turn]) -> Analysis:
        """Return what of the model's analysis holds against the question itself."""
        terms = set(self.analyzer.question_terms(plainly(text, self._today())))
        kept = terms & set(self.analyzer.question_terms(told.question))
        # A follow-up says little of its own, and its pointing words go.
        least = min(1, len(terms)) if history and self._leans(text) else _KEPT_SHARE * len(terms)
        faithful = len(kept) >= least
        period = ruled.period or (told.period if names_time(joined(text, history, self._leans)) else None)
        return replace(
            told,
            question=told.question if faithful else ruled.question,
            inherited=frozenset() if faithful else ruled.inherited,
            table=told.table or ruled.table,
            period=period,
            narrows=period is None
            or narrows_search(joined(text.strip(), history, self._leans), period, self._today()),
        )

    def _leans(self, text: str) -> bool:
        """Say whether a question leans on what was said: by its words, or because it hardly says what it is about."""
        if leans(text):
            return True
        return len(text.split()) > 1 and len(set(self.analyzer.question_terms(text))) <= 1

    def _today(self) -> date:
        return self.clock.now().date()
