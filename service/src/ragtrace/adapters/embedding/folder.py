"""What a model's folder holds, read from its small files alone: family, sizes, graphs and weights.

Two layouts are known: what the builder carries (``config.json``, ``tokenizer.json``, ``onnx/model*.onnx`` with golden
vectors, heads as safetensors) and what training leaves (``*.safetensors`` or ``pytorch_model.bin``, BGE-M3's heads as
``.pt``, sentence-transformers' ``modules.json``). No code of a folder is ever run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ragtrace.application.ports.embedding import OUTPUTS, Output
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

Family = Literal["bge-m3", "dense"]
Pooling = Literal["cls", "mean"]
HEADS = ("sparse_linear", "colbert_linear")
# Architectures whose positions begin behind the padding's id, and those whose do not.
_OFFSET = {"xlm-roberta": True, "roberta": True, "bert": False}
_GRAPHS = {
    "fp32": ("onnx/model.onnx", "model.onnx"),
    "fp16": ("onnx/model_fp16.onnx", "model_fp16.onnx"),
    "int8": ("onnx/model_int8.onnx", "model_int8.onnx", "onnx/model_quantized.onnx"),
}
# What decides, beside the weights, which numbers a text gets.
_DECIDING = ("config.json", "tokenizer.json", "sentence_bert_config.json", "1_Pooling/config.json")
_MODULES = ("Transformer", "Pooling", "Normalize")
_CONFIG_BYTES = 4 << 20


@dataclass(frozen=True)
class ModelFolder:
    """One embedding model on disk.

    Args:
        max_tokens: how many tokens of a text the model reads.
        vocabulary: how many token ids it knows; `pad` is the one that fills batches up.
        graphs: ONNX files by precision.
        weights: tensors of the encoder, safetensors where there are any; `heads` those of BGE-M3 by name.
        lower: whether text is lower-cased first.
    """

    path: Path
    family: Family
    architecture: str
    config: Mapping[str, Any]
    dimension: int
    attention_heads: int
    max_tokens: int
    vocabulary: int
    pad: int
    pooling: Pooling
    lower: bool
    graphs: Mapping[str, Path]
    weights: tuple[Path, ...]
    heads: Mapping[str, Path]

    @property
    def tokenizer(self) -> Path:
        """Return the tokenizer's file."""
        return self.path / "tokenizer.json"

    @property
    def outputs(self) -> frozenset[Output]:
        """Return what a model of this family gives."""
        return frozenset(OUTPUTS if self.family == "bge-m3" else ("dense",))

    def graph_files(self, precision: str) -> list[Path]:
        """Return a graph and the files of its weights, which lie beside it under its name."""
        graph = self.graphs[precision]
        return sorted(each for each in graph.parent.glob(f"{graph.name}*") if each.is_file())

    def digest(self, files: list[Path]) -> str:
        """Return SHA-256 over names and contents of these files and of those that decide what text they get.

        Raises:
            ModelProblem: one cannot be read.
        """
        small = [self.path / name for name in _DECIDING]
        total = hashlib.sha256()
        for file in [*(each for each in small if each.is_file()), *files]:
            total.update(f"{file.relative_to(self.path).as_posix()}\0".encode())
            total.update(_file_digest(file))
        return total.hexdigest()


def inspect(path: Path) -> ModelFolder:
    """Return what the folder holds.

    Raises:
        ModelProblem: it is missing, no embedding model, or one that this release cannot run truly.
    """
    if not path.is_dir():
        raise problem(
            Text("임베딩 모델 폴더가 없습니다.", "The embedding model's folder does not exist."),
            path,
            Text(
                "embedding.model에 옮겨 온 모델 폴더를 적으십시오. 모델은 내려받지 않습니다.",
                "Set embedding.model to a carried model's folder; models are never downloaded.",
            ),
        )
    config = read_object(path / "config.json")
    architecture = str(config.get("model_type"))
    if architecture not in _OFFSET or "auto_map" in config:
        raise problem(
            Text(
                f"다룰 수 없는 모델 구조입니다: {architecture}", f"The architecture {architecture} is not known here."
            ),
            path / "config.json",
            Text(
                "XLM-RoBERTa, RoBERTa, BERT 임베딩 모델을 쓰십시오. 모델에 딸린 코드는 실행하지 않습니다.",
                "Use an embedding model on XLM-RoBERTa, RoBERTa or BERT; code that comes with a model is never run.",
            ),
        )  # fmt: skip
    if not (path / "tokenizer.json").is_file():
        raise missing(path / "tokenizer.json")
    return _described(path, architecture, config)


def _described(path: Path, architecture: str, config: Mapping[str, Any]) -> ModelFolder:
    heads = {name: file for name in HEADS for file in _first(path, f"{name}.safetensors", f"{name}.pt")}
    family = _family(path, heads)
    sentence = read_object(path / "sentence_bert_config.json", optional=True)
    try:
        pad = int(config["pad_token_id"])
        longest = int(config["max_position_embeddings"]) - (pad + 1 if _OFFSET[architecture] else 0)
        return ModelFolder(
            path=path,
            family=family,
            architecture=architecture,
            config=config,
            dimension=int(config["hidden_size"]),
            attention_heads=int(config["num_attention_heads"]),
            max_tokens=min(longest, int(sentence.get("max_seq_length") or longest)),
            vocabulary=int(config["vocab_size"]),
            pad=pad,
            pooling="cls" if family == "bge-m3" else _pooling(path),
            lower=bool(sentence.get("do_lower_case", False)),
            graphs={precision: file for precision, names in _GRAPHS.items() for file in _first(path, *names)},
            weights=_weights(path),
            heads=heads,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path / "config.json", error) from error


def _family(path: Path, heads: Mapping[str, Path]) -> Family:
    """Tell BGE-M3 from a model for dense vectors alone.

    A head or golden vectors of BGE-M3 make it that; then nothing of it may be missing. Only what says by itself how its
    tokens become one vector, as sentence-transformers writes it, is a dense model.
    """
    golden = any(document.get("kind") == "bge-m3-onnx" for document in golden_documents(path))
    if heads or golden:
        return "bge-m3"
    return "dense" if (path / "modules.json").is_file() else "bge-m3"


def golden_documents(path: Path) -> list[dict[str, Any]]:
    """Return the golden vectors that travel with the model, fp32's first."""
    found = [*path.glob("onnx/golden*.json"), *path.glob("golden*.json")]
    return [read_object(file, most=64 << 20) for file in sorted(found)]


def _pooling(path: Path) -> Pooling:
    """Return how sentence-transformers makes one vector of the tokens'."""
    file = path / "modules.json"
    modules = read_object(file).get("list", [])
    kinds = [str(each.get("type", "")).rpartition(".")[2] for each in modules if isinstance(each, dict)]
    beside = [each.get("path") for each in modules[:1] if isinstance(each, dict) and each.get("path")]
    if kinds[:2] != ["Transformer", "Pooling"] or set(kinds) - set(_MODULES) or beside:
        raise _not_dense(file, f"modules: {', '.join(kinds)} {beside or ''}")
    prompts = read_object(path / "config_sentence_transformers.json", optional=True).get("prompts") or {}
    if any(prompts.values()):
        # Without its prompt such a model finds worse, and nobody would see why.
        raise _not_dense(path / "config_sentence_transformers.json", f"prompts: {sorted(prompts)}")
    file = path / "1_Pooling/config.json"
    told = read_object(file)
    on = {key.removeprefix("pooling_mode_") for key, value in told.items() if value is True}
    on = (on - {"include_prompt"}) | ({str(told["pooling_mode"])} if "pooling_mode" in told else set())
    if on in ({"cls_token"}, {"cls"}):
        return "cls"
    if on in ({"mean_tokens"}, {"mean"}):
        return "mean"
    raise _not_dense(file, f"pooling: {', '.join(sorted(on))}")


def _weights(path: Path) -> tuple[Path, ...]:
    """Return the encoder's files: safetensors before a pickle, shards as their index names them."""
    index = path / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted({str(name) for name in read_object(index).get("weight_map", {}).values()})
        # Names, never paths: an index must not point out of its folder.
        return tuple(path / Path(name).name for name in shards)
    return tuple(_first(path, "model.safetensors", "pytorch_model.bin"))


def _first(path: Path, *names: str) -> list[Path]:
    return [path / name for name in names if (path / name).is_file()][:1]


def read_object(file: Path, *, optional: bool = False, most: int = _CONFIG_BYTES) -> dict[str, Any]:
    """Return a JSON object; a list comes as ``{"list": …}``."""
    try:
        if file.stat().st_size > most:
            raise ValueError("too large")
        found = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        if optional:
            return {}
        raise missing(file) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(file, error) from error
    if isinstance(found, list):
        return {"list": found}
    if not isinstance(found, dict):
        raise _unreadable(file, ValueError(type(found).__name__))
    return found


def _file_digest(file: Path) -> bytes:
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise _unreadable(file, error) from error


def problem(summary: Text, where: Path | str, hint: Text | None = None) -> ModelProblem:
    """Return the error with the hint that fits most: carry the folder in again."""
    return ModelProblem(
        summary,
        where=str(where),
        hint=hint
        or Text("모델 폴더를 다시 옮겨 오십시오.", "Carry the model's folder in again."),
    )  # fmt: skip


def missing(file: Path) -> ModelProblem:
    """Return the error for a file that a model's folder must have."""
    return problem(
        Text(f"모델 폴더에 {file.name}이(가) 없습니다.", f"The model's folder lacks {file.name}."), file
    )


def _unreadable(file: Path, error: Exception) -> ModelProblem:
    return problem(
        Text(f"{file.name}을(를) 읽을 수 없습니다.", f"{file.name} cannot be read."),
        f"{file}: {type(error).__name__}: {error}",
    )


def _not_dense(file: Path, why: str) -> ModelProblem:
    return problem(
        Text(
            "이 모델이 벡터를 만드는 방식을 이 판은 따르지 못합니다.",
            "This release cannot make vectors in the way this model needs.",
        ),
        f"{file}: {why}",
        Text(
            "CLS 또는 평균 풀링만 쓰고 지시문(prompt)이 없는 모델을 쓰십시오.",
            "Use a model with CLS or mean pooling alone and without prompts.",
        ),
    )
