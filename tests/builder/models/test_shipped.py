"""The declarations that we ship, each run whole against a repository of the same shape."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder import inputs
from builder.cache import Cache
from builder.models import carry, spec
from builder.models.convert import run
from builder.models.fetch import fetch_models
from builder.models.planning import plan_models
from builder.models.spec import Conversion
from bundle.hashing import sha256_bytes
from tests.builder.models.conftest import Declare, pin_now
from tests.support import model_files, tiny_models
from tests.support.hub import Hub

EXTRA = {"README.md": b"# tiny\n", "LICENSE": b"as it is\n", "generation_config.json": b"{}"}
GGUF = "llama-3-Korean-Bllossom-8B-Q4_K_M.gguf"


def repository(name: str) -> dict[str, bytes]:
    """Return a tiny repository of the shape that the model's own has."""
    if name == "bge-m3":
        files = tiny_models.bge_m3_repository()
        return EXTRA | files | {"sentencepiece.bpe.model": model_files.sentencepiece()}
    if "reranker" in name:
        return EXTRA | tiny_models.reranker_repository()
    if name.endswith("gguf"):
        (data,) = [data for path, data in tiny_models.gguf_repository().items() if path.endswith(".gguf")]
        return EXTRA | {GGUF: data}
    files = EXTRA | tiny_models.llama_repository() | {"tokenizer.model": model_files.sentencepiece()}
    files.setdefault("special_tokens_map.json", b"{}")
    if name == "gemma-3-27b-it":
        files |= {"model-00001-of-00012.safetensors": model_files.safetensors()}
    if name == "bllossom-8b" or name.startswith(("gemma", "exaone")):
        files.setdefault("model.safetensors.index.json", b'{"weight_map": {}}')
    return files


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the converter, which needs torch; tests/convert runs the real one on the same repositories."""

    def convert(
        cache: Cache,
        conversion: Conversion,
        inputs: Mapping[str, Path],
        *,
        digests: Mapping[str, str],
        progress: object,
    ) -> run.Converted:
        makers = {".onnx": model_files.onnx(), ".json": b"{}", ".safetensors": model_files.safetensors()}
        made = []
        for name in conversion.outputs:
            data = makers[Path(name).suffix]
            with cache.work_folder() as work:
                (work / "made").write_bytes(data)
                cache.admit(work / "made", sha256_bytes(data))
            made.append(run.ConvertedFile(name, sha256_bytes(data), len(data)))
        return run.Converted(tuple(made), dict(digests), {}, {}, {})

    monkeypatch.setattr(run, "convert_cached", convert)


@pytest.mark.parametrize("name", sorted(path.stem for path in (inputs.MANIFESTS / "models").glob("*.toml")))
def test_a_shipped_declaration_is_pinned_fetched_and_carried(
    name: str, hub: Hub, declare: Declare, cache: Cache, converter: None, tmp_path: Path
) -> None:
    shutil.copy(inputs.MANIFESTS / "models" / f"{name}.toml", spec.DECLARATIONS)
    model = spec.load_model(name)
    if model.local:
        pytest.skip("a delivery has no shape of its own")
    hub.add(model.repository, repository(name))
    model = pin_now(model, cache)
    artifacts, obstacles = plan_models([name])
    assert not [item.text().en for item in obstacles]
    fetch_models(cache, artifacts, lambda count: None)
    files, _ = carry.stage_models([model], artifacts, cache)
    paths = [item.entry.path for item in files]
    assert not [path for path in paths if path.endswith((".bin", ".pt"))]
    for pattern in model.carry:
        base = f"07_Models/{model.folder}/"
        assert any(spec.matches_any(path.removeprefix(base), [pattern]) for path in paths), pattern
