"""The use case over twins: which chunks come, in which order, and what is said about them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ragtrace.application.ports import IndexMark, StoredDocument, VectorEntry
from ragtrace.application.reconcile import index_entries
from ragtrace.application.retrieve import Retrieve, requested_scope
from ragtrace.domain.chunks import Chunk, chunk_id
from ragtrace.domain.documents import Document, document_id
from ragtrace.domain.fusion import Leg
from ragtrace.domain.retrieval import Candidate, Found, SearchRules
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import InvalidRequest, ModelProblem
from ragtrace.testing.embedding import HashEmbedding
from ragtrace.testing.memory import MemoryIndex, MemoryRecords, WordAnalyzer
from ragtrace.testing.reranking import OverlapReranker
from ragtrace.testing.vectors import MemoryVectors

ALL = frozenset(("dense", "sparse", "colbert"))


def document(path: str, *texts: str, title: str = "제목", date: str = "", group: str = "") -> StoredDocument:
    key = document_id("memory", path)
    chunks = tuple(Chunk(chunk_id(key, n, text), key, n, (), text) for n, text in enumerate(texts))
    return StoredDocument(
        Document(key, "memory", path, title, date, "0" * 64, 1, "r", len(chunks), "2026-01-01", group), chunks
    )


class House:
    """A retrieval over twins, with what stands behind it."""

    def __init__(
        self,
        *documents: StoredDocument,
        rules: SearchRules | None = None,
        legs: frozenset[str] = ALL,
        vectors: bool = False,
        reranker: OverlapReranker | None = None,
    ) -> None:
        self.records, self.index, self.analyzer = MemoryRecords(), MemoryIndex(), WordAnalyzer()
        self.embedding = HashEmbedding()
        self.vectors = MemoryVectors(legs)  # type: ignore[arg-type]
        sequence = self.records.apply(documents, [])
        mark = IndexMark(sequence, self.analyzer.fingerprint, "memory")
        self.index.update([], list(index_entries(documents, self.analyzer)), mark)
        pairs = [(one.document, chunk) for one in documents for chunk in one.chunks]
        made = self.embedding.embed([chunk.text for _, chunk in pairs], self.embedding.outputs)
        entries = [
            VectorEntry(owner.id, chunk.id, embedding, owner.date, owner.group)
            for (owner, chunk), embedding in zip(pairs, made, strict=True)
        ]
        self.vectors.update([], entries, replace(mark, analyzer="e"))
        self.embedding.texts = 0
        self.search = Retrieve(
            self.records,
            self.index,
            self.analyzer,
            rules or SearchRules(),
            self.embedding if vectors else None,
            self.vectors if vectors else None,
            reranker,
        )


def texts(found: Found) -> list[str]:
    return [passage.text for passage in found.passages]


def by_text(house: House, found: Found) -> dict[str, Candidate]:
    known = house.records.passages([each.chunk_id for each in found.explain.candidates])
    return {known[each.chunk_id].text: each for each in found.explain.candidates if each.chunk_id in known}


OFFICE = (
    document("leave.txt", "휴가 신청 은 3일 전", "휴가 일수 는 15일", title="휴가"),
    document("travel.txt", "출장 숙박비 정산", title="출장"),
    document("server.txt", "서버 포트 설정", title="서버"),
)


def test_without_a_model_search_is_lexical_and_says_nothing_is_missing() -> None:
    found = House(*OFFICE).search.find("휴가 신청")
    assert texts(found) == ["휴가 신청 은 3일 전", "휴가 일수 는 15일"]
    assert (found.explain.found, found.notices, found.scope) == ({"lexical": 2}, (), EVERYTHING)
    assert found.passages[0].score == 1.0


def test_legs_are_fused_and_each_ones_part_is_visible() -> None:
    house = House(*OFFICE, vectors=True)
    found = house.search.find("휴가를 신청")
    assert found.explain.found == {"lexical": 1, "dense": 4}
    assert found.explain.weights == {"lexical": 0.4, "dense": 0.6}
    first = found.explain.candidates[0]
    assert {part.leg for part in first.contributions} == {"lexical", "dense"}
    assert sum(part.share for part in first.contributions) == pytest.approx(found.passages[0].score)
    # 휴가를 is no word of any document: only the vectors bring the second one.
    assert texts(found)[:2] == ["휴가 신청 은 3일 전", "휴가 일수 는 15일"]
    assert [part.leg for part in by_text(house, found)["휴가 일수 는 15일"].contributions] == ["dense"]


@pytest.mark.parametrize("leg", ["dense", "sparse", "colbert"])
def test_every_leg_can_be_chosen_alone(leg: Leg) -> None:
    found = House(*OFFICE, vectors=True, rules=SearchRules(weights={leg: 1.0, "lexical": 0.0})).search.find(
        "서버 포트"
    )
    assert set(found.explain.found) == {leg}
    assert texts(found)[0] == "서버 포트 설정"


def test_a_question_is_embedded_once_for_all_legs() -> None:
    weights: dict[Leg, float] = {"dense": 0.3, "sparse": 0.2, "colbert": 0.2, "lexical": 0.3}
    house = House(*OFFICE, vectors=True, rules=SearchRules(weights=weights))
    assert set(house.search.find("서버 포트").explain.found) == {"lexical", "dense", "sparse", "colbert"}
    assert house.embedding.texts == 1


def test_a_leg_that_the_index_has_not_is_left_out_aloud() -> None:
    rules = SearchRules(weights={"dense": 0.5, "colbert": 0.5})
    found = House(*OFFICE, vectors=True, legs=frozenset({"dense"}), rules=rules).search.find("서버")
    assert set(found.explain.found) == {"dense"}
    assert ["colbert" in notice.en for notice in found.notices] == [True]


def test_vectors_that_are_still_being_made_are_left_out_aloud() -> None:
    house = House(*OFFICE, vectors=True)
    house.vectors.clear()
    found = house.search.find("휴가 신청")
    assert (set(found.explain.found), len(found.notices)) == ({"lexical"}, 1)
    assert house.embedding.texts == 0


def test_a_model_that_fails_is_an_error_and_no_half_answer() -> None:
    house = House(*OFFICE, vectors=True)
    with pytest.raises(ModelProblem):
        replace(house.search, embedding=HashEmbedding(poison="휴가")).find("휴가 신청")
    with pytest.raises(ModelProblem):
        replace(house.search, reranker=OverlapReranker("숙박비")).find("출장 휴가")


def test_only_as_many_as_wanted_come() -> None:
    house = House(document("a.txt", *(f"휴가 {n}" for n in range(30))), rules=SearchRules(top_n=7))
    assert len(house.search.find("휴가").passages) == 7
    assert len(house.search.find("휴가", top_n=2).passages) == 2
    with pytest.raises(InvalidRequest):
        house.search.find("휴가", top_n=0)


def test_the_same_text_comes_once() -> None:
    house = House(
        document("a.txt", "휴가 규정", title="가"), document("b.txt", "휴가  규정", "휴가", title="나")
    )
    found = house.search.find("휴가 규정")
    assert len(found.passages) == 2
    assert sorted(each.fate for each in found.explain.candidates) == ["duplicate", "kept", "kept"]


def test_a_chunk_the_records_no_longer_know_does_not_come() -> None:
    house = House(*OFFICE)
    house.records.apply([], [OFFICE[0].document.id])
    found = house.search.find("휴가 신청 서버")
    assert texts(found) == ["서버 포트 설정"]
    assert [each.fate for each in found.explain.candidates] == ["kept", "gone", "gone"]


def test_rights_are_those_of_the_records_while_an_index_is_behind() -> None:
    open_now = document("plan.txt", "합병 계획")
    house = House(open_now, document("menu.txt", "점심 계획"), vectors=True)
    house.records.apply([replace(open_now, document=replace(open_now.document, group="임원"))], [])
    found = house.search.find("합병 계획", Scope(groups=frozenset({"사원"})))
    assert texts(found) == ["점심 계획"]
    assert [each.fate for each in found.explain.candidates] == ["kept", "outside"]


def test_a_scope_is_kept_by_every_leg() -> None:
    secret = document("b.txt", "합병 계획", group="임원", date="2024-01-01")
    house = House(document("a.txt", "합병 소문"), secret, vectors=True, rules=SearchRules(least_in_range=0))
    mine = house.search.find("합병 계획", Scope(groups=frozenset()))
    assert (texts(mine), len(mine.explain.candidates)) == (["합병 소문"], 1)
    assert texts(house.search.find("합병 계획", Scope("2025-01-01"))) == []
    assert texts(house.search.find("합병 계획", Scope("2024-01-01", groups=frozenset({"임원"})))) == [
        "합병 계획"
    ]


def test_a_range_that_holds_too_little_is_widened_aloud() -> None:
    old = document("old.txt", *(f"휴가 {n}" for n in range(50)), date="2023-02-01")
    house = House(
        old, document("new.txt", "휴가 새 규정", date="2024-03-01"), document("none.txt", "휴가 무기한")
    )
    asked = Scope("2024-01-01", "2024-12-31")
    found = house.search.find("휴가", asked, top_n=51)
    assert found.widened is not None and (found.widened.months, found.widened.held) == (12, 51)
    assert found.scope == Scope("2023-01-01", "2025-12-31")
    assert len(found.passages) == 51 and "휴가 무기한" not in texts(found)
    notice = "2024-01-01부터 2024-12-31까지 문서가 적어 12개월 넓혀 2023-01-01부터 2025-12-31까지의 문서에서 찾았습니다."
    assert found.notices[0].ko == notice and "12" in found.notices[0].en
    assert house.search.find("휴가").widened is None


def test_widening_that_nothing_came_of_is_not_worth_a_notice() -> None:
    house = House(
        document("old.txt", "출장", date="2020-01-01"), document("new.txt", "휴가", date="2024-03-01")
    )
    asked = Scope("2024-01-01", "2024-12-31")
    found = house.search.find("휴가", asked)
    assert found.widened is not None and found.widened.changed and found.notices == ()
    assert house.search.find("출장 휴가", asked).notices
    (notice,) = house.search.find("출장", Scope("2024-01-01")).notices
    assert notice.ko == "2024-01-01부터 문서가 적어 모든 기간에서 찾았습니다."


def test_the_reranker_orders_what_fusion_found_and_its_score_is_the_passages() -> None:
    reranker = OverlapReranker()
    house = House(
        document("a.txt", "휴가 휴가 휴가 휴가", title="가"), document("b.txt", "휴가 신청 방법", title="나"),
        rules=SearchRules(rerank_pool=2, weights={"lexical": 1.0}), reranker=reranker,
    )  # fmt: skip
    plain = replace(house.search, reranker=None).find("휴가 방법 은")
    found = house.search.find("휴가 방법 은")
    assert reranker.pairs == 2
    assert texts(found)[0] == "휴가 신청 방법"
    first = found.explain.candidates[0]
    assert (first.rank, first.rerank) == (1, found.passages[0].score)
    assert first.fused == {p.chunk_id: p.score for p in plain.passages}[first.chunk_id]


def test_the_reranker_reads_as_many_as_its_pool_and_the_heading_with_them() -> None:
    reranker = OverlapReranker()
    many = document("a.txt", *(f"휴가 {n}" for n in range(30)), title="연차")
    house = House(many, rules=SearchRules(top_n=3, rerank_pool=10), reranker=reranker)
    found = house.search.find("휴가 연차")
    assert (reranker.pairs, len(found.passages)) == (10, 3)
    assert found.passages[0].score == OverlapReranker().scores("휴가 연차", ["연차\n휴가 0"])[0]
    assert [each.fate for each in found.explain.candidates].count("kept") == 3
    assert sum(each.rerank is not None for each in found.explain.candidates) == 10


def test_further_words_are_searched_but_do_not_belong_to_the_question() -> None:
    found = House(*OFFICE).search.find("휴가 신청", extra=["서버 포트", ""])
    assert "서버 포트 설정" in texts(found)
    assert set(found.question.terms) == {"휴가", "신청"}
    assert found.explain.terms == ("휴가", "신청", "서버", "포트")


def test_rarer_terms_weigh_more() -> None:
    weights = House(*OFFICE).search.find("휴가 숙박비 없는말").question.terms
    assert weights["휴가"] < weights["숙박비"] == weights["없는말"]


def test_a_question_without_terms_is_left_to_the_vectors() -> None:
    assert texts(House(*OFFICE).search.find("?")) == []
    assert set(House(*OFFICE, vectors=True).search.find("?").explain.found) == {"dense"}


def test_every_part_has_its_time() -> None:
    house = House(*OFFICE, vectors=True, reranker=OverlapReranker())
    parts = house.search.find("휴가", Scope("2024-01-01")).explain.milliseconds
    assert set(parts) == {"terms", "range", "lexical", "embed", "dense", "passages", "rerank"}
    assert all(value >= 0 for value in parts.values())


def test_typed_days_become_a_scope_or_an_error_in_words() -> None:
    groups = frozenset({"g"})
    assert requested_scope(" 2024-01-01 ", "", groups) == Scope("2024-01-01", "", groups)
    for since, until in (("2024-13-01", ""), ("", "어제"), ("2024-06-01", "2024-05-31")):
        with pytest.raises(InvalidRequest) as caught:
            requested_scope(since, until)
        assert caught.value.where == f"{since}:{until}" and "isoformat" not in caught.value.summary.en
