"""The secret values of an installation: what its configuration gives to keys that speak of secrets."""

from __future__ import annotations

import json
import re
import urllib.parse
from pathlib import Path
from typing import Dict, Iterator, Tuple

from validator.secrets.keys import SHORTEST, looks_secret, strong
from validator.subject import Unreadable, read_limited

# Places below the prefix that hold configuration.
FILES = ("config/.env", "config/ragtrace.yaml")
_YAML = re.compile(r"(?:^|[{,])\s*(?:-\s+)?[\"']?([\w.-]+)[\"']?\s*:(?:\s+|$)([^\n]*)")
_BLOCK = re.compile(r"[|>][+-]?\d*\s*(?:#.*)?\Z")
_URL = re.compile(r"://[^\s/@:\"'<>]{0,256}:([^\s\"'<>]{1,512})@")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
# Words of our own files: whoever has one for a password hides nothing, and taking it out would take out everything.
_ORDINARY = frozenset(
    (
        "ragtrace",
        "password",
        "localhost",
        "changeme",
        "postgres",
        "postgresql",
        "disabled",
        "required",
        "optional",
    )
)
_NUMBER = re.compile(r"[+-]?[0-9._]+\Z")


def known_values(prefix: Path) -> Tuple[str, ...]:
    """Return the secret values of the configuration below *prefix*, the longest first.

    A file that cannot be read gives nothing: `unread` names it. Values shorter than eight characters are left out,
    since they stand in any text by chance; `scrub` still sees them where their key stands beside them.
    """
    return tuple(sorted(named_values(prefix), key=lambda value: (-len(value), value)))


def named_values(prefix: Path) -> Dict[str, str]:
    """Return the same values, each with the key whose value it is: the key may be told, the value never."""
    found: Dict[str, str] = {}
    for name in FILES:
        try:
            text = read_limited(prefix / name).decode("utf-8", "replace")
        except Unreadable:
            continue
        for key, value in _secrets(_variables(text) if name.endswith(".env") else _entries(text)):
            if len(value) >= SHORTEST and value.lower() not in _ORDINARY:
                found.setdefault(value, key)
    return found


def unread(prefix: Path) -> Tuple[str, ...]:
    """Return the files whose secrets are not known because they are there and cannot be read."""
    gaps = []
    for name in FILES:
        try:
            read_limited(prefix / name)
        except Unreadable as error:
            if not isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError)):
                gaps.append(name)
    return tuple(gaps)


def _secrets(pairs: Iterator[Tuple[str, str]]) -> Iterator[Tuple[str, str]]:
    for key, value in pairs:
        for match in _URL.finditer(value):
            yield key, match.group(1)
            yield key, urllib.parse.unquote(match.group(1))
        if looks_secret(key) and (strong(key) or not (_NUMBER.match(value) or value.startswith("/"))):
            yield key, value
            if value.strip() != value:
                yield key, value.strip()


def _variables(text: str) -> Iterator[Tuple[str, str]]:
    """Yield KEY=VALUE lines, each value as it stands and as systemd and the service read it."""
    for line in text.splitlines():
        name, mark, value = line.strip().partition("=")
        name = name.strip()
        if not mark or not name or name.startswith((";", "#")):
            continue
        value = value.strip()
        yield name.rpartition(" ")[2], value
        yield name.rpartition(" ")[2], _unquoted(value)


def _entries(text: str) -> Iterator[Tuple[str, str]]:
    """Yield ``key: value`` pairs of YAML without a YAML library; of a block, every line on its own."""
    block, depth, verbatim = "", 0, False
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        nested = block and line.strip() and indent > depth
        if nested and (verbatim or not _YAML.search(line)):
            yield block, line.strip()
            for each in _readings(line.strip().lstrip("- ")):
                yield block, each
            continue
        if line.strip() and not nested:
            block = ""
        if line.lstrip().startswith("#"):
            continue
        match = _YAML.search(line)
        while match:
            key, value = match.group(1), match.group(2).strip()
            if not value or _BLOCK.match(value):
                block, depth, verbatim = key, indent, bool(value)
            else:
                yield key, value
                for each in _readings(value):
                    yield key, each
            match = _YAML.search(line, match.start(2)) if value else None


def _readings(value: str) -> Iterator[str]:
    """Yield what a value may mean: without a comment, without quotes, up to the end of a flow mapping's entry."""
    yield _unquoted(value)
    quoted = _QUOTED.match(value)
    if quoted:
        inner = quoted.group()[1:-1]
        yield inner
        yield inner.replace("''", "'") if value[0] == "'" else _unescaped(quoted.group())
        return
    bare = re.split(r"\s+#", value)[0].strip()
    yield bare
    yield re.split(r"\s*[,}\]]", bare)[0]


def _unescaped(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1].replace('\\"', '"')


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.strip("\"'")
