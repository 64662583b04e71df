"""Until when a bundle may be installed."""

from __future__ import annotations

import pytest

from builder.sealing import expiry
from bundle.errors import UsageProblem
from bundle.manifest import parse_time

EPOCH = int(parse_time("2026-11-20T12:00:00Z").timestamp())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-06-30", "2027-06-30T23:59:59Z"),
        ("2027-06-30T09:00:00Z", "2027-06-30T09:00:00Z"),
        ("90d", "2027-02-18T12:00:00Z"),
        ("1d", "2026-11-21T12:00:00Z"),
        ("2026-11-20", "2026-11-20T23:59:59Z"),
        ("2028-02-29", "2028-02-29T23:59:59Z"),
    ],
)
def test_dates_and_days_become_a_time_of_the_manifest(text: str, expected: str) -> None:
    assert expiry.parse(text, EPOCH) == expected
    parse_time(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-11-19", "expired already"),
        ("0d", "expired already"),
        ("2026-11-20T12:00:00Z", "expired already"),
        ("9999d", "too far ahead"),
        ("99999d", "too far ahead"),
        ("9999-12-31", "too far ahead"),
        ("2027-02-29", "no such day"),
        ("2027-13-01", "no such day"),
        ("0000-01-01", "no such day"),
        ("", "not a form"),
        ("tomorrow", "not a form"),
        ("90", "not a form"),
        ("-5d", "not a form"),
        ("30/06/2027", "not a form"),
        ("2027-6-30", "not a form"),
        ("2027-06-30T09:00:00+09:00", "not a form"),
        ("٩d", "not a form"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_right_form(text: str, message: str) -> None:
    with pytest.raises(UsageProblem, match=message) as caught:
        expiry.parse(text, EPOCH)
    assert f"--expires {text}" in caught.value.where and "90d" in caught.value.render("ko")


def test_days_after_old_sources_may_be_over_already_and_the_clock_only_refuses() -> None:
    assert expiry.parse("90d", EPOCH, now=EPOCH + 86_400) == expiry.parse("90d", EPOCH)
    with pytest.raises(UsageProblem, match="expired already"):
        expiry.parse("90d", EPOCH, now=EPOCH + 91 * 86_400)
