"""Sentence boundaries for Korean and English prose, by punctuation and lines only.

Chunk ids depend on this split, so it must not change with a model or a dictionary.
"""

from __future__ import annotations

import re

# An end mark, closing quotes or brackets, then white space; "3.5" and "1. 파일" do not end a sentence.
_END = re.compile(r"(?<![\s\d])[.!?。！？…]+[\"'”’)\]」』]*(?=\s)|(?<=[다요])\d?[.][\"'”’)\]]*(?=[가-힣])")


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) spans of the sentences of `text`; every line end is a boundary too."""
    spans: list[tuple[int, int]] = []
    offset = 0
    for line in text.split("\n"):
        start = 0
        for match in _END.finditer(line):
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
