"""How a known secret may be written down: in clear and in the encodings that logs and tools produce."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from typing import Dict, Iterator, List, Optional, Sequence

# A shorter form of a value stands in any text by chance.
_SHORTEST = 8


def forms(value: str) -> List[str]:
    """Return every way in which *value* is looked for, itself first."""
    return list(dict.fromkeys(form for form in _forms(value) if len(form) >= min(_SHORTEST, len(value))))


def _forms(value: str) -> Iterator[str]:
    yield value
    raw = value.encode("utf-8", "surrogatepass")
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield repr(value)[1:-1]
    yield html.escape(value)
    for safe in ("", "/"):
        quoted = urllib.parse.quote(raw, safe=safe)
        yield quoted
        yield _LOWER_PERCENT.sub(lambda match: match.group().lower(), quoted)
    yield urllib.parse.quote_plus(raw)
    yield "".join(f"%{byte:02X}" for byte in raw)
    yield raw.hex()
    yield raw.hex().upper()
    yield value[::-1]
    yield from _base64(raw)


_LOWER_PERCENT = re.compile(r"%[0-9A-F]{2}")


def _base64(raw: bytes) -> Iterator[str]:
    """Yield the characters that do not depend on what stands before and after, for each of three positions."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        whole = (shift + len(raw)) * 8 // 6
        stable = coded[(shift * 8 + 5) // 6 : whole].decode("ascii")
        yield stable
        yield stable.replace("+", "-").replace("/", "_")


class Known:
    """Finds known values in text, in every form, with one search."""

    def __init__(self, values: Sequence[str]) -> None:
        self._values: Dict[str, str] = {}
        for value in sorted(set(values), key=len):
            for form in forms(value):
                self._values.setdefault(form, value)
        ordered = sorted(self._values, key=lambda form: (-len(form), form))
        self.longest = max(map(len, ordered), default=0)
        self._pattern: Optional["re.Pattern[str]"] = re.compile(_tree(ordered)) if ordered else None

    def find(self, text: str) -> "Iterator[tuple[int, int, str]]":
        """Yield where a known value stands, and the value itself (for its token, never for a person)."""
        for match in self._pattern.finditer(text) if self._pattern else ():
            yield match.start(), match.end(), self._values[match.group()]


def _tree(words: Sequence[str]) -> str:
    """Return an alternation that looks at each first character once: thousands of words cost as much as a few."""
    groups: Dict[str, List[str]] = {}
    for word in words:
        groups.setdefault(word[:3], []).append(word)
    return "|".join(
        re.escape(head) + "(?:" + "|".join(re.escape(word[3:]) for word in rest) + ")"
        for head, rest in sorted(groups.items())
    )
