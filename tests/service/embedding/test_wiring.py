"""The configured model: built by the bootstrap, loaded in the background, a part of readiness."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ragtrace.bootstrap import Container
from ragtrace.errors import ConfigProblem, ModelProblem
from ragtrace.settings import EmbeddingSettings, SearchSettings, Settings, VectorSettings
from tests.service.loopback import request
from tests.service.test_cli import CLI, environment, free_port, service

from . import folders

WORDS = {"RAGTRACE_ANALYZER_KIND": "whitespace", "RAGTRACE_EMBEDDING_MODEL": "models/bge-m3"}


def test_no_model_is_no_embedding_and_imports_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ragtrace.bootstrap import Container; "
        "from ragtrace.preloading import preload\n"
        "from ragtrace.settings import Settings\n"
        f"made = Container(Settings(Path({str(tmp_path)!r}))); preload(made.settings)\n"
        "assert made.embedding is None\n"
        "print(sorted({'numpy', 'onnxruntime', 'tokenizers', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_relative_folder_lies_in_the_home_and_what_is_embedded_is_remembered(tmp_path: Path) -> None:
    folders.bge_m3(tmp_path / "models/bge-m3")
    settings = Settings(tmp_path, embedding=EmbeddingSettings(model="models/bge-m3", engine="onnx"))
    for _ in range(2):
        model = Container(settings).embedding
        assert model is not None
        first = model.embed(["문서 검색"], model.outputs)[0]
    assert first.dense is not None
    assert model is not None
    assert Container(settings).embedding_cache.get(model.fingerprint, ["문서 검색"], model.outputs) != [None]
    assert (tmp_path / "data/cache/embeddings.sqlite3").is_file()


@pytest.mark.parametrize(
    "settings",
    [
        {"search": SearchSettings(sparse_weight=0.3)},
        {"search": SearchSettings(colbert_weight=0.3), "vectors": VectorSettings(colbert=True)},
        {"vectors": VectorSettings(colbert=True)},
    ],
)
def test_a_leg_that_the_model_cannot_serve_is_a_mistake_of_the_configuration(
    tmp_path: Path, settings: dict[str, SearchSettings]
) -> None:
    folders.dense(tmp_path / "m")
    chosen = EmbeddingSettings(model="m", engine="onnx")
    with pytest.raises(ConfigProblem) as caught:
        _ = Container(Settings(tmp_path, embedding=chosen, **settings)).embedding  # type: ignore[arg-type]
    assert "vectors" in caught.value.render("en")
    assert Container(Settings(tmp_path, embedding=chosen)).embedding is not None


def test_the_service_loads_the_model_and_readiness_names_it(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    folders.bge_m3(home / "models/bge-m3")
    with service(home, port, **WORDS):
        parts = request(port, "GET", "/readyz").json()["parts"]
    assert parts["embedding"]["ready"] and "bge-m3-onnx-fp32-t128-" in parts["embedding"]["detail"]


def test_a_service_whose_model_is_damaged_ends_and_says_why(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folders.bge_m3(home / "models/bge-m3", onnx__model_dot_onnx=b"damaged")
    done = subprocess.run(
        [sys.executable, str(CLI), "serve"],
        env=environment(home, RAGTRACE_SERVER_PORT=str(free_port()), RAGTRACE_GENERATION="000001-a", **WORDS),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "RT-140" in done.stderr and "model.onnx" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_folder_is_a_model_problem(tmp_path: Path) -> None:
    with pytest.raises(ModelProblem):
        _ = Container(Settings(tmp_path, embedding=EmbeddingSettings(model="BAAI/bge-m3"))).embedding
