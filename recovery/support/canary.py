"""The self-test: plant secrets of every kind into a copy of every source, and look whether one comes through.

The copies go through the very pipeline that makes the bundle; what comes out of them is only looked at and thrown
away. Where a canary survives, a real secret would too, so nothing is written.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from pathlib import Path
from typing import Any, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from recovery.support import limits
from recovery.support.identity import Names
from recovery.support.pipeline import Member, Pipeline
from recovery.support.sources import Source
from validator.secrets import Tokens
from validator.secrets.encodings import forms

_ITEMS = 2


class Canary(NamedTuple):
    """Something that must not come out: its kind, what must not be seen, and the text it is planted in."""

    kind: str
    value: str
    planted: str
    logs_only: bool = False


class Survivor(NamedTuple):
    """A canary that came through, by kind, and where; never the value."""

    kind: str
    member: str


class Flock(NamedTuple):
    """The canaries of one test, and what the pipeline has to be told about them."""

    canaries: Tuple[Canary, ...]
    known: Tuple[str, ...]
    names: Names


def flock() -> Flock:
    """Return new canaries of every kind; no two runs have the same."""
    known = f"{_word(6)}/{_word(6)}+{_word(4)} {_word(4)}=é"
    user, host = "c" + _word(9).lower(), "h" + _word(9).lower()
    question, title = f"연차 {_word(8)} 규정은", f"Salary {_word(8)}"
    made = [Canary("known-value", known, planted) for planted in _written(known)]
    made += [Canary(kind, value, planted) for kind, value, planted in _shaped()]
    made += [
        Canary("user", user, f"session of {user} opened"),
        Canary("home", user, f"at /home/{user}/x.py"),
        Canary("host", host, f"on {host}: up"),
        Canary("url-host", f"{host}.corp", f"GET http://{host}.corp:80/x"),
        Canary("mail", f"{user}@{host}.kr", f"to {user}@{host}.kr"),
        Canary("ip", _address(), ""),
        Canary("ipv6", f"2001:db8::{os.urandom(2).hex().lstrip('0') or '1'}:1234", ""),
        Canary("mac", ":".join(f"{byte:02x}" for byte in b"\x52" + os.urandom(5)), ""),
        Canary("question", question, f"question: {question} 무엇", logs_only=True),
        Canary("title", title, f"cannot read '{title} 2025.pdf'", logs_only=True),
    ]
    ready = tuple(
        bird if bird.planted else bird._replace(planted=f"from {bird.value} to all") for bird in made
    )
    return Flock(ready, (known,), Names((user,), (host,)))


def _written(value: str) -> Iterator[str]:
    """Yield a known value as logs and tools write it down."""
    raw = value.encode()
    yield value
    yield value[::-1]
    yield raw.hex()
    yield urllib.parse.quote(value, safe="")
    yield json.dumps(value)
    for shift in range(3):
        yield base64.b64encode(b"x" * shift + raw + b"y").decode()


def _shaped() -> Iterator[Tuple[str, str, str]]:
    """Yield kind, value and surroundings of secrets that nobody knows, only their look."""
    for kind, around in (
        ("password", "password={}"),
        ("json", '{{"api_key": "{}"}}'),
        ("header", "Authorization: Bearer {}"),
        ("cookie", "Set-Cookie: sid={}; Path=/"),
        ("url-password", "postgresql://u:{}@127.0.0.1/d"),
        ("option", "serve --auth-token {} --port 1"),
        ("aws", "id AKIA{}"),
        ("github", "x ghp_{}"),
        ("huggingface", "x hf_{}"),
        ("openai", "x sk-proj-{}"),
        ("clova", "x nv-{}"),
        ("jwt", "x eyJhbGciOiJIUzI1NiJ9.{}.sig-1"),
        ("package-index", "x pypi-{}"),
    ):
        value = _word(16).upper() if kind == "aws" else _word(40)
        yield kind, value, around.format(value)
    body = base64.b64encode(os.urandom(96)).decode()
    yield (
        "private-key",
        body[:60],
        f"-----BEGIN PRIVATE KEY-----\n{body[:64]}\n{body[64:]}\n-----END PRIVATE KEY-----",
    )
    yield "rest-of-key", body[64:120], f"{body[64:]}\n-----END PRIVATE KEY-----"


def _word(length: int) -> str:
    """Return random letters and digits, at least one digit among them."""
    raw = base64.b64encode(os.urandom(2 * length)).decode().translate({43: "q", 47: "W", 61: "Z"})
    return raw[: length - 2] + "a7"


def _address() -> str:
    return "10." + ".".join(str(byte) for byte in os.urandom(3))


def survivors(sources: Sequence[Source], known: Sequence[str], names: Names, prefix: Path) -> List[Survivor]:
    """Return every canary that comes through the pipeline in any of the *sources*."""
    birds = flock()
    everybody = Names((*names.users, *birds.names.users), (*names.hosts, *birds.names.hosts))
    pipeline = Pipeline(prefix, (*known, *birds.known), everybody, Tokens())
    found: List[Survivor] = []
    for source in sources:
        mine = [bird for bird in birds.canaries if source.rule == "service-log" or not bird.logs_only]
        for copy, planted in _copies(source, mine):
            member = pipeline.member(copy)
            found += [Survivor(bird.kind, source.name) for bird in planted if seen(bird.value, member)]
    return sorted(set(found))


def seen(value: str, member: Member) -> bool:
    """Tell whether a value can be read from a member, in clear or encoded."""
    text = member.name + "\n" + member.text
    return any(form in text for form in forms(value))


def _copies(source: Source, birds: Sequence[Canary]) -> Iterator[Tuple[Source, Sequence[Canary]]]:
    """Yield copies of a source with canaries in it: one for each in documents, all in one text elsewhere."""
    if source.rule == "json":
        document = _parsed(source.text)
        for bird in birds:
            text = bird.planted if document is None else json.dumps(_planted(document, bird.planted))
            yield source._replace(text=text), (bird,)
        return
    lines = source.text[-limits.SAMPLE_CHARACTERS :].split("\n")
    yield source._replace(text="\n".join(_sown(lines, birds))), birds


def _sown(lines: Sequence[str], birds: Sequence[Canary]) -> Iterable[str]:
    """Return the lines with each canary on lines of its own, as a value of every record, and as an assignment."""
    pace = max(1, len(lines) // len(birds))
    for number, bird in enumerate(birds):
        yield from lines[number * pace : (number + 1) * pace]
        yield bird.planted
        for line in lines[number * pace : number * pace + 1]:
            record = _parsed(line)
            if isinstance(record, dict):
                yield json.dumps(_planted(record, bird.planted), ensure_ascii=False)
                yield json.dumps(_planted(record, bird.planted))
        yield f"X_PASSWORD={bird.planted.splitlines()[0]}"
    yield from lines[len(birds) * pace :]


def _parsed(text: str) -> Any:  # noqa: ANN401 - plain JSON data
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _planted(value: Any, plant: str) -> Any:  # noqa: ANN401 - plain JSON data
    """Return plain data with the canary at the end of every text, and in a field that nobody knows."""
    if isinstance(value, str):
        return f"{value[:200]} {plant}"
    if isinstance(value, list):
        return [_planted(item, plant) for item in value[:_ITEMS]]
    if isinstance(value, dict):
        return {**{key: _planted(item, plant) for key, item in value.items()}, "canary": plant}
    return value
