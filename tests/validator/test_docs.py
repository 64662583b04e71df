"""The reference page lists every check, and says what the code says."""

from __future__ import annotations

import re

from recovery.causes import CAUSES
from recovery.reference import page
from validator.registry import load


def test_every_check_has_the_heading_that_its_anchor_names() -> None:
    headings = {"#" + heading.lower() for heading in re.findall(r"^### (\S+)$", page(), re.MULTILINE)}
    assert headings == {item.anchor.partition("checks.md")[2] for item in load()}


def test_every_check_belongs_to_exactly_one_cause_and_no_cause_names_an_unknown_check() -> None:
    named = [identity for cause in CAUSES for identity in cause.checks]
    assert sorted(named) == sorted(item.id for item in load())


def test_every_check_says_what_it_looks_at() -> None:
    assert [item.id for item in load() if not (item.function.__doc__ or "").strip()] == []
