"""The golden answer on the build box: made where the engine is, remembered, left out with a reason elsewhere."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.models import answers, spec
from builder.models.convert import interpreter
from builder.models.spec import ModelSpec
from bundle.errors import BuildError
from bundle.hashing import sha256_bytes
from bundle.text import Text
from tests.builder.models.conftest import Declare
from tests.validator import toy_speaker
from validator import golden_answer

FAR, CLOSE = 3.0, 0.2


def said(ties: float = FAR) -> bytes:
    """Return a toy model that follows each prompt with ten tokens."""
    told = {
        prompt: (5, [(n, f"가{n}", -0.1, [(99, ties), (98, 7.0)]) for n in range(10)])
        for prompt in answers.PROMPTS
    }
    return b"GGUF" + json.dumps(told).encode()


@pytest.fixture
def model(declare: Declare) -> ModelSpec:
    """A language model that is one GGUF file."""
    return declare(formats=["gguf"], files=["tiny.gguf"])


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter with the toy engine; its folder is returned."""
    folder = tmp_path / "toy"
    (folder / "xllamacpp-1.0.dist-info").mkdir(parents=True)
    (folder / "xllamacpp-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: xllamacpp\nVersion: 1.0\n"
    )
    shutil.copy(toy_speaker.__file__, folder / "xllamacpp.py")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH={folder}:$PYTHONPATH\nexport PYTHONPATH\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv(interpreter.VARIABLE, str(python))
    return folder


def admit(cache: Cache, data: bytes, name: str = "tiny.gguf") -> dict[str, str]:
    with cache.work_folder() as work:
        (work / "file").write_bytes(data)
        cache.admit(work / "file", sha256_bytes(data))
    return {name: sha256_bytes(data)}


def test_the_golden_answer_is_what_the_validator_reads(model: ModelSpec, engine: Path, cache: Cache) -> None:
    files = admit(cache, said())
    made = answers.golden_answer(model, files, cache)
    assert made is not None
    document = json.loads(cache.path(made.sha256).read_bytes())
    read = golden_answer.parse(document)
    assert (read.model, read.engine, read.followed) == ("tiny.gguf", "llama.cpp", 30)
    assert [case.prompt for case in read.cases] == list(answers.PROMPTS)
    assert made.record["inputs"] == files and made.record["tools"] == {"xllamacpp": "1.0"}
    assert made.record["outputs"] == {answers.NAME: made.sha256}


def test_it_is_made_once_and_remembered_without_the_engine(
    model: ModelSpec, engine: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = admit(cache, said())
    first = answers.golden_answer(model, files, cache)
    monkeypatch.setattr(answers, "_spoken", lambda *given: pytest.fail("it was made again"))
    assert answers.golden_answer(model, files, cache) == first
    shutil.rmtree(engine)
    assert answers.golden_answer(model, files, cache) == first


def test_without_the_engine_the_model_travels_without_one_and_that_is_said(
    model: ModelSpec, cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(interpreter.VARIABLE, str(tmp_path / "no-such-python"))
    told: list[Text] = []
    assert answers.golden_answer(model, admit(cache, said()), cache, told.append) is None
    assert "xllamacpp" in told[0].en and "골든 응답" in told[0].ko


def test_an_answer_full_of_near_ties_proves_nothing_and_is_left_out(
    model: ModelSpec, engine: Path, cache: Cache
) -> None:
    told: list[Text] = []
    assert answers.golden_answer(model, admit(cache, said(CLOSE)), cache, told.append) is None
    assert "near ties" in told[0].en


def test_a_model_that_the_engine_cannot_load_is_refused(model: ModelSpec, engine: Path, cache: Cache) -> None:
    with pytest.raises(BuildError) as caught:
        answers.golden_answer(model, admit(cache, b"no model"), cache)
    assert "failed to load model" in caught.value.render("en")


def test_only_language_models_get_one(declare: Declare, engine: Path, cache: Cache) -> None:
    encoder = declare(name="encoder", role="embedding", formats=["gguf"], files=["tiny.gguf"])
    assert answers.golden_answer(encoder, admit(cache, said()), cache) is None
    assert answers.golden_answer(declare(), admit(cache, b"{}", "README.md"), cache) is None


def test_bounds_are_those_of_the_validator() -> None:
    assert (answers.NEAR_TIE, answers.LEAST_TOKENS) == (golden_answer.NEAR_TIE, golden_answer.LEAST_TOKENS)
    assert answers.SPEAKER.is_file() and all(
        model.carries(answers.NAME) or model.role != "llm"
        for model in (spec.load_model(name) for name in spec.model_names())
    )
