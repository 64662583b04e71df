"""Sentence boundaries for Korean and English prose, by punctuation and lines only.

Chunk ids depend on this split, so it must not change with a model or a dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# An end mark, closing quotes or brackets, then white space; "3.5" and "1. 파일" do not end a sentence.
_END = re.compile(r"(?<![\s\d])[.!?。！？…]+[\"'”’)\]」』]*(?=\s)|(?<=[다요])\d?[.][\"'”’)\]]*(?=[가-힣])")

# "가. 목적", "나) 범위", "A. Scope": the mark of a list item belongs to the item.
_ENUMERATION = re.compile(r"\s*(?:[가나다라마바사아자차카타파하]|[A-Za-z]|[IVX]{1,4}|[①-⑳])[.)]?[.)]\s")
# Where a sentence without an end is best broken, best first: after a clause, after a comma, between words.
_CLAUSE = re.compile(r"(?:하고|하며|하여|으며|이며|지만|는데|므로|니다|거나|[;；])[,，]?(?=\s)")
_COMMA = re.compile(r"[,，、|](?=\s)")
_SPACE = re.compile(r"\S(?=\s)")


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) spans of the sentences of `text`; every line end is a boundary too."""
    spans: list[tuple[int, int]] = []
    offset = 0
    for line in text.split("\n"):
        start = 0
        enumerated = _ENUMERATION.match(line)
        for match in _END.finditer(line, enumerated.end() if enumerated else 0):
            _append(spans, line, offset, start, match.end())
            start = match.end()
        _append(spans, line, offset, start, len(line))
        offset += len(line) + 1
    return spans


def _append(spans: list[tuple[int, int]], line: str, offset: int, start: int, end: int) -> None:
    piece = line[start:end]
    stripped = piece.strip()
    if stripped:
        begin = offset + start + piece.index(stripped)
        spans.append((begin, begin + len(stripped)))


def break_long(text: str, span: tuple[int, int], size: int) -> Iterator[tuple[int, int]]:
    """Cut a sentence longer than `size` characters: in its last third after a clause, a comma or a word, else anywhere."""
    start, end = span
    while end - start > size:
        least, most = start + size * 2 // 3, start + size
        cut = most
        for pattern in (_CLAUSE, _COMMA, _SPACE):
            # One character more, so that the white space after the piece is seen.
            places = [match.end() for match in pattern.finditer(text, least, most + 1) if match.end() <= most]
            if places:
                cut = places[-1]
                break
        yield start, cut
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        yield start, end
