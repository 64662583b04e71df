"""Embedding with a BGE-M3 of full size (random weights) on the processor: the service's adapter against FlagEmbedding.

    python -m benchmarks.embedding [--folder DIR] [--rounds N] [--texts N]

Run by the interpreter of ``tests/engines/prepare.sh``, which has both. Every measurement is a process of its own that
imports, loads and embeds; the sides take turns. With ``--folder`` the model (7 GB) stays there for the next run.
Random weights say nothing about quality, and everything about speed and memory.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support import tiny_models

REPOSITORY = Path(__file__).resolve().parents[1]
# What BAAI/bge-m3's config.json says.
SIZES: Mapping[str, int] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "max_position_embeddings": 8194,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "vocab_size": 250_002,
}
SIDES = ("flag-embedding", "ours-fp32", "ours-int8")
TOKENS = (40, 220)


@dataclass(frozen=True)
class Measured:
    """One process: seconds to import and load, to embed all texts, texts per second, and the most memory in MB."""

    ready_s: float
    embed_s: float
    texts_per_s: float
    peak_mb: float


def texts(number: int) -> list[str]:
    """Return texts of 40 to 220 tokens, 130 in the mean, the same on every run."""
    chance = random.Random(7)
    return [
        " ".join(f"단어{chance.randrange(1000, 200_000)}" for _ in range(chance.randint(*TOKENS)))
        for _ in range(number)
    ]


def make(folder: Path) -> None:
    """Write upstream's files with random weights, and what the builder converts them to."""
    import torch

    from builder.models.convert import onnx_job
    from builder.models.convert.job import Job

    upstream, carried = folder / "upstream", folder / "carried"
    (carried / "onnx").mkdir(parents=True)
    for name, data in tiny_models.bge_m3_repository().items():
        (upstream / name).parent.mkdir(parents=True, exist_ok=True)
        (upstream / name).write_bytes(data)
    _edit(upstream / "config.json", SIZES)
    _edit(upstream / "sentence_bert_config.json", {"max_seq_length": 8192})
    _edit(upstream / "tokenizer_config.json", {"model_max_length": 8192})
    _edit(upstream / "1_Pooling/config.json", {"word_embedding_dimension": 1024})
    (upstream / "tokenizer.json").write_text(json.dumps(_tokenizer()), encoding="utf-8")
    torch.manual_seed(7)
    torch.save(_weights(), upstream / "pytorch_model.bin")
    for name, width in (("sparse_linear", 1), ("colbert_linear", 1024)):
        head = {"weight": torch.randn(width, 1024) * 0.05, "bias": torch.zeros(width)}
        torch.save(head, upstream / f"{name}.pt")
    given = ("config.json", "tokenizer.json", "pytorch_model.bin", "sparse_linear.pt", "colbert_linear.pt")
    inputs = {each: str(upstream / each) for each in given}
    for precision, outputs in (
        ("fp32", ("model.onnx", "model.onnx.data", "golden.json")),
        ("int8", ("model_int8.onnx", "golden_int8.json")),
    ):
        work = folder / f"work-{precision}"
        work.mkdir()
        report = onnx_job.convert(Job("bge-m3-onnx", precision, inputs, outputs, str(work)), _told)
        print(f"{precision}: lowest cosine to torch {report.measured}", flush=True)
        for each in outputs:
            shutil.move(work / each, carried / "onnx" / each)
        shutil.rmtree(work)
    for each in ("config.json", "tokenizer.json"):
        shutil.copy(upstream / each, carried / each)


def _told(step: str) -> None:
    print(f"converting: {step}", flush=True)


def _edit(file: Path, changes: Mapping[str, int]) -> None:
    file.write_text(json.dumps(json.loads(file.read_bytes()) | dict(changes)), encoding="utf-8")


def _tokenizer() -> dict[str, object]:
    """Return the tiny tokenizer with as many pieces as BGE-M3's, so that loading and looking up cost the same."""
    document: dict[str, object] = json.loads(tiny_models.tokenizer_json())
    model = document["model"]
    assert isinstance(model, dict)
    pieces = [piece for piece in model["vocab"] if piece[0] != "<mask>"]
    wanted = SIZES["vocab_size"] - 1 - len(pieces)
    pieces += [[f"▁단어{number}", -8.0] for number in range(wanted)]
    model["vocab"] = [*pieces, ["<mask>", 0.0]]
    added = document["added_tokens"]
    assert isinstance(added, list)
    for token in added:
        if token["content"] == "<mask>":
            token["id"] = SIZES["vocab_size"] - 1
    return document


def _weights() -> dict[str, object]:
    from transformers import XLMRobertaConfig, XLMRobertaModel

    config = XLMRobertaConfig(**SIZES, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5)
    model = XLMRobertaModel(config, add_pooling_layer=True)
    return {name: value.clone() for name, value in model.state_dict().items() if "position_ids" not in name}


def measure(side: str, folder: Path, number: int) -> Measured:
    """Import, load and embed in this process."""
    said = texts(number)
    begun = time.perf_counter()
    if side == "flag-embedding":
        from FlagEmbedding import BGEM3FlagModel

        model = BGEM3FlagModel(str(folder / "upstream"), use_fp16=False, devices="cpu")
        model.encode(["단어1"], return_dense=True, return_sparse=True, return_colbert_vecs=True)
        ready = time.perf_counter()
        found = model.encode(
            said,
            batch_size=12,
            max_length=8192,
            return_dense=True,
            return_sparse=True,
            return_colbert_vecs=True,
        )
        assert len(found["dense_vecs"]) == number
    else:
        from ragtrace.adapters.embedding.choose import build
        from ragtrace.application.ports.embedding import OUTPUTS
        from ragtrace.settings import EmbeddingSettings

        precision = side.removeprefix("ours-")
        ours = build(folder / "carried", EmbeddingSettings(engine="onnx", precision=precision))
        ours.load()
        ours.embed(["단어1"], frozenset(OUTPUTS))
        ready = time.perf_counter()
        assert len(ours.embed(said, frozenset(OUTPUTS))) == number
    ended = time.perf_counter()
    return Measured(ready - begun, ended - ready, number / (ended - ready), _peak_mb())


def _peak_mb() -> float:
    """Return the most memory of this program; `ru_maxrss` would also count what started it, before it was this one."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def compare(folder: Path, rounds: int, number: int) -> None:
    """Measure the sides in turns and print their medians."""
    runs: dict[str, list[Measured]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            words = [sys.executable, "-m", "benchmarks.embedding", "--side", side]
            words += ["--folder", str(folder), "--texts", str(number)]
            done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stdout + done.stderr)
            runs[side].append(Measured(**json.loads(done.stdout.splitlines()[-1])))
            print(side, runs[side][-1], flush=True)
    print("\n| | import + load + first text | texts/s | × | peak |\n|---|---:|---:|---:|---:|")
    middle = {side: {key: statistics.median(asdict(run)[key] for run in found) for key in asdict(found[0])} for side, found in runs.items()}  # fmt: skip
    for side in SIDES:
        one, base = middle[side], middle[SIDES[0]]
        ratio = one["texts_per_s"] / base["texts_per_s"]
        print(
            f"| {side} | {one['ready_s']:.1f} s | {one['texts_per_s']:.2f} | {ratio:.2f} | {one['peak_mb']:.0f} MB |"
        )


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=48)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(asdict(measure(arguments.side, arguments.folder, arguments.texts))))
        return 0
    with tempfile.TemporaryDirectory(prefix="ragtrace-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        if not (folder / "carried/onnx/golden_int8.json").is_file():
            make(folder)
        compare(folder, arguments.rounds, arguments.texts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
