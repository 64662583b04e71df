"""JSON from somebody else, read strictly: bounded, no duplicate keys, no NaN; every complaint names its field."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar

from . import limits

Item = TypeVar("Item")

# A string, which may hold brackets, or one bracket outside strings.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


# Half of a pair that stands for one character beyond U+FFFF; in UTF-8 itself the decoder refuses it.
_HALF = re.compile("[\ud800-\udfff]")


def _check_depth(data: bytes) -> None:
    """Count nesting before the recursive parser sees a hostile document; look into strings with escapes."""
    depth = 0
    for token in _TOKEN.finditer(data):
        bracket = token.group()
        if bracket in (b"[", b"{"):
            depth += 1
            if depth > limits.JSON_DEPTH:
                raise ValueError("nested too deeply")
        elif bracket in (b"]", b"}"):
            depth -= 1
        elif b"\\u" in bracket and _HALF.search(json.loads(bracket.decode("utf-8"))):
            raise ValueError("half a surrogate pair")


def _no_duplicates(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _no_constant(text: str) -> None:
    raise ValueError(f"number {text!r} is not allowed")


def _small_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > limits.JSON_INTEGER:
        raise ValueError("integer out of range")
    return int(text)


def _fraction(text: str) -> float:
    if len(text) > 40:
        raise ValueError("number too long")
    return float(text)


class Fields:
    """Typed access to one JSON object; every complaint names the field."""

    def __init__(self, value: object, name: str) -> None:
        """Wrap `value`, which must be an object; `name` is what complaints call it."""
        if not isinstance(value, dict):
            raise ValueError(f"{name} is not an object")
        self.value: Mapping[str, Any] = value
        self.name = name

    def get(self, key: str) -> object:
        """Return the raw value of a mandatory field."""
        if key not in self.value:
            raise ValueError(f"{self.name}.{key} is missing")
        return self.value[key]

    def text(self, key: str, pattern: "Optional[re.Pattern[str]]" = None) -> str:
        """Return a string that matches."""
        item = self.get(key)
        if not isinstance(item, str) or (pattern is not None and not pattern.match(item)):
            raise ValueError(f"{self.name}.{key} is not valid")
        return item

    def number(self, key: str, low: int = 0, high: int = limits.JSON_INTEGER) -> int:
        """Return an integer within bounds."""
        item = self.get(key)
        if isinstance(item, bool) or not isinstance(item, int) or not low <= item <= high:
            raise ValueError(f"{self.name}.{key} is not an integer in range")
        return item

    def child(self, key: str) -> "Fields":
        """Return the object in a field."""
        return Fields(self.get(key), f"{self.name}.{key}")

    def items(self, key: str, read: Callable[["Fields"], Item]) -> Tuple[Item, ...]:
        """Return a list of objects, each read by `read`."""
        listed = self.get(key)
        if not isinstance(listed, list) or len(listed) > limits.FILES:
            raise ValueError(f"{self.name}.{key} is not a list in range")
        return tuple(read(Fields(item, f"{self.name}.{key}[{index}]")) for index, item in enumerate(listed))

    def texts(self, key: str, pattern: "Optional[re.Pattern[str]]" = None) -> Tuple[str, ...]:
        """Return a list of strings that match."""
        listed = self.get(key)
        if not isinstance(listed, list):
            raise ValueError(f"{self.name}.{key} is not a list")
        for item in listed:
            if not isinstance(item, str) or (pattern is not None and not pattern.match(item)):
                raise ValueError(f"{self.name}.{key} holds a value that is not valid")
        return tuple(listed)

    def numbers(self, key: str, low: int = 0, high: int = limits.JSON_INTEGER) -> Tuple[int, ...]:
        """Return a list of integers within bounds, none twice."""
        listed = self.get(key)
        if not isinstance(listed, list) or len(set(map(repr, listed))) != len(listed):
            raise ValueError(f"{self.name}.{key} is not a list of different integers")
        return tuple(Fields({key: item}, self.name).number(key, low, high) for item in listed)


def parse(data: bytes, name: str, *, fractions: bool = False) -> Fields:
    """Parse one JSON object; `name` is what complaints call it. The caller has checked the size.

    Args:
        data: the document.
        name: what complaints call it.
        fractions: numbers may have them; nothing that is signed needs any.

    Raises:
        ValueError: not UTF-8 JSON, duplicate keys, NaN or a fraction, too deep, a number out of range, or
            not an object.
    """
    _check_depth(data)
    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_int=_small_integer,
            parse_float=_fraction if fractions else _no_constant,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return Fields(document, name)
