"""The question's use case over twins: what counts as support."""

from __future__ import annotations

from ragtrace.adapters.extractive import ExtractiveModel
from ragtrace.testing.memory import MemorySource, WordAnalyzer
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
