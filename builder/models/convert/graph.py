"""ONNX: export with free batch and length, make the bytes repeatable, quantise. Child process only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import torch

from . import quantise as int8

INPUTS = ("input_ids", "attention_mask")
# The first with GELU as one operator, which runs faster than its parts; ONNX Runtime reads it since 1.18.
OPSET = 20


def export(model: torch.nn.Module, outputs: Sequence[str], pad: int, place: Path, *, external: bool) -> None:
    """Write the model as ONNX.

    Args:
        pad: the padding token's id, so the example that is traced has padding in it.
        external: put the weights into ``place`` + ``.data``; a graph file alone ends at 2 GB.
    """
    ids = torch.tensor([[0, 5, 6, 7, 8, 2], [0, 5, 2, pad, pad, pad]])
    mask = (ids != pad).long()
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    with torch.no_grad():
        program = torch.onnx.export(
            model,
            (ids, mask),
            dynamo=True,
            input_names=list(INPUTS),
            output_names=list(outputs),
            dynamic_shapes=dict.fromkeys(INPUTS, axes),
            opset_version=OPSET,
            verbose=False,
        )
    program.save(place, external_data=external)
    _rewrite(place)


def quantise(source: Path, place: Path, heads: Sequence[str], *, external: bool) -> None:
    """Write the graph of `source` with int8 weights, all but those of the heads."""
    int8.quantise(source, place, heads, external=external)
    _rewrite(place)


def _rewrite(place: Path) -> None:
    """Take out what differs from machine to machine: the exporter's notes hold paths of this one."""
    model = onnx.load(place, load_external_data=False)
    graph = model.graph
    for holder in (
        model,
        graph,
        *graph.node,
        *graph.initializer,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *model.functions,
    ):
        del holder.metadata_props[:]
        holder.ClearField("doc_string")
    place.write_bytes(model.SerializeToString(deterministic=True))
