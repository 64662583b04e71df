"""Which names of settings, fields and options speak of a secret, and whether a value can be one."""

from __future__ import annotations

import functools
import re

# The shortest value that is looked for everywhere: shorter ones stand in every text by chance.
SHORTEST = 8

# Names whose value is a secret whatever it looks like.
_STRONG = re.compile(
    r"pass(?:w(?:or)?d|phrase)|pwd|secret|credential|api_?-?key|access_?-?key|private_?-?key|(?:auth|access|refresh|bearer)"
    r"_?-?token|authorization|cookie|비밀번호|암호|비밀키",
    re.IGNORECASE,
)
# Words that speak of a secret where the value looks like one.
_WEAK = frozenset(
    [
        "key",
        "keys",
        "token",
        "dsn",
        "api",
        "auth",
        "jwt",
        "bearer",
        "session",
        "salt",
        "hmac",
        "pat",
        "pass",
        "pw",
        "토큰",
        "키",
    ]
)
# Words which say that the name speaks *about* keys and tokens: counts, places, kinds, and what is public.
_ABOUT = frozenset(
    [
        "max",
        "min",
        "limit",
        "count",
        "number",
        "size",
        "length",
        "bytes",
        "seconds",
        "minutes",
        "hours",
        "days",
        "ttl",
        "file",
        "path",
        "dir",
        "folder",
        "url",
        "uri",
        "host",
        "port",
        "kind",
        "type",
        "name",
        "names",
        "id",
        "ids",
        "public",
        "fingerprint",
        "algorithm",
        "enabled",
        "required",
        "policy",
        "primary",
        "foreign",
        "sort",
        "index",
        "error",
        "expires",
        "expiry",
        "header",
        "tokens",
        "missing",
        "pinned",
        "signed",
    ]
)
_DECIMAL = re.compile(r"\d")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[가-힣]+|[0-9]+")
_NOTHING = frozenset(
    [
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "null",
        "none",
        "nil",
        "undefined",
        "********",
        "***",
        "redacted",
        "hidden",
    ]
)
_DIGEST = re.compile(r"(?:sha\d+[:=-]|SHA256:)\S+\Z", re.IGNORECASE)
_HEX_OR_UUID = re.compile(r"[0-9a-fA-F]{32,}\Z|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


@functools.lru_cache(maxsize=1024)
def strong(name: str) -> bool:
    """Tell whether a value of this name is a secret whatever it looks like (``DB_PASSWORD``, ``apiKey``)."""
    return bool(_STRONG.search(name)) and not (set(words(name)) & _ABOUT)


@functools.lru_cache(maxsize=1024)
def looks_secret(name: str) -> bool:
    """Tell whether a name speaks of a secret (``RAGTRACE_LLM_TOKEN``; not ``max_tokens``, ``key_file``)."""
    found = set(words(name))
    return strong(name) or (bool(found & _WEAK) and not found & _ABOUT)


def words(name: str) -> "list[str]":
    """Return the words of a name in lower case: ``apiKey``, ``API_KEY`` and ``api-key`` are the same two."""
    return [word.lower() for word in _WORDS.findall(name)]


def is_secret(name: str, value: str) -> bool:
    """Tell whether what a text gives as the value of *name* is to be taken for a secret."""
    bare = value.strip().strip("\"'\\,;")
    if bare.lower() in _NOTHING or not bare or _DIGEST.match(bare):
        return False
    if strong(name):
        return len(bare) >= 3
    return looks_secret(name) and _random_looking(bare) and not (_of_a_key(name) and _HEX_OR_UUID.match(bare))


@functools.lru_cache(maxsize=1024)
def _of_a_key(name: str) -> bool:
    """Tell whether the name only says "key": records call many things that, digests and identifiers too."""
    return set(words(name)) & _WEAK <= {"key", "keys", "session", "키"}


def _random_looking(value: str) -> bool:
    """Tell whether a value has the mixture that words, paths and numbers lack."""
    if len(value) < SHORTEST or value.startswith(("/", "./", "[", "{", "<", "$")):
        return False
    sample = value[:256]
    kinds = (sample != sample.upper(), sample != sample.lower(), bool(_DECIMAL.search(sample)))
    return sum(kinds) >= 2 and len(set(sample)) >= 5
