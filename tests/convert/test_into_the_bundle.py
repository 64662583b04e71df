"""The shipped declaration of BGE-M3 with the real converter: fetched, converted, checked, staged, twice the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from builder import inputs
from builder.cache import Cache
from builder.models import carry, pin, spec
from builder.models.convert import interpreter
from builder.models.fetch import fetch_models
from builder.models.planning import plan_models
from tests.support import model_files, tiny_models

FULL = (
    ('"int8"', '"fp32"'),
    (
        '["onnx/model_int8.onnx", "onnx/golden_int8.json"]',
        '["onnx/model.onnx", "onnx/model.onnx.data", "onnx/golden.json"]',
    ),
)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("bge-m3", ()), ("ko-reranker", ()), ("bge-m3", FULL)],
    ids=["bge-m3", "ko-reranker", "bge-m3-fp32"],
)
def test_a_shipped_declaration_is_converted_and_staged(
    name: str,
    changes: tuple[tuple[str, str], ...],
    convert_python: Path,
    cache: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(interpreter.VARIABLE, str(convert_python))
    for folder in ("DECLARATIONS", "PINS"):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(spec, folder, tmp_path / folder)
    shutil.copy(inputs.MANIFESTS / "models" / f"{name}.toml", spec.DECLARATIONS)
    declaration = spec.DECLARATIONS / f"{name}.toml"
    for before, after in changes:
        assert before in declaration.read_text(encoding="utf-8")
        declaration.write_text(
            declaration.read_text(encoding="utf-8").replace(before, after), encoding="utf-8"
        )
    files = tiny_models.bge_m3_repository() if name == "bge-m3" else tiny_models.reranker_repository()
    weights = tmp_path / "weights"
    for path, data in (files | {"sentencepiece.bpe.model": model_files.sentencepiece()}).items():
        (weights / path).parent.mkdir(parents=True, exist_ok=True)
        (weights / path).write_bytes(data)
    model = spec.load_model(name)
    spec.write_pins(name, pin.pin_from_folder(model, weights, "c" * 40, lambda count: None).pins)
    model = spec.load_model(name)
    artifacts, obstacles = plan_models([name], {name: weights})
    assert not obstacles
    fetch_models(cache, artifacts, lambda count: None)
    staged, _ = carry.stage_models([model], artifacts, cache)
    paths = {item.entry.path.removeprefix(f"07_Models/{model.folder}/") for item in staged}
    assert set(model.outputs()) <= paths and not {path for path in paths if path.endswith((".bin", ".pt"))}
    record = json.loads(carry.provenance(model, carry.content_of(model, artifacts, cache)))
    assert [item["kind"] for item in record["conversions"]] == [item.kind for item in model.conversions]
    assert carry.stage_models([model], artifacts, cache)[0] == staged
