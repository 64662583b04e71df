"""Which pages are chosen and how they are read; needs neither root nor a network."""

from __future__ import annotations

from pathlib import Path

from .documents import CHOSEN, QUESTIONS, Page, is_korean, missing_pages, read_page, select

KOREAN = "각주를 넣으려면 메뉴에서 삽입을 고릅니다. " * 10


def page_file(folder: Path, name: str, body: str, title: str = "각주 삽입") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    head = f"<head><title>{title}</title><script>var 속임수 = 1;</script></head>"
    path.write_text(f"<html>{head}<body>{body}</body></html>", encoding="utf-8")
    return path


def test_a_page_is_read_without_markup_and_scripts(tmp_path: Path) -> None:
    page = read_page(page_file(tmp_path, "a.html", "<p>각<b>주</b> &amp; 미주</p>"), "writer/a.html")
    assert page.title == "각주 삽입"
    assert page.squeezed == "각주&미주"


def test_pages_without_enough_korean_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / CHOSEN["writer"]
    page_file(folder, "korean.html", f"<p>{KOREAN}</p>")
    page_file(folder, "english.html", "<p>not translated</p>")
    assert [page.name for _, page in select(tmp_path)] == ["writer/korean.html"]


def test_pages_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    page_file(tmp_path / CHOSEN["writer"], "main.html", KOREAN)
    page_file(tmp_path / CHOSEN["calc"], "main.html", KOREAN)
    assert [page.name for _, page in select(tmp_path)] == ["writer/main.html", "calc/main.html"]


def test_a_question_whose_page_is_gone_or_changed_is_noticed() -> None:
    pages = [Page(question.page, "", question.term) for question in QUESTIONS]
    assert missing_pages(pages) == []
    assert missing_pages(pages[1:]) == [QUESTIONS[0].page]
    assert missing_pages([Page(QUESTIONS[0].page, "", "딴소리"), *pages[1:]]) == [QUESTIONS[0].page]


def test_korean_is_recognised_by_its_syllables() -> None:
    assert is_korean(Page("a", "", KOREAN))
    assert not is_korean(Page("a", "", "日本語 and English " * 50))
