"""What every analyzer and every answering model does."""

from __future__ import annotations

import pytest

from ragtrace.adapters.extractive import ExtractiveModel
from ragtrace.adapters.kiwi import KiwiAnalyzer
from ragtrace.adapters.whitespace import WhitespaceAnalyzer
from ragtrace.application.grounded import Grounded
from ragtrace.application.ports import Answerer, LexicalAnalyzer
from ragtrace.domain.answers import Account, AnswerPiece, Passage, Question
from ragtrace.testing.language import ScriptedLanguageModel
from ragtrace.testing.memory import QuotingModel, WordAnalyzer

_KIWI = KiwiAnalyzer(workers=2, multiword=False)


@pytest.fixture(params=["words", "whitespace", "kiwi"])
def analyzer(request: pytest.FixtureRequest) -> LexicalAnalyzer:
    made: dict[str, LexicalAnalyzer] = {
        "words": WordAnalyzer(), "whitespace": WhitespaceAnalyzer(), "kiwi": _KIWI,
    }  # fmt: skip
    return made[request.param]


@pytest.fixture(params=["quoting", "extractive", "grounded"])
def model(request: pytest.FixtureRequest) -> Answerer:
    made: dict[str, Answerer] = {
        "quoting": QuotingModel(),
        "extractive": ExtractiveModel(WhitespaceAnalyzer(), 3, 0.5),
        "grounded": Grounded(ScriptedLanguageModel("휴가 는 3일 전에 신청합니다 [1]."), WhitespaceAnalyzer()),
    }
    return made[request.param]


def passage(text: str, title: str = "규정") -> Passage:
    return Passage("c", "d", "a.txt", title, (), text, "")


def test_texts_keep_their_order_and_number(analyzer: LexicalAnalyzer) -> None:
    analyzer.load()
    found = analyzer.analyze(["서버 포트", "", "휴가 신청"])
    assert [bool(each) for each in found] == [True, False, True]
    assert analyzer.analyze([]) == []
    assert "서버" in found[0] and "휴가" in found[2]


def test_the_same_text_gives_the_same_terms_alone_and_in_a_batch(analyzer: LexicalAnalyzer) -> None:
    texts = ["PDF 파일 설정", "서버 PDF"]
    assert analyzer.analyze(texts) == [analyzer.analyze([text])[0] for text in texts]
    assert "pdf" in analyzer.analyze(texts)[0]


def test_kiwi_finds_the_noun_behind_its_particle() -> None:
    assert set(_KIWI.question_terms("서버를 어떻게 설정하나요?")) == {"서버", "설정"}


def test_kiwi_leaves_out_what_asks_but_not_what_is_asked_about() -> None:
    assert set(_KIWI.question_terms("찾기 및 바꾸기를 찾아 주세요")) == {"찾", "바꾸"}
    assert _KIWI.question_terms("서버를 찾아 주세요") == ("서버",)


def test_no_passages_give_no_answer(model: Answerer) -> None:
    model.load()
    assert list(model.answer(Question("휴가", {"휴가": 1.0}), [])) == []


def test_an_answer_names_its_sources_and_none_that_does_not_exist(model: Answerer) -> None:
    made = list(model.answer(Question("휴가", {"휴가": 1.0}), [passage("휴가 는 3일 전에 신청합니다.")]))
    pieces = [each for each in made if isinstance(each, AnswerPiece)]
    assert {number for piece in pieces for number in piece.sources} == {1}
    assert all((f"[{number}]" in piece.text) for piece in pieces for number in piece.sources)
    # An account, where there is one, comes last and once.
    assert not [each for each in made[:-1] if isinstance(each, Account)]


def test_extractive_answers_are_word_for_word_from_the_passages() -> None:
    texts = [
        "휴가 신청은 3일 전에 합니다. 팀장이 승인합니다.\n메뉴",
        "출장 신청은 따로 합니다. 휴가 일수는 15일입니다.",
    ]
    model = ExtractiveModel(_KIWI, 5, 0.3)
    question = Question("휴가 신청", {"휴가": 2.0, "신청": 1.0})
    made = model.answer(question, [passage(text) for text in texts])
    answer = "".join(each.text for each in made)
    for line in answer.split("\n"):
        sentence, _, number = line.rpartition(" [")
        assert sentence in texts[int(number.rstrip("]")) - 1]


def test_extractive_stays_silent_when_most_of_the_question_is_not_covered() -> None:
    model = ExtractiveModel(WhitespaceAnalyzer(), 3, 0.5)
    question = Question("김치찌개 법", {"김치찌개": 9.0, "법": 1.0})
    assert list(model.answer(question, [passage("이 법 은 좋습니다.")])) == []
