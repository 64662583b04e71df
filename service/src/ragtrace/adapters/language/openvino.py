"""OpenVINO GenAI: folders in OpenVINO's format (int4, int8, fp16) and GGUF files, with continuous batching.

One thread owns the pipeline and steps it; callers hand requests in and read tokens from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ragtrace.adapters.language.folder import missing_library, read_json
from ragtrace.adapters.language.gguf import read_gguf
from ragtrace.adapters.language.local import LocalModel, trained_context
from ragtrace.adapters.language.measure import Meter, require_messages, room
from ragtrace.adapters.language.openvino_engine import OpenVinoEngine
from ragtrace.adapters.language.tokens import as_pieces
from ragtrace.application.ports import Generation, Message, Usage, never
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

# Rules of GGUF (`tokenizer.ggml.pre`) by which it counted as many tokens as llama.cpp (docs/adr/0036); none named is the default.
_SPLITTINGS = ("", "default", "qwen2")


class OpenVinoModel(LocalModel[OpenVinoEngine]):
    """One folder or GGUF file on OpenVINO's CPU plugin.

    Args:
        path: a folder with `openvino_model.xml` and its tokenizers, or a GGUF file (F16, Q8_0, Q4_0, Q4_K_M, Q6_K).
        context_tokens: tokens that one prompt and its answer may have; the model's own limit where that is less.
        threads: of the processor.
        parallel: answers at a time.
        timeout_s: how long to wait for a place.
    """

    constrains = True

    def __init__(
        self,
        path: Path,
        *,
        context_tokens: int = 8192,
        threads: int = 4,
        parallel: int = 2,
        timeout_s: float = 120.0,
    ) -> None:
        super().__init__(path, context_tokens, _trained_context(path), parallel, timeout_s)
        self._threads = threads

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the tokens of the prompt, by the model's own template and vocabulary."""
        if not messages:
            return 0
        return int(self._ready().encode(messages).shape[-1])

    def stream(
        self, messages: Sequence[Message], generation: Generation, cancelled: Callable[[], bool] = never
    ) -> Iterator[str | Usage]:
        """Yield the answer. Raises `TooLarge`, `Overloaded`, `ModelProblem`."""
        require_messages(messages)
        meter = Meter()
        engine = self._ready()
        ids = engine.encode(messages)
        meter.prompt_tokens = int(ids.shape[-1])
        tokens = room(meter.prompt_tokens, self._context, generation.max_tokens)
        config = engine.config(generation, tokens)
        with self._gate.place(cancelled) as inside:
            if not inside:
                yield meter.usage("cancelled")
                return
            yield from as_pieces(
                engine.generate(ids, config, cancelled), engine.decode, generation.stop, meter
            )

    def _start(self) -> OpenVinoEngine:
        try:
            import openvino_genai
        except ImportError as error:
            raise missing_library("openvino-genai", "openvino", error) from error
        if self._path.is_file():
            _require_known_splitting(self._path)
        return OpenVinoEngine(openvino_genai, self._path, self._threads, self._parallel)


def _require_known_splitting(path: Path) -> None:
    """Let a GGUF pass whose text OpenVINO splits as its model was trained; others it would silently read otherwise."""
    named = read_gguf(path).splits_by
    if named in _SPLITTINGS:
        return
    raise ModelProblem(
        Text(
            f"OpenVINO가 이 GGUF의 토큰 규칙을 따르지 않습니다: {named}",
            f"OpenVINO does not follow this GGUF's rule for tokens: {named}",
        ),
        where=f"{path}: tokenizer.ggml.pre",
        hint=Text(
            "language.engine을 llama로 두거나 OpenVINO 형식의 폴더를 쓰십시오.",
            "Set language.engine to llama, or use a folder in OpenVINO's format.",
        ),
    )


def _trained_context(path: Path) -> int:
    if path.is_file():
        return read_gguf(path).context
    config = path / "config.json"
    return trained_context(read_json(config)) if config.is_file() else 0
