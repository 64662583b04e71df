"""A dictionary of a company's own words: one line each, `word`, or `word<TAB>tag`, or `word<TAB>tag<TAB>score`."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from ragtrace.errors import ConfigProblem
from ragtrace.text import Text

# What may be named so: the tags of Sejong that are searched for and that do not inflect.
TAGS = ("NNP", "NNG", "NR", "SL", "XR", "MAG", "MM")
_MOST_BYTES = 16 << 20
_MOST_LETTERS = 100
_HIGHEST_SCORE = 100.0


@dataclass(frozen=True)
class UserWord:
    """A word with its part of speech; the higher the score, the rather it is read as one word."""

    word: str
    tag: str = "NNP"
    score: float = 0.0


@dataclass(frozen=True)
class UserDictionary:
    """Words, and a digest of them by which an index knows whether it was made with the same."""

    words: tuple[UserWord, ...]

    @property
    def digest(self) -> str:
        """Return a digest of the words in their order; comments and spaces do not count."""
        lines = "\n".join(f"{each.word}\t{each.tag}\t{each.score:g}" for each in self.words)
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


def read_dictionary(path: Path) -> UserDictionary:
    """Read the dictionary at `path`, UTF-8; `#` begins a comment line.

    Raises:
        ConfigProblem: it cannot be read, or a line is none of a dictionary; it names the line.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise _problem(path, Text("읽을 수 없습니다", "it cannot be read"), error.strerror or "") from error
    except UnicodeDecodeError as error:
        raise _problem(path, Text("UTF-8이 아닙니다", "it is not UTF-8"), str(error)) from error
    if len(data) > _MOST_BYTES:
        raise _problem(path, Text("너무 큽니다", "it is too large"), f"> {_MOST_BYTES >> 20} MiB")
    words: dict[tuple[str, str], UserWord] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word = _word(path, number, line)
        words[word.word, word.tag] = word
    return UserDictionary(tuple(words.values()))


def _word(path: Path, number: int, line: str) -> UserWord:
    # Texts are normalised before they are analyzed; a word that is not would never be met.
    parts = [part.strip() for part in unicodedata.normalize("NFKC", line).split("\t")]
    word, tag, score = " ".join(parts[0].split()), *(*parts[1:], "", "")[:2]
    place = f"{path}:{number}"
    if len(parts) > 3:
        raise _problem(place, Text("칸이 셋보다 많습니다", "more than three columns"), line)
    if not word or len(word) > _MOST_LETTERS or not word.isprintable():
        raise _problem(place, Text("낱말이 아닙니다", "not a word"), word[:_MOST_LETTERS])
    if tag and tag not in TAGS:
        allowed = ", ".join(TAGS)
        raise _problem(place, Text(f"품사는 {allowed} 중 하나", f"the tag is one of {allowed}"), tag)
    try:
        weight = float(score or 0)
    except ValueError:
        weight = float("nan")
    if not -_HIGHEST_SCORE <= weight <= _HIGHEST_SCORE:
        raise _problem(place, Text("점수는 -100~100", "the score is a number from -100 to 100"), score)
    return UserWord(word, tag or "NNP", weight)


def _problem(place: Path | str, what: Text, found: str) -> ConfigProblem:
    return ConfigProblem(
        Text(f"사용자 사전을 쓸 수 없습니다: {what.ko}", f"The user dictionary cannot be used: {what.en}"),
        where=f"{place}: {found}" if found else str(place),
        hint=Text(
            "한 줄에 낱말 하나: 낱말<탭>품사<탭>점수(뒤의 둘은 생략 가능)",
            "One word a line: word<TAB>tag<TAB>score (the last two may be left out)",
        ),
    )
