"""Hugging Face folders through `transformers`: safetensors only, never a model's own code; CUDA, MPS and CPU.

One answer at a time: others wait. Where many ask at once, a server such as vLLM is the better engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ragtrace.adapters.language.folder import missing_library, read_json
from ragtrace.adapters.language.local import LocalModel, trained_context
from ragtrace.adapters.language.measure import Meter, require_messages, room
from ragtrace.adapters.language.tokens import as_pieces
from ragtrace.adapters.language.transformers_engine import TransformersEngine
from ragtrace.application.ports import Generation, Message, Usage, never
from ragtrace.errors import ConfigProblem
from ragtrace.text import Text

BITS = (4, 8, 16, 32)


class TransformersModel(LocalModel[TransformersEngine]):
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
        trained = trained_context(read_json(path / "config.json"))
        super().__init__(path, context_tokens, trained, 1, timeout_s)
        self._device = device
        self._bits = bits
        self._threads = threads

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

    def _start(self) -> TransformersEngine:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise missing_library("transformers", "torch", error) from error
        return TransformersEngine(torch, transformers, self._path, self._device, self._bits, self._threads)
