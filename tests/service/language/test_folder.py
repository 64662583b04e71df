"""What a model path holds, and what is refused before any engine sees it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from ragtrace.adapters.language.choose import build_language
from ragtrace.adapters.language.folder import recognise
from ragtrace.adapters.language.gguf import read_gguf
from ragtrace.errors import ConfigProblem, ModelProblem
from ragtrace.settings import LanguageSettings, Settings
from tests.support import tiny_llama
from tests.support.tiny_llama import CONTEXT, write

TINY = tiny_llama.gguf()
REPOSITORY = tiny_llama.repository()
OPENVINO = dict.fromkeys(
    ("openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml", "openvino_detokenizer.xml"), b"x"
)


def refused(path: Path) -> str:
    with pytest.raises(ModelProblem) as caught:
        recognise(path)
    return caught.value.render("ko") + caught.value.render("en")


def test_each_kind_of_model_is_known_by_its_files(tmp_path: Path) -> None:
    hf = write(tmp_path / "hf", REPOSITORY)
    ov = write(tmp_path / "ov", {**OPENVINO, "config.json": b"{}"})
    gg = write(tmp_path / "gg", {"tiny.gguf": TINY, "README.md": b""})
    assert recognise(hf) == ("transformers", hf)
    assert recognise(ov) == ("openvino", ov)
    assert recognise(gg) == recognise(gg / "tiny.gguf") == ("llama", gg / "tiny.gguf")


def test_of_a_model_in_parts_the_first_is_taken(tmp_path: Path) -> None:
    names = [f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert recognise(write(tmp_path, dict.fromkeys(names, TINY)))[1].name == names[0]


def test_several_models_in_one_folder_are_a_question_back(tmp_path: Path) -> None:
    assert "a.gguf, b.gguf" in refused(write(tmp_path, {"a.gguf": TINY, "b.gguf": TINY}))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "openvino_model.xml"),
        ({"pytorch_model.bin": b"x", "config.json": b"{}"}, "피클"),
        ({**REPOSITORY, "modeling_hcx.py": b"import os"}, "modeling_hcx.py"),
        ({**REPOSITORY, "config.json": b'{"auto_map": {"AutoModel": "m.M"}}'}, "auto_map"),
        ({**REPOSITORY, "tokenizer_config.json": b'{"auto_map": {}}'}, "auto_map"),
        ({**REPOSITORY, "config.json": b"{"}, "JSON"),
        ({**REPOSITORY, "config.json": b"[1]"}, "JSON"),
        ({name: data for name, data in REPOSITORY.items() if name != "config.json"}, "config.json"),
        ({name: data for name, data in REPOSITORY.items() if name != "tokenizer.json"}, "tokenizer.json"),
        (
            {**REPOSITORY, "model.safetensors.index.json": json.dumps({"weight_map": {"a": "gone.safetensors"}}).encode()},
            "gone.safetensors",
        ),
        ({name: data for name, data in OPENVINO.items() if "detokenizer" not in name}, "openvino_detokenizer.xml"),
    ],
)  # fmt: skip
def test_what_runs_or_misses_a_part_is_refused(files: dict[str, bytes], said: str, tmp_path: Path) -> None:
    assert said in refused(write(tmp_path, files))


def test_a_path_that_is_not_there_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    assert "naver-hyperclovax" in refused(tmp_path / "naver-hyperclovax")
    (tmp_path / "model.onnx").write_bytes(b"x")
    assert "GGUF" in refused(tmp_path / "model.onnx")


def test_a_gguf_says_its_context_without_reading_its_vocabulary(tmp_path: Path) -> None:
    path = write(tmp_path, {"tiny.gguf": TINY}) / "tiny.gguf"
    facts = read_gguf(path)
    assert (facts.architecture, facts.name, facts.context, facts.parts) == ("llama", "tiny llama", CONTEXT, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"GGUF", b"GGML" + TINY[4:], TINY[:100], TINY[:4] + struct.pack("<I", 9) + TINY[8:],
        TINY[:16] + struct.pack("<Q", 1 << 60) + TINY[24:],
        TINY[:24] + struct.pack("<Q", 1 << 62) + TINY[32:],
        tiny_llama.gguf({"general.type": "adapter"}), tiny_llama.gguf({"general.architecture": "clip"}),
        tiny_llama.gguf({"general.architecture": None}),
    ],
    ids=["empty", "head only", "another magic", "cut", "version", "count of keys", "length of a key", "adapter", "clip", "no name"],
)  # fmt: skip
def test_a_damaged_or_foreign_gguf_is_refused_before_llama_cpp_sees_it(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(ModelProblem):
        read_gguf(tmp_path / "x.gguf")


@pytest.mark.parametrize("cut", range(0, 900, 7))
def test_a_head_cut_anywhere_is_a_model_problem_or_is_read(cut: int, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(TINY[:cut])
    try:
        read_gguf(tmp_path / "x.gguf")
    except ModelProblem:
        return
    assert cut > 400


def settings(home: Path, **language: object) -> Settings:
    return Settings(home, language=LanguageSettings(**language))  # type: ignore[arg-type]


def test_a_relative_model_lies_in_the_home(tmp_path: Path) -> None:
    write(tmp_path / "models", {"tiny.gguf": TINY})
    model = build_language(settings(tmp_path, model="models/tiny.gguf", context_tokens=256))
    assert (model.name, model.context_tokens) == ("tiny", 256)


def test_a_context_beyond_the_models_is_cut_to_it(tmp_path: Path) -> None:
    write(tmp_path, {"tiny.gguf": TINY})
    write(tmp_path / "hf", REPOSITORY)
    for name in ("tiny.gguf", "hf"):
        assert (
            build_language(settings(tmp_path, model=name, context_tokens=100_000)).context_tokens == CONTEXT
        )


def test_an_engine_that_cannot_read_the_model_is_a_wrong_setting(tmp_path: Path) -> None:
    write(tmp_path, {"tiny.gguf": TINY})
    with pytest.raises(ConfigProblem) as caught:
        build_language(settings(tmp_path, model="tiny.gguf", engine="transformers"))
    assert "llama, openvino" in caught.value.summary.en
    assert build_language(settings(tmp_path, model="tiny.gguf", engine="openvino")).context_tokens == CONTEXT


def test_bits_that_nothing_computes_with_are_a_wrong_setting(tmp_path: Path) -> None:
    write(tmp_path / "hf", REPOSITORY)
    with pytest.raises(ConfigProblem):
        build_language(settings(tmp_path, model="hf", bits=5))


def test_nothing_named_is_a_wrong_setting(tmp_path: Path) -> None:
    for engine in ("auto", "llama", "server"):
        with pytest.raises(ConfigProblem):
            build_language(settings(tmp_path, engine=engine))
