"""User-facing text in Korean and English, and the choice between them."""

from __future__ import annotations

import os
from typing import Callable, Mapping, NamedTuple, Optional, Sequence

LANGUAGES = ("ko", "en")


class Text(NamedTuple):
    """One message in both languages."""

    ko: str
    en: str

    def to(self, lang: str) -> str:
        """Return the message in `lang` (``ko`` or ``en``)."""
        return self.ko if lang == "ko" else self.en


def wording(lang: str) -> Callable[[str, str], str]:
    """Return a function that takes a message in Korean and in English and gives the one in `lang`."""
    return lambda korean, english: Text(korean, english).to(lang)


def choose_language(argument: Optional[str], environ: Optional[Mapping[str, str]] = None) -> str:
    """Return ``ko`` or ``en``: the argument, else ``RAGTRACE_LANG``, else the locale variables."""
    if argument in LANGUAGES:
        return argument
    variables = os.environ if environ is None else environ
    for name in ("RAGTRACE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = variables.get(name, "")
        if value:
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"


def language_argument(words: Sequence[str]) -> Optional[str]:
    """Return the value of ``--lang`` in a raw command line: help and errors of the parser need it early."""
    for position, word in enumerate(words):
        if word.startswith("--lang="):
            return word.partition("=")[2]
        if word == "--lang" and position + 1 < len(words):
            return words[position + 1]
    return None


def human_size(size: float) -> str:
    """Return a byte count as a person reads it (decimal units, as on USB sticks)."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
