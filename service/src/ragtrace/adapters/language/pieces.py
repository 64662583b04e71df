"""Tokens to pieces of text: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# Tokens that are decoded again with every new one: enough for a character of several tokens and for spaces that a
# tokenizer joins; without a bound a long answer would cost the square of its length.
_AGAIN = 16
_BROKEN = "�"


class WholeCharacters:
    """Turns token ids into text as they come; a character whose bytes are not all there waits for the rest.

    Args:
        decode: text of some token ids, special tokens left out.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._given = ""

    def add(self, ids: Sequence[int]) -> str:
        """Return the text that these tokens complete."""
        self._ids += ids
        text = self._decode(self._ids)
        if text.endswith(_BROKEN):
            return ""
        # Where a decoder changes what it gave before, what is shown stays and the difference follows.
        fresh = text[_common(text, self._given) :]
        if len(self._ids) > 2 * _AGAIN and fresh:
            self._ids = self._ids[-_AGAIN:]
            text = self._decode(self._ids)
        self._given = text
        return fresh

    def rest(self) -> str:
        """Return what is left when no token will come, broken or not."""
        text = self._decode(self._ids)
        return text[_common(text, self._given) :]


class StopFilter:
    """Lets text through up to the first stop string; what may be the beginning of one waits."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        """Return the text that may be shown; nothing after a stop string."""
        if self.stopped:
            return ""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def rest(self) -> str:
        """Return what waited for a stop string that did not come."""
        shown, self._held = self._held, ""
        return shown


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    if one.startswith(other):
        return len(other)
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that `stop` begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if stop.startswith(text[-size:])), 0)
