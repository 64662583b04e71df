"""Constrained question analysis on a real engine: whatever the weights, what comes out is an analysis."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from ragtrace.adapters.language.llama import LlamaModel
from ragtrace.application.ports import Generation, Message, Usage
from ragtrace.domain.analysis import SCHEMA, read_analysis
from tests.support import tiny_llama
from tests.support.engines import needs

pytestmark = needs("xllamacpp")


@pytest.mark.parametrize("temperature", [0.0, 1.0, 1.5])
def test_llama_cpp_writes_an_analysis_whatever_its_weights_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    monkeypatch.setattr(tiny_llama, "CONTEXT", 4096)
    path = tiny_llama.write(tmp_path, {"tiny.gguf": tiny_llama.gguf()}) / "tiny.gguf"
    generation = Generation(max_tokens=3500, schema=SCHEMA, temperature=temperature, seed=1)
    with closing(LlamaModel(path, threads=1)) as model:
        *pieces, usage = model.stream([Message("user", tiny_llama.ASK)], generation)
    assert isinstance(usage, Usage) and usage.finish == "stop"
    assert read_analysis("".join(str(piece) for piece in pieces)) is not None
