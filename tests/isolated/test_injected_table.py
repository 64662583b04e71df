"""The table of defects itself, and how a report is judged; needs neither root nor a host."""

from __future__ import annotations

import pytest

from validator.registry import load

from .injected.judging import Report, Verdict, changed, complaints, expected, present, spoken, table
from .injected.page import PAGE, page
from .injected.table import DEFECTS


def test_the_page_lists_the_defects_that_are_tried() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.isolated.injected.page"


def test_there_are_at_least_forty_defects_of_every_kind() -> None:
    assert len(DEFECTS) >= 40
    assert {defect.area for defect in DEFECTS.values()} >= {
        "packages", "release", "configuration", "service", "data", "security", "host", "models"
    }  # fmt: skip


def test_every_expectation_can_be_read_and_names_checks_that_exist() -> None:
    own = {check.id for check in load()}
    for name, defect in DEFECTS.items():
        strangers = {check for check in expected(defect.finds) if not check.startswith("RTS-")} - own
        assert not strangers, (name, strangers)


def test_an_expectation_is_read_and_written() -> None:
    assert expected("fail A-001 A-002; skip B-001") == {"A-001": "fail", "A-002": "fail", "B-001": "skip"}
    assert spoken(expected("skip B-001; fail A-002 A-001")) == "fail A-001 A-002; skip B-001"
    assert expected("") == {}


@pytest.mark.parametrize("text", ["broken A-001", "fail", "fail A-001; skip A-001"])
def test_an_expectation_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        expected(text)


def test_whatever_differs_from_the_healthy_host_is_seen() -> None:
    healthy = {"A-001": "pass", "A-002": "skip", "A-003": "pass"}
    assert changed(healthy, healthy) == {}
    assert changed(healthy, {"A-001": "fail", "A-002": "pass", "A-004": "warn"}) == {
        "A-001": "fail",
        "A-002": "pass",
        "A-003": "gone",
        "A-004": "warn",
    }


def test_a_check_too_many_and_a_check_too_few_are_both_complaints() -> None:
    assert complaints({"A-001": "fail"}, {"A-001": "fail"}) == []
    assert complaints({"A-001": "fail"}, {}) == ["A-001: unchanged, expected fail"]
    assert complaints({}, {"A-001": "warn"}) == ["A-001: warn, expected unchanged"]
    assert complaints({"A-001": "fail"}, {"A-001": "unknown"}) == ["A-001: unknown, expected fail"]


def test_a_check_that_was_not_run_is_not_expected() -> None:
    assert present({"A-001": "fail", "A-002": "fail"}, {"A-001": "pass"}) == {"A-001": "fail"}


def test_what_could_not_be_seen_is_noise_and_what_does_not_apply_is_not() -> None:
    report = Report("GOOD", 5, {"A-001": "pass", "A-002": "skip", "A-003": "unknown", "A-004": "error"})
    assert report.noise == {"A-003": "unknown", "A-004": "error"}


def test_the_printed_table_marks_what_went_wrong() -> None:
    good = Verdict("one", {}, {}, "undone", 1.0)
    bad = Verdict("two", {"A-001": "fail"}, {}, "mended", 2.0, ("A-001: unchanged, expected fail",))
    text = table([good, bad])
    assert "ok  one" in text and "BAD two" in text and "A-001: unchanged, expected fail" in text
    assert text.endswith("1 of 2 as expected, 3 s")
