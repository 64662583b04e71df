"""A hub on loopback, declarations in a folder of the test's own, and nobody's token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.cache import Cache
from builder.models import pin, spec
from builder.models.hub import Hub as HubClient
from builder.models.spec import ModelSpec
from tests.support import model_files
from tests.support.hub import Hub, serve

REPOSITORY = "lab/tiny"
FILES = {
    "README.md": "# 작은 모델\n".encode(),
    "config.json": b'{"model_type": "llama"}',
    "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}).encode(),
    "tokenizer.json": b'{"model": {"vocab": {"auto_map": 7}}}',
    "model.safetensors": model_files.safetensors({"weight": bytes(range(256)) * 4000}),
    "unwanted.h5": b"not asked for",
}

Declare = Callable[..., ModelSpec]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Serve one public repository; the library and its children speak to it without a token."""
    content = Hub()
    with serve(content):
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_ENDPOINT", content.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
        content.add(REPOSITORY, FILES)
        yield content


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Declare:
    """Write a declaration and return it as loaded; keys replace those of a plain model, None removes one."""
    for name in ("DECLARATIONS", "PINS"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(spec, name, tmp_path / name)

    def write(name: str = "tiny", text: str = "", **keys: Any) -> ModelSpec:
        table = {
            "name": name,
            "repository": REPOSITORY,
            "commit": "",
            "role": "llm",
            "licence": "MIT",
            "licence_url": "",
            "gated": False,
            "folder": "llm",
            "description_ko": "작은 모델",
            "description_en": "a tiny model",
            "formats": ["safetensors", "json", "text"],
            "files": ["README.md", "*.json", "*.safetensors"],
        } | keys
        lines = [
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in table.items()
            if value is not None
        ]
        (spec.DECLARATIONS / f"{name}.toml").write_text("\n".join(lines) + "\n" + text, encoding="utf-8")
        return spec.load_model(name)

    return write


@pytest.fixture
def pinned(hub: Hub, declare: Declare, cache: Cache) -> ModelSpec:
    """The tiny model, pinned at what the hub has now."""
    return pin_now(declare(), cache)


def pin_now(model: ModelSpec, cache: Cache, revision: str | None = None) -> ModelSpec:
    """Pin a model from the loopback hub, write it down and return it as loaded again."""
    spec.write_pins(model.name, pin.pin_from_hub(model, HubClient(), cache, revision).pins)
    return spec.load_model(model.name)


def in_folder(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files below a folder and return it."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder
