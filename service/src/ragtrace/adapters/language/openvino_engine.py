"""OpenVINO's pipeline with the thread that owns it: token ids in, token ids out. `openvino.py` puts it behind the port."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragtrace.adapters.language.prompt_templates import TURN_ENDS, apply, chatml
from ragtrace.adapters.language.tokens import Tokens
from ragtrace.adapters.language.waiting import Flow
from ragtrace.application.ports import Finish, Generation, Message
from ragtrace.errors import ModelProblem, Overloaded
from ragtrace.text import Text

if TYPE_CHECKING:
    import openvino_genai as genai

# A prompt is read in steps of so many tokens; between two, other answers go on and a cancelled one stops.
STEP_TOKENS = 128
# The library's step keeps the interpreter's lock: readers, and all else in this process, have their turn between two. Steps of 512
# take 4 % less of the processor for a long prompt, and hold everybody up four times as long.
_TURN_S = 0.001


@dataclass(frozen=True)
class _Request:
    ids: Any
    config: Any
    flow: Flow[Tokens]


class OpenVinoEngine:
    """The pipeline with its thread."""

    def __init__(self, library: Any, path: Path, threads: int, parallel: int) -> None:  # noqa: ANN401 - a module
        self._library = library
        self._path = path
        schedule = library.SchedulerConfig()
        schedule.max_num_batched_tokens = STEP_TOKENS
        schedule.max_num_seqs = parallel
        # The rules at the head of a prompt, and a conversation's turns, are read once.
        schedule.enable_prefix_caching = True
        try:
            self._pipeline: genai.ContinuousBatchingPipeline = library.ContinuousBatchingPipeline(
                str(path), schedule, "CPU", {"INFERENCE_NUM_THREADS": threads}
            )
            self._tokenizer: genai.Tokenizer = self._pipeline.get_tokenizer()
            self._ends = self._turn_ends()
        except (RuntimeError, ValueError) as error:
            raise self._problem(str(error)) from error
        self._inbox: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="openvino", daemon=True)
        self._thread.start()

    def encode(self, messages: Sequence[Message]) -> Any:  # noqa: ANN401 - a tensor
        """Return the prompt's token ids as a tensor of shape (1, tokens)."""
        prompt = (
            apply(messages, self._template, (RuntimeError, ValueError), str(self._path))
            if self._tokenizer.chat_template
            else chatml(messages)
        )
        return self._tokenizer.encode(prompt, add_special_tokens=False).input_ids

    def decode(self, ids: list[int]) -> str:
        """Return the text of tokens, special ones left out."""
        return str(self._tokenizer.decode(ids))

    def config(self, generation: Generation, tokens: int) -> Any:  # noqa: ANN401 - of an untyped library
        """Return the library's form of how to generate."""
        config = self._library.GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = tokens
        base = self._pipeline.get_config()
        config.eos_token_id = base.eos_token_id
        config.stop_token_ids = set(base.stop_token_ids) | self._ends
        if generation.temperature > 0:
            config.do_sample = True
            config.temperature = generation.temperature
            config.top_p = generation.top_p
            config.top_k = 0
            config.rng_seed = generation.seed or 0
        if generation.schema is not None:
            output = self._library.StructuredOutputConfig()
            output.json_schema = json.dumps(dict(generation.schema), ensure_ascii=False)
            config.structured_output_config = output
        return config

    def generate(
        self,
        ids: Any,  # noqa: ANN401 - a tensor
        config: Any,  # noqa: ANN401 - of an untyped library
        cancelled: Callable[[], bool],
    ) -> Generator[Tokens, None, None]:
        """Yield tokens as they are made."""
        flow: Flow[Tokens] = Flow()
        if self._closed.is_set():
            raise self._problem("closed")
        self._inbox.put(_Request(ids, config, flow))
        try:
            yield from flow.read(cancelled)
        finally:
            flow.give_up()

    def close(self) -> None:
        """End the thread; requests under way fail."""
        self._closed.set()
        self._inbox.put(None)
        self._thread.join()

    def _template(self, messages: list[dict[str, str]]) -> str:
        extra = {"enable_thinking": False}
        return str(
            self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, extra_context=extra)
        )

    def _turn_ends(self) -> set[int]:
        vocabulary = self._tokenizer.get_vocab()
        return {
            int(vocabulary[key]) for mark in TURN_ENDS for key in (mark, mark.encode()) if key in vocabulary
        }

    def _run(self) -> None:
        active: list[tuple[Any, Flow[Tokens]]] = []
        number = 0
        while not self._closed.is_set():
            idle = not active and not self._pipeline.has_non_finished_requests()
            for request in self._arrived(idle):
                number += 1
                try:
                    handle = self._pipeline.add_request(number, request.ids, request.config)
                    active.append((handle, request.flow))
                except (RuntimeError, ValueError) as error:
                    request.flow.fail(self._problem(str(error)))
            try:
                if active or self._pipeline.has_non_finished_requests():
                    self._pipeline.step()
                active = [each for each in active if self._deliver(*each)]
                time.sleep(_TURN_S)
            except Exception as error:  # noqa: BLE001 - every reader is told, and the thread goes on
                for handle, flow in active:
                    handle.cancel()
                    flow.fail(self._problem(str(error)))
                active = []
        for handle, flow in active:
            handle.cancel()
            flow.fail(self._problem("closed"))
        while not self._inbox.empty():
            left = self._inbox.get()
            if left is not None:
                left.flow.fail(self._problem("closed"))

    def _arrived(self, wait: bool) -> Iterator[_Request]:
        while wait or not self._inbox.empty():
            request = self._inbox.get()
            if request is None:
                return
            wait = False
            yield request

    def _deliver(self, handle: Any, flow: Flow[Tokens]) -> bool:  # noqa: ANN401 - of an untyped library
        """Hand new tokens over; say whether more will come."""
        status = self._library.GenerationStatus
        if flow.unwanted:
            handle.cancel()
            return False
        ids: list[int] = []
        length = False
        while handle.can_read():
            for output in handle.read().values():
                ids += output.generated_ids
                length = output.finish_reason == self._library.GenerationFinishReason.LENGTH
        state = handle.get_status()
        if state == status.IGNORED:
            flow.fail(
                Overloaded(
                    Text("언어 모델의 메모리가 부족합니다.", "The language model is short of memory."),
                    hint=Text(
                        "language.context_tokens나 language.parallel을 줄이십시오.",
                        "Lower language.context_tokens or language.parallel.",
                    ),
                )
            )
            return False
        running = state == status.RUNNING
        finish: Finish | None = None if running else "length" if length else "stop"
        if ids or finish:
            flow.put(Tokens(ids, finish))
        if not running:
            flow.end()
        return bool(running)

    def _problem(self, reason: str) -> ModelProblem:
        return ModelProblem(
            Text("OpenVINO가 언어 모델을 쓰지 못했습니다.", "OpenVINO could not use the language model."),
            where=f"{self._path}: {' '.join(reason.split())[:400]}",
            hint=Text(
                "폴더가 온전한지, 메모리가 충분한지 확인하십시오.",
                "Check that the folder is whole and that there is enough memory.",
            ),
        )
