"""The models that are exported: XLM-RoBERTa from transformers with BGE-M3's heads, or as cross-encoder.

Weights are put in by name and every one must be there: a missing head would otherwise stay random.
Nothing is loaded through ``from_pretrained``, so no file of the repository decides what runs. Child process only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch.nn import functional
from transformers import XLMRobertaConfig, XLMRobertaModel

from bundle.text import Text

from .job import Refusal

_Model = TypeVar("_Model", bound="torch.nn.Module")

# What older checkpoints carry beside the weights that the graph needs.
_IGNORED = ("pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids")
_FIELDS = {
    "vocab_size": int,
    "hidden_size": int,
    "num_hidden_layers": int,
    "num_attention_heads": int,
    "intermediate_size": int,
    "max_position_embeddings": int,
    "type_vocab_size": int,
    "layer_norm_eps": float,
    "pad_token_id": int,
    "bos_token_id": int,
    "eos_token_id": int,
}


@dataclass(frozen=True)
class Shape:
    """The numbers of a ``config.json`` that fix the computation."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
    pad_token_id: int
    bos_token_id: int
    eos_token_id: int

    @property
    def longest(self) -> int:
        """Return how many tokens a text may have; positions begin after the padding's own."""
        return self.max_position_embeddings - self.pad_token_id - 1


def read_shape(path: Path, name: str) -> Shape:
    """Read ``config.json``.

    Raises:
        Refusal: it is not the configuration of an XLM-RoBERTa that these formulas describe.
    """
    try:
        config = json.loads(path.read_bytes())
        values = {key: kind(config[key]) for key, kind in _FIELDS.items()}
        fixed = {
            "model_type": config["model_type"],
            "hidden_act": config["hidden_act"],
            "position_embedding_type": config.get("position_embedding_type", "absolute"),
        }
    except (ValueError, KeyError, TypeError) as error:
        line = f"{type(error).__name__}: {error}"
        raise Refusal(
            Text("config.json을 읽을 수 없습니다", "config.json cannot be read"), name, [Text(line, line)]
        ) from error
    wanted = {"model_type": "xlm-roberta", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    wrong = [f"{key} = {fixed[key]!r}, {wanted[key]!r}" for key in wanted if fixed[key] != wanted[key]]
    if wrong:
        raise Refusal(
            Text("이 변환이 다루는 구조가 아닙니다", "not an architecture that this conversion knows"),
            name,
            [Text(item, item) for item in wrong],
        )
    return Shape(**values)


class BgeM3(torch.nn.Module):  # type: ignore[misc]
    """Dense, sparse and ColBERT vectors of one pass (Chen et al. 2024, "M3-Embedding", section 3)."""

    OUTPUTS = ("dense", "sparse", "colbert")
    HEADS = ("sparse_linear", "colbert_linear")

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.encoder = _bare_encoder(shape)
        self.sparse_linear = torch.nn.Linear(shape.hidden_size, 1)
        self.colbert_linear = torch.nn.Linear(shape.hidden_size, shape.hidden_size)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return dense (batch, hidden), sparse (batch, tokens), ColBERT (batch, tokens - 1, hidden)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        dense = functional.normalize(hidden[:, 0], dim=-1)
        mask = attention_mask.to(hidden.dtype)
        sparse = torch.relu(self.sparse_linear(hidden)).squeeze(-1) * mask
        colbert = functional.normalize(self.colbert_linear(hidden[:, 1:]), dim=-1) * mask[:, 1:, None]
        return dense, sparse, colbert


class CrossEncoder(torch.nn.Module):  # type: ignore[misc]
    """XLM-RoBERTa for sequence classification: one row of scores for each pair."""

    OUTPUTS = ("logits",)
    HEADS = ("dense", "out_proj")

    def __init__(self, shape: Shape, labels: int) -> None:
        super().__init__()
        self.encoder = _bare_encoder(shape)
        self.dense = torch.nn.Linear(shape.hidden_size, shape.hidden_size)
        self.out_proj = torch.nn.Linear(shape.hidden_size, labels)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, labels)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        # One token, but three dimensions: of two the exporter makes Gemm, whose shapes the quantiser mixes up.
        logits: torch.Tensor = self.out_proj(torch.tanh(self.dense(hidden[:, :1])))
        return logits[:, 0]


def bge_m3(shape: Shape, weights: Mapping[str, torch.Tensor]) -> BgeM3:
    """Return BGE-M3 with these weights; `filled` says what they have to be."""
    with torch.device("meta"):
        model = BgeM3(shape)
    return filled(model, shape, weights)


def cross_encoder(shape: Shape, weights: Mapping[str, torch.Tensor]) -> CrossEncoder:
    """Return a cross-encoder with these weights and as many labels as its last bias has numbers."""
    bias = weights.get("out_proj.bias")
    with torch.device("meta"):
        model = CrossEncoder(shape, 1 if bias is None else bias.numel())
    return filled(model, shape, weights)


def filled(model: _Model, shape: Shape, weights: Mapping[str, torch.Tensor]) -> _Model:
    """Put the weights into a model made without any; what is float32 already is not copied.

    Args:
        weights: ``encoder.…`` and the heads, as the model names them.

    Raises:
        Refusal: a weight is missing, has another shape, or belongs to nothing.
    """
    expected = dict(model.named_parameters())
    given = {name: item for name, item in weights.items() if name.removeprefix("encoder.") not in _IGNORED}
    wrong = [f"- {name}" for name in sorted(set(expected) - set(given))]
    wrong += [f"+ {name}" for name in sorted(set(given) - set(expected))]
    wrong += [
        f"{name}: {tuple(given[name].shape)} ≠ {tuple(expected[name].shape)}"
        for name in sorted(set(expected) & set(given))
        if given[name].shape != expected[name].shape
    ]
    if wrong:
        raise Refusal(
            Text("가중치가 모델과 맞지 않습니다", "the weights do not fit the model"),
            "",
            [Text(item, item) for item in wrong[:20]],
        )
    model.load_state_dict({name: item.float() for name, item in given.items()}, strict=True, assign=True)
    embeddings = model.encoder.embeddings
    # Made on the meta device above, so these constants have no values yet.
    embeddings.position_ids = torch.arange(shape.max_position_embeddings)[None]
    embeddings.token_type_ids = torch.zeros_like(embeddings.position_ids)
    model.eval()
    return model


def _bare_encoder(shape: Shape) -> torch.nn.Module:
    values = {key: getattr(shape, key) for key in _FIELDS}
    config = XLMRobertaConfig(**values, hidden_act="gelu", attn_implementation="eager")
    return XLMRobertaModel(config, add_pooling_layer=False)
