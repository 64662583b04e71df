"""Noticing changes: when a file is ready, what a vanished one is, and that nothing is taken twice."""

from __future__ import annotations

from ragtrace.application.ports import FoundFile
from ragtrace.application.watching import ChangeWatch
from ragtrace.text import Text

PROBLEM = Text("권한", "denied")


def file(path: str, size: int = 1, time: int = 1) -> FoundFile:
    return FoundFile(path, size=size, mtime_ns=time)


def begun(*files: FoundFile) -> ChangeWatch:
    watch = ChangeWatch(2.0)
    watch.begin(files)
    return watch


def test_nothing_changes_nothing_is_ready() -> None:
    watch = begun(file("a"), file("b"))
    assert [watch.look([file("a"), file("b")], now) for now in (0.0, 5.0, 50.0)] == [frozenset()] * 3


def test_a_file_that_is_being_written_waits_until_it_is_quiet() -> None:
    watch = begun()
    assert watch.look([file("a", 1)], 0) == frozenset()
    assert watch.look([file("a", 2)], 1.9) == frozenset()
    assert watch.look([file("a", 2)], 2.1) == frozenset()
    assert watch.look([file("a", 2, 7)], 3.9) == frozenset()
    assert watch.look([file("a", 2, 7)], 5.9) == {"a"}


def test_what_was_taken_is_not_ready_again_but_a_later_change_is() -> None:
    watch = begun()
    watch.look([file("a")], 0)
    ready = watch.look([file("a")], 2)
    watch.taken(ready)
    assert watch.look([file("a")], 9) == frozenset()
    watch.look([file("a", 3)], 10)
    assert watch.look([file("a", 3)], 12) == {"a"}


def test_what_was_not_taken_stays_ready() -> None:
    watch = begun()
    watch.look([file("a")], 0)
    assert watch.look([file("a")], 2) == watch.look([file("a")], 3) == {"a"}


def test_a_change_that_comes_while_it_is_taken_in_is_seen() -> None:
    watch = begun()
    watch.look([file("a", 1)], 0)
    ready = watch.look([file("a", 1)], 2)
    # The run reads the file now, and it grows meanwhile.
    watch.taken(ready)
    watch.look([file("a", 2)], 3)
    assert watch.look([file("a", 2)], 5) == {"a"}


def test_a_change_that_is_taken_back_is_none() -> None:
    watch = begun(file("a", 1))
    watch.look([file("a", 2)], 0)
    assert watch.look([file("a", 1)], 3) == frozenset()


def test_a_vanished_file_is_a_change_but_not_behind_a_folder_that_cannot_be_listed() -> None:
    watch = begun(file("x/a"), file("x/b"), file("c"))
    denied = FoundFile("x", PROBLEM)
    for now in (0.0, 3.0):
        ready = watch.look([denied, file("c")], now)
    assert "x/a" not in ready and "x/b" not in ready
    for now in (4.0, 7.0):
        ready = watch.look([file("x/a"), file("c")], now)
    assert "x/b" in ready and "x/a" not in ready
    watch.taken(ready)
    assert watch.look([file("x/a"), file("c")], 20) == frozenset()
    for now in (30.0, 33.0):
        ready = watch.look([FoundFile(".", PROBLEM)], now)
    assert ready <= {"."}


def test_files_of_unknown_formats_are_no_business_of_ours() -> None:
    watch = begun()
    image = FoundFile("a.png", PROBLEM, ignored=True, size=1)
    assert watch.look([image], 0) == watch.look([image], 9) == frozenset()
