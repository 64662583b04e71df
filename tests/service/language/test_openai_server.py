"""The OpenAI-compatible engine against a server on loopback that misbehaves in every known way."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from ragtrace.adapters.language import chat_client
from ragtrace.adapters.language.openai_server import OpenAiServerModel
from ragtrace.application.ports import Generation, Message, Usage
from ragtrace.errors import ConfigProblem, ModelProblem, Overloaded, RagTraceError, TooLarge, UpstreamProblem
from ragtrace.testing.language import ScriptedLanguageModel
from tests.service.language.chat_server import ChatServer, Misbehaviour, event
from tests.service.loopback import Loopback

ASKED = [Message("user", "휴가는 며칠 전에 신청하나요?")]
GREEDY = Generation(max_tokens=64)
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_client, "FIRST_PAUSE_S", 0.01)


@contextmanager
def serving(server: ChatServer, **options: Any) -> Iterator[OpenAiServerModel]:
    loopback = Loopback(server.app())
    try:
        options = {"timeout_s": 5.0, **options}
        model = OpenAiServerModel(f"http://127.0.0.1:{loopback.port}/v1/", "tiny", **options)
        with closing(model):
            model.load()
            yield model
    finally:
        loopback.stop()


def server(*misbehave: Misbehaviour, **options: Any) -> ChatServer:
    twin = ScriptedLanguageModel("삼 일 전에 신청합니다.", context_tokens=100)
    return ChatServer(twin, misbehave=list(misbehave), **options)


def answer(model: OpenAiServerModel, generation: Generation = GREEDY) -> str:
    return "".join(each for each in model.stream(ASKED, generation) if isinstance(each, str))


def failure(made: ChatServer, **options: Any) -> RagTraceError:
    with serving(made, **options) as model, pytest.raises(RagTraceError) as caught:
        answer(model)
    return caught.value


def status(code: int, headers: dict[str, str] | None = None, message: str = "busy") -> Misbehaviour:
    return lambda request, body: JSONResponse({"error": {"message": message}}, code, headers)


def raw(*parts: str | bytes | float, kind: str = "text/event-stream") -> Misbehaviour:
    """Answer with these parts; a number is a pause in seconds."""

    async def send() -> AsyncIterator[bytes]:
        for part in parts:
            if isinstance(part, float):
                await asyncio.sleep(part)
            else:
                yield part.encode() if isinstance(part, str) else part

    return lambda request, body: StreamingResponse(send(), media_type=kind)


def piece(text: str, finish: str | None = None) -> str:
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})


def test_a_server_that_is_busy_for_a_moment_is_asked_again() -> None:
    made = server(status(429, {"Retry-After": "0"}), status(503))
    with serving(made) as model:
        assert answer(model) == "삼 일 전에 신청합니다."
    assert len(made.bodies) == 3


def test_retry_after_is_waited_for() -> None:
    with serving(server(status(429, {"Retry-After": "0.6"}))) as model:
        start = time.monotonic()
        answer(model)
    assert time.monotonic() - start >= 0.6


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_stays_busy_is_an_overload(code: int) -> None:
    made = server(*[status(code)] * 3)
    problem = failure(made)
    assert isinstance(problem, Overloaded) and problem.status == 503
    assert len(made.bodies) == 3


def test_a_server_that_stays_broken_is_an_upstream_problem() -> None:
    problem = failure(server(*[status(500, message="CUDA error")] * 3))
    assert isinstance(problem, UpstreamProblem)
    assert "500" in problem.summary.ko and "CUDA error" in problem.where


@pytest.mark.parametrize(
    ("code", "hint"), [(401, "api_key"), (403, "api_key"), (404, "language.model"), (400, "")]
)
def test_a_refusal_is_told_at_once_and_says_what_to_check(code: int, hint: str) -> None:
    made = server(status(code, message="nope"))
    problem = failure(made)
    assert isinstance(problem, UpstreamProblem) and "nope" in problem.where
    assert hint in (problem.hint.en if problem.hint else "")
    assert len(made.bodies) == 1


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        "request (6016 tokens) exceeds the available context size (512 tokens), try increasing it",
    ],
)
def test_a_context_that_the_server_finds_too_small_is_too_large(message: str) -> None:
    problem = failure(server(status(400, message=message)))
    assert isinstance(problem, TooLarge)
    numbers = [word for word in ("4096", "5000", "6016", "512") if word in message]
    assert all(number in problem.summary.ko for number in numbers)


def test_a_server_that_hangs_before_it_answers_is_given_up() -> None:
    made = server(raw(10.0, "data: [DONE]\n\n"))
    start = time.monotonic()
    problem = failure(made, timeout_s=1.0, retries=0)
    assert isinstance(problem, UpstreamProblem) and "timeout_s" in (problem.hint.en if problem.hint else "")
    assert time.monotonic() - start < 5


def test_a_server_that_hangs_in_the_middle_is_given_up_and_not_asked_again() -> None:
    made = server(raw(piece("삼 "), 10.0))
    problem = failure(made, timeout_s=1.0)
    assert isinstance(problem, UpstreamProblem)
    assert len(made.bodies) == 1


@pytest.mark.parametrize(
    "misbehaviour",
    [
        raw("<html>proxy</html>", kind="text/html"),
        raw("data: {not json}\n\n"),
        raw("data: []\n\n"),
        raw('data: {"choices": 3}\n\n'),
        raw('data: {"choices": [{"delta": {"content": 5}}]}\n\n'),
        raw('data: {"choices": [{"delta": "x"}]}\n\n'),
        raw("garbage\n"),
        raw(b"\xff\xfe\x00\n"),
        raw(piece("삼 ")),
        raw(piece("삼 "), "data: [DONE]\n\n"),
        raw(""),
        raw("data: " + "x" * (2 << 20)),
        lambda request, body: PlainTextResponse("ok"),
    ],
    ids=[
        "a page", "no json", "a list", "choices no list", "content no text", "delta no object", "no event", "bytes",
        "broken off", "done without an end", "nothing", "an endless line", "plain text",
    ],
)  # fmt: skip
def test_nonsense_is_an_upstream_problem_and_never_an_answer(misbehaviour: Misbehaviour) -> None:
    assert isinstance(failure(server(misbehaviour)), UpstreamProblem)


def test_an_error_inside_the_stream_is_raised() -> None:
    said = event({"error": {"message": "out of memory", "code": 500}})
    problem = failure(server(raw(piece("삼 "), said)))
    assert isinstance(problem, UpstreamProblem) and "out of memory" in problem.where


def test_an_end_for_another_reason_is_no_answer() -> None:
    problem = failure(server(raw(piece("삼 ", "content_filter"))))
    assert isinstance(problem, ModelProblem) and "content_filter" in problem.summary.en


def test_characters_that_are_cut_between_two_packets_are_whole() -> None:
    data = (piece("휴가🙂", "stop") + "data: [DONE]\n\n").encode()
    made = server(raw(*[part for byte in data for part in (bytes([byte]),)]))
    with serving(made) as model:
        assert answer(model) == "휴가🙂"


def test_a_server_that_does_not_say_what_it_took_is_counted_by_pieces() -> None:
    with serving(server(raw(piece("삼 "), piece("일", "stop"), "data: [DONE]\n\n"))) as model:
        usage = list(model.stream(ASKED, GREEDY))[-1]
    assert isinstance(usage, Usage)
    assert usage.answer_tokens == 2 and usage.prompt_tokens > 0


def test_cancelling_closes_the_connection_while_the_server_still_reads_the_prompt() -> None:
    closed = threading.Event()

    def wait(request: Request, body: dict[str, Any]) -> Response:
        async def silent() -> AsyncIterator[bytes]:
            try:
                for _ in range(200):
                    await asyncio.sleep(0.05)
                    yield b": still reading\n\n"
            finally:
                closed.set()

        return StreamingResponse(silent(), media_type="text/event-stream")

    with serving(server(wait), timeout_s=60.0) as model:
        start = time.monotonic()
        (only,) = model.stream(ASKED, GREEDY, lambda: time.monotonic() - start > 0.3)
        assert isinstance(only, Usage) and only.finish == "cancelled"
        assert time.monotonic() - start < 3
        assert closed.wait(5), "the server was left to go on"


def test_closing_the_iterator_closes_the_connection() -> None:
    made = ChatServer(ScriptedLanguageModel("말 " * 2000, delay_s=0.01, context_tokens=5000))
    with serving(made) as model:
        items = model.stream(ASKED, Generation(max_tokens=2000))
        next(items)
        items.close()  # type: ignore[attr-defined]
        deadline = time.monotonic() + 5
        while not made.broken_off and time.monotonic() < deadline:
            time.sleep(0.02)
    assert made.broken_off == 1


def test_closing_the_model_ends_what_is_under_way() -> None:
    made = ChatServer(ScriptedLanguageModel("말 " * 2000, delay_s=0.01, context_tokens=5000))
    with serving(made) as model:
        items = model.stream(ASKED, Generation(max_tokens=2000))
        next(items)
        model.close()
        with pytest.raises(UpstreamProblem):
            list(items)


def test_more_requests_than_places_wait_and_then_give_up() -> None:
    made = server(raw(*(piece("말 "), 0.2) * 20, piece("", "stop")))
    with serving(made, parallel=1, timeout_s=1.0) as model:
        first = model.stream(ASKED, GREEDY)
        next(first)
        with pytest.raises(Overloaded):
            answer(model)
        first.close()  # type: ignore[attr-defined]
        assert answer(model) == "삼 일 전에 신청합니다."


def test_a_server_that_is_not_there_is_an_upstream_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    missing = OpenAiServerModel(f"http://127.0.0.1:{port}", "tiny", timeout_s=2.0)
    with closing(missing) as model, pytest.raises(UpstreamProblem) as caught:
        model.load()
    assert str(port) in caught.value.where


def test_a_model_that_the_server_has_not_is_named_with_those_it_has() -> None:
    made = server(name="other")
    with pytest.raises(UpstreamProblem) as caught, serving(made):
        pass
    assert "other" in caught.value.summary.ko


def test_the_only_model_needs_no_name() -> None:
    loopback = Loopback(server(name="the-only-one").app())
    with closing(OpenAiServerModel(f"http://127.0.0.1:{loopback.port}", "")) as model:
        model.load()
        assert model.name == "the-only-one"
        assert answer(model)
    loopback.stop()


def test_the_key_is_sent_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = server(*[status(500)] * 9, key=KEY)
    with serving(made, api_key=KEY) as model:
        with pytest.raises(UpstreamProblem) as caught:
            answer(model)
        shown = repr(model) + repr(vars(model)) + caught.value.render("ko") + caplog.text
    assert made.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in shown


def test_a_wrong_key_says_so() -> None:
    with pytest.raises(UpstreamProblem) as caught, serving(server(key=KEY), api_key="wrong"):
        pass
    assert caught.value.hint and "language.api_key" in caught.value.hint.ko


def test_what_is_asked_for_is_sent() -> None:
    made = server()
    schema = {"type": "object", "properties": {"표": {"type": "boolean"}}, "required": ["표"]}
    generation = Generation(max_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=("끝",), schema=schema)
    with serving(made) as model:
        assert json.loads(answer(model, generation)) == {"표": False}
    body = made.bodies[0]
    assert body["messages"] == [{"role": "user", "content": ASKED[0].content}]
    assert (body["max_tokens"], body["temperature"], body["top_p"], body["seed"]) == (7, 0.5, 0.9, 3)
    assert body["stop"] == ["끝"] and body["stream_options"] == {"include_usage": True}


def test_a_server_of_unknown_kind_is_not_asked_for_a_schema() -> None:
    made = server(owner="somebody")
    with serving(made) as model:
        assert not model.constrains
        answer(model, Generation(schema={"type": "object"}))
    assert "response_format" not in made.bodies[0]


def test_where_nothing_counts_tokens_the_count_is_measured_and_on_the_high_side() -> None:
    made = server(counts=False)
    with serving(made) as model:
        assert model.count_tokens(ASKED) >= made.model.count_tokens(ASKED)
        assert model.count_tokens([]) == 0
        assert answer(model) == "삼 일 전에 신청합니다."


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(server()) as model:
        assert answer(model)


@pytest.mark.parametrize("url", ["", "10.0.0.5:8000", "ftp://host/v1", "http://", "http://user:pass@host/v1"])
def test_an_address_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        OpenAiServerModel(url, "tiny")
    assert "pass@" not in caught.value.render("ko")


def test_many_answers_leave_no_thread_and_no_connection() -> None:
    before = threading.active_count()
    with serving(server()) as model:
        for _ in range(30):
            answer(model)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before
