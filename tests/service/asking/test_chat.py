"""OpenAI's interface and cancelling, over a real loopback server and twins."""

from __future__ import annotations

import base64
import http.client
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ragtrace.application.analysis import Analyst
from ragtrace.application.ask import Ask
from ragtrace.application.grounded import Grounded
from ragtrace.application.ports import EmbeddingModel, Generation
from ragtrace.application.retrieve import Retrieve
from ragtrace.entrypoints.http.app import create_app
from ragtrace.entrypoints.http.readiness import Readiness
from ragtrace.errors import ModelProblem
from ragtrace.settings import ServerSettings
from ragtrace.testing.embedding import HashEmbedding
from ragtrace.testing.language import ScriptedLanguageModel
from ragtrace.testing.memory import FixedClock, MemorySource, WordAnalyzer
from ragtrace.text import Text
from tests.service.loopback import Answer, Loopback
from tests.service.support import ingest

CHAT = "/v1/chat/completions"
REPLY = "휴가 신청 은 3일 전 에 합니다 [1]."
MESSAGES = [{"role": "user", "content": "휴가 신청 은?"}]


@pytest.fixture
def serve() -> Iterator[Any]:
    running: list[Loopback] = []

    def start(
        model: ScriptedLanguageModel | None = None,
        embedding: EmbeddingModel | None = None,
        *,
        ready: bool = True,
        **settings: Any,
    ) -> Loopback:
        use_case = ingest()
        use_case.run(
            MemorySource(
                {
                    "a.txt": "규정\n휴가 신청 은 3일 전 에 합니다".encode(),
                    "b.txt": "보안\n비밀번호 변경 은 90일 마다".encode(),
                }
            )
        )
        readiness = Readiness({"analyzer": lambda: "words"})
        if ready:
            readiness.load()
        words = WordAnalyzer()
        answering = Ask(
            Retrieve(use_case.records, use_case.index, words),
            Grounded(model or ScriptedLanguageModel(REPLY), words, Generation(max_tokens=300)),
            Analyst(words, FixedClock(), model),
        )
        app = create_app(
            lambda: answering,
            readiness,
            FixedClock(),
            ServerSettings(**settings),
            "000001-a",
            embedding=lambda: embedding,
        )
        running.append(Loopback(app))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def chunks(answer: Answer) -> list[dict[str, Any]]:
    lines = [line for line in answer.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


def test_a_completion_has_openais_fields_and_our_sources_beside_them(serve: Any) -> None:
    body = serve().post(CHAT, {"model": "default", "messages": MESSAGES}).json()
    assert body["object"] == "chat.completion" and body["model"] == "scripted"
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": REPLY} and choice["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["completion_tokens"] == 8 and usage["total_tokens"] == usage["prompt_tokens"] + 8
    assert body["ragtrace"]["supported"] and body["ragtrace"]["references"][0]["file_name"] == "a.txt"


def test_a_stream_gives_role_pieces_end_and_usage_where_wished(serve: Any) -> None:
    server = serve()
    found = chunks(
        server.post(CHAT, {"messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}})
    )
    assert found[0]["choices"][0]["delta"]["role"] == "assistant" and found[0]["ragtrace"]["references"]
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in found[:-1]) == REPLY
    assert found[-2]["choices"][0]["finish_reason"] == "stop" and found[-2]["ragtrace"]["supported"]
    assert found[-1]["choices"] == [] and found[-1]["usage"]["completion_tokens"] == 8
    assert len({each["id"] for each in found}) == 1
    bare = chunks(server.post(CHAT, {"messages": MESSAGES, "stream": True}))
    assert not any("usage" in each for each in bare)


def test_the_conversation_and_the_wishes_reach_the_model(serve: Any) -> None:
    model = ScriptedLanguageModel(REPLY)
    messages = [
        {"role": "system", "content": "표로 답해"},
        {"role": "user", "content": "안녕"},
        {"role": "assistant", "content": "안녕하세요 [1]"},
        {"role": "user", "content": [{"type": "text", "text": "휴가 신청 은 며칠 전?"}]},
    ]
    body = {"messages": messages, "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 4, "stop": "끝"}
    serve(model).post(CHAT, body)
    said, generation = model.asked[-1]
    assert [message.role for message in said] == ["system", "user", "assistant", "user"]
    assert (
        "표로 답해" in said[0].content
        and said[2].content == "안녕하세요"
        and "휴가 신청 은 며칠 전?" in said[3].content
    )
    assert (generation.max_tokens, generation.temperature, generation.seed, generation.stop) == (
        7,
        0.5,
        4,
        ("끝",),
    )


def test_without_retrieval_the_model_is_asked_alone(serve: Any) -> None:
    model = ScriptedLanguageModel("서울 입니다.")
    body = (
        serve(model).post(CHAT, {"messages": [{"role": "user", "content": "수도는?"}], "rag": False}).json()
    )
    assert body["choices"][0]["message"]["content"] == "서울 입니다." and body["ragtrace"]["references"] == []
    assert "<자료" not in model.asked[0][0][-1].content


def test_what_the_documents_do_not_say_is_not_answered(serve: Any) -> None:
    body = (
        serve(ScriptedLanguageModel("김치찌개 는 돼지고기 와 끓입니다."))
        .post(CHAT, {"messages": MESSAGES})
        .json()
    )
    assert body["choices"][0]["message"]["content"] == "문서에서 근거를 찾지 못했습니다."
    assert not body["ragtrace"]["supported"]


def test_an_answer_cut_at_its_length_says_so(serve: Any) -> None:
    body = (
        serve(ScriptedLanguageModel("휴가 [1] " + "말 " * 50))
        .post(CHAT, {"messages": MESSAGES, "max_tokens": 5})
        .json()
    )
    assert body["choices"][0]["finish_reason"] == "length" and body["ragtrace"]["notices"]


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        ({"messages": []}, 422, "invalid_request"), ({"messages": [{"role": "assistant", "content": "네"}]}, 422, "invalid_request"),
        ({"messages": [{"role": "user", "content": "  "}]}, 422, "invalid_request"), ({"messages": [{"role": "robot", "content": "가"}]}, 422, "invalid_request"),
        ({"messages": [{"role": "user", "content": "가" * 2001}]}, 413, "too_large"), ({"messages": MESSAGES * 201}, 422, "invalid_request"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]}, 422, "no_vision_model"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, 422, "not_supported"), ({"n": 2}, 422, "not_supported"),
        ({"tools": [{"type": "function"}]}, 422, "not_supported"), ({"response_format": {"type": "json_object"}}, 422, "not_supported"),
        ({"max_tokens": 0}, 422, "invalid_request"), ({"temperature": 9}, 422, "invalid_request"), ({"top_p": 0}, 422, "invalid_request"),
        ({"stop": ["a"] * 5}, 422, "invalid_request"), ({"period": "작년"}, 422, "invalid_request"), ({"messages": [{"role": "user", "content": "\ud800"}]}, 422, "invalid_request"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_completed_is_refused_by_name(
    serve: Any, stream: bool, change: dict[str, Any], status: int, kind: str
) -> None:
    server = serve(max_concurrent=1)
    answer = server.post(CHAT, {"messages": MESSAGES, "stream": stream, **change})
    assert (answer.status, answer.json()["error_type"]) == (status, kind)
    assert server.post(CHAT, {"messages": MESSAGES}).status == 200


def test_a_stream_that_fails_ends_in_an_error_and_no_end_mark(serve: Any) -> None:
    model = ScriptedLanguageModel(
        REPLY, failure=ModelProblem(Text("고장", "broken"), where="/secret"), fails_after=7
    )
    answer = serve(model).post(CHAT, {"messages": MESSAGES, "stream": True})
    last = json.loads(answer.text.strip().split("\n\n")[-1][6:])
    assert last["error"]["type"] == "model_unavailable" and last["error"]["code"] == 503
    assert "[DONE]" not in answer.text and "secret" not in answer.text


@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_anything_was_said_is_a_status(serve: Any, stream: bool) -> None:
    model = ScriptedLanguageModel(REPLY, failure=ModelProblem(Text("고장", "broken")))
    server = serve(model, max_concurrent=1)
    server.post(CHAT, {"messages": MESSAGES, "stream": stream})
    refused = server.post(CHAT, {"messages": MESSAGES, "stream": stream})
    assert (refused.status, refused.json()["error_type"]) == (503, "model_unavailable")


def test_the_models_are_listed_once_they_are_ready(serve: Any) -> None:
    named = serve(embedding=HashEmbedding()).send("GET", "/v1/models").json()["data"]
    assert [each["id"] for each in named] == ["scripted", HashEmbedding().fingerprint]
    assert serve(ready=False).send("GET", "/v1/models").status == 503


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": MESSAGES, "stream": True}), (CHAT, {"messages": MESSAGES}),
        ("/query", {"qry_contents": "휴가 신청 은?"}), ("/query_stream", {"qry_contents": "휴가 신청 은?"}),
    ],
)  # fmt: skip
def test_a_client_that_goes_away_stops_the_engine_and_gives_its_place_back(
    serve: Any, path: str, body: dict[str, Any]
) -> None:
    model = ScriptedLanguageModel([REPLY + " 말" * 3000, REPLY], delay_s=0.02)
    server = serve(model, max_concurrent=1)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    until(lambda: model.running == 1)
    assert server.post("/query", {"qry_contents": "휴가?"}).status == 503
    assert connection.sock is not None
    connection.sock.close()
    connection.close()
    until(lambda: model.running == 0)
    assert model.stopped == 1
    until(lambda: server.post("/query", {"qry_contents": "휴가 신청 은?"}).status == 200)


def test_many_streams_at_once_are_each_whole(serve: Any) -> None:
    server = serve(ScriptedLanguageModel(REPLY, delay_s=0.002))
    answers: list[Answer] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(server.post(CHAT, {"messages": MESSAGES, "stream": True}))
        )
        for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    texts = [
        "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks(answer))
        for answer in answers
    ]
    assert texts == [REPLY] * 8


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_room_remembers_what_was_asked_over_query(serve: Any) -> None:
    model = ScriptedLanguageModel(REPLY)
    server = serve(model)
    asked = {"qry_contents": "휴가 신청 은?", "user_id": "u", "page_id": "p"}
    first = server.post("/query", asked).json()
    assert first["usage"]["answer_tokens"] == 8 and first["detail"] == "answered"
    server.post("/query", {**asked, "qry_contents": "비밀번호 변경 은 언제 하나요"})
    assert [message.role for message in model.asked[-1][0]] == ["system", "user", "assistant", "user"]
    server.post("/query", {**asked, "user_id": "someone else"})
    assert [message.role for message in model.asked[-1][0]] == ["system", "user"]


def test_a_stream_says_at_its_end_what_it_cost(serve: Any) -> None:
    answer = serve().post("/query_stream", {"qry_contents": "휴가 신청 은?"})
    last = json.loads(answer.text.strip().split("\n")[-1][6:])
    assert (last["detail"], last["usage"]["finish"], last["usage"]["answer_tokens"]) == (
        "answered",
        "stop",
        8,
    )


def test_a_period_that_holds_nothing_is_widened_and_that_is_said(serve: Any) -> None:
    body = serve().post("/query", {"qry_contents": "휴가 신청 은?", "period": "2020-01-01:2020-12-31"}).json()
    assert body["detail"] == "answered" and body["notices"]
    assert serve().post("/query", {"qry_contents": "휴가?", "period": "2020"}).status == 422


def test_texts_become_vectors_as_numbers_and_as_base64(serve: Any) -> None:
    model = HashEmbedding()
    server = serve(embedding=model)
    body = server.post("/v1/embeddings", {"input": ["휴가", "보안"], "model": "x"}).json()
    assert [each["index"] for each in body["data"]] == [0, 1] and len(
        body["data"][0]["embedding"]
    ) == model.dimension
    assert sum(number**2 for number in body["data"][0]["embedding"]) == pytest.approx(1.0, abs=1e-5)
    assert body["usage"]["prompt_tokens"] > 0
    packed = server.post("/v1/embeddings", {"input": "휴가", "encoding_format": "base64"}).json()
    numbers = struct.unpack(f"<{model.dimension}f", base64.b64decode(packed["data"][0]["embedding"]))
    assert list(numbers) == pytest.approx(body["data"][0]["embedding"])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"input": []}, "invalid_request"), ({"input": " "}, "invalid_request"), ({"input": [[1, 2]]}, "invalid_request"), ({"input": ["가"] * 257}, "invalid_request"),
        ({"input": "가", "dimensions": 3}, "not_supported"), ({"input": "가", "encoding_format": "x"}, "invalid_request"), ({}, "invalid_request"),
    ],
)  # fmt: skip
def test_what_cannot_be_embedded_is_refused(serve: Any, body: dict[str, Any], kind: str) -> None:
    answer = serve(embedding=HashEmbedding()).post("/v1/embeddings", body)
    assert (answer.status, answer.json()["error_type"]) == (422, kind)


def test_without_an_embedding_model_that_is_said(serve: Any) -> None:
    answer = serve().post("/v1/embeddings", {"input": "가"})
    assert (answer.status, answer.json()["error_type"]) == (422, "not_supported")
