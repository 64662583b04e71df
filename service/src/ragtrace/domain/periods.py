"""Korean expressions of time in a question, as a range of days.

Only what names a calendar time counts: "3일 전까지 신청" is a rule, "5년 이상" a length, "12월마다" a habit.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import MAXYEAR, MINYEAR, date, timedelta

from ragtrace.domain.documents import find_date

_DAY = date.resolution


@dataclass(frozen=True)
class Period:
    """Days from `since` to `until`, both included, as ISO; "" where there is no bound. `phrase` is what named them."""

    since: str
    until: str
    phrase: str = ""

    def __str__(self) -> str:
        """Return it as YYYY-MM-DD:YYYY-MM-DD."""
        return f"{self.since}:{self.until}"


@dataclass(frozen=True)
class Mention:
    """A time named at `start` to `end` of a text; `plain` says it without looking at today ("작년" is "2025년")."""

    start: int
    end: int
    first: date
    last: date
    plain: str = ""


def find_period(text: str, today: date) -> Period | None:
    """Return the range of days that a question names; None where it names none.

    Several times give the range from the first to the last of them ("2022년과 2024년 비교").
    """
    named = _joined(text, list(mentions(text, today)))
    if not named:
        return None
    since = None if any(one[0] is None for one in named) else min(one[0] for one in named if one[0])
    until = None if any(one[1] is None for one in named) else max(one[1] for one in named if one[1])
    if (since is None and until is None) or (since and until and since > until):
        return None
    phrase = text[named[0][2] : named[-1][3]].strip()
    return Period(since.isoformat() if since else "", until.isoformat() if until else "", phrase)


def plainly(text: str, today: date) -> str:
    """Return `text` with every time that looks at today named by itself: "지난달 회의" becomes "2026년 10월 회의"."""
    made, at = [], 0
    for mention in mentions(text, today):
        if mention.plain:
            made += [text[at : mention.start], mention.plain]
            at = mention.end
    return "".join([*made, text[at:]])


def parse_range(text: str) -> Period | None:
    """Return the range written as YYYY-MM-DD:YYYY-MM-DD, either side may be empty; None for anything else."""
    first, colon, last = text.strip().partition(":")
    days = []
    for part in (first.strip(), last.strip()):
        if part and find_date(part) != part:
            return None
        days.append(part)
    if not colon or not any(days) or (all(days) and days[0] > days[1]):
        return None
    return Period(days[0], days[1], text.strip())


def mentions(text: str, today: date) -> Iterator[Mention]:
    """Yield every time named in `text`, in order, none inside another."""
    found = [each for rule in _RULES for each in rule(text, today)]
    found.sort(key=lambda each: (each.start, -each.end))
    at = -1
    for each in found:
        if each.start >= at:
            at = each.end
            yield each


# --- pieces of expressions -----------------------------------------------------------------------------------------

# Words for a year, counted from this one; a longer word first.
_YEARS = {"재작년": -2, "지지난해": -2, "그러께": -2, "작년": -1, "지난해": -1, "전년도": -1, "지난 해": -1, "올해": 0, "금년": 0, "이번 해": 0,
          "당해 연도": 0, "내년": 1, "다음 해": 1, "후년": 2, "내후년": 3}  # fmt: skip
_MONTHS = {"지지난달": -2, "지지난 달": -2, "지난달": -1, "지난 달": -1, "저번 달": -1, "저번달": -1, "전월": -1, "이번 달": 0, "이번달": 0, "이달": 0,
           "금월": 0, "당월": 0, "다음 달": 1, "다음달": 1, "내달": 1, "익월": 1}  # fmt: skip
_WEEKS = {"지지난주": -2, "지지난 주": -2, "지난주": -1, "지난 주": -1, "저번 주": -1, "저번주": -1, "이번 주": 0, "이번주": 0, "금주": 0,
          "다음 주": 1, "다음주": 1, "차주": 1}  # fmt: skip
_DAYS = {
    "그저께": -2,
    "그제": -2,
    "엊그제": -2,
    "어제": -1,
    "오늘": 0,
    "금일": 0,
    "내일": 1,
    "명일": 1,
    "모레": 2,
}
_COUNTS = {"일": 1, "한": 1, "두": 2, "세": 3, "석": 3, "네": 4, "넉": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9, "열": 10,
           "반": 0}  # fmt: skip


def _any(words: dict[str, int]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_YEAR = rf"(?:(?<!\d)(?P<year>(?:19|20)\d\d)\s?(?:년도|년|연도)(?!\s?만에|[간째])|(?P<short>['’‘]\d\d)\s?년도?|(?<!\d)(?P<fiscal>\d\d)년도|(?<![가-힣])(?P<word>{_any(_YEARS)})(?!\s?대비))"
_PART = (
    r"(?P<half>상반기|하반기|전반기|후반기)|(?:제\s?)?(?P<quarter>[1-4])\s?(?:/\s?4\s?)?(?:사)?분기|"
    r"(?P<month>1[0-2]|0?[1-9])월(?!\s?분)(?:\s?(?P<day>3[01]|[12]\d|0?[1-9])일|\s?(?P<third>초순?|상순|중순|말|하순))?|"
    r"(?P<season>초|중반|중순|말|봄|여름|가을|겨울)(?=$|[\s,.?!에의까부이]|보다)"
)
_DATED = re.compile(rf"{_YEAR}(?:도)?(?:\s*의?\s*(?:{_PART}))?")
_NUMBERS = re.compile(
    r"(?<![\d.])(?P<year>(?:19|20)\d\d)(?P<mark>[-./])\s?(?P<month>1[0-2]|0?[1-9])(?:(?P=mark)\s?(?P<day>3[01]|[12]\d|0?[1-9]))?(?![\d-])"
)
_DECADE = re.compile(r"(?<!\d)(?P<decade>(?:19|20)\d)0년대|(?<!\d)(?P<short>[2-9])0년대")
_MONTH_WORD = re.compile(
    rf"(?<![가-힣])(?P<word>{_any(_MONTHS)})(?:\s?(?P<day>3[01]|[12]\d|0?[1-9])일|\s?(?P<third>초|중순|말))?"
)
_WEEK_WORD = re.compile(rf"(?<![가-힣])(?P<word>{_any(_WEEKS)})(?![가-힣]?식)")
_DAY_WORD = re.compile(rf"(?<![가-힣])(?P<word>{_any(_DAYS)})(?=$|[\s,.?!은는이가도의자부까])")
_LATELY = re.compile(
    r"(?:최근|지난|요)\s?(?P<count>\d{1,3}|일(?=\s?주)|한|두|세|석|네|넉|다섯|여섯|일곱|여덟|아홉|열|반)\s?(?P<unit>일|주일?|개월|달|분기|년)(?:\s?(?P<half>반))?(?![도차])\s?(?:간|동안|치|사이)?"
)
_HALF_WORD = re.compile(
    r"(?<![가-힣\d])(?:(?P<when>지난|저번|이번|올|다음)\s?)?(?:(?P<half>상반기|하반기)|(?P<quarter>[1-4])\s?(?:/\s?4\s?|사)?분기)"
)
_QUARTER_WORD = re.compile(
    r"(?<![가-힣])(?P<when>지난|저번|직전|전|이번|당|금|다음)\s?분기(?P<per>별|마다|당)?"
)


def _dated(text: str, today: date) -> Iterator[Mention]:
    for match in _DATED.finditer(text):
        year = _year(match, today)
        if not MINYEAR < year < MAXYEAR:
            continue
        found = _part(match, year)
        if found is None:
            continue
        plain = ""
        if match["word"] or match["short"] or match["fiscal"]:
            tail = text[match.end("word") : match.end()] if match["word"] else ""
            plain = f"{year}년{'' if not tail or tail[0] == ' ' else ' '}{tail}"
        yield Mention(match.start(), match.end(), *found, plain)


def _numbers(text: str, _today: date) -> Iterator[Mention]:
    for match in _NUMBERS.finditer(text):
        # "2024.3" is a version as often as a month.
        if not match["day"] and (match["mark"] != "-" or len(match["month"]) != 2):
            continue
        year, month = int(match["year"]), int(match["month"])
        first, last = _month(year, month)
        if match["day"]:
            day = _safe(year, month, int(match["day"]))
            if day is None:
                continue
            first = last = day
        yield Mention(match.start(), match.end(), first, last)


def _decades(text: str, _today: date) -> Iterator[Mention]:
    for match in _DECADE.finditer(text):
        year = int(match["decade"]) * 10 if match["decade"] else 1900 + int(match["short"]) * 10
        yield Mention(match.start(), match.end(), date(year, 1, 1), date(year + 9, 12, 31))


def _month_words(text: str, today: date) -> Iterator[Mention]:
    for match in _MONTH_WORD.finditer(text):
        first, last = _month(*_shift(today.year, today.month, _MONTHS[match["word"]]))
        plain = f"{first.year}년 {first.month}월"
        tail = text[match.end("word") : match.end()]
        if match["day"]:
            day = _safe(first.year, first.month, int(match["day"]))
            if day is None:
                continue
            yield Mention(match.start(), match.end(), day, day, f"{plain} {day.day}일")
        else:
            yield Mention(match.start(), match.end(), *_third(first, last, match["third"]), plain + tail)


def _week_words(text: str, today: date) -> Iterator[Mention]:
    for match in _WEEK_WORD.finditer(text):
        monday = today - timedelta(days=today.weekday()) + timedelta(weeks=_WEEKS[match["word"]])
        sunday = monday + 6 * _DAY
        plain = f"{monday.year}년 {monday.month}월 {monday.day}일 주"
        yield Mention(match.start(), match.end(), monday, sunday, plain)


def _day_words(text: str, today: date) -> Iterator[Mention]:
    for match in _DAY_WORD.finditer(text):
        day = today + timedelta(days=_DAYS[match["word"]])
        yield Mention(match.start(), match.end(), day, day, f"{day.year}년 {day.month}월 {day.day}일")


def _lately(text: str, today: date) -> Iterator[Mention]:
    """Yield spans that end today: "최근 3개월" begins on the same day three months ago."""
    for match in _LATELY.finditer(text):
        count = int(match["count"]) if match["count"].isdigit() else _COUNTS[match["count"]]
        unit = match["unit"]
        if unit == "일" or unit.startswith("주"):
            first = today - timedelta(days=count * (1 if unit == "일" else 7))
        else:
            months = count * {"년": 12, "분기": 3}.get(unit, 1)
            # "최근 반년", "최근 1년 반"
            months += 6 if unit == "년" and (match["half"] or match["count"] == "반") else 0
            if months > 12 * (today.year - 1):
                continue
            year, month = _shift(today.year, today.month, -months)
            first = date(year, month, min(today.day, calendar.monthrange(year, month)[1]))
        if first < today:
            yield Mention(match.start(), match.end(), first, today)


def _halves(text: str, today: date) -> Iterator[Mention]:
    """Yield a half or quarter without its year: the latest that has begun, unless a word says which."""
    for match in _HALF_WORD.finditer(text):
        months = 6 if match["half"] else 3
        place = int(match["half"] == "하반기") if match["half"] else int(match["quarter"]) - 1
        year = today.year
        begun = date(year, place * months + 1, 1) <= today
        over = date(year, place * months + months, 28) < today.replace(day=1)
        if match["when"] in ("지난", "저번"):
            year -= 0 if over else 1
        elif match["when"] == "다음":
            year += 1 if begun else 0
        elif match["when"] is None and not begun:
            year -= 1
        name = match["half"] or f"{match['quarter']}분기"
        yield Mention(match.start(), match.end(), *_months(year, place, months), f"{year}년 {name}")


def _quarter_words(text: str, today: date) -> Iterator[Mention]:
    steps = {"지난": -1, "저번": -1, "직전": -1, "전": -1, "다음": 1}
    for match in _QUARTER_WORD.finditer(text):
        if match["per"]:
            continue
        number = today.year * 4 + (today.month - 1) // 3 + steps.get(match["when"], 0)
        year, place = divmod(number, 4)
        yield Mention(match.start(), match.end(), *_months(year, place, 3), f"{year}년 {place + 1}분기")


_RULES: tuple[Callable[[str, date], Iterator[Mention]], ...] = (
    _dated, _numbers, _decades, _month_words, _week_words, _day_words, _lately, _halves, _quarter_words,
)  # fmt: skip


def _year(match: re.Match[str], today: date) -> int:
    if match["year"]:
        return int(match["year"])
    if match["word"]:
        return today.year + _YEARS[match["word"]]
    return 2000 + int((match["short"] or match["fiscal"])[-2:])


def _part(match: re.Match[str], year: int) -> tuple[date, date] | None:
    """Return the days of what follows a year; None for a day that does not exist."""
    if match["half"]:
        return _months(year, int(match["half"] in ("하반기", "후반기")), 6)
    if match["quarter"]:
        return _months(year, int(match["quarter"]) - 1, 3)
    if match["month"]:
        first, last = _month(year, int(match["month"]))
        if match["day"]:
            day = _safe(year, int(match["month"]), int(match["day"]))
            return (day, day) if day else None
        return _third(first, last, match["third"])
    # Korean seasons by the meteorological months; winter begins in December and ends in the next year.
    seasons = {"봄": (3, 3), "여름": (6, 3), "가을": (9, 3), "겨울": (12, 3), "초": (1, 3), "중반": (5, 4), "중순": (5, 4), "말": (10, 3)}  # fmt: skip
    if match["season"]:
        month, length = seasons[match["season"]]
        return date(year, month, 1), _month(*_shift(year, month, length - 1))[1]
    return date(year, 1, 1), date(year, 12, 31)


def _months(year: int, place: int, length: int) -> tuple[date, date]:
    return date(year, place * length + 1, 1), _month(year, (place + 1) * length)[1]


def _month(year: int, month: int) -> tuple[date, date]:
    return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])


def _third(first: date, last: date, word: str | None) -> tuple[date, date]:
    if word in ("초", "초순", "상순"):
        return first, first.replace(day=10)
    if word == "중순":
        return first.replace(day=11), first.replace(day=20)
    if word in ("말", "하순"):
        return first.replace(day=21), last
    return first, last


def _shift(year: int, month: int, by: int) -> tuple[int, int]:
    number = year * 12 + month - 1 + by
    return number // 12, number % 12 + 1


def _safe(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


# --- what stands around and between them ---------------------------------------------------------------------------

_FROM = re.compile(r"\s*(?:부터|이후|이래|에서부터)(?!의\s?제도)")
_UNTIL = re.compile(r"\s*(?:까지|이전)")
_BETWEEN = re.compile(r"\s*(?:부터|에서|[~∼〜～–—:-])\s*")
# The end of a range may leave out what it shares with its beginning: "2024년 3월부터 5월까지", "3월 1일~15일".
_ELLIPSIS = re.compile(
    r"\s*(?:부터|에서|[~∼〜～–—-])\s*(?:(?P<month>1[0-2]|0?[1-9])월(?:\s?(?P<day>3[01]|[12]\d|0?[1-9])일|\s?(?P<third>초|중순|말))?"
    r"|(?P<only>3[01]|[12]\d|0?[1-9])일|(?P<half>하반기)|(?P<quarter>[1-4])\s?(?:/\s?4\s?|사)?분기)"
)
# "2023~2024년": the first year says neither 년 nor a month.
_YEARS_LEFT = re.compile(r"(?<!\d)((?:19|20)\d\d)\s?년?\s?[~∼〜～–—-]\s?$")

_Span = tuple["date | None", "date | None", int, int]


def _joined(text: str, found: list[Mention]) -> list[_Span]:
    """Return spans, "부터", "까지" and "이후" understood; a bound that is open is None."""
    spans: list[_Span] = []
    for plain in found:
        if spans and plain.start < spans[-1][3]:
            continue
        mention = _completed(text, plain)
        since: date | None = mention.first
        until: date | None = mention.last
        end = mention.end
        if mention.end > plain.end:
            spans.append((since, until, mention.start, end))
        elif spans and _BETWEEN.fullmatch(text[spans[-1][3] : mention.start]) and spans[-1][1] is not None:
            spans[-1] = (spans[-1][0], until, spans[-1][2], end)
        elif after := _FROM.match(text, end):
            # The end may follow: then it is a range, and joined in the next round.
            follower = next((each for each in found if each.start >= after.end()), None)
            if follower is None or text[after.end() : follower.start].strip():
                until, end = None, after.end()
            spans.append((since, until, mention.start, end))
        elif before := _UNTIL.match(text, end):
            spans.append((None, until, mention.start, before.end()))
        else:
            spans.append((since, until, mention.start, end))
    return spans


def _completed(text: str, mention: Mention) -> Mention:
    left = _YEARS_LEFT.search(text[: mention.start])
    if left and int(left[1]) <= mention.first.year:
        mention = replace(mention, start=left.start(), first=date(int(left[1]), 1, 1))
    match = _ELLIPSIS.match(text, mention.end)
    if match is None:
        return mention
    year = mention.last.year
    if match["half"]:
        last = date(year, 12, 31)
    elif match["quarter"]:
        last = _months(year, int(match["quarter"]) - 1, 3)[1]
    else:
        month = int(match["month"]) if match["month"] else mention.last.month
        day = match["day"] or match["only"]
        exact = _safe(year, month, int(day)) if day else None
        if day and exact is None:
            return mention
        last = exact or _third(*_month(year, month), match["third"])[1]
    return replace(mention, end=match.end(), last=last) if last >= mention.first else mention
