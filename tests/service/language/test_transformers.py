"""transformers: no made-up weights, no code of a model, marks that end a turn, one answer at a time."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ragtrace.adapters.language.transformers import TransformersModel
from ragtrace.application.ports import Generation, Message, Usage
from ragtrace.errors import ConfigProblem, ModelProblem
from tests.support import tiny_llama
from tests.support.engines import needs
from tests.support.tiny_llama import ANSWER, ASK, ENDLESS
from tests.support.weights import safetensors_bytes

pytestmark = needs("torch", "transformers")
ASKED = [Message("user", ASK)]
LOOPING = [Message("user", ENDLESS)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_llama.write(tmp_path / "tiny", tiny_llama.repository())


@pytest.fixture
def model(path: Path) -> Iterator[TransformersModel]:
    with closing(TransformersModel(path, device="cpu", bits=32, threads=1)) as made:
        yield made


def text(model: TransformersModel, asked: list[Message], tokens: int = 64) -> str:
    items = model.stream(asked, Generation(max_tokens=tokens))
    return "".join(each for each in items if isinstance(each, str))


def change(path: Path, name: str, **changes: object) -> None:
    found = json.loads((path / name).read_text("utf-8"))
    (path / name).write_text(json.dumps({**found, **changes}, ensure_ascii=False), "utf-8")


@pytest.mark.parametrize("bits", [16, 32])
def test_half_precision_says_the_same(path: Path, bits: int) -> None:
    with closing(TransformersModel(path, device="cpu", bits=bits, threads=1)) as model:
        assert text(model, ASKED) == ANSWER


def test_missing_weights_are_never_made_up(path: Path) -> None:
    kept = {name: each for name, each in tiny_llama.tensors().items() if "layers.1.mlp.up" not in name}
    (path / "model.safetensors").write_bytes(safetensors_bytes(kept))
    with pytest.raises(ModelProblem) as caught:
        TransformersModel(path, device="cpu", threads=1).load()
    assert "layers.1.mlp.up" in caught.value.where


def test_weights_of_another_shape_are_a_model_problem(path: Path) -> None:
    change(path, "config.json", intermediate_size=32)
    with pytest.raises(ModelProblem):
        TransformersModel(path, device="cpu", threads=1).load()


def test_cut_off_weights_are_a_model_problem(path: Path) -> None:
    whole = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(whole[:-1000])
    with pytest.raises(ModelProblem):
        TransformersModel(path, device="cpu", threads=1).load()


def test_an_architecture_that_nobody_knows_is_a_model_problem(path: Path) -> None:
    change(path, "config.json", model_type="hyperclovax_vlm", architectures=["HCXVision"])
    with pytest.raises(ModelProblem) as caught:
        TransformersModel(path, device="cpu", threads=1).load()
    assert "hyperclovax_vlm" in caught.value.where


def test_a_turn_ends_at_its_mark_where_the_folder_names_only_the_end_of_all(path: Path) -> None:
    # The end that the weights say is no `eos_token_id` any more, but still a mark that ends turns.
    change(path, "config.json", eos_token_id=0)
    change(path, "generation_config.json", eos_token_id=0)
    change(path, "tokenizer_config.json", eos_token="<|begin|>")
    with closing(TransformersModel(path, device="cpu", bits=32, threads=1)) as model:
        items = list(model.stream(ASKED, Generation(max_tokens=40)))
    assert "".join(each for each in items if isinstance(each, str)) == ANSWER
    assert isinstance(items[-1], Usage) and items[-1].finish == "stop"


def test_the_folders_own_sampling_is_not_followed(path: Path) -> None:
    change(path, "generation_config.json", do_sample=True, temperature=5.0, top_k=3, repetition_penalty=9.0)
    with closing(TransformersModel(path, device="cpu", bits=32, threads=1)) as model:
        assert {text(model, LOOPING, 12) for _ in range(3)} == {"가나다라" * 3}


def test_a_template_that_knows_no_system_role_is_asked_without(path: Path) -> None:
    template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + tiny_llama.TEMPLATE
    )
    change(path, "tokenizer_config.json", chat_template=template)
    with closing(TransformersModel(path, device="cpu", bits=32, threads=1)) as model:
        assert text(model, [Message("system", "규칙"), *ASKED]) == ANSWER


def test_a_template_cannot_leave_its_sandbox(path: Path) -> None:
    template = "{{ messages.__class__.__base__.__subclasses__() }}"
    change(path, "tokenizer_config.json", chat_template=template)
    with (
        closing(TransformersModel(path, device="cpu", bits=32, threads=1)) as model,
        pytest.raises(ModelProblem),
    ):
        text(model, ASKED)


def test_without_a_template_the_model_is_asked_in_chatml(path: Path) -> None:
    change(path, "tokenizer_config.json", chat_template=None)
    with closing(TransformersModel(path, device="cpu", bits=32, threads=1)) as model:
        assert model.count_tokens(ASKED) > len("<|im_start|>user")


def test_a_device_that_is_not_there_is_a_wrong_setting(path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ConfigProblem):
        TransformersModel(path, device="cuda", threads=1).load()


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
@pytest.mark.parametrize("bits", [4, 8])
def test_few_bits_without_their_library_are_told_in_words(path: Path, bits: int) -> None:
    with pytest.raises(ModelProblem) as caught:
        TransformersModel(path, device="cpu", bits=bits, threads=1).load()
    assert "bitsandbytes" in caught.value.summary.ko


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("bits", [4, 8])
def test_few_bits_say_the_same(path: Path, bits: int) -> None:
    with closing(TransformersModel(path, bits=bits, threads=1)) as model:
        assert text(model, ASKED) == ANSWER


def test_sampling_with_a_seed_leaves_the_programs_own_chance_alone(model: TransformersModel) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(model.stream(LOOPING, Generation(max_tokens=8, temperature=1.0, seed=1)))
    assert bool((torch.rand(3) == expected).all())


def test_answers_come_one_after_the_other_and_none_is_lost(model: TransformersModel) -> None:
    model.load()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(text(model, ASKED))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [ANSWER] * 4


def test_a_closed_answer_stops_computing(model: TransformersModel) -> None:
    items = model.stream(LOOPING, Generation(max_tokens=400))
    next(items)
    start = time.monotonic()
    items.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 2
    assert "transformers" not in [thread.name for thread in threading.enumerate()]
