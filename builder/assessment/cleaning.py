"""Words of strangers made fit for a document: no control or direction-changing characters, no walls of text."""

from __future__ import annotations

import re

# A name, a version or a URL that is longer says nothing to a reader; METADATA may hold anything.
LINE = 400
# C0 and C1 controls, zero-width and direction marks (text that reads otherwise than it is), lone
# surrogates, noncharacters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\uffff\ud800-\udfff]"
)
_SPACE = re.compile(r"\s+")


def line(text: str, limit: int = LINE) -> str:
    """Return `text` as one line of at most `limit` characters, invisible characters shown as ``�``."""
    joined = _UNSEEN.sub("�", _SPACE.sub(" ", text)).strip()
    return joined if len(joined) <= limit else f"{joined[:limit]}…"


def block(text: str) -> str:
    """Return `text` with its line ends unified and invisible characters shown as ``�``."""
    return _UNSEEN.sub("�", text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n"))
