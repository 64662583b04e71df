"""Parsing in child processes: in order, in parallel, and one bad file costs one file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragtrace import limits
from ragtrace.adapters import parse_pool, parse_worker, recognise
from ragtrace.adapters.parse_pool import ParsePool
from ragtrace.adapters.parsers import every_parser
from ragtrace.application.ports import DocumentReader, FileContent, ReadFile
from ragtrace.application.reading import ReadInTurn
from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import ParseProblem
from ragtrace.text import Text
from tests.service import bad_parsers

FACTORY = "tests.service.bad_parsers:parsers"


@pytest.fixture
def pool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ParsePool:
    monkeypatch.setattr(parse_pool, "_ROOT", f"{parse_pool._ROOT}{os.pathsep}{repository}")
    return ParsePool(2, bad_parsers.parsers(), FACTORY)


def files(*orders: str) -> Iterator[FileContent]:
    return iter([FileContent(f"{number}.bad", order.encode()) for number, order in enumerate(orders)])


def said(read: ReadFile) -> str:
    return read.outcome.summary.en if isinstance(read.outcome, ParseProblem) else ""


def test_documents_come_back_whole_and_in_order(pool: ParsePool) -> None:
    orders = [f"say 글 {number}\n둘째 줄" for number in range(300)]
    found = list(pool.read_all(files(*orders)))
    assert [each.path for each in found] == [f"{number}.bad" for number in range(300)]
    twin = list(ReadInTurn(bad_parsers.parsers()).read_all(files(*orders)))
    assert [each.outcome for each in found] == [each.outcome for each in twin]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("crash", "died (signal 11)"),
        ("exit", "died (exit 3"),
        ("killed", "want of memory"),
        ("eat", "more memory than is allowed"),
        ("bug", "KeyError"),
        ("deep", "RecursionError"),
        ("refuse", "encrypted"),
    ],
)
def test_a_bad_file_costs_itself_only(
    pool: ParsePool, order: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(pool.read_all(files("say a", order, "say b", order, "say c")))
    assert [isinstance(each.outcome, ParsedDocument) for each in found] == [True, False, True, False, True]
    assert reason in said(found[1]) and reason in said(found[3])


@pytest.mark.parametrize(("order", "limit"), [("spin", "PARSE_CPU_S = 0.5"), ("hang", "PARSE_CPU_S = 0.1")])
def test_a_file_that_never_ends_is_stopped_in_native_code_too(
    pool: ParsePool, order: str, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried = tmp_path / "hurried.py"
    hurried.write_text(f"from ragtrace.adapters import parse_worker\nparse_worker.{limit}\n"
                       "from tests.service.bad_parsers import parsers\n")  # fmt: skip
    monkeypatch.setattr(parse_pool, "_ROOT", f"{parse_pool._ROOT}{os.pathsep}{tmp_path}")
    begun = time.monotonic()
    found = list(
        ParsePool(1, bad_parsers.parsers(), "hurried:parsers").read_all(files("say a", order, "say b"))
    )
    assert time.monotonic() - begun < 30
    assert "too long" in said(found[1])
    assert isinstance(found[2].outcome, ParsedDocument)


def test_what_a_library_prints_does_not_get_between(pool: ParsePool) -> None:
    found = list(pool.read_all(files("print", "say a", "print")))
    assert all(isinstance(each.outcome, ParsedDocument) for each in found)


def test_halves_of_surrogate_pairs_do_not_reach_the_records(pool: ParsePool) -> None:
    for reader in (pool, ReadInTurn(bad_parsers.parsers())):
        (read,) = reader.read_all(files("half"))
        assert isinstance(read.outcome, ParsedDocument)
        section = read.outcome.sections[0]
        for text in (read.outcome.title, section.text, *section.path):
            text.encode()
        assert (section.text, section.page) == ("글 ? 끝", 2)


def test_files_are_parsed_side_by_side(pool: ParsePool, tmp_path: Path) -> None:
    met = list(pool.read_all(files(*[f"meet {tmp_path}"] * 2)))
    assert [said(each) for each in met] == ["", ""]
    found = list(pool.read_all(files(*["pid"] * 9)))
    pids = {read.outcome.title for read in found if isinstance(read.outcome, ParsedDocument)}
    assert str(os.getpid()) not in pids and 1 <= len(pids) <= 2


def test_a_few_harmless_files_start_no_process_but_large_ones_and_containers_always_do(
    pool: ParsePool,
) -> None:
    pool = ParsePool(2, bad_parsers.harmless(), FACTORY)
    found = list(pool.read_all(files(*["pid"] * 3)))
    assert {read.outcome.title for read in found if isinstance(read.outcome, ParsedDocument)} == {
        str(os.getpid())
    }
    large = FileContent("0.bad", b"pid " + bytes(limits.PARSE_HERE_BYTES))
    (read,) = pool.read_all(iter([large]))
    assert isinstance(read.outcome, ParsedDocument) and read.outcome.title != str(os.getpid())
    assert pool._is_guarded(FileContent("a.bad", b"PK\x03\x04"))
    assert not pool._is_guarded(FileContent("a.bad", b"text"))


def test_whoever_stops_early_leaves_no_process(pool: ParsePool) -> None:
    before = children()
    reading = pool.read_all(files("say a", *["hang"] * 20))
    next(iter(reading))
    assert children() - before
    reading.close()  # type: ignore[attr-defined]
    assert children() == before


def test_where_no_process_can_be_started_files_are_read_here_and_it_is_logged(
    pool: ParsePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool, "factory", "tests.service.bad_parsers:nonsense")
    found = list(pool.read_all(files("pid", "say b")))
    assert isinstance(found[0].outcome, ParsedDocument) and found[0].outcome.title == str(os.getpid())
    assert "no process for parsing" in caplog.text


@pytest.mark.parametrize(
    "frame", [b"", b"[]", b"{}", b'{"seconds":1,"last":false,"title":"a"}', b'{"seconds":0,"last":0,"problem":1,"hint":null}']
)  # fmt: skip
def test_a_frame_that_is_none_is_an_error(frame: bytes) -> None:
    with pytest.raises(ValueError):
        parse_worker.unpack_answer("a", frame)


def test_the_registry_names_what_the_parsers_read(tmp_path: Path) -> None:
    for lazy in every_parser():
        assert lazy.load().suffixes == lazy.suffixes, lazy.name
    readers: list[DocumentReader] = [ParsePool(1), ReadInTurn(every_parser())]
    assert readers[0].suffixes == readers[1].suffixes >= {".txt", ".md", ".html"}


def children() -> set[str]:
    own = str(os.getpid())
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if parent == own and state != "Z":
                found.add(folder.name)
    return found


def test_what_a_document_lacks_comes_out_of_the_child() -> None:
    lacks = Text("둘 가운데 하나", "one of two")
    for parsed in (ParsedDocument("a", (), lacks=lacks), ParsedDocument("a", ())):
        frame = parse_worker.pack_answer(ReadFile("a", parsed, 0.5), False)
        assert parse_worker.unpack_answer("a", frame)[0].outcome == parsed


def test_real_formats_go_through_recognition_in_a_child_as_in_this_process() -> None:
    contents = {
        "규정.md": "# 휴가\n\n3일 전".encode(),
        "그림.txt": b"\x89PNG\r\n\x1a\n" + bytes(60),
        "깨짐.pdf": b"%PDF-1.7\nnothing",
        "가짜.docx": b"PK\x03\x04 no archive",
        "쪽.html": "<title>점검</title><p>매월 합니다.</p>".encode(),
    }
    given = [FileContent(path, data) for path, data in contents.items()]
    found = list(ParsePool(2).read_all(iter(given)))
    assert [isinstance(each.outcome, ParsedDocument) for each in found] == [True, False, False, False, True]
    assert "picture" in said(found[1])
    here = list(ReadInTurn(every_parser(), recognise.parser_for).read_all(iter(given)))
    assert [said(each) for each in found] == [said(each) for each in here]
