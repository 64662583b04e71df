"""Secrets in text: which values are secret here, what looks like one anywhere, and tokens in their place.

Values never leave this package: what finds one tells where and of which kind, what replaces one writes a token.
"""

from __future__ import annotations

from typing import Optional, Sequence

from validator.secrets.known import known_values
from validator.secrets.search import holders
from validator.secrets.stream import Scrubber
from validator.secrets.tokens import Tokens, tokens_of_this_run

__all__ = ["Scrubber", "Tokens", "holders", "known_values", "scrub"]


def scrub(text: str, known: Sequence[str], tokens: Optional[Tokens] = None) -> str:
    """Return *text* with every secret replaced by a stable token such as ``[secret:1a2b3c4d]``.

    Args:
        text: any text; nothing is expected of its shape.
        known: secret values as `known_values` gives them; they are found in clear and in the usual encodings.
        tokens: who names the tokens; one secret has one token per `Tokens`, this process's own by default.
    """
    scrubber = Scrubber(known, tokens or tokens_of_this_run())
    return scrubber.feed(text) + scrubber.finish()
