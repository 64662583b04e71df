"""A fake installation that carries models: toy graphs with true golden vectors, tokenizers and both heads.

A test changes the dictionary of files before it is installed (a defect that the manifest vouches for), or the files on
disk afterwards (damage).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.manifest import FileEntry, Model
from tests.support import model_files
from tests.validator import toy_runtime
from tests.validator.fakes import Installation

TEXTS = ("폐쇄망에서 문서를 검색합니다.", "설치가 실패하면 복구되는가?", "The signature covers it.", "가")
FOLDERS = {"embedding": "07_Models/bge-m3", "reranker": "07_Models/reranker", "llm": "07_Models/llm"}
GRAPH, GOLDEN = "onnx/model_int8.onnx", "onnx/golden_int8.json"
Files = dict[str, bytes]


def graph(kind: str, seed: float = 0.37, defect: str = "", location: str = "") -> bytes:
    """Return a toy graph; what stands behind its first line may name external data as a real one does."""
    line = json.dumps({"kind": kind, "seed": seed, "defect": defect}).encode()
    return line + b"\n" + model_files.onnx(location)


def golden(kind: str, seed: float = 0.37, **changes: Any) -> bytes:
    """Return the golden vectors of a sound toy graph, in the format of docs/how-to/convert-models.md."""
    cases = []
    for text in TEXTS:
        ids = toy_runtime.Tokenizer(0).encode(text).ids
        case: dict[str, Any] = {"text": text, "input_ids": ids}
        for name, value in toy_runtime.compute(kind, seed, ids).items():
            numbers = [n for row in value for n in row] if name == "colbert" else value
            case[name] = [row[:4] for row in value] if name == "colbert" else value
            case[f"{name}_norm"] = math.sqrt(sum(n * n for n in numbers))
        cases.append(case)
    head = {
        "format": 1,
        "kind": kind,
        "graph": "model_int8.onnx",
        "precision": "int8",
        "minimum_cosine": 0.99,
    }
    return json.dumps({**head, "colbert_values": 4, "cases": cases, **changes}).encode()


def embedding(**spoil: Any) -> Files:
    """Return the files of a sound toy BGE-M3; arguments are those of its `graph`."""
    heads = model_files.safetensors({"weight": bytes(64), "bias": bytes(4)})
    return {
        "config.json": b'{"pad_token_id": 1}',
        "tokenizer.json": b'{"shift": 0}',
        "sparse_linear.safetensors": heads,
        "colbert_linear.safetensors": heads + b" ",
        GRAPH: graph("bge-m3-onnx", **spoil),
        GOLDEN: golden("bge-m3-onnx"),
    }


def reranker(**spoil: Any) -> Files:
    """Return the files of a sound toy cross-encoder."""
    return {
        "config.json": b'{"pad_token_id": 1, "architectures": []}',
        "tokenizer.json": b'{"shift": 0}',
        GRAPH: graph("cross-encoder-onnx", **spoil),
        GOLDEN: golden("cross-encoder-onnx"),
    }


def language_model() -> Files:
    """Return the files of a language model that nobody here runs."""
    return {"tiny.gguf": b"GGUF" + bytes(60)}


def install(root: Path, models: Mapping[str, Files], *, runtime: bool = True, **changes: Any) -> Installation:
    """Install a release with these models, by role; *runtime* puts the toy libraries into its environment."""
    entries, contents = [], {}
    for role, files in models.items():
        for name, data in sorted(files.items()):
            path = f"{FOLDERS[role]}/{name}"
            entries.append(FileEntry(path, len(data), hashlib.sha256(data).hexdigest(), 0o644, "model", role))
            contents[path] = data
    declared = tuple(Model(f"toy-{role}", role, FOLDERS[role], "local", "c" * 40, "MIT") for role in models)
    made = Installation(root, models=declared, files=tuple(entries), **changes)
    for entry in entries:
        stored = root / "store" / "sha256" / entry.sha256[:2] / entry.sha256
        if not stored.exists():
            stored.parent.mkdir(parents=True, exist_ok=True)
            stored.write_bytes(contents[entry.path])
        place = installed(made, entry.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(stored, place)
    if runtime:
        add_runtime(made)
    made.seal()
    return made


def installed(made: Installation, path: str) -> Path:
    """Return where a file of ``07_Models/`` lies."""
    return made.generation / "models" / path.removeprefix("07_Models/")


def add_runtime(made: Installation) -> None:
    """Put the toy libraries into the environment."""
    made.package(
        "toy_runtime", "0.0", {"__init__.py": Path(toy_runtime.__file__).read_text(encoding="utf-8")}
    )
    for name, exports in (
        ("numpy", "full, int64, zeros"),
        ("onnxruntime", "InferenceSession"),
        ("tokenizers", "Tokenizer"),
    ):
        made.package(name, "0.0", {"__init__.py": f"from toy_runtime import __version__, {exports}\n"})
