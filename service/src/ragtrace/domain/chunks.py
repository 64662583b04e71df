"""Chunks: pieces of a document small enough to show as a source and to search in."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.domain.provisions import split_provisions
from ragtrace.domain.sentences import break_long, split_sentences

CHUNKER_VERSION = 2


@dataclass(frozen=True)
class Chunk:
    """A piece of a document; `section` is its heading path, `page` where it begins (0: the format has no pages)."""

    id: str
    document_id: str
    position: int
    section: tuple[str, ...]
    text: str
    page: int = 0


@dataclass(frozen=True)
class ChunkRules:
    """Sizes in characters: the aim, the least before sections are joined, and what two neighbours share."""

    size: int = 600
    least: int = 150
    overlap: int = 80

    @property
    def recipe(self) -> str:
        """Name these rules, so that documents cut by other rules are noticed."""
        return f"c{CHUNKER_VERSION}-{self.size}-{self.least}-{self.overlap}"


@dataclass(frozen=True)
class _Stretch:
    """Text under one heading, perhaps over several pages: (offset, page) where each page begins."""

    path: tuple[str, ...]
    text: str
    pages: tuple[tuple[int, int], ...]

    def page_at(self, offset: int) -> int:
        """Return the page of a place in the text."""
        return self.pages[bisect_right(self.pages, offset, key=lambda entry: entry[0]) - 1][1]


def chunk_document(document_id: str, parsed: ParsedDocument, rules: ChunkRules) -> tuple[Chunk, ...]:
    """Cut a document along headings and sentences, with overlap inside a section; each chunk has the page it begins on."""
    chunks: list[Chunk] = []
    sections = [part for section in _flowing(parsed.sections) for part in _provisions(section)]
    for stretch in _joined(sections, rules):
        for start, end in _windows(stretch.text, rules):
            position, text = len(chunks), stretch.text[start:end]
            chunks.append(
                Chunk(
                    chunk_id(document_id, position, text),
                    document_id,
                    position,
                    stretch.path,
                    text,
                    stretch.page_at(start),
                )
            )
    return tuple(chunks)


def chunk_id(document_id: str, position: int, text: str) -> str:
    """Return the id of a chunk: the same document, place and text give the same id."""
    return hashlib.sha256(f"{document_id}\0{position}\0{text}".encode("utf-8", "replace")).hexdigest()[:32]


def _flowing(sections: Sequence[Section]) -> Iterator[_Stretch]:
    """Put together what goes on under the same heading on the next page: sentences do not end with the paper."""
    group: list[Section] = []
    for section in sections:
        if group and not (group[-1].path == section.path and 0 < group[-1].page < section.page):
            yield _flow(group)
            group = []
        group.append(section)
    if group:
        yield _flow(group)


def _flow(sections: Sequence[Section]) -> _Stretch:
    starts = accumulate((len(section.text) + 1 for section in sections), initial=0)
    pages = tuple((start, section.page) for start, section in zip(starts, sections, strict=False))
    return _Stretch(sections[0].path, "\n".join(section.text for section in sections), pages)


def _provisions(stretch: _Stretch) -> Iterator[_Stretch]:
    """Open a section for every chapter and article of a regulation that the format does not mark as a heading."""
    for path, start, end in split_provisions(stretch.text):
        pages = [(max(0, offset - start), page) for offset, page in stretch.pages if offset < end]
        # Of the pages before the beginning only the last counts: it is the one the part begins on.
        began = [entry for entry in pages if entry[0] == 0][-1:]
        yield _Stretch(
            (*stretch.path, *(name for name in path if name not in stretch.path)),
            stretch.text[start:end],
            tuple(began + [entry for entry in pages if entry[0] > 0]),
        )


def _joined(sections: Sequence[_Stretch], rules: ChunkRules) -> Iterator[_Stretch]:
    """Join short neighbouring sections; the heading of a joined one becomes a line of the text."""
    pending: _Stretch | None = None
    for section in sections:
        if pending is None:
            pending = section
        elif len(pending.text) < rules.least and len(pending.text) + len(section.text) <= rules.size:
            pending = _join(pending, section)
        else:
            yield pending
            pending = section
    if pending is not None:
        yield pending


def _join(first: _Stretch, second: _Stretch) -> _Stretch:
    common: list[str] = []
    for left, right in zip(first.path, second.path, strict=False):
        if left != right:
            break
        common.append(left)
    headings = [_heading_line(part, len(common)) for part in (first, second)]
    before = "".join(f"{piece}\n" for piece in (headings[0], first.text, headings[1]) if piece)
    shift = len(headings[0]) + 1 if headings[0] else 0
    # The heading of the second stands on the second's page already.
    turn = shift + len(first.text) + 1
    pages = [(0 if offset == 0 else offset + shift, page) for offset, page in first.pages]
    pages += [(turn if offset == 0 else offset + len(before), page) for offset, page in second.pages]
    return _Stretch(tuple(common), before + second.text, tuple(pages))


def _heading_line(part: _Stretch, common: int) -> str:
    """Return the headings that joining takes from the path, without the one that the text begins with."""
    names = part.path[common:]
    begins = names and "".join(part.text[: 2 * len(names[-1])].split()).startswith("".join(names[-1].split()))
    return " › ".join(names[:-1] if begins else names)


def _windows(text: str, rules: ChunkRules) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of runs of whole sentences of at most `rules.size` characters, each starting inside the previous one."""
    spans = [piece for span in split_sentences(text) for piece in break_long(text, span, rules.size)]
    first = 0
    while first < len(spans):
        last = first
        while last + 1 < len(spans) and spans[last + 1][1] - spans[first][0] <= rules.size:
            last += 1
        yield spans[first][0], spans[last][1]
        if last + 1 == len(spans):
            return
        following = last + 1
        while (
            following - 1 > first
            and spans[last][1] - spans[following - 1][0] <= rules.overlap
            and spans[last + 1][1] - spans[following - 1][0] <= rules.size
        ):
            following -= 1
        first = following
