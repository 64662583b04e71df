"""Taking documents in: outcomes, increments, and consistency when it breaks off at any step."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from ragtrace.adapters.folder import FolderSource
from ragtrace.application import ingest as ingesting
from ragtrace.application.ingest import FileOutcome, Ingest, IngestReport, Wishes
from ragtrace.application.ports import FileContent, FoundFile, IndexEntry, IndexMark, ReadFile
from ragtrace.application.reading import ReadInTurn
from ragtrace.application.reconcile import bring_in_step, in_step
from ragtrace.domain.chunks import ChunkRules
from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import UsageProblem
from ragtrace.testing.memory import LineParser, MemoryIndex, MemoryRecords, MemorySource, WordAnalyzer
from ragtrace.text import Text
from tests.service.support import asking, ingest, write

FILES: dict[str, bytes | None] = {
    "a.txt": "휴가\n휴가 신청은 3일 전".encode(),
    "b.txt": "출장\n출장 보고".encode(),
    "c.txt": "서버\n서버 점검".encode(),
}


def statuses(report: IngestReport) -> dict[str, str]:
    return {each.path: each.status for each in report.outcomes}


def test_a_second_run_finds_everything_unchanged_and_a_change_updates_one() -> None:
    use_case, source = ingest(), MemorySource(dict(FILES))
    assert set(statuses(use_case.run(source)).values()) == {"added"}
    assert set(statuses(use_case.run(source)).values()) == {"unchanged"}
    source.contents["b.txt"] = "출장\n새 보고".encode()
    assert statuses(use_case.run(source)) == {"a.txt": "unchanged", "b.txt": "updated", "c.txt": "unchanged"}
    assert asking(use_case).answer("새").supported


def test_a_missing_file_goes_only_when_asked_and_only_from_its_source() -> None:
    use_case, source = ingest(), MemorySource(dict(FILES))
    use_case.run(source)
    use_case.run(MemorySource({"z.txt": b"other\nother"}, name="other"))
    del source.contents["a.txt"]
    assert "a.txt" not in statuses(use_case.run(source))
    assert statuses(use_case.run(source, Wishes(delete_missing=True)))["a.txt"] == "removed"
    assert [each.path for each in use_case.records.documents()] == ["b.txt", "c.txt", "z.txt"]
    assert not asking(use_case).answer("휴가").supported


def test_a_bad_file_fails_alone_and_says_why() -> None:
    files = {**FILES, "bad.txt": b"BROKEN", "denied.txt": None, "empty.txt": b"", "x.png": b"1"}
    report = ingest().run(MemorySource(files))
    assert statuses(report) == {
        "a.txt": "added", "b.txt": "added", "c.txt": "added", "bad.txt": "failed", "denied.txt": "failed",
        "empty.txt": "skipped", "x.png": "skipped",
    }  # fmt: skip
    assert report.failed
    assert all(each.reason for each in report.outcomes if each.status in ("failed", "skipped"))


def test_a_file_that_became_unreadable_keeps_its_last_good_text() -> None:
    use_case, source = ingest(), MemorySource(dict(FILES))
    use_case.run(source)
    source.contents["a.txt"] = b"BROKEN"
    assert use_case.run(source, Wishes(delete_missing=True)).failed
    assert asking(use_case).answer("휴가").supported


class Killed(BaseException):
    """The process dies here."""


class DyingRecords(MemoryRecords):
    """Dies before or after its n-th change."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.fatal = -1

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.fatal:
            raise Killed

    def apply(self, *arguments: object) -> int:
        self.step()
        sequence = super().apply(*arguments)  # type: ignore[arg-type]
        self.step()
        return sequence

    def settle(self, sequence: int) -> None:
        self.step()
        super().settle(sequence)
        self.step()


class DyingIndex(MemoryIndex):
    """Dies before or after its n-th commit."""

    def __init__(self, records: DyingRecords) -> None:
        super().__init__()
        self.records = records

    def update(self, removed: Iterable[str], added: Iterable[IndexEntry], mark: IndexMark) -> None:
        self.records.step()
        super().update(removed, added, mark)
        self.records.step()


@pytest.mark.parametrize("fatal", range(1, 13))
def test_killed_at_any_step_the_next_start_shows_exactly_the_records(fatal: int) -> None:
    records = DyingRecords()
    index = DyingIndex(records)
    use_case = ingest(records, index)
    use_case.run(MemorySource({"a.txt": "옛\n휴가 옛날".encode(), "old.txt": b"gone\ngone"}))
    records.steps, records.fatal = 0, fatal
    with pytest.raises(Killed):
        use_case.run(MemorySource(dict(FILES)), Wishes(delete_missing=True))
    records.fatal = -1
    analyzer = WordAnalyzer()
    bring_in_step(records, index, analyzer)
    assert in_step(records, index, analyzer)
    assert index.size() == records.counts()[1]
    known = {chunk.id for one in records.load(records.document_ids()) for chunk in one.chunks}
    assert {hit.chunk_id for hit in index.search({"휴가": 1, "출장": 1, "서버": 1, "gone": 1}, 99)} <= known
    use_case.run(MemorySource(dict(FILES)), Wishes(delete_missing=True))
    assert sorted(use_case.records.known("memory")) == ["a.txt", "b.txt", "c.txt"]
    assert not asking(use_case).answer("gone").supported


@pytest.mark.parametrize("damage", ["lost", "older", "foreign", "analyzer", "ahead"])
def test_an_index_that_does_not_belong_to_the_records_is_rebuilt(damage: str) -> None:
    records, index, analyzer = MemoryRecords(), MemoryIndex(), WordAnalyzer()
    ingest(records, index).run(MemorySource(dict(FILES)))
    mark = index.mark()
    assert mark is not None
    wrong = {
        "lost": None,
        "older": IndexMark(mark.sequence - 1, mark.analyzer, mark.records),
        "foreign": IndexMark(mark.sequence, mark.analyzer, "other"),
        "analyzer": IndexMark(mark.sequence, "words-0", mark.records),
        "ahead": IndexMark(mark.sequence + 1, mark.analyzer, mark.records),
    }[damage]
    index.clear()
    if wrong is not None:
        index.update([], [], wrong)
    assert bring_in_step(records, index, analyzer).rebuilt
    assert (index.size(), in_step(records, index, analyzer)) == (3, True)


def test_links_out_of_the_folder_devices_and_huge_files_are_refused(tmp_path: Path) -> None:
    write(
        tmp_path, {"outside.txt": "비밀", "in/a.txt": "글", "in/.hidden.txt": "숨김", "elsewhere/b.txt": "밖"}
    )
    root = tmp_path / "in"
    (root / "out.txt").symlink_to(tmp_path / "outside.txt")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    (root / "loop.txt").symlink_to(root / "loop.txt")
    (root / "same.txt").symlink_to(root / "a.txt")
    os.mkfifo(root / "pipe.txt")
    with (root / "huge.txt").open("wb") as file:
        file.truncate(1 << 40)
    (root / os.fsdecode(b"\xff\xfe.txt")).write_text("이름")
    report = ingest().run(FolderSource(root, 1 << 20))
    assert statuses(report) == {
        "a.txt": "added", "same.txt": "added", "out.txt": "failed", "folder": "failed", "loop.txt": "failed",
        "pipe.txt": "failed", "huge.txt": "failed", "\\udcff\\udcfe.txt": "failed",
    }  # fmt: skip


def test_a_folder_that_is_not_there_is_a_usage_problem(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem):
        FolderSource(tmp_path / "none", 1)


class CountingReader(ReadInTurn):
    """Counts what is parsed."""

    parsed: ClassVar[list[str]] = []

    def read(self, file: FileContent) -> ReadFile:
        self.parsed.append(file.path)
        return super().read(file)


@pytest.fixture
def counting() -> tuple[Ingest, list[str]]:
    CountingReader.parsed.clear()
    return dataclasses.replace(ingest(), reader=CountingReader((LineParser(),))), CountingReader.parsed


def test_a_refused_file_is_not_parsed_again_until_its_content_or_the_recipe_changes_or_it_is_wished(
    counting: tuple[Ingest, list[str]],
) -> None:
    use_case, parsed = counting
    source = MemorySource({"bad.txt": b"BROKEN", "empty.txt": b""})
    first = use_case.run(source)
    assert sorted(parsed) == ["bad.txt", "empty.txt"]
    again = use_case.run(source)
    assert len(parsed) == 2
    assert [(each.path, each.status, each.reason) for each in again.outcomes] == [
        (each.path, each.status, each.reason) for each in first.outcomes
    ]
    use_case.run(source, Wishes(retry=True))
    assert len(parsed) == 4
    dataclasses.replace(use_case, rules=ChunkRules(size=500)).run(source)
    assert len(parsed) == 6
    source.contents["bad.txt"] = "제목\n이제 읽힙니다".encode()
    assert statuses(use_case.run(source))["bad.txt"] == "added"
    assert [each.path for each in use_case.records.refused()] == ["empty.txt"]
    del source.contents["empty.txt"]
    use_case.run(source)
    assert use_case.records.refused() == []


class PartParser(LineParser):
    """Reads what begins with "일부" in part."""

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        parsed = super().parse(data, path)
        lacks = Text("2쪽 가운데 1쪽에 글이 없습니다.", "1 of 2 pages have no text.")
        return dataclasses.replace(parsed, lacks=lacks) if parsed.title.startswith("일부") else parsed


def test_a_document_read_in_part_is_found_and_its_file_listed_until_it_is_read_whole() -> None:
    use_case = dataclasses.replace(ingest(), reader=ReadInTurn((PartParser(),)))
    source = MemorySource({**FILES, "d.txt": "일부\n점심 시간".encode()})
    for status, others in (("added", "added"), ("unchanged", "unchanged"), ("updated", "updated")):
        wishes = Wishes(group="인사") if status == "updated" else None
        report = use_case.run(source, wishes)
        assert statuses(report) == {"d.txt": status, "a.txt": others, "b.txt": others, "c.txt": others}
        assert (report.partial, report.failed) == (1, False)
        assert [each.path for each in report.outcomes if each.reason] == ["d.txt"]
        assert [(each.path, each.status) for each in use_case.records.refused()] == [("d.txt", "partial")]
    assert asking(use_case).answer("점심").supported
    source.contents["d.txt"] = "전부\n점심 시간".encode()
    assert use_case.run(source).partial == 0
    assert use_case.records.refused() == []


def test_a_good_file_that_breaks_and_is_put_back_is_refused_no_more(
    counting: tuple[Ingest, list[str]],
) -> None:
    use_case, parsed = counting
    source = MemorySource(dict(FILES))
    use_case.run(source)
    source.contents["a.txt"] = b"BROKEN"
    assert use_case.run(source).failed and use_case.run(source).failed
    assert parsed.count("a.txt") == 2
    assert [each.path for each in use_case.records.refused()] == ["a.txt"]
    source.contents["a.txt"] = FILES["a.txt"]
    assert statuses(use_case.run(source))["a.txt"] == "unchanged"
    assert parsed.count("a.txt") == 2 and use_case.records.refused() == []


def test_a_file_that_may_not_be_read_is_listed_and_tried_every_time() -> None:
    use_case, source = ingest(), MemorySource({"denied.txt": None})
    assert use_case.run(source).failed
    assert [(each.status, each.sha256) for each in use_case.records.refused()] == [("failed", "")]
    source.contents["denied.txt"] = FILES["a.txt"]
    assert statuses(use_case.run(source)) == {"denied.txt": "added"}


def test_a_group_is_kept_unless_another_is_wished() -> None:
    use_case, source = ingest(), MemorySource(dict(FILES))

    def groups() -> set[str]:
        return {each.group for each in use_case.records.documents()}

    use_case.run(source, Wishes(group="인사"))
    assert groups() == {"인사"}
    source.contents["a.txt"] = "휴가\n새 글".encode()
    assert statuses(use_case.run(source))["a.txt"] == "updated"
    assert groups() == {"인사"}
    assert use_case.run(source, Wishes(group="전산")).count("updated") == 3
    assert groups() == {"전산"}
    use_case.run(source, Wishes(group=""))
    assert groups() == {""}


def test_only_the_named_paths_are_looked_at() -> None:
    use_case, source = ingest(), MemorySource(dict(FILES))
    use_case.run(source)
    source.contents.update({"a.txt": "휴가\n하나".encode(), "b.txt": "출장\n둘".encode()})
    del source.contents["c.txt"]
    report = use_case.run(source, Wishes(delete_missing=True, only=frozenset({"a.txt"})))
    assert statuses(report) == {"a.txt": "updated"}
    report = use_case.run(source, Wishes(delete_missing=True, only=frozenset({"c.txt", "never.txt"})))
    assert statuses(report) == {"c.txt": "removed"}


def test_a_folder_that_cannot_be_listed_or_is_suddenly_empty_removes_nothing() -> None:
    use_case, source = ingest(), TroubledSource({**FILES, "x/d.txt": "점심\n점심 시간".encode()})
    use_case.run(source)
    del source.contents["x/d.txt"]
    source.troubled = ["x"]
    report = use_case.run(source, Wishes(delete_missing=True))
    assert (report.count("removed"), statuses(report)["x"]) == (0, "failed")
    source.troubled = ["."]
    source.contents.clear()
    assert use_case.run(source, Wishes(delete_missing=True)).count("removed") == 0
    source.troubled = []
    report = use_case.run(source, Wishes(delete_missing=True))
    assert statuses(report) == {".": "failed"} and use_case.records.counts()[0] == 4
    everything = frozenset(use_case.records.known("memory"))
    assert use_case.run(source, Wishes(delete_missing=True, only=everything)).count("removed") == 0
    source.contents["a.txt"] = FILES["a.txt"]
    assert use_case.run(source, Wishes(delete_missing=True)).count("removed") == 3


@dataclasses.dataclass
class TroubledSource(MemorySource):
    """Some folders cannot be listed."""

    troubled: list[str] = dataclasses.field(default_factory=list)

    def files(self, suffixes: frozenset[str]) -> Iterator[FoundFile]:
        yield from super().files(suffixes)
        yield from (FoundFile(path, Text("권한", "denied")) for path in self.troubled)


def test_outcomes_and_progress_are_told_when_they_are_safe_and_never_before() -> None:
    records = MemoryRecords()
    use_case = ingest(records, batch=2)
    source = MemorySource({f"{number}.txt": f"제목\n글 {number}".encode() for number in range(7)})
    source.contents["x.txt"] = b"BROKEN"
    told: list[str] = []

    def outcome(each: FileOutcome) -> None:
        told.append(each.path)
        if each.status == "added":
            assert each.path in records.known("memory")

    lines: list[tuple[int, int, int]] = []
    use_case.run(
        source,
        progress=lambda report: lines.append((len(report.outcomes), report.total, records.counts()[0])),
        outcome=outcome,
    )
    assert sorted(told) == sorted(source.contents)
    assert lines == [(2, 8, 2), (4, 8, 4), (6, 8, 6), (8, 8, 7)]


def test_many_unchanged_files_are_told_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingesting, "PROGRESS_FILES", 3)
    use_case = ingest(batch=100)
    source = MemorySource({f"{number}.txt": f"제목\n글 {number}".encode() for number in range(9)})
    use_case.run(source)
    lines: list[int] = []
    use_case.run(source, progress=lambda report: lines.append(len(report.outcomes)))
    assert lines == [3, 6, 9, 9]


@pytest.mark.parametrize("fatal", range(1, 7))
def test_killed_while_a_refused_file_is_noted_nothing_is_lost(fatal: int) -> None:
    class Dying(DyingRecords):
        def refuse(self, *arguments: object) -> None:
            self.step()
            super().refuse(*arguments)  # type: ignore[arg-type]
            self.step()

    records = Dying()
    use_case = ingest(records, DyingIndex(records), batch=1)
    records.fatal = fatal
    source = MemorySource({"a.txt": b"BROKEN", "b.txt": FILES["b.txt"]})
    with contextlib.suppress(Killed):
        use_case.run(source)
    records.fatal = -1
    use_case.run(source)
    assert [each.path for each in records.refused()] == ["a.txt"]
    assert list(records.known("memory")) == ["b.txt"]
    assert in_step(records, use_case.index, use_case.analyzer)
