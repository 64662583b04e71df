"""Pickle → safetensors: each input becomes the output at the same position, an index its new index."""

from __future__ import annotations

import json
from pathlib import Path

from bundle.text import Text

from . import checkpoint, tensorfile
from .job import Job, Refusal, Report

_INDEX = ".index.json"


def convert(job: Job) -> Report:
    """Write every output and read it back.

    Raises:
        Refusal: an input is no plain checkpoint, or an index does not describe the shards.
    """
    renamed = dict(zip(job.inputs, job.outputs, strict=True))
    found: dict[str, dict[str, str]] = {}
    sizes = 0
    for name, output in renamed.items():
        if name.endswith(_INDEX):
            continue
        tensors = checkpoint.read_pickle(Path(job.inputs[name]), name)
        place = Path(job.folder, output)
        tensorfile.write(place, tensors)
        tensorfile.compare(place, tensors)
        found[output] = tensorfile.described(tensors)
        sizes += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    for name, output in renamed.items():
        if name.endswith(_INDEX):
            index = _index(Path(job.inputs[name]), name, renamed, found)
            Path(job.folder, output).write_bytes(_index_bytes(index, sizes))
    return Report(tensors=found)


def _index(
    path: Path, name: str, renamed: dict[str, str], found: dict[str, dict[str, str]]
) -> dict[str, str]:
    """Return the new weight map: tensor name to the base name of its new file."""
    try:
        weight_map = json.loads(path.read_bytes())["weight_map"]
        pairs = {str(tensor): str(shard) for tensor, shard in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal(
            Text("샤드 색인을 읽을 수 없습니다", "the index of the shards cannot be read"), name
        ) from error
    new_names = {Path(old).name: Path(new).name for old, new in renamed.items()}
    there = {(tensor, Path(output).name) for output, tensors in found.items() for tensor in tensors}
    claimed = {(tensor, new_names.get(shard, shard)) for tensor, shard in pairs.items()}
    if claimed != there:
        wrong = sorted({tensor for tensor, _ in claimed ^ there})
        raise Refusal(
            Text("샤드 색인이 샤드의 내용과 다릅니다", "the index does not describe what the shards hold"),
            name,
            [Text(tensor, tensor) for tensor in wrong[:20]],
        )
    return dict(sorted(claimed))


def _index_bytes(weight_map: dict[str, str], size: int) -> bytes:
    document = {"metadata": {"total_size": size}, "weight_map": weight_map}
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
