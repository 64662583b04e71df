"""Removing documents: which ones a person means, and that they are gone from records and index."""

from __future__ import annotations

import dataclasses

import pytest

from ragtrace.application.reconcile import in_step
from ragtrace.application.removal import Choice, Remove
from ragtrace.domain.documents import Document
from ragtrace.errors import InvalidRequest
from ragtrace.testing.memory import MemorySource
from tests.service.support import ingest, stored

A, B, C = (stored(path, "글").document for path in ("인사/휴가.md", "인사/급여.md", "서버.md"))
D = dataclasses.replace(stored("서버.md", "글", source="other").document, group="전산")
EVERY = [A, B, C, D]


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        (Choice(), EVERY),
        (Choice((A.id,)), [A]),
        (Choice((A.id[:8], B.id[:12])), [A, B]),
        (Choice(("인사/",)), [A, B]),
        (Choice(("인사/", A.id)), [A, B]),
        (Choice(("서버.md",)), [C, D]),
        (Choice(("서버.md",), source="other"), [D]),
        (Choice(group="전산"), [D]),
        (Choice(source="memory"), [A, B, C]),
        (Choice(source="none"), []),
    ],
    ids=str,
)
def test_a_choice_means_these_documents(choice: Choice, meant: list[Document]) -> None:
    assert choice.among(EVERY) == meant


@pytest.mark.parametrize(
    "target", ["인사", "없음.md", "인사/없음/", "0123", "fffffffff", A.id.upper(), "%", "*"]
)
def test_what_names_nothing_removes_nothing(target: str) -> None:
    with pytest.raises(InvalidRequest):
        Choice((A.id, target)).among(EVERY)


def test_a_beginning_of_several_ids_is_refused_with_their_names() -> None:
    twins = [dataclasses.replace(A, id="0123456789" + letter * 22) for letter in "ab"]
    with pytest.raises(InvalidRequest) as caught:
        Choice(("0123456789",)).among(twins)
    assert len(caught.value.details) == 2


def test_removed_documents_are_found_no_more_and_told_in_the_journal() -> None:
    use_case = ingest(batch=500)
    use_case.run(MemorySource({f"{number:03}.txt": f"제목\n낱말{number}".encode() for number in range(700)}))
    remove = Remove(use_case.records, use_case.index, use_case.analyzer)
    gone = use_case.records.documents()[:650]
    steps: list[tuple[int, int]] = []
    remove.run(gone, lambda done, total: steps.append((done, total)))
    assert steps == [(300, 650), (600, 650), (650, 650)]
    assert use_case.records.counts() == (50, 50) and use_case.index.size() == 50
    assert in_step(use_case.records, use_case.index, use_case.analyzer)
    assert not use_case.index.search({"낱말3": 1}, 5)
    assert {key for _, key in use_case.records.changes(2, "", 9999)} >= {each.id for each in gone}
