"""A toy of numpy, ONNX Runtime and tokenizers: real modules in a real interpreter, with arithmetic a test can repeat.

A toy graph is one line of JSON, anything behind it is ignored: ``kind`` (as of golden vectors), ``seed`` (its
weights), ``defect``. A toy tokenizer is JSON with ``shift``. The fake installation has this as three packages.
"""

from __future__ import annotations

import json
import math
import os
import time
from typing import Any

HIDDEN = 8
int64 = "int64"
__version__ = "0.0"


class Array:
    """Nested lists with a shape, an assignable row, and nothing else."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        found: list[int] = []
        value = self.value
        while isinstance(value, list):
            found.append(len(value))
            value = value[0] if value else 0
        return tuple(found)

    def __getitem__(self, place: int) -> Array:
        return Array(self.value[place])

    def __setitem__(self, place: tuple[int, slice], row: Any) -> None:
        line, columns = place
        start, stop, _ = columns.indices(len(self.value[line]))
        self.value[line][start:stop] = row if isinstance(row, list) else [row] * (stop - start)

    def tolist(self) -> Any:
        return self.value


def full(shape: tuple[int, int], value: int, dtype: str) -> Array:
    return Array([[value] * shape[1] for _ in range(shape[0])])


def zeros(shape: tuple[int, int], dtype: str) -> Array:
    return full(shape, 0, dtype)


def unit(row: list[float]) -> list[float]:
    length = math.sqrt(sum(number * number for number in row)) or 1.0
    return [number / length for number in row]


def compute(kind: str, seed: float, ids: list[int]) -> dict[str, Any]:
    """Return what a sound toy graph of these weights gives for one row of token ids."""
    total = sum(number * (place + 1) for place, number in enumerate(ids))
    if kind == "cross-encoder-onnx":
        return {"logits": [math.sin(seed * total) + 2.0]}
    return {
        "dense": unit([math.sin(seed * total * (k + 1) + k) for k in range(HIDDEN)]),
        "sparse": [max(0.0, math.sin(seed * number)) for number in ids],
        "colbert": [unit([math.sin(seed * number + k) for k in range(HIDDEN)]) for number in ids[1:]],
    }


class Port:
    def __init__(self, name: str, type: str, rank: int) -> None:
        self.name = name
        self.type = type
        self.shape = ["any"] * rank


class InferenceSession:
    def __init__(self, path: str, providers: list[str]) -> None:
        with open(path, "rb") as stream:
            try:
                graph = json.loads(stream.readline())
            except ValueError as error:
                raise RuntimeError("InvalidProtobuf: Protobuf parsing failed") from error
        self.kind, self.seed, self.defect = graph["kind"], graph["seed"], graph["defect"]
        if self.defect == "crash":
            os._exit(139)
        if self.defect == "counted":
            with open(path + ".runs", "a", encoding="ascii") as stream:
                stream.write("x")
        if self.defect == "hang":
            time.sleep(600)
        if self.defect == "slow":
            time.sleep(0.05)

    def get_inputs(self) -> list[Port]:
        names = ["input_ids", "attention_mask"] + (["token_type_ids"] if self.defect == "third input" else [])
        return [Port(name, "tensor(int64)", 2) for name in names]

    def get_outputs(self) -> list[Port]:
        ranks = {"dense": 2, "sparse": 2, "colbert": 3, "logits": 2}
        return [Port(name, "tensor(float)", ranks[name]) for name in self.names()]

    def names(self) -> list[str]:
        names = {"bge-m3-onnx": ["dense", "sparse", "colbert"], "cross-encoder-onnx": ["logits"]}[self.kind]
        return [name for name in names if self.defect != "no " + name]

    def run(self, names: None, feed: dict[str, Array]) -> list[Array]:
        rows = []
        for ids, mask in zip(feed["input_ids"].value, feed["attention_mask"].value):
            if self.defect == "fails":
                raise ValueError("Gather index out of bounds")
            row = compute(self.kind, self.seed, ids[: sum(mask)])
            rows.append({name: self.spoiled(value) for name, value in row.items()})
        return [Array([row[name] for row in rows]) for name in self.names()]

    def spoiled(self, value: Any) -> Any:
        if isinstance(value, list):
            found = [self.spoiled(item) for item in value]
            return (
                found[:-1]
                if self.defect == "short" and len(found) > 1 and not isinstance(found[0], list)
                else found
            )
        wrong = {"NaN": math.nan, "infinite": math.inf, "zero": 0.0, "constant": 0.35, "long": value * 1.5}
        return wrong.get(self.defect, value)


class Encoding:
    def __init__(self, ids: list[int]) -> None:
        self.ids = ids


class Tokenizer:
    def __init__(self, shift: int) -> None:
        self.shift = shift

    @classmethod
    def from_file(cls, path: str) -> Tokenizer:
        with open(path, encoding="utf-8") as stream:
            return cls(json.load(stream)["shift"])

    def no_padding(self) -> None:
        pass

    def no_truncation(self) -> None:
        pass

    def encode(self, text: str) -> Encoding:
        return Encoding([0, *(3 + (ord(letter) + self.shift) % 61 for letter in text), 2])
