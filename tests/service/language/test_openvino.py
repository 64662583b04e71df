"""OpenVINO GenAI: its thread, its ways to fail, and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ragtrace.adapters.language.openvino import OpenVinoModel
from ragtrace.application.ports import Generation, Message, Usage
from ragtrace.errors import ModelProblem, Overloaded
from tests.service.language.ending import ends_amid_an_answer
from tests.support import tiny_llama
from tests.support.engines import needs
from tests.support.tiny_llama import ANSWER, ASK, ENDLESS

pytestmark = needs("openvino_genai")
ASKED = [Message("user", ASK)]
LOOPING = [Message("user", ENDLESS)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_llama.write(tmp_path, {"tiny.gguf": tiny_llama.gguf(half=True)}) / "tiny.gguf"


@pytest.fixture
def model(path: Path) -> Iterator[OpenVinoModel]:
    with closing(OpenVinoModel(path, threads=1)) as made:
        yield made


def text(model: OpenVinoModel, asked: list[Message]) -> str:
    return "".join(each for each in model.stream(asked, Generation(max_tokens=64)) if isinstance(each, str))


def test_a_precision_that_it_does_not_read_is_a_model_problem(path: Path) -> None:
    path.write_bytes(tiny_llama.gguf())
    with pytest.raises(ModelProblem) as caught:
        OpenVinoModel(path, threads=1).load()
    assert "quantization" in caught.value.where


def test_a_damaged_folder_is_a_model_problem(tmp_path: Path) -> None:
    names = ("openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml", "openvino_detokenizer.xml")
    folder = tiny_llama.write(tmp_path / "ov", dict.fromkeys(names, b"<net"))
    with pytest.raises(ModelProblem):
        OpenVinoModel(folder, threads=1).load()


def test_without_a_template_the_model_is_asked_in_chatml(path: Path) -> None:
    path.write_bytes(tiny_llama.gguf({"tokenizer.chat_template": None}, half=True))
    with closing(OpenVinoModel(path, threads=1)) as model:
        assert model.count_tokens(ASKED) > len("<|im_start|>user")


def test_a_place_is_not_waited_for_for_ever(path: Path) -> None:
    with closing(OpenVinoModel(path, threads=1, parallel=1, timeout_s=0.2)) as model:
        first = model.stream(LOOPING, Generation(max_tokens=450))
        next(first)
        with pytest.raises(Overloaded):
            for _ in range(100):
                text(model, ASKED)
        first.close()  # type: ignore[attr-defined]
        assert text(model, ASKED) == ANSWER


def test_a_long_prompt_is_left_when_nobody_wants_it_any_more(path: Path) -> None:
    path.write_bytes(tiny_llama.gguf({"llama.context_length": 30_000}, half=True))
    with closing(OpenVinoModel(path, context_tokens=30_000, threads=1, parallel=1)) as model:
        model.load()
        long = [Message("user", "가나다" * 9000 + ASK)]
        start = time.monotonic()
        items = list(model.stream(long, Generation(max_tokens=4), lambda: time.monotonic() - start > 0.3))
        assert isinstance(items[-1], Usage) and items[-1].finish == "cancelled" and len(items) == 1
        assert text(model, ASKED) == ANSWER


def test_closing_ends_what_is_under_way(model: OpenVinoModel) -> None:
    items = model.stream(LOOPING, Generation(max_tokens=450))
    next(items)
    model.close()
    with pytest.raises(ModelProblem):
        list(items)
    assert "openvino" not in [thread.name for thread in threading.enumerate()]


def test_a_file_whose_text_it_would_split_otherwise_is_refused(path: Path) -> None:
    path.write_bytes(tiny_llama.gguf({"tokenizer.ggml.pre": "llama-bpe"}, half=True))
    with closing(OpenVinoModel(path, threads=1)) as model, pytest.raises(ModelProblem) as caught:
        model.load()
    assert "llama-bpe" in caught.value.summary.en and "language.engine" in str(caught.value.hint)


def test_the_process_ends_while_an_answer_is_made(path: Path) -> None:
    ends_amid_an_answer("openvino.OpenVinoModel", path)
