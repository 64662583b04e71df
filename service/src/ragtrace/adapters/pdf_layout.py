"""From lines on pages to text: running heads dropped, wrapped lines joined, headings told by bookmarks or by size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ragtrace.adapters.pdf_lines import Line

_PAGE_NUMBER = re.compile(
    r"[-–—\s|]*(?:p(?:age)?\.?\s*)?\d{1,4}(?:\s*(?:/|of|쪽)\s*\d{0,4})?[-–—\s|]*", re.IGNORECASE
)
_END_NUMBER = re.compile(r"(?:^\W*|\W)(?<![.,\d])(\d{1,4})(?=\W+$|$)|^\W*(\d{1,4})(?=\s)")
_ITEM = re.compile(
    r"\s*(?:[•·∙○●◦◯□■▪▫◆◇▶▷※*☞√\-–—]|[①-⑳㉠-㉻]|\(?[0-9]{1,3}[.)]|\(?[가-하][.)]|\(?[a-zA-Z][.)]"
    r"|제\s*\d+\s*(?:조(?:의\s*\d+)?\s*[(\[【]|[장절편]\s))"
)
_SENTENCE_END = re.compile(r"[.!?。:;…][\"'”’)\]」』]*$")
_LEADERS = re.compile(r"(?:\s*[.·․‥…⋯‧・]){5,}\s*(?:\d{1,4}|[ivxlc]{1,7})\s*$|…{2,}\s*\d{1,4}\s*$")
_LEAST_LEADERS = 3
_LEADER_CHARS = 80
_TAIL = re.compile(r"(?:다|요)[.](?:\s|$)")
_HANGUL = re.compile(r"[가-힣]")
# Lines at either edge of a page that may be running heads, and on what share of the pages one has to return.
_EDGE = 2
_SHARE = 0.4
_HEADING_CHARS = 80
# A heading's letters are at least so much larger than those of the text.
_LARGER = 1.2
_LEVELS = 4
# The least share of a page's text that a column of prose is wide: two columns and the space between them.
_COLUMN = 0.4
# A program that keeps the space before a line's end keeps it at most line ends; a stray one says nothing.
_SPACED_SHARE = 0.1
# A letter's width and what counts as the same edge, in line heights; fewer wrapped lines than these tell nothing.
_LETTER = 0.95
_FLUSH = 0.02
_WRAPS = 6


@dataclass(frozen=True)
class Bookmark:
    """An entry of the document's outline: level from 1, page from 0, height on the page (None: its top)."""

    level: int
    title: str
    page: int
    y: float | None = None


@dataclass(frozen=True)
class Heading:
    """A heading before the line `at` of a page; `lines` is how many lines it takes, 0 where it is not printed."""

    at: int
    level: int
    title: str
    lines: int = 1


def without_running_heads(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Drop page numbers, the lines that return at the edges of many pages, and those that carry the page's number."""
    seen: Counter[tuple[str, float]] = Counter()
    offsets: Counter[int] = Counter()
    for number, lines in enumerate(pages):
        seen.update({_shape(lines[at]) for at in _edges(lines)})
        offsets.update({offset for line in (*lines[:1], *lines[-1:]) for offset in _offsets(line, number)})
    least = max(3, _SHARE * len(pages))
    counted = {offset for offset, count in offsets.items() if count >= least}
    cleaned: list[list[Line]] = []
    for number, lines in enumerate(pages):
        edges = _edges(lines)
        dropped = {at for at in edges if len(pages) > 3 and seen[_shape(lines[at])] >= least}
        for at in {0, len(lines) - 1} if len(pages) > 1 and len(lines) > 1 else ():
            if _PAGE_NUMBER.fullmatch(lines[at].text) or not counted.isdisjoint(_offsets(lines[at], number)):
                dropped.add(at)
        cleaned.append([line for at, line in enumerate(lines) if at not in dropped])
    # Where nothing is left, the same words on every page are what the document says.
    return cleaned if any(cleaned) else [list(lines) for lines in pages]


def without_contents(lines: Sequence[Line]) -> list[Line]:
    """Drop the lines of a table of contents or an index, which name pages and answer nothing: "1.2 휴가 ..... 7"."""
    leaders = [bool(_LEADERS.search(" ".join(line.cells)[-_LEADER_CHARS:])) for line in lines]
    if sum(leaders) < _LEAST_LEADERS:
        return list(lines)
    return [line for line, leads in zip(lines, leaders, strict=True) if not leads]


def body_height(pages: Sequence[Sequence[Line]]) -> float:
    """Return the height of the letters that most of the text is set in, 0.0 where no place is known."""
    heights: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            if line.height:
                heights[_rounded(line.height)] += len(line.text)
    return heights.most_common(1)[0][0] if heights else 0.0


def bookmarked(lines: Sequence[Line], marks: Sequence[Bookmark]) -> list[Heading]:
    """Find the places of one page's bookmarks: the line that reads the same, else the one at its height."""
    headings: list[Heading] = []
    start = 0
    for mark in marks:
        at, length = _same_words(lines, mark.title, start)
        if not length:
            at = start
            if mark.y is not None:
                below = (
                    at
                    for at, line in enumerate(lines)
                    if line.height and line.top <= mark.y + line.height / 2
                )
                at = max(start, next(below, start))
        headings.append(Heading(at, mark.level, mark.title, length))
        start = at + length
    return headings


def sized(pages: Sequence[Sequence[Line]], body: float) -> list[list[Heading]]:
    """Return every page's headings by the size of their letters; none where too many lines are large."""
    large = {
        (number, at): _rounded(line.height)
        for number, lines in enumerate(pages)
        for at, line in enumerate(lines)
        if body and line.height >= _LARGER * body and _may_be_heading(line)
    }
    total = sum(map(len, pages))
    if not large or len(large) > 0.3 * total:
        return [[] for _ in pages]
    sizes = sorted(set(large.values()), reverse=True)
    levels = {size: min(rank, _LEVELS) for rank, size in enumerate(sizes, start=1)}
    found: list[list[Heading]] = []
    for number, lines in enumerate(pages):
        headings: list[Heading] = []
        for at, line in enumerate(lines):
            size = large.get((number, at))
            if size is None:
                continue
            last = headings[-1] if headings else None
            if last and last.at + last.lines == at and last.level == levels[size] and last.lines < 3:
                headings[-1] = Heading(last.at, last.level, f"{last.title} {line.text}", last.lines + 1)
            else:
                headings.append(Heading(at, levels[size], line.text))
        found.append(headings)
    return found


def largest(lines: Sequence[Line], body: float) -> str:
    """Return the largest words of the first page, which are the title where they are larger than the text; else ""."""
    tallest = max((line.height for line in lines if _may_be_heading(line)), default=0.0)
    if not body or tallest < _LARGER * body:
        return ""
    words: list[str] = []
    for line in lines:
        if _may_be_heading(line) and line.height > 0.95 * tallest:
            words.append(line.text)
        elif words:
            break
    return " ".join(words[:3])


def breaks_words(pages: Sequence[Sequence[Line]]) -> bool:
    """Say whether a Korean word of this document may go on in the next line without a mark.

    It is known where line ends keep their spaces. Else lines tell that are all filled to less than a letter, but not
    spread to the same edge: who breaks between words only leaves now more, now less.
    """
    lines = [line for page in pages for line in page]
    if sum(line.spaced for line in lines) > _SPACED_SHARE * len(lines):
        return True
    gaps = [gap for page in pages for gap in _gaps(page) if gap is not None]
    filled = sum(gap < _LETTER for gap in gaps)
    flush = sum(gap < _FLUSH for gap in gaps)
    return len(gaps) >= _WRAPS and filled >= 0.9 * len(gaps) and flush < 0.5 * len(gaps)


def paragraphs(lines: Sequence[Line], broken: bool) -> list[str]:
    """Join the lines of a paragraph. `broken` says that words may go on in the next line (see `breaks_words`)."""
    joined: list[str] = []
    for at, gap in enumerate(_gaps(lines)):
        if gap is None:
            joined.append(lines[at].text)
        else:
            joined[-1] += _between(lines[at - 1], lines[at], broken) + lines[at].text
    return joined


def _gaps(lines: Sequence[Line]) -> list[float | None]:
    """Return, for each line that continues the one before it, what that one left free, in line heights; else None."""
    placed = [line for line in lines if line.height]
    width = max(line.right for line in placed) - min(line.left for line in placed) if placed else 0.0
    gaps: list[float | None] = [None] * len(lines)
    for at in range(1, len(lines)):
        first = lines[at - 1]
        if _may_continue(first, lines[at]) and first.right - first.left >= _COLUMN * width:
            around = lines[max(0, at - 40) : at + 40]
            edge = max(
                one.right for one in around if one.height and abs(one.left - first.left) < 3 * first.height
            )
            if first.right >= edge - max(4 * first.height, 0.08 * (edge - first.left)):
                gaps[at] = (edge - first.right) / first.height
    return gaps


def _may_continue(first: Line, second: Line) -> bool:
    """Say whether a line ends in the middle of a sentence and the next, of the same size, begins no item."""
    if not first.height or not second.height or len(first.cells) > 1 or len(second.cells) > 1:
        return False
    if len(first.text) < 10 or _SENTENCE_END.search(first.text):
        return False
    if _ITEM.match(second.text) and not _is_tail(first, second):
        return False
    if not first.text[-1].isalpha() and first.text[-1] not in ",·、)”’」』":
        return False
    return (
        abs(first.height - second.height) <= 0.1 * first.height
        and 0 < first.top - second.top < 2.5 * first.height
    )


def _is_tail(first: Line, second: Line) -> bool:
    """Say whether the second line begins with the end of a sentence ("…한" "다."), which looks like an item's letter."""
    return bool(_HANGUL.match(first.text[-1]) and _TAIL.match(second.text))


def _between(first: Line, second: Line, broken: bool) -> str:
    hangul = _HANGUL.match(first.text[-1]) and _HANGUL.match(second.text[:1])
    within = (broken and not first.spaced) or _is_tail(first, second)
    return "" if hangul and within else " "


def _may_be_heading(line: Line) -> bool:
    text = line.text
    return (
        len(line.cells) == 1
        and 1 < len(text) <= _HEADING_CHARS
        and any(sign.isalpha() for sign in text)
        and not text.endswith((".", "다.", ","))
    )


def _same_words(lines: Sequence[Line], title: str, start: int) -> tuple[int, int]:
    """Return the place and number of the lines that read as `title`, a number before it allowed; (0, 0) for none."""
    wanted = _letters(title)
    if not wanted:
        return 0, 0
    for at in range(start, len(lines)):
        text = ""
        for length in (1, 2, 3):
            if at + length > len(lines):
                break
            text += _letters(lines[at + length - 1].text)
            if len(text) > len(wanted) + 8:
                break
            # The number before a title may be printed only, or be in the bookmark only.
            printed_more = text.endswith(wanted) and len(text) - len(wanted) < len(_letters(lines[at].text))
            if printed_more or (len(text) > len(wanted) // 2 and wanted.endswith(text)):
                return at, length
    return 0, 0


def _letters(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def _edges(lines: Sequence[Line]) -> set[int]:
    """Return the places of the lines that may be running heads; of a short page the first and the last only."""
    depth = _EDGE if len(lines) > 3 * _EDGE else 1
    return {at for at in range(len(lines)) if at < depth or at >= len(lines) - depth}


def _shape(line: Line) -> tuple[str, float]:
    """Return what is the same of a running head on every page; the title that it repeats is set larger."""
    return line.text.replace(" ", ""), _rounded(line.height)


def _offsets(line: Line, page: int) -> set[int]:
    """Return how far a number at either end of a line is ahead of the page: the same all along for page numbers."""
    return {int(last or first) - page for last, first in _END_NUMBER.findall(line.text)}


def _rounded(height: float) -> float:
    return round(height * 2) / 2
