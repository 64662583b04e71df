"""Severity from CVSS vectors and from OSV's records."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.assessment.advisories.cvss import base_score, rating
from builder.assessment.advisories.records import severity_of
from builder.assessment.findings import Severity


# FIRST.org's own examples for CVSS 3.1 (https://www.first.org/cvss/v3-1/examples).
@pytest.mark.parametrize(
    ("vector", "score"),
    [
        ("AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
        ("AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1),
        ("AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 9.9),
        ("AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", 4.2),
        ("AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 8.8),
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5),
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
    ],
)
def test_published_vectors_have_their_published_scores(vector: str, score: float) -> None:
    assert base_score(f"CVSS:3.1/{vector}") == score
    assert base_score(f"CVSS:3.0/{vector}/E:P/RL:O") == score


@given(
    st.tuples(
        *(
            st.sampled_from([f"{name}:{value}" for value in values])
            for name, values in {
                "AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR", "S": "UC", "C": "HLN", "I": "HLN", "A": "HLN"
            }.items()
        )
    )
)  # fmt: skip
def test_every_vector_has_a_score_with_one_decimal_between_0_and_10(pairs: tuple[str, ...]) -> None:
    score = base_score("/".join(["CVSS:3.1", *pairs]))
    assert 0 <= score <= 10
    assert round(score, 1) == score


@pytest.mark.parametrize(
    "vector",
    [
        "",
        "AV:N/AC:L/Au:N/C:P/I:P/A:P",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H",
        "CVSS:3.1/AV:Q/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:3.1/AV:N/AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    ],
)
def test_anything_else_has_none(vector: str) -> None:
    with pytest.raises(ValueError):
        base_score(vector)


@pytest.mark.parametrize(
    ("score", "level"),
    [(10.0, "critical"), (9.0, "critical"), (8.9, "high"), (7.0, "high"), (6.9, "medium"), (4.0, "medium"),
     (3.9, "low"), (0.0, "low")],
)  # fmt: skip
def test_ratings_begin_where_the_specification_says(score: float, level: str) -> None:
    assert rating(score).value == level


HIGH = {"type": 3, "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}
V4 = {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}


@pytest.mark.parametrize(
    ("record", "severity"),
    [
        ({"severity": [HIGH]}, Severity.HIGH),
        ({"database_specific": {"severity": "MODERATE"}}, Severity.MEDIUM),
        ({"severity": [HIGH], "database_specific": {"severity": "CRITICAL"}}, Severity.CRITICAL),
        ({"severity": [V4], "database_specific": {"severity": "LOW"}}, Severity.LOW),
        ({"affected": [{"severity": [HIGH]}]}, Severity.HIGH),
        ({"affected": [{"database_specific": {"severity": "HIGH"}}]}, Severity.HIGH),
        ({"severity": [V4]}, Severity.UNKNOWN),
        ({"severity": "high"}, Severity.UNKNOWN),
        ({"severity": [None, {"score": 9.8}]}, Severity.UNKNOWN),
        ({"database_specific": []}, Severity.UNKNOWN),
        ({}, Severity.UNKNOWN),
        (None, Severity.UNKNOWN),
    ],
)
def test_a_record_has_the_worst_severity_it_states(record: Any, severity: Severity) -> None:
    assert severity_of(record) is severity
