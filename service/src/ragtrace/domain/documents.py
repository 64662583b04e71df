"""Documents as they are read, and as they are kept."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import date

from ragtrace.text import Text

_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_./]?(0[1-9]|1[0-2])[-_./]?(0[1-9]|[12]\d|3[01])(?!\d)")


@dataclass(frozen=True)
class Section:
    """A piece of a document under one heading; `path` goes from the outermost heading inwards.

    `page` counts from 1 (a slide, a sheet or a printed page); 0 where the format has none.
    """

    path: tuple[str, ...]
    text: str
    page: int = 0


@dataclass(frozen=True)
class ParsedDocument:
    """What a parser found in a file. `date` is an ISO day or empty; `lacks` says what of the file could not be read."""

    title: str
    sections: tuple[Section, ...]
    date: str = ""
    lacks: Text | None = None


@dataclass(frozen=True)
class Document:
    """A document as the records keep it. `recipe` names the settings its chunks were made with."""

    id: str
    source: str
    path: str
    title: str
    date: str
    sha256: str
    size: int
    recipe: str
    chunk_count: int
    updated_at: str
    group: str = ""


def document_id(source: str, path: str) -> str:
    """Return the stable id of the file `path` in the source named `source`."""
    return hashlib.sha256(f"{source}\0{path}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def find_date(text: str) -> str:
    """Return the first calendar day named in `text` (a file name, a meta value) as ISO, or ""."""
    for match in _DATE.finditer(text):
        try:
            return date(int(match[1]), int(match[2]), int(match[3])).isoformat()
        except ValueError:
            continue
    return ""


def tidy(text: str) -> str:
    """Return `text` in composed form (NFC), single spaces, no empty lines, no control characters."""
    composed = unicodedata.normalize("NFC", text.replace("\u00ad", "").replace("\ufeff", ""))
    lines = (" ".join(line.split()) for line in composed.splitlines())
    return "\n".join(line for line in lines if line)
