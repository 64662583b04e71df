"""Language models of this process side by side: llama.cpp and OpenVINO with one Llama of medium size, 4 bits, on the processor.

    python -m benchmarks.generating [--folder DIR] [--converter PYTHON] [--rounds N] [--prompts N ...] [--answer N] [--threads N]

Run with ``service/src`` in PYTHONPATH by the interpreter of ``tests/engines/prepare.sh`` and the package gguf. The model (318 M
parameters, random but for a head that repeats four syllables) is written as GGUF: Q4_0, embeddings and head Q8_0. The interpreter
``--converter`` has optimum-intel, nncf and openvino-tokenizers, which make OpenVINO's folder of the same weights: int4, embeddings and
head int8; without it OpenVINO reads the GGUF file only. With ``--folder`` all that (1.1 GB) stays for the next run.

Each side is a process that loads once; then they answer in turns. Every prompt is new, so nothing of it is remembered. The bare
sides are the libraries as their own examples use them: `xllamacpp.Server.handle_chat_completions`, `openvino_genai.LLMPipeline`.
On a busy machine use one thread: threads of llama.cpp wait for each other, and one that is held up holds all of them up.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ragtrace.adapters.processors import threads_for
from ragtrace.application.ports import Generation, LanguageModel, Message, Usage
from tests.support import tiny_llama

REPOSITORY = Path(__file__).resolve().parents[1]
HIDDEN, LAYERS, HEADS, INNER, CONTEXT, WORDS = 1024, 16, 16, 4096, 4096, 32_000
# Each side, and the one that its ratios are to.
SIDES = {"llama": "llama", "openvino-gguf": "llama", "openvino": "llama", "llama-bare": "llama", "openvino-bare": "openvino"}  # fmt: skip
_LAYER = {
    "self_attn.q_proj": ("attn_q", HIDDEN, HIDDEN),
    "self_attn.k_proj": ("attn_k", HIDDEN // 2, HIDDEN),
    "self_attn.v_proj": ("attn_v", HIDDEN // 2, HIDDEN),
    "self_attn.o_proj": ("attn_output", HIDDEN, HIDDEN),
    "mlp.gate_proj": ("ffn_gate", INNER, HIDDEN),
    "mlp.up_proj": ("ffn_up", INNER, HIDDEN),
    "mlp.down_proj": ("ffn_down", HIDDEN, INNER),
}
_HEAD = "| side | first token (best) | × | prompt/s | answer/s (best) | × | resident | highest | × is to |\n|---|---:|---:|---:|---:|---:|---:|---:|---|"
_MARK = "answered "
Weights = dict[str, npt.NDArray[np.float32]]
# A prompt and how many tokens to make; back comes the second of each.
Ask = Callable[[str, int], list[float]]


@dataclass(frozen=True)
class Answered:
    """One answer: seconds to its first token, tokens a second after it, the process's memory in MB then and at most."""

    first: float
    rate: float
    resident: float
    highest: float


def make(folder: Path, converter: str) -> None:
    """Write the model in all its forms."""
    weights = _weights()
    _write_gguf(folder / "model.gguf", weights)
    if not converter:
        return
    sizes = {"hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "vocab_size": WORDS}  # fmt: skip
    heads = {"num_attention_heads": HEADS, "num_key_value_heads": HEADS // 2, "head_dim": HIDDEN // HEADS}
    files = tiny_llama.repository(max_position_embeddings=CONTEXT, **sizes, **heads)
    tokenizer = json.loads(files["tokenizer.json"])
    tokenizer["model"]["vocab"] = {word: number for number, word in enumerate(_words())}
    upstream = tiny_llama.write(folder / "hf", files | {"tokenizer.json": json.dumps(tokenizer).encode()})
    halved = {name: value.astype(np.float16) for name, value in weights.items()}
    save: Any = importlib.import_module("safetensors.numpy").save_file
    save(halved, upstream / "model.safetensors", {"format": "pt"})
    words = [converter, "-m", "optimum.commands.optimum_cli", "export", "openvino", "--weight-format", "int4"]
    words += ["--task", "text-generation-with-past", "--model", str(upstream), str(folder / "openvino")]
    subprocess.run(words, check=True, stdout=sys.stderr, env={**os.environ, "PYTHONPATH": ""})


def _words() -> list[str]:
    """Return the tiny model's tokens and many that no text has, so that the head is as large as a real one."""
    known = tiny_llama.vocabulary()
    return [*known, *(f"unused{number}" for number in range(WORDS - len(known)))]


def _weights() -> Weights:
    """Return the weights under Hugging Face's names: after ENDLESS comes LOOP for ever, whatever the layers add."""
    draw = np.random.default_rng(7)
    rows = draw.choice(np.array([-1, 1], np.float32), (WORDS, HIDDEN))
    head = np.zeros((WORDS, HIDDEN), np.float32)
    loop = tiny_llama.spoken(tiny_llama.LOOP)
    for token, follower in zip([*tiny_llama.spoken(tiny_llama.ENDLESS), *loop], [*loop, loop[0]], strict=True):  # fmt: skip
        head[follower] += rows[token]
    found = {"model.embed_tokens": rows, "lm_head": head, "model.norm": np.ones(HIDDEN, np.float32)}
    for layer in (f"model.layers.{number}" for number in range(LAYERS)):
        for name, (_, *shape) in _LAYER.items():
            found[f"{layer}.{name}"] = draw.normal(0, 0.02, shape).astype(np.float32)
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"{layer}.{name}"] = np.ones(HIDDEN, np.float32)
    return {f"{name}.weight": value for name, value in found.items()}


def _write_gguf(file: Path, weights: Weights) -> None:
    gguf: Any = importlib.import_module("gguf")
    writer = gguf.GGUFWriter(file, "llama")
    sizes = {"block_count": LAYERS, "context_length": CONTEXT, "embedding_length": HIDDEN, "vocab_size": WORDS, "feed_forward_length": INNER}  # fmt: skip
    heads = {"head_count": HEADS, "head_count_kv": HEADS // 2, "rope_dimension_count": HIDDEN // HEADS}
    rules = {"layer_norm_rms_eps": 1e-5, "rope_freq_base": 10000.0, "file_type": gguf.LlamaFileType.MOSTLY_Q4_0}  # fmt: skip
    reader = {"tokenizer_model": "gpt2", "tokenizer_pre": "gpt-2", "chat_template": tiny_llama.TEMPLATE}
    marks = {"bos_token_id": 0, "eos_token_id": 1, "add_bos_token": False}
    kinds = [3 if word in tiny_llama.SPECIAL else 1 for word in _words()]
    merges = [" ".join(pair) for pair in tiny_llama.merges()]
    words = {"token_list": _words(), "token_types": kinds, "token_merges": merges}
    for name, given in (sizes | heads | rules | reader | marks | words).items():
        getattr(writer, f"add_{name}")(given)
    kind = gguf.GGMLQuantizationType
    for name, value in weights.items():
        wanted = kind.F32 if value.ndim == 1 else kind.Q4_0 if ".layers." in name else kind.Q8_0
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            # llama.cpp turns neighbours where Hugging Face turns halves.
            halves = value.reshape(-1, 2, HIDDEN // HEADS // 2, HIDDEN)
            value = np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(value.shape)
        writer.add_tensor(_gguf_name(name), gguf.quants.quantize(value, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str:
    names = {part: theirs for part, (theirs, *_) in _LAYER.items()} | {"model.layers": "blk"}
    names |= {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "lm_head": "output"}
    names |= {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    for theirs, ours in names.items():
        name = name.replace(theirs, ours)
    return name


def _adapter(model: LanguageModel) -> Ask:
    """Return how the service asks."""
    model.load()

    def ask(prompt: str, tokens: int) -> list[float]:
        begun, times = time.perf_counter(), []
        for item in model.stream([Message("user", prompt)], Generation(max_tokens=tokens)):
            times.append(time.perf_counter() - begun)
            if isinstance(item, Usage):
                assert (item.prompt_tokens, item.answer_tokens) == (len(prompt) + 1, tokens), item
        return times[:-1]

    return ask


def _bare_llama(file: Path, threads: int) -> Ask:
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.hostnames = [tempfile.mkdtemp(prefix="bench-") + "/bare.sock"]
    params.n_ctx, params.n_parallel, params.verbosity = CONTEXT, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)

    def ask(prompt: str, tokens: int) -> list[float]:
        begun, times = time.perf_counter(), []

        def told(chunk: Mapping[str, Any]) -> bool:
            if any(choice["delta"].get("content") for choice in chunk["choices"]):
                times.append(time.perf_counter() - begun)
            return False

        body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens}
        server.handle_chat_completions(body | {"temperature": 0, "stream": True}, told)
        return times

    return ask


def _bare_openvino(folder: Path, threads: int) -> Ask:
    genai: Any = importlib.import_module("openvino_genai")
    pipeline = genai.LLMPipeline(str(folder), "CPU", INFERENCE_NUM_THREADS=threads)

    class Times(genai.StreamerBase):  # type: ignore[misc]
        """Notes each token at once; the library's streamers of text keep some back."""

        def __init__(self) -> None:
            super().__init__()
            self.begun, self.found = time.perf_counter(), list[float]()

        def write(self, tokens: int | Sequence[int]) -> Any:  # noqa: ANN401 - of an untyped library
            count = 1 if isinstance(tokens, int) else len(tokens)
            self.found += [time.perf_counter() - self.begun] * count
            return genai.StreamingStatus.RUNNING

        def end(self) -> None:
            """Do nothing."""

    def ask(prompt: str, tokens: int) -> list[float]:
        times = Times()
        pipeline.generate([prompt], genai.GenerationConfig(max_new_tokens=tokens), times)
        return times.found

    return ask


def _side(name: str, folder: Path, threads: int) -> Ask:
    gguf = folder / "model.gguf"
    if name == "llama-bare":
        return _bare_llama(gguf, threads)
    if name == "openvino-bare":
        return _bare_openvino(folder / "openvino", threads)
    if name == "llama":
        from ragtrace.adapters.language.llama import LlamaModel

        return _adapter(LlamaModel(gguf, context_tokens=CONTEXT, threads=threads, parallel=1))
    from ragtrace.adapters.language.openvino import OpenVinoModel

    path = gguf if name == "openvino-gguf" else folder / name
    return _adapter(OpenVinoModel(path, context_tokens=CONTEXT, threads=threads, parallel=1))


def serve(name: str, folder: Path, threads: int) -> None:
    """Answer what comes on standard input, a line each."""
    ask = _side(name, folder, threads)
    for line in sys.stdin:
        times = ask(*json.loads(line))
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        memory = dict(line.split(":", 1) for line in status.splitlines())
        resident, highest = (int(memory[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "VmHWM"))
        found = Answered(times[0], (len(times) - 1) / (times[-1] - times[0]), resident, highest)
        print(_MARK + json.dumps(asdict(found)), flush=True)


class Side:
    """A process that answers."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        """Start it."""
        words = [sys.executable, "-m", "benchmarks.generating", "--side", name, "--folder", str(folder)]
        words += ["--threads", str(threads)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, cwd=REPOSITORY, text=True, stdin=pipe, stdout=pipe)

    def ask(self, prompt: str, tokens: int) -> Answered:
        """Return what one answer cost. The libraries write to standard output, too."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([prompt, tokens]), file=self._process.stdin, flush=True)
        line = next(line for line in self._process.stdout if line.startswith(_MARK))
        return Answered(**json.loads(line.removeprefix(_MARK)))

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def compare(folder: Path, prompts: Sequence[int], rounds: int, tokens: int, threads: int) -> None:
    """Ask the sides in turns; print medians (and the best, which others on the machine disturbed least), ratios round by round."""
    names = [name for name in SIDES if (folder / "openvino").is_dir() or name not in ("openvino", "openvino-bare")]  # fmt: skip
    with ExitStack() as stack:
        sides = {name: stack.enter_context(closing(Side(name, folder, threads))) for name in names}
        for size in prompts:
            runs: dict[str, list[Answered]] = {name: [] for name in names}
            # The first round warms up.
            for number in range(rounds + 1):
                draw = random.Random(f"{size} {number}")
                prompt = "".join(draw.choices("가나다라폐쇄망에서도답변함", k=size - 2)) + tiny_llama.ENDLESS
                for name in names if number % 2 else reversed(names):
                    found = sides[name].ask(prompt, tokens)
                    runs[name] += [found] * (number > 0)
            print(f"\nprompts of {size} tokens\n\n{_HEAD}")
            for name in names:
                print(_row(name, size, runs[name], runs[SIDES[name]]), flush=True)


def _row(name: str, size: int, runs: Sequence[Answered], others: Sequence[Answered]) -> str:
    def ratio(key: str) -> str:
        found = [getattr(run, key) / getattr(other, key) for run, other in zip(runs, others, strict=True)]
        return f"{statistics.median(found):.2f} ({min(found):.2f}–{max(found):.2f})"

    firsts, rates = [run.first * 1000 for run in runs], [run.rate for run in runs]
    cells = [name, f"{statistics.median(firsts):.0f} ms ({min(firsts):.0f})", ratio("first")]
    cells += [f"{size / statistics.median(firsts) * 1000:.0f}"]
    cells += [f"{statistics.median(rates):.1f} ({max(rates):.1f})", ratio("rate")]
    cells += [f"{runs[-1].resident:.0f} MB", f"{runs[-1].highest:.0f} MB", SIDES[name]]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--converter", default="")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--prompts", type=int, nargs="+", default=[30, 1000])
    parser.add_argument("--answer", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    threads = threads_for(arguments.threads)
    if arguments.side:
        serve(arguments.side, arguments.folder, threads)
        return 0
    with tempfile.TemporaryDirectory(prefix="ragtrace-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        if not (folder / "model.gguf").is_file():
            make(folder, arguments.converter)
        compare(folder, arguments.prompts, arguments.rounds, arguments.answer, threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
