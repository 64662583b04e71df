"""User-facing text in Korean and English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Text(NamedTuple):
    """One sentence in both languages."""

    ko: str
    en: str

    def to(self, lang: str) -> str:
        """Return the sentence in `lang`; anything but "ko" gives English."""
        return self.ko if lang == "ko" else self.en


def choose_language(argument: str | None, environment: Mapping[str, str]) -> str:
    """Return "ko" or "en": the argument, else RAGTRACE_LANG, else the locale."""
    if argument:
        return argument
    for name in ("RAGTRACE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name, "")
        if value:
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"
