"""The published formulas once more, on transformers' own model, beside what a graph gives. Runs in the child's interpreter.

Standard input: ``{"folder": …, "graph": …, "batches": [[[ids], …], …]}``; standard output: for each batch and
output the largest difference and the lowest cosine between the graph and the formulas. FlagEmbedding computes
the same three: the first state normalised; ReLU of one linear output per token; a linear map of every later
state, masked and normalised.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy
import onnxruntime
import torch
from transformers import (
    AutoModelForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaModel,
)


def bge_m3(folder: str, ids: Any, mask: Any) -> dict[str, Any]:
    with open(f"{folder}/config.json", encoding="utf-8") as stream:
        config = XLMRobertaConfig(**json.load(stream))
    model = XLMRobertaModel(config).eval()
    model.load_state_dict(torch.load(f"{folder}/pytorch_model.bin", weights_only=True))
    heads = {
        name: torch.load(f"{folder}/{name}_linear.pt", weights_only=True) for name in ("sparse", "colbert")
    }
    hidden = model(ids, attention_mask=mask).last_hidden_state
    sparse = hidden @ heads["sparse"]["weight"].T + heads["sparse"]["bias"]
    colbert = hidden[:, 1:] @ heads["colbert"]["weight"].T + heads["colbert"]["bias"]
    colbert = colbert * mask[:, 1:, None]
    return {
        "dense": hidden[:, 0] / hidden[:, 0].norm(dim=-1, keepdim=True),
        "sparse": sparse.clamp(min=0)[..., 0] * mask,
        "colbert": colbert / colbert.norm(dim=-1, keepdim=True).clamp(min=1e-12),
    }


def cross_encoder(folder: str, ids: Any, mask: Any) -> dict[str, Any]:
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    return {"logits": model(ids, attention_mask=mask).logits}


def compare(job: dict[str, Any]) -> list[dict[str, list[float]]]:
    session = onnxruntime.InferenceSession(job["graph"])
    names = [item.name for item in session.get_outputs()]
    formulas = bge_m3 if "dense" in names else cross_encoder
    found = []
    for batch in job["batches"]:
        length = max(len(row) for row in batch)
        ids = torch.tensor([row + [1] * (length - len(row)) for row in batch])
        mask = (ids != 1).long()
        with torch.no_grad():
            wanted = formulas(job["folder"], ids, mask)
        results = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        row = {}
        for name, result in zip(names, results, strict=True):
            expected = wanted[name].numpy()
            assert result.shape == expected.shape, (name, result.shape, expected.shape)
            norms = numpy.linalg.norm(result) * numpy.linalg.norm(expected)
            row[name] = [float(abs(result - expected).max()), float((result * expected).sum() / norms)]
        found.append(row)
    return found


if __name__ == "__main__":
    print(json.dumps(compare(json.load(sys.stdin))))
