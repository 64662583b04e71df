"""Small JSON documents that carry the SHA-256 of their own canonical form."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Mapping


class Damaged(ValueError):
    """A state file is not what was written: torn, edited, or of another format."""


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def seal(document: Mapping[str, Any]) -> bytes:
    """Return the document's bytes with a ``checksum`` over everything else in it."""
    sealed = {**document, "checksum": _digest(document)}
    # On one line: Python encodes that ten times as fast, and a receipt has thousands of entries.
    return (json.dumps(sealed, ensure_ascii=False, sort_keys=True) + "\n").encode("utf-8")


def unseal(data: bytes, form: int = 1) -> dict[str, Any]:
    """Return the document without its checksum.

    Raises:
        Damaged: not JSON, not an object, another format number, or the checksum differs.
    """
    try:
        document = json.loads(data.decode("utf-8"))
        checksum = document.pop("checksum")
        damaged = document.get("format") != form or checksum != _digest(document)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"unreadable: {error}") from error
    if damaged:
        raise Damaged("checksum or format differs")
    return dict(document)
