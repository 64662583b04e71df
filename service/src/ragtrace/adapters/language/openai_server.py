"""A language model behind an OpenAI-compatible server: vLLM, llama.cpp's own, and others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ragtrace.adapters.language.chat_client import ChatClient, Endpoint
from ragtrace.adapters.language.chat_protocol import nonsense, request_body
from ragtrace.adapters.language.events import as_pieces
from ragtrace.adapters.language.measure import Meter, require_messages, room
from ragtrace.adapters.language.waiting import Gate
from ragtrace.application.ports import Generation, Message, Usage, never
from ragtrace.errors import ConfigProblem, InvalidRequest, UpstreamProblem
from ragtrace.text import Text

# Servers that are known to obey a JSON schema; they name themselves so in /v1/models.
_CONSTRAINING = ("vllm", "llamacpp", "sglang")
# Where nothing counts tokens: no tokenizer in use makes more tokens than bytes, and a template adds some to a message.
_MESSAGE_TOKENS = 16
# A measured ratio is of other text than the next prompt; so much is added.
_MARGIN = 1.2
_SAMPLE = (
    "사내 규정 제12조(휴가): 휴가는 3일 전까지 신청하고, 2024년 7월 1일부터 팀장이 승인합니다. "
    "문서 번호 HR-2024-0117, 담당 부서는 인사팀(내선 4021)이며 문의는 평일 09:00~18:00에 받습니다."
)


@dataclass(frozen=True)
class _Facts:
    """What the server said of itself."""

    context: int
    constrains: bool
    tokenize: str
    tokens_per_byte: float


class OpenAiServerModel:
    """A model by name at a server.

    Args:
        url: of the server, with or without `/v1`.
        model: its name there; empty takes the only one.
        api_key: sent as a bearer token; empty sends none.
        context_tokens: the least of this and what the server says counts.
        parallel: requests at a time from here.
        timeout_s: without any sign of the server, and for a place.
        retries: further tries after 429, 5xx and failed connections, before anything was answered.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str = "",
        context_tokens: int = 8192,
        parallel: int = 2,
        timeout_s: float = 120.0,
        retries: int = 2,
    ) -> None:
        self._base = _base(url)
        self._model = model
        self._context = context_tokens
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = ChatClient(Endpoint(self._base, headers, None, timeout_s, retries))
        self._gate = Gate(parallel, timeout_s)
        self._lock = threading.Lock()
        self._facts: _Facts | None = None

    @property
    def name(self) -> str:
        """Return the model's name at the server."""
        return self._model or "server"

    @property
    def context_tokens(self) -> int:
        """Return the configured context, or the server's where that is less and known."""
        return min(self._context, self._facts.context) if self._facts is not None else self._context

    @property
    def constrains(self) -> bool:
        """Say whether the server is of a kind that is known to obey a schema; false before `load`."""
        return self._facts is not None and self._facts.constrains

    def load(self) -> None:
        """Ask the server what it has. Raises `UpstreamProblem` where it cannot be reached or has not the model."""
        self._known()

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return what the server counts, or where it does not count, an estimate on the high side."""
        if not messages:
            return 0
        facts = self._known()
        if facts.tokenize:
            return self._counted(facts.tokenize, messages)
        size = sum(len(each.content.encode()) for each in messages)
        return int(size * facts.tokens_per_byte) + _MESSAGE_TOKENS * len(messages)

    def stream(
        self, messages: Sequence[Message], generation: Generation, cancelled: Callable[[], bool] = never
    ) -> Iterator[str | Usage]:
        """Yield the answer. Raises `TooLarge`, `Overloaded`, `UpstreamProblem`."""
        require_messages(messages)
        meter = Meter()
        facts = self._known()
        tokens = generation.max_tokens
        # An estimate may only trim an answer that the server would trim as well, never refuse a prompt.
        if facts.tokenize:
            meter.prompt_tokens = self._counted(facts.tokenize, messages)
            tokens = room(meter.prompt_tokens, self.context_tokens, tokens)
        else:
            tokens = max(1, min(tokens, self.context_tokens - self.count_tokens(messages)))
        body = request_body(self._model, messages, generation, tokens, constrains=facts.constrains)
        with self._gate.place(cancelled) as inside:
            if not inside:
                yield meter.usage("cancelled")
                return
            yield from as_pieces(self._client.stream("/v1/chat/completions", body, cancelled), meter)

    def _known(self) -> _Facts:
        with self._lock:
            if self._facts is None:
                self._facts = self._ask()
            return self._facts

    def _ask(self) -> _Facts:
        where = f"{self._base}/v1/models"
        listed = self._client.ask("GET", "/v1/models")
        models = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(models, list) or not all(isinstance(each, dict) for each in models):
            raise nonsense(where, str(listed))
        chosen = self._chosen(models, where)
        meta = chosen.get("meta") if isinstance(chosen.get("meta"), dict) else {}
        limits = [chosen.get("max_model_len"), (meta or {}).get("n_ctx"), chosen.get("context_length")]
        context = min(
            [value for value in limits if isinstance(value, int) and value > 0], default=self._context
        )
        constrains = str(chosen.get("owned_by", "")).lower() in _CONSTRAINING
        sample = [Message("user", _SAMPLE)]
        for path in ("/tokenize", "/v1/chat/completions/input_tokens"):
            try:
                self._counted(path, sample)
            except (UpstreamProblem, InvalidRequest):
                continue
            return _Facts(context, constrains, path, 0.0)
        return _Facts(context, constrains, "", self._measured(sample))

    def _chosen(self, models: list[dict[str, Any]], where: str) -> dict[str, Any]:
        names = [str(each.get("id", "")) for each in models]
        if not self._model and len(names) == 1:
            self._model = names[0]
        if self._model in names:
            return models[names.index(self._model)]
        raise UpstreamProblem(
            Text(
                f"서버에 '{self._model}' 모델이 없습니다. 있는 모델: {', '.join(names[:20])}",
                f"The server has no model '{self._model}'. It has: {', '.join(names[:20])}",
            ),
            where=where,
            hint=Text("language.model을 확인하십시오.", "Check language.model."),
        )

    def _counted(self, path: str, messages: Sequence[Message]) -> int:
        """Return the server's own count: vLLM's `/tokenize`, llama.cpp's `input_tokens`."""
        body = {"model": self._model, "messages": [{"role": e.role, "content": e.content} for e in messages]}
        found = self._client.ask("POST", path, body)
        count = (found.get("count") or found.get("input_tokens")) if isinstance(found, dict) else None
        if not isinstance(count, int) or count <= 0:
            raise nonsense(self._base + path, str(found))
        return count

    def _measured(self, sample: Sequence[Message]) -> float:
        """Return tokens per byte of Korean text, from what the server says that one answer of one token took."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": sample[0].content}],
            "max_tokens": 1,
        }
        found = self._client.ask("POST", "/v1/chat/completions", body)
        usage = found.get("usage") if isinstance(found, dict) else None
        count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        if not isinstance(count, int) or count <= 0:
            return 1.0
        return min(1.0, count * _MARGIN / len(sample[0].content.encode()))


def _base(url: str) -> str:
    """Return the address before `/v1`. Raises `ConfigProblem` where it is none, or holds a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ConfigProblem(
            Text(
                "language.url은 http:// 또는 https://로 시작하고 암호가 없는 주소여야 합니다.",
                "language.url must be an address that begins with http:// or https:// and holds no password.",
            ),
            where="language.url",
            hint=Text("암호는 language.api_key에 적으십시오.", "A password belongs into language.api_key."),
        )
    path = parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path.removesuffix("/v1"), "", ""))
