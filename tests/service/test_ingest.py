"""Taking documents in: outcomes, increments, and consistency when it breaks off at any step."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from ragtrace.adapters.folder import FolderSource
from ragtrace.application.ingest import IngestReport, Wishes
from ragtrace.application.ports import IndexEntry, IndexMark
from ragtrace.application.reconcile import bring_in_step, in_step
from ragtrace.errors import UsageProblem
from ragtrace.testing.memory import MemoryIndex, MemoryRecords, MemorySource, WordAnalyzer
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
