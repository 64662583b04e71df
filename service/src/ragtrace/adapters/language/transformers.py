"""Hugging Face folders through `transformers`: safetensors only, never a model's own code; CUDA, MPS and CPU.

One answer at a time: others wait. Where many ask at once, a server such as vLLM is the better engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ragtrace.adapters.language.folder import missing_library, read_json
from ragtrace.adapters.language.measure import Meter, require_messages, room
from ragtrace.adapters.language.tokens import as_pieces
from ragtrace.adapters.language.transformers_engine import TransformersEngine
from ragtrace.adapters.language.waiting import Gate
from ragtrace.application.ports import Generation, Message, Usage, never
from ragtrace.errors import ConfigProblem
from ragtrace.text import Text

BITS = (4, 8, 16, 32)


class TransformersModel:
    """One folder with `config.json`, `*.safetensors` and a tokenizer.

    Args:
        path: the folder, looked at by `folder.recognise` before.
        device: auto, cpu, cuda or mps.
        bits: 16 and 32 choose the type of the weights; 4 and 8 need bitsandbytes.
        context_tokens: tokens that one prompt and its answer may have; the model's own limit where that is less.
        threads: of the processor, where it computes.
        timeout_s: how long to wait for the turn.
    """

    # The library generates freely; a schema is the caller's to check.
    constrains = False

    def __init__(
        self,
        path: Path,
        *,
        device: str = "auto",
        bits: int = 16,
        context_tokens: int = 8192,
        threads: int = 4,
        timeout_s: float = 120.0,
    ) -> None:
        if bits not in BITS:
            listed = ", ".join(str(each) for each in BITS)
            raise ConfigProblem(
                Text(f"language.bits는 다음 중 하나입니다: {listed}", f"language.bits is one of: {listed}"),
                where=f"language.bits: {bits}",
            )
        self._path = path
        self._device = device
        self._bits = bits
        trained = read_json(path / "config.json").get("max_position_embeddings")
        self._context = (
            min(context_tokens, trained) if isinstance(trained, int) and trained > 0 else context_tokens
        )
        self._threads = threads
        self._gate = Gate(1, timeout_s)
        self._lock = threading.Lock()
        self._engine: TransformersEngine | None = None

    @property
    def name(self) -> str:
        """Return the folder's name."""
        return self._path.name

    @property
    def context_tokens(self) -> int:
        """Return what prompt and answer may have together."""
        return self._context

    def load(self) -> None:
        """Load the weights; a second call does nothing."""
        self._ready()

    def close(self) -> None:
        """Free the model, once the running answer is through."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the tokens of the prompt, by the model's own template and vocabulary."""
        if not messages:
            return 0
        return len(self._ready().encode(messages))

    def stream(
        self, messages: Sequence[Message], generation: Generation, cancelled: Callable[[], bool] = never
    ) -> Iterator[str | Usage]:
        """Yield the answer. Raises `TooLarge`, `Overloaded`, `ModelProblem`."""
        require_messages(messages)
        meter = Meter()
        engine = self._ready()
        ids = engine.encode(messages)
        meter.prompt_tokens = len(ids)
        tokens = room(len(ids), self._context, generation.max_tokens)
        with self._gate.place(cancelled) as inside:
            if not inside:
                yield meter.usage("cancelled")
                return
            yield from as_pieces(
                engine.generate(ids, generation, tokens, cancelled), engine.decode, generation.stop, meter
            )

    def _ready(self) -> TransformersEngine:
        with self._lock:
            if self._engine is None:
                try:
                    import torch
                    import transformers
                except ImportError as error:
                    raise missing_library("transformers", "torch", error) from error
                self._engine = TransformersEngine(
                    torch, transformers, self._path, self._device, self._bits, self._threads
                )
            return self._engine
