"""Citations: the source numbers in an answer, read as it is made, checked against the sources that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragtrace.domain.answers import AnswerPiece

_NUMBERS = r"\d{1,3}(?:\s*(?:,|，|、|;|·|및|와|과|-|~)\s*(?:출처|자료|문서)?\s*\d{1,3})*"
# [1], [1, 2], 【출처 3】, [^4], (자료 2); a bare "(1)" counts steps and cites nothing.
_MARK = re.compile(
    rf"(?P<space>[ \t]*)(?:[\[【［]\s*(?:\^|출처|자료|문서|참고)?\s*[:：]?\s*(?P<square>{_NUMBERS})\s*[\]】］]"
    rf"|[(（]\s*(?:출처|자료|문서)\s*[:：]?\s*(?P<round>{_NUMBERS})\s*[)）])"
)
# What may still become a mark when more text comes.
_PENDING = re.compile(
    r"[ \t]*(?:[\[【［][\s\d,，、;·^:：~및와과출처자료문서참고-]{0,40}|[(（][\s\d,，、;·:：~및와과출처자료문서-]{0,40})?$"
)
_RANGE = re.compile(r"(\d{1,3})\s*[-~]\s*(\d{1,3})")


class CitationReader:
    """Takes an answer's text as it comes and gives it back with checked marks, written "[1][2]".

    Numbers without a source are taken out. `cited` are the numbers met that have one, `removed` counts the others.
    """

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._held = ""
        self._before = ""
        self.cited: set[int] = set()
        self.removed = 0

    def feed(self, text: str) -> Iterator[AnswerPiece]:
        """Yield what is certain; the end of it may be held back for the next call."""
        self._held += text
        pending = _PENDING.search(self._held)
        cut = pending.start() if pending else len(self._held)
        ready, self._held = self._held[:cut], self._held[cut:]
        if piece := self._read(ready):
            yield piece

    def finish(self) -> Iterator[AnswerPiece]:
        """Yield what was held back."""
        ready, self._held = self._held, ""
        if piece := self._read(ready):
            yield piece

    def _read(self, text: str) -> AnswerPiece | None:
        if not text:
            return None
        found: list[int] = []

        def checked(match: re.Match[str]) -> str:
            numbers = _expanded(match["square"] or match["round"])
            known = [number for number in numbers if 1 <= number <= self._sources]
            before = text[match.start() - 1] if match.start() else self._before
            if not known and not match["space"] and before.isascii() and (before.isalnum() or before in "_)"):
                # An index into something: `list[0]`.
                return match[0]
            self.removed += len(numbers) - len(known)
            found.extend(known)
            marks = "".join(f"[{number}]" for number in known)
            return f"{match['space']}{marks}" if marks else ""

        said = _MARK.sub(checked, text)
        self._before = text[-1]
        self.cited.update(found)
        return AnswerPiece(said, tuple(dict.fromkeys(found))) if said else None


def without_marks(text: str) -> str:
    """Return a text without its citations, whose numbers mean nothing beside other sources."""
    return _MARK.sub("", text)


def _expanded(numbers: str) -> list[int]:
    """Return the numbers of a mark, ranges spelt out: "1, 3-5" is 1, 3, 4, 5."""
    spans = [(int(match[1]), int(match[2])) for match in _RANGE.finditer(numbers)]
    found = [number for low, high in spans for number in range(low, min(high, low + 50) + 1)]
    found += [int(each) for each in re.findall(r"\d{1,3}", _RANGE.sub(" ", numbers))]
    return list(dict.fromkeys(found))
