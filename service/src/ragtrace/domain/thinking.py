"""Models that think aloud: `<think>…</think>` before an answer is no part of it."""

from __future__ import annotations

_OPEN = "<think>"
_CLOSE = "</think>"


class Thoughts:
    """Takes a text as it comes and gives it back without the thoughts at its beginning.

    Only at the beginning: further on, the same letters are something that an answer speaks of.
    """

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._over = False

    def feed(self, text: str) -> str:
        """Return what is certain to be answer; the rest is kept back."""
        if self._over:
            return text
        self._held += text
        if not self._inside:
            begun = self._held.lstrip()
            if begun.startswith(_OPEN):
                self._inside = True
            elif _OPEN.startswith(begun):
                return ""
            else:
                return self.finish()
        end = self._held.find(_CLOSE)
        if end < 0:
            # Thoughts may be long; of them only the beginning of an end is worth keeping.
            self._held = self._held[-len(_CLOSE) :]
            return ""
        rest = self._held[end + len(_CLOSE) :].lstrip()
        self._held, self._over = "", True
        return rest

    def finish(self) -> str:
        """Return what was kept back; nothing where the thoughts never ended."""
        rest, self._held = ("" if self._inside and not self._over else self._held), ""
        self._over = True
        return rest


def without_thoughts(text: str) -> str:
    """Return a whole text without the thoughts at its beginning."""
    thoughts = Thoughts()
    return thoughts.feed(text) + thoughts.finish()
