"""Licences: what each component states, where it says so, and which a reviewer must look at first.

A name becomes an SPDX identifier only where it can mean no other licence. Where a package states nothing,
the texts it carries are compared with well-known wordings. `manifests/licences.toml` says what is flagged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING

import tomllib
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from bundle.errors import UsageProblem
from bundle.text import Text

from ..inputs import MANIFESTS

if TYPE_CHECKING:
    from .facts import LicenceText, WheelFacts

UNKNOWN = "unknown"
COPYLEFT_TEXT = "copyleft-text"
_STRONG, _WEAK = "strong-copyleft", "weak-copyleft"

# Wordings that identify a licence: all of the first, none of the second. Lower case, single spaces.
_WORDINGS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Apache-2.0", ("apache license version 2.0, january 2004",), ()),
    (
        "MIT",
        ("permission is hereby granted, free of charge, to any person obtaining a copy", "and this permission notice"),
        ("shall not be used in advertising", "used for good, not evil"),
    ),
    ("BSD-3-Clause", ("redistribution and use in source and binary forms", "neither the name"), ("advertising materials",)),
    (
        "BSD-2-Clause",
        ("redistribution and use in source and binary forms", "redistributions in binary form must reproduce"),
        ("neither the name", "advertising materials", "may not be used to endorse"),
    ),
    ("ISC", ("permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice",), ()),
    ("MPL-2.0", ("mozilla public license version 2.0",), ()),
    ("PSF-2.0", ("python software foundation license version 2",), ()),
    ("AGPL-3.0-only", ("gnu affero general public license version 3",), ()),
    ("LGPL-3.0-only", ("gnu lesser general public license version 3",), ()),
    ("LGPL-2.1-only", ("gnu lesser general public license version 2.1",), ()),
    ("GPL-3.0-only", ("gnu general public license version 3, 29 june 2007",), ("gnu lesser general public license version 3",)),
    ("GPL-2.0-only", ("gnu general public license version 2, june 1991",), ()),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",), ()),
)  # fmt: skip
_COPYLEFT = ("AGPL-", "LGPL-", "GPL-")


@dataclass(frozen=True)
class Flag:
    """Why a reviewer looks at a licence first; `rank` 0 is the gravest."""

    id: str
    rank: int
    title: Text
    reason: Text
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """`manifests/licences.toml`: flags by id, gravest first, exceptions and unambiguous names."""

    flags: Mapping[str, Flag]
    exceptions: tuple[str, ...]
    names: Mapping[str, str]


@dataclass(frozen=True)
class Licence:
    """What a component is licensed under.

    `stated` is an SPDX expression where `spdx`, else the words as they stand. `found` is one of
    ``expression``, ``field``, ``classifier``, ``text``, ``manifest``, ``sbom``, ``none``.
    """

    stated: str
    spdx: bool
    found: str
    flags: tuple[str, ...]
    disagreement: str = ""


def load_policy(path: Path = MANIFESTS / "licences.toml") -> Policy:
    """Read the flag policy.

    Raises:
        UsageProblem: it cannot be read or lacks a key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        flags = [
            Flag(
                item["id"],
                rank,
                Text(item["title_ko"], item["title_en"]),
                Text(item["reason_ko"], item["reason_en"]),
                tuple(pattern.casefold() for pattern in item["licences"]),
            )
            for rank, item in enumerate(data["flags"])
        ]
        missing = {_STRONG, _WEAK, COPYLEFT_TEXT, UNKNOWN} - {flag.id for flag in flags}
        if missing:
            raise KeyError(", ".join(sorted(missing)))
        return Policy(
            {flag.id: flag for flag in flags},
            tuple(pattern.casefold() for pattern in data["linking"]["exceptions"]),
            {name.casefold(): str(spdx) for name, spdx in data["names"].items()},
        )
    except (
        OSError,
        UnicodeDecodeError,
        tomllib.TOMLDecodeError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise UsageProblem(
            Text("라이선스 정책을 읽을 수 없습니다", "the licence policy cannot be read"),
            where=f"{path.name}: {type(error).__name__}: {error}",
        ) from error


def of_wheel(facts: WheelFacts, policy: Policy) -> Licence:
    """Return a wheel's licence: its expression, else its field, its classifiers, its texts, or unknown."""
    from_field = normalise(facts.licence_field, policy) if facts.licence_field else ""
    from_classifiers = [normalise(item, policy) for item in facts.licence_classifiers]
    # A text elsewhere in the wheel belongs to something vendored, not to the package.
    in_texts = identify([item for item in facts.texts if ".dist-info/" in item.path])
    candidates = [
        ("expression", normalise(facts.licence_expression, policy), True),
        ("field", from_field, True),
        # Several classifiers may mean "and" or "or"; nobody can tell.
        ("classifier", from_classifiers[0] if len(from_classifiers) == 1 else "", True),
        ("text", in_texts[0] if len(in_texts) == 1 else "", True),
        ("field", facts.licence_field, False),
        ("classifier", ", ".join(facts.licence_classifiers), False),
        ("text", ", ".join(in_texts), False),
    ]
    if facts.licence_expression and not candidates[0][1]:
        candidates.insert(0, ("expression", facts.licence_expression, False))
    found, stated, spdx = next((item for item in candidates if item[1]), ("none", "", False))
    flags = set(flags_of(stated, policy) if spdx else flags_of_words(stated, policy))
    if found != "expression":
        # An expression is the whole truth; of older statements a second, graver one is not overruled.
        for words in (facts.licence_field, *facts.licence_classifiers):
            normal = normalise(words, policy)
            flags |= flags_of(normal, policy) if normal else _matching(words, policy)
    if any(name.startswith(_COPYLEFT) for name in identify(facts.texts)) and not any(
        _is_copyleft(flag) for flag in flags
    ):
        flags.add(COPYLEFT_TEXT)
    return Licence(stated, spdx, found, _ranked(flags, policy), _disagreement(facts, from_field, policy))


def of_words(words: str, found: str, policy: Policy) -> Licence:
    """Return the licence that a manifest or an SBOM states in `words`."""
    stated = normalise(words, policy)
    if stated:
        return Licence(stated, True, found, _ranked(flags_of(stated, policy), policy))
    return Licence(words, False, found if words else "none", _ranked(flags_of_words(words, policy), policy))


def normalise(words: str, policy: Policy) -> str:
    """Return the SPDX expression that `words` certainly mean, or an empty string."""
    known = policy.names.get(words.casefold().strip(" ."))
    return known or _expression(words) or (_expression(words.replace("/", " OR ")) if "/" in words else "")


@once
def _expression(words: str) -> str:
    # The longest real expressions have some hundred characters; nested brackets cost a parser dearly.
    if not words or len(words) > 1000 or words.count("(") > 50:
        return ""
    try:
        return canonicalize_license_expression(words)
    except (InvalidLicenseExpression, SyntaxError, RecursionError, MemoryError):
        return ""


def identify(texts: Sequence[LicenceText]) -> list[str]:
    """Return the licences whose wording stands in the texts, sorted."""
    found = set()
    for item in texts:
        words = re.sub(r"[\s#*>]+", " ", item.text).casefold()
        found |= {
            name
            for name, present, absent in _WORDINGS
            if all(part in words for part in present) and not any(part in words for part in absent)
        }
    return sorted(found)


def flags_of_words(words: str, policy: Policy) -> set[str]:
    """Return the flags of a statement that is no SPDX expression: what its words match, and unknown."""
    return _matching(words, policy) or {UNKNOWN}


def flags_of(expression: str, policy: Policy) -> set[str]:
    """Return the flags of a valid SPDX expression: of ``AND`` both sides, of ``OR`` the lighter one."""
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    return _either(tokens, policy)


def _either(tokens: list[str], policy: Policy) -> set[str]:
    """Take ``a OR b …`` off the front of `tokens`."""
    choices = [_both(tokens, policy)]
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        choices.append(_both(tokens, policy))
    return min(choices, key=lambda flags: _weight(flags, policy))


def _both(tokens: list[str], policy: Policy) -> set[str]:
    """Take ``a AND b …`` off the front of `tokens`."""
    flags = _one(tokens, policy)
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        flags = flags | _one(tokens, policy)
    return flags


def _one(tokens: list[str], policy: Policy) -> set[str]:
    if not tokens:
        return set()
    first = tokens.pop(0)
    if first == "(":
        flags = _either(tokens, policy)
        if tokens:
            tokens.pop(0)
        return flags
    flags = _matching(first, policy)
    if tokens and tokens[0] == "WITH":
        tokens.pop(0)
        exception = tokens.pop(0).casefold() if tokens else ""
        if any(fnmatchcase(exception, pattern) for pattern in policy.exceptions):
            flags = {_WEAK if flag == _STRONG else flag for flag in flags}
    if first.startswith("LicenseRef-") and not flags:
        # A reference says that there are terms, not which.
        return {UNKNOWN}
    return flags


def _matching(words: str, policy: Policy) -> set[str]:
    plain = words.casefold()
    for flag in policy.flags.values():
        if any(fnmatchcase(plain, pattern) for pattern in flag.patterns):
            return {flag.id}
    return set()


def _weight(flags: set[str], policy: Policy) -> tuple[int, int]:
    ranks = [policy.flags[flag].rank for flag in flags]
    return (-min(ranks), len(ranks)) if ranks else (-len(policy.flags), 0)


def _ranked(flags: set[str], policy: Policy) -> tuple[str, ...]:
    return tuple(sorted(flags, key=lambda flag: policy.flags[flag].rank))


def _is_copyleft(flag: str) -> bool:
    return flag in (_STRONG, _WEAK)


def _disagreement(facts: WheelFacts, field: str, policy: Policy) -> str:
    # With several classifiers the field may well sum them up; only a plain contradiction is told.
    if facts.licence_expression or not field or len(facts.licence_classifiers) != 1:
        return ""
    (words,) = facts.licence_classifiers
    other = normalise(words, policy) or (words if _matching(words, policy) else "")
    return f"{field} ≠ {other}" if other and field != other else ""
