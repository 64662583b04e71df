"""XLM-RoBERTa encoders → ONNX: read, export, quantise, compare with the reference, write golden vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from bundle.text import Text

from . import checkpoint, encoder, graph, quality, reference
from .encoder import Shape
from .job import Job, Refusal, Report

Weights = Mapping[str, "torch.Tensor"]


@dataclass(frozen=True)
class Family:
    """What differs between the models: naming of weights, the module to export, the reference, the graph's outputs."""

    rename: Callable[[str, str], str]
    build: Callable[[Shape, Weights], torch.nn.Module]
    compute: Callable[[Weights, Shape, torch.Tensor], dict[str, torch.Tensor]]
    outputs: tuple[str, ...]
    heads: tuple[str, ...]


def convert(job: Job, step: Callable[[str], None]) -> Report:
    """Write the graph, its external data and the golden vectors, in so far as the job names them.

    Raises:
        Refusal: the inputs do not fit together, or the graph does not give the model's results.
    """
    family = _FAMILIES[job.kind]
    files = {PurePosixPath(name).name: Path(path) for name, path in job.inputs.items()}
    target, external, golden = _outputs(job)
    step("read")
    shape = encoder.read_shape(_wanted(files, "config.json"), "config.json")
    model = family.build(shape, _weights(files, family))
    step("reference")
    weights = dict(model.named_parameters())
    cases = quality.make_cases(
        files.get("tokenizer.json"), shape, lambda ids: family.compute(weights, shape, ids)
    )
    step("export")
    if job.precision == "fp32":
        graph.export(model, family.outputs, shape.pad_token_id, target, external=external)
    else:
        whole = Path(job.folder, "fp32.onnx")
        graph.export(model, family.outputs, shape.pad_token_id, whole, external=True)
        step("quantise")
        graph.quantise(whole, target, family.heads, external=external)
        whole.unlink()
        whole.with_name("fp32.onnx.data").unlink()
    step("compare")
    measured = quality.measure(target, cases, shape, job.precision)
    if golden is not None:
        golden.write_bytes(quality.golden_bytes(job.kind, target.name, job.precision, cases))
    # The last digits belong to this processor; the record should not.
    return Report(measured={name: round(value, 4) for name, value in measured.items()})


def _outputs(job: Job) -> tuple[Path, bool, Path | None]:
    """Return where the graph goes, whether its weights lie beside it, and where the golden vectors go."""
    first, rest = job.outputs[0], list(job.outputs[1:])
    external = f"{first}.data" in rest
    golden = next((name for name in rest if name.endswith(".json")), None)
    unknown = [name for name in rest if name not in (f"{first}.data", golden)]
    if unknown or not first.endswith(".onnx"):
        raise Refusal(
            Text(
                "출력은 X.onnx, X.onnx.data, 골든 벡터 .json 이어야 합니다",
                "the outputs have to be X.onnx, X.onnx.data, and a .json for the golden vectors",
            ),
            ", ".join(unknown or [first]),
        )
    return Path(job.folder, first), external, Path(job.folder, golden) if golden else None


def _weights(files: Mapping[str, Path], family: Family) -> dict[str, torch.Tensor]:
    """Return all tensors of all weight files under the names that the exported module has for them."""
    return {
        family.rename(name, key): tensor
        for name, path in files.items()
        if not name.endswith(".json")
        for key, tensor in checkpoint.read(path, name).items()
    }


def _bge_m3_name(file: str, key: str) -> str:
    head = file.partition(".")[0]
    return f"{head}.{key}" if head in encoder.BgeM3.HEADS else f"encoder.{key}"


def _cross_encoder_name(file: str, key: str) -> str:
    if key.startswith("roberta."):
        return f"encoder.{key.removeprefix('roberta.')}"
    return key.removeprefix("classifier.")


_FAMILIES = {
    "bge-m3-onnx": Family(
        _bge_m3_name, encoder.bge_m3, reference.bge_m3, encoder.BgeM3.OUTPUTS, encoder.BgeM3.HEADS
    ),
    "cross-encoder-onnx": Family(
        _cross_encoder_name,
        encoder.cross_encoder,
        reference.cross_encoder,
        encoder.CrossEncoder.OUTPUTS,
        encoder.CrossEncoder.HEADS,
    ),
}


def _wanted(files: dict[str, Path], name: str) -> Path:
    if name not in files:
        raise Refusal(Text("변환 입력이 빠졌습니다", "an input of the conversion is missing"), name)
    return files[name]
