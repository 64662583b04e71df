"""What a question is about: the question said clearly, its keywords, whether it needs a table, and which days it means."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from ragtrace.domain.periods import Period, parse_range

_QUESTION_CHARS = 200
_KEYWORDS = 8
_KEYWORD_CHARS = 20

# What a model is asked to write.
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "question": {"type": "string", "minLength": 1, "maxLength": _QUESTION_CHARS},
        "keywords": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": _KEYWORD_CHARS},
            "minItems": 1,
            "maxItems": _KEYWORDS,
        },
        "table": {"type": "boolean"},
        "since": {"type": "string", "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"},
        "until": {"type": "string", "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"},
    },
    "required": ["question", "keywords", "table", "since", "until"],
    "additionalProperties": False,
}

# Figures that are worked out from many rows.
_FIGURES = re.compile(
    r"합계|총\s?(?:액|합|계|건수|인원|매출|비용|수량)|평균|최댓값|최솟값|최대값|최소값|건수|인원수|비율|점유율|증감|증가율|감소율|추이|추세|통계|순위|집계|"
    r"(?:상위|하위)\s?\d+|(?:월|분기|연도|년도|연|일|주|부서|팀|지점|지역|제품|품목|유형|항목|직급|고객|거래처)별|표로|도표|그래프|차트|"
    r"(?:매출|실적|판매|예산|이익|수량|재고)\S*\s.*(?:비교|얼마|몇)|가장\s(?:많|적|높|낮|큰|작)"
)
# Counts that a rule may state as well as a table ("며칠 전까지", "몇 명의 승인"): only with a time are they figures.
_COUNT = re.compile(r"몇\s?(?:건|명|개|회|번|대|곳|퍼센트|%)|얼마")
_TIME = re.compile(
    r"\d|년|월|주|분기|반기|최근|요즘|이전|이후|작년|올해|지난|이번|오늘|어제|달|초|말|봄|여름|가을|겨울"
)


@dataclass(frozen=True)
class Analysis:
    """A question as it is understood. `question` stands alone; `keywords` are further words to look for.

    `inherited` are the terms of `question` that only the questions before it brought: whether a question that merely
    looks like a follow-up is one, rules cannot tell. `narrows` false means that the period is not that of documents.
    """

    question: str
    keywords: tuple[str, ...] = ()
    table: bool = False
    period: Period | None = None
    by: Literal["model", "rules"] = "rules"
    inherited: frozenset[str] = frozenset()
    narrows: bool = True


# What happened to people and things in a time; the rules about them are of another time.
_LIVES = re.compile(
    r"^\s*(?:에|도에|이후|이전|이후에|이전에|부터|까지|동안)?\s*(?:신규\s)?(?:입사|출생|태어|졸업|가입|취득|임용|임관|전입|퇴사|퇴직|입학|취업|구입|구매|계약(?:한|자|된)|준공|취임)"
)
# What comes day by day.
_NEWS = re.compile(
    r"공지|게시|올라|등록|작성|발표|보고|회의|소식|기사|뉴스|문서|메일|접수|발생|장애|공유|배포|업데이트|발행"
)


def narrows_search(question: str, period: Period, today: date) -> bool:
    """Say whether a period is likely the time of documents.

    Nothing is dated tomorrow, rules for "who joined before 2020" are of any year, and who asks what to do today wants
    no document of today.
    """
    if period.since > today.isoformat():
        return False
    if period.phrase and _LIVES.match(question.partition(period.phrase)[2]):
        return False
    return period.since != today.isoformat() or bool(_NEWS.search(question))


def needs_table(question: str, period: Period | None) -> bool:
    """Say by its words whether a question asks for figures over many rows."""
    return bool(_FIGURES.search(question)) or (period is not None and bool(_COUNT.search(question)))


def names_time(question: str) -> bool:
    """Say whether anything in a question could mean a time; where nothing does, a range is made up."""
    return bool(_TIME.search(question))


def read_analysis(text: str) -> Analysis | None:
    """Return what a model wrote, where it is an analysis; what stands around the JSON is overlooked."""
    start, end = text.find("{"), text.rfind("}")
    try:
        said = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    question, keywords, table = said.get("question"), said.get("keywords", []), said.get("table", False)
    if not isinstance(question, str) or not isinstance(keywords, list) or not isinstance(table, bool):
        return None
    question = " ".join(question.split())
    if not question or len(question) > _QUESTION_CHARS:
        return None
    words = [" ".join(each.split()) for each in keywords if isinstance(each, str)]
    kept = [each for each in dict.fromkeys(words) if each and len(each) <= _KEYWORD_CHARS][:_KEYWORDS]
    return Analysis(question, tuple(kept), table, _range(said), "model")


def _range(said: Mapping[str, Any]) -> Period | None:
    since, until = said.get("since", ""), said.get("until", "")
    if not isinstance(since, str) or not isinstance(until, str):
        return None
    found = parse_range(f"{since}:{until}")
    return Period(found.since, found.until) if found else None
