"""Question analysis: rules, a model's word, and what is believed of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ragtrace.adapters.kiwi import KiwiAnalyzer
from ragtrace.application.analysis import Analyst, Mode
from ragtrace.domain.analysis import SCHEMA, needs_table, read_analysis
from ragtrace.domain.conversation import Turn
from ragtrace.domain.periods import Period
from ragtrace.errors import ModelProblem
from ragtrace.testing.language import ScriptedLanguageModel, least
from ragtrace.testing.memory import FixedClock, WordAnalyzer
from ragtrace.text import Text

CLOCK = FixedClock(datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
HISTORY = (Turn("user", "연차 신청 은 며칠 전에 하나요?"), Turn("assistant", "3일 전입니다 [1]."))
GOOD = {
    "question": "반차 신청 은 며칠 전에 하나요?",
    "keywords": ["반차", "신청"],
    "table": False,
    "since": "",
    "until": "",
}


def analyst(
    reply: str | dict[str, Any] = "", mode: Mode = "auto", **more: Any
) -> tuple[Analyst, ScriptedLanguageModel]:
    text = reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
    model = ScriptedLanguageModel(text, **more)
    return Analyst(WordAnalyzer(), CLOCK, model, mode), model


def test_without_a_model_rules_say_what_is_asked() -> None:
    found = Analyst(WordAnalyzer(), CLOCK).analyse("작년 부서별 매출 합계는?")
    assert (found.question, found.table, str(found.period), found.by) == (
        "2025년 부서별 매출 합계는?",
        True,
        "2025-01-01:2025-12-31",
        "rules",
    )


def test_a_question_that_stands_alone_costs_no_model_call_unless_that_is_wished() -> None:
    modes: tuple[tuple[Mode, int], ...] = (("auto", 0), ("rules", 0), ("model", 1))
    for mode, calls in modes:
        found, model = analyst(GOOD, mode)
        found.analyse("반차 신청 은 며칠 전에 하나요?", HISTORY)
        assert len(model.asked) == calls


def test_a_question_that_leans_on_the_conversation_is_said_clearly_by_the_model() -> None:
    asked, model = analyst(GOOD)
    found = asked.analyse("그럼 반차 는?", HISTORY)
    assert (found.question, found.keywords, found.by) == (GOOD["question"], ("반차", "신청"), "model")
    messages, generation = model.asked[0]
    assert generation.schema is SCHEMA and generation.temperature == 0
    assert "[1]" not in "".join(message.content for message in messages)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "모르겠습니다",
        "{",
        '{"question": ""}',
        '{"question": 3, "keywords": []}',
        "[]",
        '{"question": "가", "table": "예"}',
    ],
)
def test_nonsense_of_a_model_falls_back_to_the_rules(reply: str) -> None:
    asked, model = analyst(reply, "model", constrains=False)
    found = asked.analyse("그럼 반차 는?", HISTORY)
    assert len(model.asked) == 1
    assert (found.by, found.question) == ("rules", "연차 신청 은 며칠 전에 하나요? 그럼 반차 는?")


def test_a_model_that_does_not_obey_a_schema_is_asked_only_where_that_is_wished() -> None:
    asked, model = analyst(
        f"분석:\n```json\n{json.dumps(GOOD, ensure_ascii=False)}\n```", "auto", constrains=False
    )
    assert asked.analyse("그럼 반차 는?", HISTORY).by == "rules" and not model.asked
    asked, _ = analyst(
        f"분석:\n```json\n{json.dumps(GOOD, ensure_ascii=False)}\n```", "model", constrains=False
    )
    assert asked.analyse("그럼 반차 는?", HISTORY).question == GOOD["question"]


def test_a_question_that_the_model_made_another_one_of_is_not_believed() -> None:
    asked, _ = analyst({**GOOD, "question": "오늘 날씨 는 어때?"}, "model")
    assert asked.analyse("반차 신청 방법").question == "반차 신청 방법"


def test_a_range_of_days_is_not_believed_where_no_time_was_named() -> None:
    dated = {**GOOD, "question": "반차 신청 방법", "since": "2024-01-01", "until": "2024-12-31"}
    assert analyst(dated, "model")[0].analyse("반차 신청 방법").period is None
    hinted = {**dated, "question": "재재작년 반차 신청 방법"}
    assert analyst(hinted, "model")[0].analyse("재재작년 반차 신청 방법").period == Period(
        "2024-01-01", "2024-12-31"
    )


def test_days_that_rules_know_are_not_changed_by_a_model() -> None:
    dated = {**GOOD, "question": "2025년 반차 신청 방법", "since": "1999-01-01", "until": "1999-12-31"}
    assert str(analyst(dated, "model")[0].analyse("작년 반차 신청 방법").period) == "2025-01-01:2025-12-31"


def test_a_failing_engine_is_an_error_not_a_guess() -> None:
    asked, _ = analyst(GOOD, "model", failure=ModelProblem(Text("고장", "broken")))
    with pytest.raises(ModelProblem):
        asked.analyse("반차 신청 방법")


def test_a_question_too_long_for_the_model_is_analysed_by_rules() -> None:
    asked, _ = analyst(GOOD, "model", context_tokens=20)
    assert asked.analyse("반차 신청 방법").by == "rules"


def test_the_least_that_fits_the_schema_can_be_read() -> None:
    assert read_analysis(json.dumps(least(SCHEMA))) is not None


def test_the_time_of_a_follow_up_counts_before_that_of_the_question_it_follows() -> None:
    history = (Turn("user", "작년 매출 은?"), Turn("assistant", "10억"))
    asked = Analyst(WordAnalyzer(), CLOCK)
    assert str(asked.analyse("그럼 올해 는?", history).period) == "2026-01-01:2026-12-31"
    assert str(asked.analyse("그럼 이익 은?", history).period) == "2025-01-01:2025-12-31"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("월별 매출 추이", True), ("부서별 인원수를 표로", True), ("상위 5개 거래처", True), ("가장 많이 팔린 제품", True), ("비용이 얼마야", False),
        ("휴가는 며칠 전까지 신청하나요?", False), ("팀장 몇 명의 승인이 필요해?", False), ("비밀번호 변경 방법", False), ("특별 휴가 신청", False), ("개별 면담 절차", False),
    ],
)  # fmt: skip
def test_figures_need_a_table_and_rules_do_not(question: str, expected: bool) -> None:
    assert needs_table(question, None) is expected


def test_a_count_over_a_time_needs_a_table() -> None:
    assert needs_table("장애는 몇 건 있었나요?", Period("2025-01-01", "2025-12-31"))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("작년 매출은?", True), ("오늘 올라온 공지", True), ("2023년 이후 개정된 규정", True), ("올해 휴가 규정", True), ("이번 주 회의록", True), ("2020년 이전 규정", True),
        ("내일 휴가를 내려면?", False), ("내년 예산 계획", False), ("오늘 반차를 쓰려면?", False), ("2020년 이전 입사자의 연차는?", False), ("2023년에 입사한 직원", False),
    ],
)  # fmt: skip
def test_only_a_time_that_documents_may_have_narrows_the_search(question: str, expected: bool) -> None:
    found = Analyst(WordAnalyzer(), CLOCK).analyse(question)
    assert found.period is not None and found.narrows is expected


def test_a_question_that_hardly_says_what_it_is_about_leans_on_the_one_before() -> None:
    kiwi = KiwiAnalyzer(workers=1, multiword=False)
    history = (Turn("user", "연차 휴가는 며칠 전까지 신청하나요?"), Turn("assistant", "3일 전입니다."))
    found = Analyst(kiwi, CLOCK).analyse("누가 승인하나요?", history)
    assert found.question == "연차 휴가는 며칠 전까지 신청하나요? 누가 승인하나요?"
    assert found.inherited and "승인" not in found.inherited
    assert (
        Analyst(kiwi, CLOCK).analyse("출장비 정산은 누가 승인하나요?", history).question
        == "출장비 정산은 누가 승인하나요?"
    )
    assert Analyst(kiwi, CLOCK).analyse("출장비", history).question == "출장비"
