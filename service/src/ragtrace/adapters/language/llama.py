"""GGUF models through llama.cpp (`xllamacpp`), in process: continuous batching, JSON by grammar, its own chat template.

The library always listens as well, by default on a port of 127.0.0.1 without a key. Here it listens on a socket in a
folder that only this user may enter, asks for a key that was drawn for this process, and that is how it is talked to:
unlike its functions, a closed connection stops the work also while the prompt is read.
"""

from __future__ import annotations

import atexit
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragtrace.adapters.language.chat_client import ChatClient, Endpoint
from ragtrace.adapters.language.chat_protocol import request_body
from ragtrace.adapters.language.events import as_pieces
from ragtrace.adapters.language.folder import missing_library
from ragtrace.adapters.language.gguf import read_gguf
from ragtrace.adapters.language.local import LocalModel
from ragtrace.adapters.language.measure import Meter, require_messages, room
from ragtrace.application.ports import Generation, Message, Usage, never
from ragtrace.errors import ModelProblem, RagTraceError, UpstreamProblem
from ragtrace.text import Text

if TYPE_CHECKING:
    from xllamacpp import Server

# A prompt is read in steps of so many tokens; between two, other answers go on and a cancelled one stops.
STEP_TOKENS = 512
# Memory for prompts of earlier questions (the library's own default is 8 GiB); conversations come back soon or never.
PROMPT_CACHE_MIB = 256
# A path of a socket may have 107 bytes on Linux and 103 on macOS.
_SOCKET_CHARS = 100
_CHAT = "/v1/chat/completions"


class LlamaModel(LocalModel["_Running"]):
    """One GGUF file in this process.

    Args:
        path: the file; of a model in several parts, the first.
        context_tokens: tokens that one prompt and its answer may have; the model's own limit where that is less.
        threads: of the processor.
        parallel: answers at a time; each has a context of its own, so memory grows with it.
        timeout_s: how long to wait for a place.
        gpu: let the library put what fits on an accelerator, if it was built for one.
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
        gpu: bool = True,
    ) -> None:
        super().__init__(path, context_tokens, read_gguf(path).context, parallel, timeout_s)
        self._threads = threads
        self._gpu = gpu

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the tokens of the prompt, by the model's own template and vocabulary."""
        if not messages:
            return 0
        body = {"messages": [{"role": each.role, "content": each.content} for each in messages]}
        found = self._asked(_CHAT + "/input_tokens", body)
        count = found.get("input_tokens") if isinstance(found, dict) else None
        if not isinstance(count, int):
            raise self._failed(f"input_tokens: {found!r}"[:300])
        return count

    def stream(
        self, messages: Sequence[Message], generation: Generation, cancelled: Callable[[], bool] = never
    ) -> Iterator[str | Usage]:
        """Yield the answer. Raises `TooLarge`, `Overloaded`, `ModelProblem`."""
        require_messages(messages)
        meter = Meter()
        meter.prompt_tokens = self.count_tokens(messages)
        tokens = room(meter.prompt_tokens, self._context, generation.max_tokens)
        # The library swallows half a stop string at the end of an answer that is cut at its length: ours does not.
        body = request_body(self.name, messages, replace(generation, stop=()), tokens, constrains=True)
        # The library's own defaults cut the choice down; what was asked for is temperature and top_p alone.
        body |= {"top_k": 0, "min_p": 0.0, "chat_template_kwargs": {"enable_thinking": False}}
        with self._gate.place(cancelled) as inside:
            if not inside:
                yield meter.usage("cancelled")
                return
            events = self._ready().client.stream(_CHAT, body, cancelled)
            try:
                yield from as_pieces(events, meter, generation.stop)
            except UpstreamProblem as problem:
                raise self._failed(problem.where) from problem

    def _asked(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        try:
            return self._ready().client.ask("POST", path, body)
        except UpstreamProblem as problem:
            raise self._failed(problem.where) from problem

    def _start(self) -> _Running:
        folder = _private_folder()
        try:
            socket, key = f"{folder}/llama.sock", secrets.token_hex(32)
            server = self._serve(socket, key)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        headers = {"Authorization": f"Bearer {key}"}
        # Reading a long prompt is no silence to be afraid of: whoever waits for it can cancel.
        client = ChatClient(Endpoint("http://llama", headers, socket, timeout_s=3600.0, retries=0))
        running = _Running(server, client, folder)
        try:
            # The library's listener is told to stop once. Told so before it listens it never hears it, and closing waits
            # for ever; after an answer it listens.
            client.ask("GET", "/health")
        except BaseException as error:
            running.close()
            if isinstance(error, UpstreamProblem):
                raise self._failed(error.where) from error
            raise
        return running

    def _serve(self, socket: str, key: str) -> Server:
        try:
            import xllamacpp
        except ImportError as error:
            raise missing_library("xllamacpp", "llama", error) from error
        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.hostnames = [socket]
        params.api_keys = [key]
        params.offline = True
        params.ui = False
        params.endpoint_slots = False
        params.verbosity = 1
        params.n_ctx = self._context * self._parallel
        params.n_parallel = self._parallel
        params.n_batch = params.n_ubatch = STEP_TOKENS
        params.n_threads_http = self._parallel + 2
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.cache_ram_mib = PROMPT_CACHE_MIB
        # It would shorten the context to what it takes for free memory.
        params.fit_params = False
        if not self._gpu:
            params.n_gpu_layers = 0
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise self._failed(str(error)) from error

    def _failed(self, reason: str) -> RagTraceError:
        return ModelProblem(
            Text("llama.cpp가 언어 모델을 쓰지 못했습니다.", "llama.cpp could not use the language model."),
            where=f"{self._path}: {reason}",
            hint=Text(
                "GGUF 파일이 온전한지, 메모리가 충분한지 확인하십시오.",
                "Check that the GGUF file is whole and that there is enough memory.",
            ),
        )


class _Running:
    """A started server with what belongs to it."""

    def __init__(self, server: Server, client: ChatClient, folder: str) -> None:
        self._server: Server | None = server
        self.client = client
        self.folder = folder
        # An interpreter that ends with a connection open would wait in the library's destructor for ever.
        atexit.register(self.close)

    def close(self) -> None:
        """End connections, then the server: it waits for those that are open."""
        atexit.unregister(self.close)
        self.client.close()
        self._server = None
        shutil.rmtree(self.folder, ignore_errors=True)


def _private_folder() -> str:
    """Make a folder that only this user may enter, with a path short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="ragtrace-")
    if len(folder.encode()) + len("/llama.sock") > _SOCKET_CHARS:
        shutil.rmtree(folder)
        folder = tempfile.mkdtemp(prefix="ragtrace-", dir="/tmp")
    return folder
