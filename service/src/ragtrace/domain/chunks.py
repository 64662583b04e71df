"""Chunks: pieces of a document small enough to show as a source and to search in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.domain.sentences import split_sentences

CHUNKER_VERSION = 1


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


def chunk_document(document_id: str, parsed: ParsedDocument, rules: ChunkRules) -> tuple[Chunk, ...]:
    """Cut a document along headings and sentences, with overlap inside a section."""
    chunks: list[Chunk] = []
    for section in _joined(parsed.sections, rules):
        for text in _windows(section.text, rules):
            position = len(chunks)
            chunks.append(
                Chunk(chunk_id(document_id, position, text), document_id, position, section.path, text)
            )
    return tuple(chunks)


def chunk_id(document_id: str, position: int, text: str) -> str:
    """Return the id of a chunk: the same document, place and text give the same id."""
    return hashlib.sha256(f"{document_id}\0{position}\0{text}".encode("utf-8", "replace")).hexdigest()[:32]


def _joined(sections: Sequence[Section], rules: ChunkRules) -> Iterator[Section]:
    """Join short neighbouring sections; the heading of a joined one becomes a line of the text."""
    pending: Section | None = None
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


def _join(first: Section, second: Section) -> Section:
    common: list[str] = []
    for left, right in zip(first.path, second.path, strict=False):
        if left != right:
            break
        common.append(left)
    headings = [" › ".join(part.path[len(common) :]) for part in (first, second)]
    pieces = [headings[0], first.text, headings[1], second.text]
    return Section(tuple(common), "\n".join(piece for piece in pieces if piece))


def _windows(text: str, rules: ChunkRules) -> Iterator[str]:
    """Yield runs of whole sentences of at most `rules.size` characters, each starting inside the previous one."""
    spans = [piece for span in split_sentences(text) for piece in _fitting(span, rules.size)]
    first = 0
    while first < len(spans):
        last = first
        while last + 1 < len(spans) and spans[last + 1][1] - spans[first][0] <= rules.size:
            last += 1
        yield text[spans[first][0] : spans[last][1]]
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


def _fitting(span: tuple[int, int], size: int) -> Iterator[tuple[int, int]]:
    """Cut a sentence that is longer than a chunk."""
    for start in range(span[0], span[1], size):
        yield start, min(start + size, span[1])
