"""The golden answer with the real engines: a tiny Llama as GGUF and as safetensors says the same to both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny_llama
from validator import golden_answer
from validator.host import spoken

# The last one is what the tiny model has an answer to.
# What llama.cpp says of a character of several tokens is one entry; the answer's emoji comes after these.
TOKENS = 8
PROMPTS = ("대한민국의 수도는 가", "자주 묻는 질문")


def speak(path: Path) -> tuple[list[dict[str, Any]], str]:
    source = (Path(spoken.__file__).parents[1] / "probes" / "speaker.py").read_text("utf-8")
    item = {"name": "tiny", "path": str(path), "prompts": PROMPTS, "tokens": TOKENS}
    command = [sys.executable, "-B", "-c", source, json.dumps({"models": [item], "threads": 2})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    line = next(each for each in done.stdout.splitlines() if each.startswith("RAGTRACE-PROBE "))
    report = json.loads(line.partition(" ")[2])
    assert not report["missing"] and not report["models"][0]["error"], report
    return report["models"][0]["cases"], report["models"][0]["engine"]


def golden(cases: list[dict[str, Any]]) -> golden_answer.GoldenAnswer:
    head = {"format": 1, "kind": "golden-answer", "model": ".", "engine": "any"}
    return golden_answer.parse({**head, "cases": cases})


def test_both_engines_give_the_golden_answer_of_the_other(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("transformers")
    (tmp_path / "tiny.gguf").write_bytes(tiny_llama.gguf())
    llama, engine = speak(tmp_path / "tiny.gguf")
    other, another = speak(tiny_llama.write(tmp_path / "hf", tiny_llama.repository()))
    assert (engine, another) == ("llama.cpp", "transformers")
    for wanted, said in ((llama, other), (other, llama)):
        found = golden_answer.compare(golden(wanted), [golden_answer.case(item) for item in said])
        assert found.problems == () and found.same >= golden_answer.LEAST_TOKENS
    assert "".join(token["text"] for token in llama[1]["tokens"][:6]) == tiny_llama.ANSWER[:6]


def test_zeroed_weights_are_noticed(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    whole = tiny_llama.gguf()
    (tmp_path / "tiny.gguf").write_bytes(whole)
    # The tensors come last, the head first among them.
    (tmp_path / "zeroed.gguf").write_bytes(whole[:40_000] + bytes(len(whole) - 40_000))
    sound, _ = speak(tmp_path / "tiny.gguf")
    damaged, _ = speak(tmp_path / "zeroed.gguf")
    found = golden_answer.compare(golden(sound), [golden_answer.case(item) for item in damaged])
    assert found.problems
