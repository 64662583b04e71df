"""Answers of a language model: only what sources support is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragtrace.application.grounded import Grounded
from ragtrace.application.ports import Generation
from ragtrace.domain.answers import Account, AnswerPiece, Passage, Question, Wishes
from ragtrace.domain.conversation import Turn
from ragtrace.domain.thinking import Thoughts, without_thoughts
from ragtrace.errors import ModelProblem, TooLarge
from ragtrace.testing.language import ScriptedLanguageModel
from ragtrace.testing.memory import WordAnalyzer
from ragtrace.text import Text

SOURCE = "휴가 신청 은 3일 전 까지 팀장 에게 합니다"


def passage(text: str = SOURCE) -> Passage:
    return Passage("c", "d", "a.txt", "규정", (), text, "")


def ask(
    reply: str | list[str],
    *,
    sources: int = 2,
    question: Question | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    **more: Any,
) -> tuple[list[AnswerPiece], Account | None, ScriptedLanguageModel]:
    model = ScriptedLanguageModel(reply, **more)
    grounded = Grounded(model, WordAnalyzer(), Generation(max_tokens=200))
    made = list(grounded.answer(question or Question("휴가 신청 은?", {}), [passage()] * sources, cancelled))
    pieces = [each for each in made if isinstance(each, AnswerPiece)]
    accounts = [each for each in made if isinstance(each, Account)]
    assert len(accounts) <= 1 and (not accounts or made[-1] is accounts[0])
    return pieces, accounts[0] if accounts else None, model


def shown(pieces: list[AnswerPiece]) -> str:
    return "".join(each.text for each in pieces)


def test_a_cited_answer_is_shown_with_its_sources_and_cost() -> None:
    pieces, account, _ = ask("팀장 에게 3일 전 까지 합니다 [1]. 끝 [7].")
    assert shown(pieces) == "팀장 에게 3일 전 까지 합니다 [1]. 끝."
    assert {number for each in pieces for number in each.sources} == {1}
    assert (
        account is not None
        and account.supported
        and account.usage is not None
        and account.usage.answer_tokens == 9
    )
    assert account.notices == ()


def test_an_answer_streams_once_its_opening_speaks_of_the_sources() -> None:
    pieces, _, _ = ask("휴가 신청 은 3일 전 까지 하면 됩니다 그리고 끝 [1].")
    assert len(pieces) > 4 and len(pieces[0].text.split()) <= 5


def test_an_answer_that_the_sources_do_not_know_is_never_shown() -> None:
    pieces, account, _ = ask("김치찌개 는 돼지고기 와 두부 를 넣고 오래 끓이면 아주 맛있습니다.")
    assert pieces == [] and account is not None and not account.supported
    assert account.usage is not None


def test_numbers_of_sources_that_do_not_exist_support_nothing() -> None:
    pieces, account, _ = ask("김치찌개 는 돼지고기 와 두부 를 넣습니다 [3].")
    assert pieces == [] and account is not None and not account.supported


@pytest.mark.parametrize(
    "reply",
    [
        "문서에서 근거를 찾지 못했습니다.",
        "문서에서 근거를 찾지 못했습니다. [1]",
        "제공된 자료 에서 휴가 신청 정보 를 찾을 수 없습니다.",
        "",
        "  \n",
    ],
)
def test_a_model_that_found_nothing_is_taken_at_its_word(reply: str) -> None:
    pieces, account, _ = ask(reply)
    assert pieces == [] and account is not None and not account.supported


def test_an_uncited_answer_that_a_source_supports_gets_its_number() -> None:
    pieces, account, _ = ask("휴가 신청 은 3일 전 까지")
    assert shown(pieces) == "휴가 신청 은 3일 전 까지 [1]" and pieces[-1].sources == (1,)
    assert account is not None and account.supported


def test_an_answer_that_leaves_the_sources_after_its_opening_is_marked() -> None:
    pieces, account, _ = ask(
        "휴가 신청 은 3일 전 "
        + "까지입니다만 김치찌개 는 돼지고기 와 두부 를 넣고 오래 끓여야 제맛 이 난다고들 말합니다 " * 2
    )
    assert shown(pieces).startswith("휴가 신청")
    assert account is not None and not account.supported and "인용" in account.notices[0].ko


def test_without_passages_no_model_is_asked() -> None:
    pieces, account, model = ask("아무 말", sources=0)
    assert (pieces, account, model.asked) == ([], None, [])


def test_without_retrieval_the_model_answers_alone_and_nothing_is_changed() -> None:
    question = Question("행렬 이란?", {}, rag=False, history=(Turn("user", "안녕"), Turn("assistant", "네")))
    pieces, account, model = ask("a[0][9] 처럼 적습니다 [3].", sources=0, question=question)
    assert shown(pieces) == "a[0][9] 처럼 적습니다 [3]."
    assert account is not None and account.supported
    messages = model.asked[0][0]
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]


def test_sources_that_do_not_fit_are_left_out_and_that_is_said() -> None:
    pieces, account, model = ask("3일 전 입니다 [1] [5].", sources=5, context_tokens=170)
    text = model.asked[0][0][-1].content
    assert account is not None and 0 < text.count("<자료 ") < 5
    assert str(text.count("<자료 ")) in account.notices[0].ko
    # The number of a source that was not read supports nothing.
    assert "[5]" not in shown(pieces)


def test_a_question_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TooLarge):
        ask("가", context_tokens=60)


def test_wishes_are_heeded_up_to_what_is_configured() -> None:
    wishes = Wishes(max_tokens=10_000, temperature=0.7, top_p=0.5, seed=3, stop=("끝",))
    _, _, model = ask("3일 [1]", question=Question("휴가?", {}, wishes=wishes))
    generation = model.asked[0][1]
    assert (generation.max_tokens, generation.temperature, generation.top_p, generation.seed, generation.stop) == (
        200, 0.7, 0.5, 3, ("끝",),
    )  # fmt: skip


def test_an_answer_that_was_cut_says_so() -> None:
    _, account, _ = ask(
        "휴가 신청 [1] 은 3일 전 까지", question=Question("휴가?", {}, wishes=Wishes(max_tokens=3))
    )
    assert account is not None and account.usage is not None and account.usage.finish == "length"
    assert "끊겼" in account.notices[-1].ko


def test_an_engine_that_fails_is_an_error_not_an_answer() -> None:
    with pytest.raises(ModelProblem):
        ask("휴가 신청 은 3일 전 [1]", failure=ModelProblem(Text("고장", "broken")), fails_after=2)


def test_closing_an_answer_stops_the_engine() -> None:
    model = ScriptedLanguageModel("휴가 [1] " + "말 " * 500)
    answer = Grounded(model, WordAnalyzer()).answer(Question("휴가?", {}), [passage()])
    assert isinstance(next(answer), AnswerPiece)
    assert model.running == 1
    answer.close()  # type: ignore[attr-defined]
    assert (model.running, model.stopped) == (0, 1)


def test_cancelling_stops_the_engine_between_pieces() -> None:
    asked = iter(range(100))
    _, account, model = ask("휴가 [1] " + "말 " * 500, cancelled=lambda: next(asked) > 5)
    assert account is not None and account.usage is not None and account.usage.finish == "cancelled"
    assert model.running == 0


def test_a_citation_alone_does_not_let_another_subject_through() -> None:
    pieces, account, _ = ask("김치찌개 는 돼지고기 와 두부 를 넣고 오래 끓입니다 [1].")
    assert pieces == [] and account is not None and not account.supported


def test_a_cited_answer_from_a_source_in_another_language_is_shown() -> None:
    model = ScriptedLanguageModel("휴가 신청 은 사흘 앞서 해야 합니다 [1].")
    english = passage("Leave has to be requested three days before, from the head of the team.")
    made = list(
        Grounded(model, WordAnalyzer()).answer(Question("휴가?", {}), [replace(english, title="Leave")])
    )
    assert isinstance(made[-1], Account) and made[-1].supported and len(made) > 1


def test_numbers_that_no_source_has_are_pointed_out() -> None:
    _, account, _ = ask("휴가 신청 은 3일 전 까지, 모두 25 일이며 1,500 원 [1].")
    assert account is not None and account.supported
    assert account.notices[0].ko.endswith("25, 1,500")


def test_a_short_cited_answer_needs_no_words_of_the_source() -> None:
    pieces, account, _ = ask("가능합니다 [1].")
    assert shown(pieces) == "가능합니다 [1]." and account is not None and account.supported


@pytest.mark.parametrize(
    "said", ["<think>\n김치찌개 [1] 는 </b> 아니고\n</think>\n\n", "  <think></think> ", ""]
)
def test_what_a_model_thinks_aloud_is_not_shown(said: str) -> None:
    pieces, account, _ = ask(f"{said}휴가 신청 은 3일 전 까지 <think> [1].")
    assert (
        shown(pieces) == "휴가 신청 은 3일 전 까지 <think> [1]." and account is not None and account.supported
    )


def test_thoughts_that_never_end_are_no_answer_and_that_is_said() -> None:
    question = Question("휴가?", {}, wishes=Wishes(max_tokens=5))
    pieces, account, _ = ask("<think> 휴가 신청 은 3일 전 까지 팀장 에게 [1] 그러니까", question=question)
    assert pieces == [] and account is not None and not account.supported and "끊겼" in account.notices[0].ko


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<", "think", ">", "/", "가", " ", "\n"]), max_size=12
    ).map("".join),
    st.data(),
)
def test_where_thoughts_are_cut_makes_no_difference(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    thoughts = Thoughts()
    parts = [text[a:b] for a, b in zip((0, *cuts), (*cuts, len(text)), strict=True)]
    fed = "".join(thoughts.feed(part) for part in parts) + thoughts.finish()
    assert fed.strip() == without_thoughts(text).strip()
