"""What passes between the builder and the conversion's child process, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bundle.text import Text

# Raised whenever the same inputs would give other bytes: remembered results of older ones are not used.
CONVERTER_VERSION = 1
# What the child needs. torch before 2.10 can be made to run code in spite of ``weights_only``.
LIBRARIES = (
    "torch",
    "transformers",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "safetensors",
    "tokenizers",
    "numpy",
)
MINIMUM_TORCH = "2.10"


@dataclass(frozen=True)
class Job:
    """One conversion: its kind, the input files by name, the outputs to write below `folder`."""

    kind: str
    precision: str
    inputs: dict[str, str]
    outputs: tuple[str, ...]
    folder: str

    def to_line(self) -> str:
        """Return the job as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Job:
        """Read what `to_line` wrote."""
        data = json.loads(line)
        return cls(**{**data, "outputs": tuple(data["outputs"])})


@dataclass(frozen=True)
class Report:
    """What the child found out: tensors by output name, and how near the results are to the reference."""

    tensors: dict[str, dict[str, str]] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)


class Refusal(Exception):
    """The inputs must not or cannot be converted; travels to the builder, which tells the user."""

    def __init__(self, summary: Text, where: str = "", details: Sequence[Text] = ()) -> None:
        super().__init__(summary.en)
        self.summary = summary
        self.where = where
        self.details = tuple(details)

    def as_dict(self) -> dict[str, Any]:
        """Return the refusal for the way through the pipe."""
        return {"summary": self.summary, "where": self.where, "details": self.details}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Refusal:
        """Read what `as_dict` wrote."""
        return cls(Text(*data["summary"]), data["where"], [Text(*item) for item in data["details"]])
