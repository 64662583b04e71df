"""What looks like a secret anywhere, found in linear time: no pattern has anything to fail on after a long run.

A pattern runs only where a cheap search for one of its hints succeeded, so ordinary logs pay for the hints alone.
"""

from __future__ import annotations

import re
from typing import Callable, Iterator, NamedTuple, Optional, Tuple

from validator.secrets.keys import is_secret, looks_secret
from validator.secrets.tokens import TOKEN

# A private key is replaced as a whole; one whose end is missing is taken to end after this many characters.
KEY_CHARACTERS = 32 * 1024
# A quoted value that is never closed ends here.
VALUE_CHARACTERS = 4096
_NAME_CHARACTERS = 64
# So much of a value decides whether it can be a secret.
_SAMPLE = 128
# What may stand around a token without being part of a value.
_MARKS = " \"'\\,;.)}]"


class Span(NamedTuple):
    """A secret in a text: where its surroundings begin, where it begins and ends, and its kind."""

    context: int
    start: int
    end: int
    kind: str


class Shape(NamedTuple):
    """A kind of secret that can be told by its own look; group 1 is what is replaced."""

    kind: str
    hints: Tuple[str, ...]
    pattern: "re.Pattern[str]"
    accepts: Callable[[str], bool]


_DIGIT = re.compile(r"\d")


def _always(value: str) -> bool:
    return True


def _mixed(value: str) -> bool:
    return bool(_DIGIT.search(value)) and value.lower() != value.upper()


def _credential(value: str) -> bool:
    """Tell a credential from a word that follows "basic" or "bearer"."""
    return _mixed(value) or value.endswith("=") or (value != value.lower() and value != value.upper())


def _password(value: str) -> bool:
    """Tell a password from a port and path with an @ somewhere behind."""
    return not re.match(r"\d{1,5}(?:[/?#]|\Z)", value) or value.isdigit()


def _blob(value: str) -> bool:
    """Tell encoded bytes from paths and digests: all three kinds of characters, few slashes."""
    both = value.lower() != value != value.upper()
    return both and bool(_DIGIT.search(value)) and value.count("/") * 12 <= len(value)


# Not inside a word; what follows an escaped line end begins one.
_BEGIN = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
_AUTHORITY = r"://[^\s\[/@:\"'<>]{0,256}:([^\s\"'<>]{1,128}|[^\s\"'<>@/]{1,512})@"
SHAPES: Tuple[Shape, ...] = (
    Shape("url-password", ("://",), re.compile(_AUTHORITY), _password),
    Shape("url-token", ("://",), re.compile(r"://([^\s/@:\"'<>]{16,256})@"), _always),
    Shape(
        "authorization",
        ("bearer", "basic", "negotiate"),
        re.compile(r"\b(?:bearer|basic|negotiate)[\s:]{1,4}([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE),
        _credential,
    ),
    Shape("aws", ("akia", "asia", "abia", "acca"), re.compile(_BEGIN + r"((?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})"), _always),
    Shape("github", ("gh",), re.compile(_BEGIN + r"(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"), _always),
    Shape("gitlab", ("glpat-",), re.compile(_BEGIN + r"(glpat-[\w-]{16,})"), _always),
    Shape("huggingface", ("hf_", "api_org_"), re.compile(_BEGIN + r"((?:hf|api_org)_[A-Za-z0-9]{20,})"), _always),
    Shape("openai", ("sk-",), re.compile(_BEGIN + r"(sk-[A-Za-z0-9_-]{16,})"), _mixed),
    Shape("clova", ("nv-",), re.compile(_BEGIN + r"(nv-[A-Za-z0-9]{20,})"), _mixed),
    Shape("slack", ("xox",), re.compile(_BEGIN + r"(xox[abeoprs]-[\w-]{10,})"), _mixed),
    Shape("google", ("aiza",), re.compile(_BEGIN + r"(AIza[\w-]{30,})"), _always),
    Shape("stripe", ("k_live_", "k_test_"), re.compile(_BEGIN + r"([rs]k_(?:live|test)_[A-Za-z0-9]{16,})"), _always),
    Shape("package-index", ("npm_", "pypi-"), re.compile(_BEGIN + r"(npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,})"), _always),
    Shape("jwt", ("eyj",), re.compile(r"(eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,4})"), lambda value: "." in value),
    # What is left of a private key whose first line was cut off; digests are shorter or lack capitals.
    Shape("blob", (), re.compile(r"([A-Za-z0-9+/]{60,}={0,2})"), _blob),
)  # fmt: skip

_KEY_HINT = "-----"
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----")
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=\s\\:,.-]{0,%d}" % KEY_CHARACTERS)
_LAST_LINES = re.compile(r"[A-Za-z0-9+/=]{1,80}(?:\\[rn]|\s){0,4}\Z")

# --- name = value ------------------------------------------------------------------------------------------

# One search finds the word; the name around it and what follows decide.
_WORD = re.compile(
    "p(?:ass|wd|w|at)|se(?:cret|ssion)|c(?:redential|ookie)|key|token|dsn|a(?:pi|uth)|jwt|bearer|salt|hmac"
    "|비밀번호|암호|비밀키|토큰|키"
)
_NAME_AFTER = re.compile(r"[\w.-]{0,%d}" % _NAME_CHARACTERS)
_SEPARATOR = re.compile(r"""\\{0,4}["']?[ \t]{0,4}(?::=|=>|==?|:|>)[ \t]{0,4}(\\{0,4}["'])?""")
_OPTION = re.compile(r"""(?:(?<![\w-])|(?<=\\n))(--?[A-Za-z][\w-]{1,60})(?:["',\s]{1,8})(?=[^\s"',-])""")
_NETRC = re.compile(r"\bpassword[ \t]{1,4}(\S+)")
_NAME_BEFORE = re.compile(r"[\w.-]{1,%d}\Z" % _NAME_CHARACTERS)
_GAP = re.compile(r"\s")
_LINE_END = re.compile(r"[\r\n]")


def find(text: str, *, blobs: bool = True) -> Iterator[Span]:
    """Yield what looks like a secret; spans may overlap and come in no order.

    Args:
        text: what to look at.
        blobs: also take long encoded runs that nothing names for the rest of a key.
    """
    lowered = _lowered(text)
    yield from private_keys(text)
    for shape in SHAPES:
        if (shape.hints or blobs) and (not shape.hints or any(hint in lowered for hint in shape.hints)):
            for match in shape.pattern.finditer(text):
                if shape.accepts(match.group(1)) and not _stands_for_one(match.group(1)):
                    yield Span(match.start(), match.start(1), match.end(1), shape.kind)
    yield from _assignments(text, lowered)


def _lowered(text: str) -> str:
    """Return the text in lower case with every character where it was; one letter would become two."""
    made = text.lower()
    return made if len(made) == len(text) else text.replace("\u0130", "I").lower()


def _stands_for_one(value: str) -> bool:
    """Tell whether all of a value is a token already, and what stands around one."""
    return not TOKEN.sub("", value).strip(_MARKS)


def private_keys(text: str) -> Iterator[Span]:
    """Yield private keys in PEM or OpenSSH form, also such that lack their beginning or their end."""
    if _KEY_HINT not in text:
        return
    at = 0
    begin, end = _KEY_BEGIN.search(text), _KEY_END.search(text)
    while True:
        # Each is looked for again only where it lies behind, so that many of one kind cost one pass.
        if begin is not None and begin.start() < at:
            begin = _KEY_BEGIN.search(text, at)
        if end is not None and end.start() < at:
            end = _KEY_END.search(text, at)
        if begin is None or (end is not None and end.start() < begin.start()):
            if end is None:
                return
            rest = _LAST_LINES.search(text, max(at, end.start() - 100), end.start())
            start = rest.start() if rest else end.start()
            yield Span(start, start, end.end(), "private-key")
            at = end.end()
            continue
        stop = begin.end() + KEY_CHARACTERS
        closed = _KEY_END.search(text, begin.end(), stop)
        if closed:
            at = closed.end()
        else:
            body = _KEY_BODY.match(text, begin.end())
            at = body.end() if body else begin.end()
        yield Span(begin.start(), begin.start(), at, "private-key")


def _assignments(text: str, lowered: str) -> Iterator[Span]:
    """Yield the values of names that speak of secrets: ``name=value``, JSON, YAML, headers and options."""
    ends = _Ends(text)
    at = 0
    while True:
        word = _WORD.search(lowered, at)
        if word is None:
            break
        token = TOKEN.match(text, max(0, word.start() - 1))
        if token:
            at = token.end()
            continue
        after = _NAME_AFTER.match(text, word.end())
        at = max(word.end(), after.end() if after else 0)
        mark = _SEPARATOR.match(text, at)
        if mark is None:
            continue
        before = _NAME_BEFORE.search(text, max(0, word.start() - _NAME_CHARACTERS), word.start())
        first = before.start() if before else word.start()
        found = _value(ends, text[first:at], first, mark.end(), mark.group(1))
        if found is not None:
            yield found
            # A value may hold another assignment, whose value goes on where this one ends.
            at = mark.end()
    for option in _OPTION.finditer(text):
        found = _value(ends, option.group(1), option.start(), option.end(), None)
        if found is not None:
            yield found
    for word in _NETRC.finditer(text):
        if _mixed(word.group(1)):
            yield Span(word.start(), word.start(1), word.end(1), "password")


class _Ends:
    """Where words and lines of a text end; each end is sought once, however many values share it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._known = {_GAP: (0, 0), _LINE_END: (0, 0)}

    def of(self, start: int, pattern: "re.Pattern[str]") -> int:
        """Return the first place at or behind *start* where *pattern* is, or the end of the text."""
        since, until = self._known[pattern]
        if not since <= start < until:
            match = pattern.search(self.text, start)
            until = match.start() if match else len(self.text)
            self._known[pattern] = (start, until)
        return until


def _value(ends: _Ends, name: str, context: int, start: int, quote: Optional[str]) -> Optional[Span]:
    if not looks_secret(name):
        return None
    lowered = name.lower()
    if quote:
        stop = _closing(ends.text, start, quote)
    else:
        stop = ends.of(start, _LINE_END if lowered.endswith(("authorization", "cookie")) else _GAP)
    sample = ends.text[start : min(stop, start + _SAMPLE)]
    if not sample or _stands_for_one(sample) or not is_secret(name, sample):
        return None
    return Span(context, start, stop, "password" if "pass" in lowered else "named-value")


def _closing(text: str, start: int, quote: str) -> int:
    """Return where a quoted value ends: at the same quote, unescaped, else at the end of the line."""
    limit = min(len(text), start + VALUE_CHARACTERS)
    line = text.find("\n", start, limit)
    limit = line if line >= 0 else limit
    at = start
    while True:
        at = text.find(quote, at, limit)
        if at < 0:
            return limit
        if len(quote) > 1 or not _escaped(text, start, at):
            return at
        at += 1


def _escaped(text: str, start: int, at: int) -> bool:
    first = at
    while first > max(start, at - 16) and text[first - 1] == "\\":
        first -= 1
    return bool((at - first) % 2)
