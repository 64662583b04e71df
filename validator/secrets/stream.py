"""Replace secrets in a text that comes in pieces, however large it is and wherever the pieces are cut."""

from __future__ import annotations

import re
from typing import Iterable, List, NamedTuple, Sequence, Tuple, Union

from validator.secrets import shapes
from validator.secrets.encodings import Known
from validator.secrets.tokens import Tokens

# So much is looked at together, and so much of its end is looked at again with what follows.
PIECE = 256 * 1024
HOLD = 48 * 1024
_LINE_END = re.compile(r"[\r\n]")


class Found(NamedTuple):
    """One replacement: its surroundings, its place, its kind, and what names its token: a known value, or (with
    none) the text up to `named`."""

    context: int
    start: int
    end: int
    kind: str
    value: str
    named: int


class Scrubber:
    """Takes pieces of one text and gives it back without its secrets.

    What is given back lags behind by up to `HOLD` characters: a secret is decided on only when all of it, and the
    name before it, has been seen. One that is longer than that is dropped to the end of its line.
    """

    def __init__(self, known: Union[Sequence[str], Known], tokens: Tokens, *, blobs: bool = True) -> None:
        self._known = known if isinstance(known, Known) else Known(known)
        self._hold = max(HOLD, 2 * self._known.longest)
        self._tokens = tokens
        self._blobs = blobs
        self._waiting = ""
        self._swallowing = False

    def feed(self, text: str) -> str:
        """Take one more piece and return what is decided of the text so far."""
        done: List[str] = []
        for at in range(0, len(text), PIECE):
            self._waiting += text[at : at + PIECE]
            if len(self._waiting) >= PIECE + self._hold:
                done.append(self._decide(final=False))
        return "".join(done)

    def finish(self) -> str:
        """Return the rest; the text has ended."""
        return self._decide(final=True)

    def _decide(self, *, final: bool) -> str:
        if self._swallowing and not self._swallow(final):
            return ""
        text = self._waiting
        found = merge(self._found(text))
        cut = len(text) if final else len(text) - self._hold
        endless = [each for each in found if each.context < cut and each.end == len(text)]
        if endless and not final:
            self._waiting, self._swallowing = "", True
            return self._replaced(text, found, len(text))
        for each in reversed(found):
            if each.context < cut < each.end:
                cut = each.context
        self._waiting = text[cut:]
        return self._replaced(text, [each for each in found if each.end <= cut], cut)

    def _swallow(self, final: bool) -> bool:
        """Drop the rest of a secret that was too long to be held; return whether it has ended."""
        end = _LINE_END.search(self._waiting)
        self._waiting = self._waiting[end.start() :] if end else ""
        self._swallowing = end is None and not final
        return not self._swallowing

    def _found(self, text: str) -> Iterable[Found]:
        for start, end, value in self._known.find(text):
            yield Found(start, start, end, "known-value", value, end)
        for span in shapes.find(text, blobs=self._blobs):
            yield Found(span.context, span.start, span.end, span.kind, "", span.end)

    def _replaced(self, text: str, found: Sequence[Found], stop: int) -> str:
        parts: List[str] = []
        at = 0
        for each in found:
            parts += (
                text[at : each.start],
                self._tokens.of(each.value or text[each.start : each.named], each.kind),
            )
            at = each.end
        return "".join(parts) + text[at:stop]


def merge(found: Iterable[Found]) -> List[Found]:
    """Return the replacements in order; of such that overlap one, over all of them, named by the first."""
    merged: List[Found] = []
    for each in sorted(found, key=_order):
        last = merged[-1] if merged else None
        if last is None or each.start >= last.end:
            merged.append(each)
            continue
        name = each if each.kind == "known-value" and last.kind != "known-value" else last
        context, end = min(last.context, each.context), max(last.end, each.end)
        merged[-1] = Found(context, last.start, end, name.kind, name.value, last.named)
    return merged


def _order(found: Found) -> Tuple[int, int]:
    return found.start, -found.end
