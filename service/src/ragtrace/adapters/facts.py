"""Title and day of a document, from what its format, its name and its first lines say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, timezone

from ragtrace.domain.documents import Section, find_date, tidy
from ragtrace.limits import TITLE_CHARS

# Office programs write Universal Time; the day a Korean office saved a file on is the day there.
_KOREA = timezone(timedelta(hours=9))
# What programs put into the title by themselves.
_PROGRAM = re.compile(
    r"^(?:Microsoft (?:Office )?(?:Word|PowerPoint|Excel)|HWP|한글|Hancom \w+)\s*-\s*", re.IGNORECASE
)
_MEANINGLESS = re.compile(
    r"(?:untitled|no title|제목\s*없음|(?:빈|새)?\s*문서\s*\d*|document\s*\d*|word document|slide\s*\d+|슬라이드\s*\d+"
    r"|powerpoint (?:프레젠테이션|presentation)|프레젠테이션\s*\d*|presentation\s*\d*|book\s*\d+|통합\s*문서\s*\d*"
    r"|sheet\s*\d+|제\s*목|title)",
    re.IGNORECASE,
)
_FILE = re.compile(r"(?:.*[\\/])?([^\\/]+)\.(?:hwpx?|docx?|pptx?|xlsx?|pdf|rtf|odt|txt)", re.IGNORECASE)
_DAY = r"((?:19|20)\d\d)\s*[-년./]\s*(\d{1,2})\s*[-월./]\s*(\d{1,2})(?!\d)\s*[일.]?"
_LABELLED = re.compile(
    r"(?:작성|시행|개정|제정|기준|발행|공고|게시|등록|보고|회의|갱신|수정|배포|공포)\s*(?:일자|일시|날짜|일)?\s*[:：\]]?\s*" + _DAY
    + r"|\b(?:date|updated|issued|published)\s*[:：]\s*" + _DAY,
    re.IGNORECASE,
)  # fmt: skip
_ALONE = re.compile(r"^[(\[<]?\s*" + _DAY + r"\s*(?:\([월화수목금토일]\))?\s*[)\]>]?$", re.MULTILINE)
_HEAD_CHARS = 1500
# What is read of a title property before it is cleaned and cut.
_TITLE_READ = 2000


def file_stem(path: str) -> str:
    """Return the file's name without folder and ending."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def choose_title(path: str, *candidates: str) -> str:
    """Return the first candidate that a person wrote, else the file's name; at most `TITLE_CHARS` characters."""
    for candidate in candidates:
        title = _written(candidate)
        if title:
            return title[:TITLE_CHARS]
    return file_stem(path)[:TITLE_CHARS]


def choose_date(path: str, stated: str, sections: Sequence[Section]) -> str:
    """Return the day of a document as ISO, or "".

    The format's own properties (`stated`) come first, then the file's name, then a day in the first lines that
    stands alone or behind a word such as 시행일.
    """
    return stated or find_date(path.rpartition("/")[2]) or _day_in_text(sections)


def day_of(moments: Iterable[datetime | None], meaningless: frozenset[str] = frozenset()) -> str:
    """Return the day in Korea of the first moment that is set and not in `meaningless` (ISO, to the second)."""
    for moment in moments:
        if moment is None or moment.replace(tzinfo=None, microsecond=0).isoformat() in meaningless:
            continue
        aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        try:
            return aware.astimezone(_KOREA).date().isoformat()
        except OverflowError:
            continue
    return ""


def _written(candidate: str) -> str:
    title = _PROGRAM.sub("", " ".join(tidy(candidate[:_TITLE_READ]).split()))
    file = _FILE.fullmatch(title)
    title = file[1].strip() if file else title
    # U+FFFD, or nothing but signs: the property was written in an encoding that nobody knows any more.
    if "\ufffd" in title or not any(sign.isalnum() for sign in title) or _MEANINGLESS.fullmatch(title):
        return ""
    return title


def _day_in_text(sections: Sequence[Section]) -> str:
    head = "\n".join(section.text[:_HEAD_CHARS] for section in sections[:5])[:_HEAD_CHARS]
    labelled = [day for match in _LABELLED.finditer(head) if (day := _iso(match.groups()))]
    if labelled:
        # Rules name the day they were made and those they were changed on: the last one is what holds.
        return max(labelled)
    return next((day for match in _ALONE.finditer(head) if (day := _iso(match.groups()))), "")


def _iso(groups: Sequence[str | None]) -> str:
    year, month, day = (int(part) for part in groups if part is not None)
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return ""
