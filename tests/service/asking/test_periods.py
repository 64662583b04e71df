"""Korean expressions of time as ranges of days."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragtrace.domain.periods import find_period, mentions, parse_range, plainly

TODAY = date(2026, 11, 20)  # a Friday


@pytest.mark.parametrize(
    ("question", "range_"),
    [
        ("작년 매출은?", "2025-01-01:2025-12-31"), ("재작년 매출", "2024-01-01:2024-12-31"), ("지난해 상반기", "2025-01-01:2025-06-30"),
        ("올해 3분기 영업이익", "2026-07-01:2026-09-30"), ("작년 3/4분기", "2025-07-01:2025-09-30"), ("내년 계획", "2027-01-01:2027-12-31"),
        ("지난달 회의록", "2026-10-01:2026-10-31"), ("이번 달 일정", "2026-11-01:2026-11-30"), ("다음 달 5일 일정", "2026-12-05:2026-12-05"),
        ("지난주 장애", "2026-11-09:2026-11-15"), ("이번 주 식단", "2026-11-16:2026-11-22"), ("어제 올라온 공지", "2026-11-19:2026-11-19"),
        ("2024년 상반기 실적", "2024-01-01:2024-06-30"), ("2024년 하반기", "2024-07-01:2024-12-31"), ("2024년도 예산안", "2024-01-01:2024-12-31"),
        ("2024년 2월 보고서", "2024-02-01:2024-02-29"), ("2023년 2월 보고서", "2023-02-01:2023-02-28"), ("2024년 3월 5일 회의", "2024-03-05:2024-03-05"),
        ("2024년 3월 말", "2024-03-21:2024-03-31"), ("작년 초 공지", "2025-01-01:2025-03-31"), ("작년 겨울", "2025-12-01:2026-02-28"),
        ("24년도 예산", "2024-01-01:2024-12-31"), ("'23년 예산", "2023-01-01:2023-12-31"), ("1990년대 자료", "1990-01-01:1999-12-31"),
        ("2024.3.5 회의", "2024-03-05:2024-03-05"), ("2024-03 보고", "2024-03-01:2024-03-31"),
        ("2024년 3월부터 5월까지", "2024-03-01:2024-05-31"), ("2024년 3월 31일부터 5월 2일까지의 출장", "2024-03-31:2024-05-02"),
        ("2024년 3월 1일~15일", "2024-03-01:2024-03-15"), ("작년 3월~5월", "2025-03-01:2025-05-31"), ("2023~2024년 비교", "2023-01-01:2024-12-31"),
        ("2023년부터 2024년까지", "2023-01-01:2024-12-31"), ("2022년과 2024년 비교", "2022-01-01:2024-12-31"),
        ("2024-03-01 ~ 2024-05-31 문서", "2024-03-01:2024-05-31"), ("2024-03-01:2024-05-31", "2024-03-01:2024-05-31"),
        ("2023년 이후 개정된 규정", "2023-01-01:"), ("작년부터 지금까지", "2025-01-01:"), ("2023년 이전 규정", ":2023-12-31"),
        ("2024년 3월 말까지", ":2024-03-31"), ("최근 3개월 공지", "2026-08-20:2026-11-20"), ("최근 일주일", "2026-11-13:2026-11-20"),
        ("지난 3년간 추이", "2023-11-20:2026-11-20"), ("최근 반년", "2026-05-20:2026-11-20"), ("지난 분기 매출", "2026-07-01:2026-09-30"),
        ("상반기 실적은?", "2026-01-01:2026-06-30"), ("지난 상반기 실적", "2026-01-01:2026-06-30"), ("4분기 계획", "2026-10-01:2026-12-31"),
    ],
)  # fmt: skip
def test_a_time_that_is_named_is_a_range_of_days(question: str, range_: str) -> None:
    assert str(find_period(question, TODAY)) == range_


@pytest.mark.parametrize(
    "question",
    [
        "휴가는 3일 전까지 신청하나요?", "5년 이상 근속한 직원은?", "매년 12월에 하는 점검", "전년 대비 증가율", "2024년간", "2024년 2월 30일",
        "LibreOffice 24.8.3 버전은?", "2024.3 버전", "최근 공지", "전화번호 2024-1234", "제2024호", "분기별 실적", "3월에 하는 일", "", "2000년 만에",
    ],
)  # fmt: skip
def test_what_is_no_calendar_time_narrows_nothing(question: str) -> None:
    assert find_period(question, TODAY) is None


@pytest.mark.parametrize(
    ("today", "range_"),
    [
        (date(2026, 1, 15), "2025-12-01:2025-12-31"),
        (date(2026, 3, 31), "2026-02-01:2026-02-28"),
        (date(2024, 3, 1), "2024-02-01:2024-02-29"),
    ],
)
def test_last_month_crosses_years_and_short_months(today: date, range_: str) -> None:
    assert str(find_period("지난달 실적", today)) == range_


def test_a_quarter_that_has_not_begun_is_that_of_the_year_before() -> None:
    assert str(find_period("3분기 실적", date(2026, 2, 1))) == "2025-07-01:2025-09-30"
    assert str(find_period("지난 분기", date(2026, 2, 1))) == "2025-10-01:2025-12-31"


@pytest.mark.parametrize(
    ("question", "plain"),
    [
        ("작년 매출은?", "2025년 매출은?"), ("지난달 회의록", "2026년 10월 회의록"), ("올해 3분기", "2026년 3분기"),
        ("작년과 올해 비교", "2025년과 2026년 비교"), ("24년도 예산", "2024년 예산"), ("2024년 예산", "2024년 예산"), ("어제 공지", "2026년 11월 19일 공지"),
    ],
)  # fmt: skip
def test_a_time_that_looks_at_today_is_said_plainly(question: str, plain: str) -> None:
    assert plainly(question, TODAY) == plain


@pytest.mark.parametrize(
    "text", ["", ":", "2024-01-01", "2024-01-02:2024-01-01", "2024-13-01:", "20240101:20240102", "a:b"]
)
def test_a_range_that_is_none_is_not_read(text: str) -> None:
    assert parse_range(text) is None


def test_a_range_may_be_open_on_one_side() -> None:
    found = parse_range(" 2024-01-01: ")
    assert found is not None and (found.since, found.until) == ("2024-01-01", "")


_WORDS = st.sampled_from(
    [
        "작년",
        "올해",
        "2024년",
        "지난달",
        "3월",
        "말",
        "상반기",
        "부터",
        "까지",
        "~",
        " ",
        "5일",
        "최근 3",
        "개월",
        "이후",
        "0",
        "9999년",
        "1900년",
        "지난주",
        "200년",
    ]
)


@given(st.lists(_WORDS, max_size=12).map("".join), st.dates(date(1, 1, 1), date(9999, 12, 31)))
def test_whatever_is_asked_the_range_is_in_order_or_absent(question: str, today: date) -> None:
    found = find_period(question, today)
    if found is not None:
        assert found.since or found.until
        assert not (found.since and found.until) or found.since <= found.until
        assert found.phrase in question
    spans = [(one.start, one.end) for one in mentions(question, today)]
    assert all(first[1] <= second[0] for first, second in zip(spans, spans[1:], strict=False))
