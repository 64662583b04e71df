"""What the vectors ought to be: the published formulas in float64, written without transformers.

Independent of the exporter and of the library whose model is exported, so their errors show. Float64, so the
golden values agree between machines whose float32 kernels do not. Vaswani et al. 2017 (attention), Conneau et
al. 2020 (XLM-R), Chen et al. 2024 (M3-Embedding). Child process only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch.nn import functional

from .encoder import Shape

Weights = Mapping[str, "torch.Tensor"]


def bge_m3(weights: Weights, shape: Shape, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return dense, sparse and ColBERT vectors of one text, given as a row of token ids."""
    hidden = hidden_states(weights, shape, ids)
    return {
        "dense": functional.normalize(hidden[0], dim=-1),
        "sparse": torch.relu(_linear(weights, "sparse_linear", hidden))[:, 0],
        "colbert": functional.normalize(_linear(weights, "colbert_linear", hidden[1:]), dim=-1),
    }


def cross_encoder(weights: Weights, shape: Shape, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the logits of one pair, given as a row of token ids."""
    first = hidden_states(weights, shape, ids)[0]
    return {"logits": _linear(weights, "out_proj", torch.tanh(_linear(weights, "dense", first)))}


def hidden_states(weights: Weights, shape: Shape, ids: torch.Tensor) -> torch.Tensor:
    """Return the last layer's states (tokens, hidden) of one text without padding."""
    top = "encoder.embeddings"
    positions = torch.arange(len(ids)) + shape.pad_token_id + 1
    states = weights[f"{top}.word_embeddings.weight"][ids].double()
    states = states + weights[f"{top}.position_embeddings.weight"][positions].double()
    states = states + weights[f"{top}.token_type_embeddings.weight"][0].double()
    states = _norm(weights, f"{top}.LayerNorm", states, shape)
    for layer in range(shape.num_hidden_layers):
        states = _layer(weights, f"encoder.encoder.layer.{layer}", states, shape)
    return states


def _layer(weights: Weights, top: str, states: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Return the states after one layer: attention and feed-forward, each normalised after its residual."""
    parts = [_linear(weights, f"{top}.attention.self.{name}", states) for name in ("query", "key", "value")]
    query, key, value = (
        part.unflatten(-1, (shape.num_attention_heads, -1)).transpose(0, 1) for part in parts
    )
    scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
    mixed = (scores.softmax(-1) @ value).transpose(0, 1).flatten(1)
    attended = _linear(weights, f"{top}.attention.output.dense", mixed) + states
    attended = _norm(weights, f"{top}.attention.output.LayerNorm", attended, shape)
    inner = functional.gelu(_linear(weights, f"{top}.intermediate.dense", attended))
    return _norm(
        weights, f"{top}.output.LayerNorm", _linear(weights, f"{top}.output.dense", inner) + attended, shape
    )


def _linear(weights: Weights, name: str, states: torch.Tensor) -> torch.Tensor:
    return functional.linear(states, weights[f"{name}.weight"].double(), weights[f"{name}.bias"].double())


def _norm(weights: Weights, name: str, states: torch.Tensor, shape: Shape) -> torch.Tensor:
    scale, shift = weights[f"{name}.weight"].double(), weights[f"{name}.bias"].double()
    return functional.layer_norm(states, (shape.hidden_size,), scale, shift, shape.layer_norm_eps)
