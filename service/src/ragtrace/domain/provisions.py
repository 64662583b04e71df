"""Parts, chapters and articles of Korean regulations ("제2장 휴가", "제15조(연차휴가)"), found by their lines.

A company's rules mostly come as PDF or text, where nothing but these lines says what belongs together. The order of the
levels is that of Korean statutes: 편, 장, 절, 관, 조 (법령 입안·심사 기준, 법제처).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LEVELS = {"편": 1, "장": 2, "절": 3, "관": 4, "조": 5}
# A line of its own; "제3조에 따라" and "제2장의 규정은" at the beginning of a wrapped line are references, not headings.
_CHAPTER = re.compile(r"(제\s?\d{1,3}\s?(편|장|절|관)(?:의\s?\d{1,2})?)(?:\s+(\S[^\n]{0,60}?))?\s*")
# "제15조(연차휴가) ① …": the text goes on in the same line.
_ARTICLE = re.compile(
    r"(제\s?\d{1,4}\s?(조)(?:의\s?\d{1,2})?)\s?(?:[(（【\[]\s*([^\n()（）【】\[\]]{1,60}?)\s*[)）】\]])(?=\s|$|[①-⑳])"
)
# A chapter's title is a name; what ends like a sentence is one, and rows of dots or a page number are a table of contents.
_NO_TITLE = re.compile(r"(?:[.。!?]|[을를는에]|따라|의하여|…|·{3,}|\.{3,}\s*\d*|\s\d{1,4})$")
# What comes after the articles, and has articles of its own.
_APPENDIX = re.compile(r"(부\s?칙|별\s?표(?:\s?\d{1,3})?)(?:\s*[<〈(\[][^\n]{0,60})?\s*")
# Of fewer a document is no regulation: one such line may be a quotation.
_LEAST = 2
_NAME_CHARS = 100


def split_provisions(text: str) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield (heading path, start, end) of the pieces of `text`; one piece with no path where it is no regulation."""
    marks = list(_marks(text))
    if len(marks) < _LEAST:
        yield (), 0, len(text)
        return
    if text[: marks[0][0]].strip():
        yield (), 0, marks[0][0]
    path: list[tuple[int, str]] = []
    ends = [start for start, *_ in marks[1:]] + [len(text)]
    for (_, level, name, body), end in zip(marks, ends, strict=True):
        path = [entry for entry in path if entry[0] < level]
        path.append((level, name))
        # A chapter's line is only a heading; an article's stays in the text, which goes on in it.
        if text[body:end].strip():
            yield tuple(heading for _, heading in path), body, end


def _marks(text: str) -> Iterator[tuple[int, int, str, int]]:
    """Yield (start, level, name, where its text starts) of every heading line."""
    offset = 0
    for line in text.split("\n"):
        following = offset + len(line) + 1
        appendix = _APPENDIX.fullmatch(line) if line.startswith(("부", "별")) else None
        if appendix is not None:
            yield offset, 0, "".join(appendix[1].split()), min(following, len(text))
        elif line.startswith("제"):
            article, chapter = _ARTICLE.match(line), _CHAPTER.fullmatch(line)
            if article is not None:
                yield offset, _LEVELS["조"], _name(article[1], article[3]), offset
            elif chapter is not None and not _NO_TITLE.search(chapter[3] or ""):
                body = min(following, len(text))
                yield offset, _LEVELS[chapter[2]], _name(chapter[1], chapter[3]), body
        offset = following


def _name(number: str, title: str | None) -> str:
    number = "".join(number.split())
    if "조" in number:
        return f"{number}({title})"
    return f"{number} {title or ''}".strip()[:_NAME_CHARS]
