"""Widening of a range of days that holds too little."""

from __future__ import annotations

import pytest

from ragtrace.domain.scope import EVERYTHING, Scope, day_number
from ragtrace.domain.widening import Widened, shifted, widen, widenings

ASKED = Scope("2024-01-31", "2024-03-31", frozenset({"g"}))


def counting(days: dict[str, int]) -> tuple[list[Scope], object]:
    asked: list[Scope] = []

    def count(scope: Scope) -> int:
        asked.append(scope)
        return sum(number for day, number in days.items() if scope.holds("" if day == "-" else day, "g"))

    return asked, count


def found(days: dict[str, int], least: int = 50, scope: Scope = ASKED) -> Widened:
    _, count = counting(days)
    return widen(scope, count, least)  # type: ignore[arg-type]


def test_a_range_that_holds_enough_stays() -> None:
    asked, count = counting({"2024-02-01": 50})
    assert widen(ASKED, count, 50) == Widened(ASKED, 0, 50)  # type: ignore[arg-type]
    assert asked == [ASKED]
    assert not found({"2024-02-01": 50}).changed


@pytest.mark.parametrize(
    ("day", "months"),
    [
        ("2023-11-01", 3), ("2024-06-30", 3), ("2023-07-31", 6), ("2024-09-30", 6), ("2023-02-01", 12),
        ("2022-01-31", 24), ("2026-03-31", 24), ("2019-01-31", 60), ("2029-03-31", 60),
    ],
)  # fmt: skip
def test_a_range_is_moved_outwards_as_far_as_needed(day: str, months: int) -> None:
    one = found({"2024-02-01": 49, day: 1})
    assert (one.months, one.held, one.scope.groups) == (months, 50, ASKED.groups)
    assert one.changed and one.scope.holds(day, "g")


@pytest.mark.parametrize("day", ["2019-01-30", "2029-04-01", "-"])
def test_beyond_five_years_all_days_count_and_the_undated_too(day: str) -> None:
    assert found({"2024-02-01": 49, day: 1}) == Widened(Scope(groups=ASKED.groups), None, 50)


def test_a_small_corpus_is_looked_through_whole() -> None:
    assert found({"2024-02-01": 3, "1990-01-01": 4}) == Widened(Scope(groups=ASKED.groups), None, 7)


def test_groups_are_rights_and_never_widened() -> None:
    _, count = counting({"2024-02-01": 100})
    none = Scope("2024-01-01", "2024-12-31", frozenset())
    one = widen(none, count, 50)  # type: ignore[arg-type]
    assert (one.held, one.scope.groups) == (0, frozenset())


def test_an_open_side_stays_open_and_no_range_stays_none() -> None:
    assert [scope.until for _, scope in widenings(Scope("2024-01-01"))] == [""] * 5
    assert [scope.since for _, scope in widenings(Scope(until="2024-01-01"))] == [""] * 5
    assert found({"2024-02-01": 1}, scope=EVERYTHING) == Widened(EVERYTHING, 0, 1)


def test_nothing_is_widened_where_nothing_is_wanted() -> None:
    assert found({}, least=0) == Widened(ASKED, 0, 0)


@pytest.mark.parametrize(
    ("day", "months", "other"),
    [
        ("2024-01-31", -3, "2023-10-31"), ("2024-05-31", -3, "2024-02-29"), ("2023-05-31", -3, "2023-02-28"),
        ("2024-03-31", 6, "2024-09-30"), ("2024-12-15", 3, "2025-03-15"), ("2024-02-29", 12, "2025-02-28"),
        ("0001-01-15", -3, "0001-01-01"), ("9999-11-30", 3, "9999-12-31"),
    ],
)  # fmt: skip
def test_months_are_calendar_months(day: str, months: int, other: str) -> None:
    assert shifted(day, months) == other


@pytest.mark.parametrize("day", ["20240501", "2024-5-1", "2024-02-30", "2024-W01-1", "오늘", "2024-05-01 "])
def test_what_is_no_day_is_refused(day: str) -> None:
    with pytest.raises(ValueError):
        day_number(day)
    with pytest.raises(ValueError):
        Scope(day)


def test_days_become_numbers_that_order_like_them() -> None:
    assert [day_number(day) for day in ("0999-12-31", "2024-05-01")] == [9991231, 20240501]
