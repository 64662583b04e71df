"""What a profile may expect of a host's speed: the keys, their units and what holds where it says nothing.

A profile states numbers (``[expectations]``), the manifest carries them as decimal text - a manifest holds no
fractions - and the validator's performance checks compare with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Mapping

from .strictjson import Fields
from .text import Text

# Far more than any key there is; a newer builder may know more of them.
MOST = 64
_VALUE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?\Z")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


@dataclass(frozen=True)
class Expectation:
    """One figure: which check measures it, its unit, what holds by default, and which side of it is good.

    `factor` is how many times worse than the host's own median is no longer chance (disks swing with the caches
    below them), `noise` a difference that says nothing: a few milliseconds more are not felt by anybody.
    """

    key: str
    check: str
    unit: str
    default: float
    at_least: bool
    text: Text
    factor: float = 3.0
    noise: float = 0.0


EXPECTATIONS: Mapping[str, Expectation] = {
    item.key: item
    for item in (
        Expectation(
            "import_s",
            "PERF-001",
            "s",
            5.0,
            False,
            Text("서비스 불러오기", "importing the service"),
            noise=1.0,
        ),
        Expectation("hash_mb_per_s", "PERF-002", "MB/s", 150.0, True, Text("해시", "hashing on one core")),
        Expectation(
            "disk_write_mb_per_s", "PERF-003", "MB/s", 30.0, True, Text("쓰기", "writing, with fsync"), 10.0
        ),
        Expectation("disk_read_mb_per_s", "PERF-003", "MB/s", 60.0, True, Text("읽기", "reading"), 10.0),
        Expectation("memory_mb_per_s", "PERF-004", "MB/s", 1000.0, True, Text("메모리", "copying memory")),
        Expectation(
            "answer_ms", "PERF-005", "ms", 1500.0, False, Text("응답", "a whole answer"), noise=100.0
        ),
        Expectation(
            "model_load_s",
            "PERF-006",
            "s",
            90.0,
            False,
            Text("모델 불러오기", "loading every graph"),
            noise=1.0,
        ),
        Expectation(
            "embedding_texts_per_s", "PERF-007", "texts/s", 0.2, True, Text("임베딩", "embedding texts")
        ),
        Expectation(
            "retrieval_ms",
            "PERF-008",
            "ms",
            1000.0,
            False,
            Text("검색", "retrieval for one question"),
            noise=100.0,
        ),
        Expectation(
            "generation_tokens_per_s", "PERF-009", "tokens/s", 1.0, True, Text("생성", "generating text")
        ),
    )
}


def decimal(value: float) -> str:
    """Return the text that a manifest has for a figure.

    Raises:
        ValueError: not above zero, or beyond nine digits.
    """
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    if not _VALUE.match(text) or float(text) <= 0:
        raise ValueError(f"{value!r} is not above zero and below 1000000000")
    return text


def parse(source: Fields) -> Dict[str, str]:
    """Read a manifest's expectations; keys that this release does not know are kept and mean nothing.

    Raises:
        ValueError: too many, or a key or value of another form.
    """
    if len(source.value) > MOST:
        raise ValueError(f"{source.name} has more than {MOST} keys")
    for key in source.value:
        if not _KEY.match(key):
            raise ValueError(f"{source.name} has a key of another form")
    return {key: source.text(key, _VALUE) for key in source.value}


def expected(stated: Mapping[str, str], key: str) -> float:
    """Return what is expected: as the manifest states it, else the default."""
    return float(stated.get(key) or EXPECTATIONS[key].default)
