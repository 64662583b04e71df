"""The interpreter that can convert, and tiny repositories as folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.models.convert.run import Converted, convert_cached
from builder.models.spec import Conversion
from tests.support import tiny_models

BGE_M3 = ("config.json", "tokenizer.json", "pytorch_model.bin", "sparse_linear.pt", "colbert_linear.pt")
RERANKER = ("config.json", "tokenizer.json", "model.safetensors")
FP32 = Conversion("bge-m3-onnx", BGE_M3, ("onnx/model.onnx", "onnx/model.onnx.data", "onnx/golden.json"))
INT8 = Conversion("bge-m3-onnx", BGE_M3, ("onnx/model_int8.onnx", "onnx/golden_int8.json"), "int8")
SCORES = Conversion("cross-encoder-onnx", RERANKER, ("model.onnx", "golden.json"))
SCORES_INT8 = Conversion("cross-encoder-onnx", RERANKER, ("model_int8.onnx", "golden.json"), "int8")

Convert = Callable[..., Converted]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs torch: `make test` leaves it to `make test-convert`."""
    for item in items:
        if "convert_python" in getattr(item, "fixturenames", ()):
            item.add_marker("convert")


@pytest.fixture(scope="session")
def convert_python() -> Path:
    """The interpreter with torch; without one the test says so, or fails where CI demands it."""
    named = os.environ.get("RAGTRACE_TEST_CONVERT_PYTHON")
    if named:
        return Path(named)
    reason = "RAGTRACE_TEST_CONVERT_PYTHON names no interpreter with torch; run: make test-convert"
    if os.environ.get("RAGTRACE_REQUIRE_CONVERT") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def bge_m3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BGE-M3 as a folder."""
    return folder_of(tiny_models.bge_m3_repository(), tmp_path_factory.mktemp("bge-m3"))


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny cross-encoder as a folder."""
    return folder_of(tiny_models.reranker_repository(), tmp_path_factory.mktemp("reranker"))


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache for the whole run: every conversion of the unchanged repositories happens once."""
    return Cache(tmp_path_factory.mktemp("shared-cache"))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache for one test."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def converted(convert_python: Path, cache: Cache) -> Convert:
    """Convert a repository's files and return the record; into `shared_cache` where that is given."""

    def make(conversion: Conversion, folder: Path, into: Cache = cache) -> Converted:
        inputs = {name: folder / name for name in conversion.inputs}
        return convert_cached(into, conversion, inputs, python=convert_python)

    return make


def folder_of(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write a repository's files into a folder and return it."""
    for name, data in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder
