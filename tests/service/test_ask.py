"""The question's use case over twins: what counts as support."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ragtrace.adapters.extractive import ExtractiveModel
from ragtrace.application.analysis import Analyst
from ragtrace.application.ask import Ask, Asking
from ragtrace.application.grounded import Grounded
from ragtrace.application.rooms import Rooms
from ragtrace.domain.answers import NO_EVIDENCE, Account, AnswerPiece, Question
from ragtrace.domain.conversation import Turn
from ragtrace.domain.retrieval import Found
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.limits import ROOM_TURN_CHARS
from ragtrace.testing.language import ScriptedLanguageModel
from ragtrace.testing.memory import FixedClock, MemorySource, QuotingModel, WordAnalyzer
from tests.service.support import asking, ingest

FILES = {
    "security.txt": "보안 지침\n비밀번호 변경 은 90일 마다 한다.".encode(),
    "travel.txt": "출장 규정\n숙박비 정산 은 실비 로 한다.".encode(),
}


def test_a_word_that_no_document_has_does_not_outweigh_what_was_found_in_a_small_corpus() -> None:
    use_case = ingest()
    use_case.run(MemorySource(dict(FILES)))
    ask = asking(use_case, ExtractiveModel(WordAnalyzer(), 3, 0.5))
    assert ask.answer("비밀번호 변경 주기").supported
    assert not ask.answer("양자 컴퓨터 변경 원리").supported


def test_a_question_is_found_by_what_it_leans_on_and_its_room_remembers() -> None:
    use_case = ingest()
    use_case.run(MemorySource(dict(FILES)))
    ask = asking(use_case, ExtractiveModel(WordAnalyzer(), 3, 0.3))
    assert not ask.answer(Asking("그럼 그건 언제 하나요?", room="r")).supported
    first = ask.answer(Asking("비밀번호 변경 주기", room="a"))
    assert first.supported
    assert ask.answer(Asking("그럼 변경 방법?", room="a")).passages[0].path == "security.txt"
    assert [turn.text for turn in ask.rooms.said("a")][:2] == ["비밀번호 변경 주기", first.text]
    assert ask.rooms.said("b") == ()


def test_history_that_is_given_counts_instead_of_the_rooms() -> None:
    use_case = ingest()
    use_case.run(MemorySource(dict(FILES)))
    ask = asking(use_case)
    ask.answer(Asking("비밀번호 변경 주기", room="a"))
    given = (Turn("user", "숙박비 정산 기준"), Turn("assistant", "실비"))
    prepared = ask.retrieve(Asking("그건 언제?", history=given, room="a"))
    assert prepared.question.standalone == "숙박비 정산 기준 그건 언제?"
    assert prepared.passages[0].path == "travel.txt"


@dataclass
class Finding:
    """Finds nothing and remembers where it was to look."""

    scopes: list[Scope] = field(default_factory=list)

    def find(
        self, text: str, scope: Scope = EVERYTHING, *, extra: Sequence[str] = (), top_n: int | None = None
    ) -> Found:
        self.scopes.append(scope)
        return Found(Question(text, {}), ())


def test_days_that_a_question_names_narrow_the_search_unless_days_were_given() -> None:
    finder = Finding()
    ask = Ask(finder, QuotingModel(), Analyst(WordAnalyzer(), FixedClock()))
    groups = frozenset({"인사"})
    ask.retrieve(Asking("2024년 상반기 실적", scope=Scope(groups=groups)))
    ask.retrieve(Asking("2024년 상반기 실적", scope=Scope(since="2020-01-01")))
    replace(ask, use_period=False).retrieve("2024년 상반기 실적")
    assert finder.scopes == [Scope("2024-01-01", "2024-06-30", groups), Scope("2020-01-01"), EVERYTHING]


def test_what_was_cancelled_is_not_remembered() -> None:
    model = ScriptedLanguageModel("말 " * 50)
    ask = Ask(Finding(), Grounded(model, WordAnalyzer()), Analyst(WordAnalyzer(), FixedClock()))
    ask.answer(Asking("안녕?", rag=False, room="r"), cancelled=lambda: True)
    assert ask.rooms.said("r") == ()
    ask.answer(Asking("안녕?", rag=False, room="r"))
    assert len(ask.rooms.said("r")) == 2


def test_who_stops_reading_stops_the_engine() -> None:
    model = ScriptedLanguageModel("말 " * 50)
    ask = Ask(Finding(), Grounded(model, WordAnalyzer()), Analyst(WordAnalyzer(), FixedClock()))
    pieces = ask.pieces(ask.retrieve(Asking("안녕?", rag=False)))
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert (model.running, model.stopped) == (0, 1)


def test_the_account_comes_last_and_once_also_where_nothing_supports_an_answer() -> None:
    ask = Ask(Finding(), QuotingModel(), Analyst(WordAnalyzer(), FixedClock()))
    *pieces, account = ask.pieces(ask.retrieve("휴가?"))
    assert pieces == [AnswerPiece(NO_EVIDENCE)]
    assert account == Account(False)


def test_rooms_forget_the_oldest() -> None:
    rooms = Rooms(most=2, turns=4)
    for name in ("a", "b", "a", "c"):
        rooms.add(name, [Turn("user", f"{name}" * 5000), Turn("assistant", "답")])
    assert rooms.said("b") == () and len(rooms.said("a")) == 4
    rooms.add("a", [Turn("user", "새"), Turn("assistant", "답")])
    assert len(rooms.said("a")) == 4 and rooms.said("a")[-2].text == "새"
    assert len(rooms.said("c")[0].text) == ROOM_TURN_CHARS


def test_a_new_subject_that_only_looks_like_a_follow_up_is_answered_for_itself() -> None:
    use_case = ingest()
    use_case.run(MemorySource({**FILES, "travel.txt": "출장 규정\n숙박비 정산은 실비 로 한다.".encode()}))
    ask = asking(use_case, ExtractiveModel(WordAnalyzer(), 3, 0.5))
    history = (Turn("user", "양자 컴퓨터 원리 설명 부탁"), Turn("assistant", NO_EVIDENCE))
    asked = Asking("숙박비 정산은?", history=history)
    assert not ask.answer(replace(asked, text="김치찌개는?")).supported
    found = ask.retrieve(asked)
    assert found.question.standalone.startswith("양자") and found.passages[0].path == "travel.txt"
    assert found.question.terms["컴퓨터"] < found.question.terms["숙박비"] / 2
    assert ask.complete(found).supported
