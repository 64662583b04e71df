"""Stable tokens in the place of secrets and of what names people and hosts."""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import re
from typing import Dict

# What a token looks like: whoever looks for secrets passes over what already stands for one.
TOKEN = re.compile(r"\[[a-z]{2,8}:[0-9a-f]{8}\]")


class Tokens:
    """Names values by a keyed digest; the key is random, never written anywhere and gone with the process.

    The same value has the same token, so a reader sees that two places held one secret. Without the key nobody can
    try values against a token, however short the value was.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self.counts: Dict[str, int] = {}

    def of(self, value: str, kind: str = "secret", label: str = "secret") -> str:
        """Return the token of *value* and count one removal of this *kind*."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        digest = hmac.new(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return f"[{label}:{digest[:8]}]"


@functools.cache
def tokens_of_this_run() -> Tokens:
    """Return the tokens that this process uses where nobody brings their own."""
    return Tokens()
