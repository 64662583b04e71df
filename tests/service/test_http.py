"""The HTTP interface over twins: fields, events, refusals, errors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from ragtrace.application.ports import Answerer, never
from ragtrace.domain.answers import AnswerPiece, Passage, Question
from ragtrace.entrypoints.http.app import create_app
from ragtrace.entrypoints.http.readiness import Readiness
from ragtrace.errors import StorageProblem
from ragtrace.settings import ServerSettings
from ragtrace.testing.memory import FixedClock, MemorySource, QuotingModel
from ragtrace.text import Text
from tests.service.loopback import Answer, Loopback
from tests.service.support import asking, ingest

QUESTION = {
    "qry_id": "q1",
    "user_id": "u",
    "page_id": "p",
    "qry_contents": "휴가 신청은?",
    "qry_time": "2026-01-01 00:00:00",
}
BROKEN = StorageProblem(Text("색인 고장", "broken index"), where="/secret/path")


@pytest.fixture
def serve() -> Iterator[Any]:
    running: list[Loopback] = []

    def start(model: Answerer | None = None, *, ready: bool = True, **settings: Any) -> Loopback:
        use_case = ingest()
        use_case.run(MemorySource({"a.txt": "규정\n휴가 신청은 3일 전".encode()}))
        readiness = Readiness({"analyzer": lambda: "words"})
        if ready:
            readiness.load()
        answering = asking(use_case, model)
        app = create_app(lambda: answering, readiness, FixedClock(), ServerSettings(**settings), "000001-a")
        running.append(Loopback(app))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def events(answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    blocks = (block.split("\n") for block in answer.text.strip().split("\n\n"))
    return [(lines[0][len("event: ") :], json.loads(lines[1][len("data: ") :])) for lines in blocks]


def test_query_answers_with_the_agreed_fields(serve: Any) -> None:
    body = serve().post("/query", QUESTION).json()
    assert list(body) == ["status_code", "result", "detail", "continue", "qry_id", "rsp_time", "data_list"]
    assert (body["status_code"], body["continue"], body["qry_id"]) == (200, "E", "q1")
    assert [item["rsp_type"] for item in body["data_list"]] == ["R", "A"]
    assert body["data_list"][0]["chunk_id"] and body["data_list"][1]["rsp_data"].endswith("[1]")


def test_a_question_without_evidence_is_answered_with_that(serve: Any) -> None:
    body = serve().post("/query", {**QUESTION, "qry_contents": "김치찌개"}).json()
    assert (body["detail"], body["data_list"][-1]["rsp_data"]) == (
        "no_evidence",
        "문서에서 근거를 찾지 못했습니다.",
    )


def test_the_stream_is_one_reference_then_answers_then_the_end(serve: Any) -> None:
    answer = serve().post("/query_stream", QUESTION)
    assert answer.headers["content-type"].startswith("text/event-stream")
    names = [name for name, _ in events(answer)]
    assert names == ["reference", "answer", "end"]
    assert events(answer)[-1][1]["detail"] == "answered"


@pytest.mark.parametrize("failure", [BROKEN, RuntimeError("/secret")])
def test_an_answer_that_breaks_off_ends_in_an_error_event_never_in_answer_text(
    serve: Any, failure: Exception
) -> None:
    found = events(serve(QuotingModel(failure=failure)).post("/query_stream", QUESTION))
    assert [name for name, _ in found] == ["reference", "answer", "error", "end"]
    assert set(found[2][1]) >= {"error", "error_type"} and "secret" not in str(found)
    assert found[3][1]["result"] == "fail"


@pytest.mark.parametrize(("failure", "kind"), [(BROKEN, "storage"), (RuntimeError("/secret"), "internal")])
def test_a_failure_is_a_status_with_error_and_type(serve: Any, failure: Exception, kind: str) -> None:
    answer = serve(QuotingModel(failure=failure)).post("/query", QUESTION)
    assert (answer.status, answer.json()["error_type"], list(answer.json())) == (
        500,
        kind,
        ["error", "error_type"],
    )
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/query", "/query_stream"])
@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        ({"image_data": "data:image/png;base64,AA=="}, 422, "no_vision_model"), ({"rag": False}, 422, "not_supported"),
        ({"qry_contents": ""}, 422, "invalid_request"), ({"qry_contents": " \n"}, 422, "invalid_request"),
        ({"qry_contents": None}, 422, "invalid_request"), ({"qry_contents": "가" * 2001}, 413, "too_large"),
        ({"qry_contents": "가" * 90000}, 413, "too_large"), ({"qry_contents": "\ud800"}, 422, "invalid_request"),
        ({"qry_id": "\udfff"}, 422, "invalid_request"), ({"qry_id": "x" * 201}, 422, "invalid_request"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_by_name(
    serve: Any, path: str, change: dict[str, Any], status: int, kind: str
) -> None:
    answer = serve().post(path, {**QUESTION, **change})
    assert (answer.status, answer.json()["error_type"]) == (status, kind)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"null", b'{"a":' * 20000, b'{"qry_contents": NaN}']
)
def test_a_body_that_is_no_question_is_refused(serve: Any, body: bytes) -> None:
    answer = serve().send("POST", "/query", body)
    assert answer.status in (400, 422) and answer.json()["error_type"] == "invalid_request"


def test_errors_speak_the_language_of_the_client(serve: Any) -> None:
    server = serve()
    korean = server.post("/query", {**QUESTION, "rag": False}).json()["error"]
    english = server.post("/query", {**QUESTION, "rag": False}, {"Accept-Language": "en-US"}).json()["error"]
    assert "검색" in korean and "retrieval" in english


def test_unknown_paths_and_the_interactive_docs_are_not_found(serve: Any) -> None:
    server = serve()
    for path in ("/docs", "/redoc", "/openapi.json", "/x"):
        assert (server.send("GET", path).status, server.send("GET", path).json()["error_type"]) == (
            404,
            "not_found",
        )
    assert server.send("GET", "/query").json()["error_type"] == "method_not_allowed"


def test_before_it_is_ready_it_lives_and_refuses_questions(serve: Any) -> None:
    server = serve(ready=False)
    assert server.send("GET", "/healthz").json() == {
        "status": "ok",
        "version": "0.1.0",
        "generation": "000001-a",
    }
    ready = server.send("GET", "/readyz")
    assert (ready.status, ready.json()["status"], ready.json()["parts"]["analyzer"]["ready"]) == (
        503,
        "starting",
        False,
    )
    asked = server.post("/query", QUESTION)
    assert (asked.status, asked.json()["error_type"], asked.headers["retry-after"]) == (503, "not_ready", "2")


def test_readyz_names_every_part(serve: Any) -> None:
    body = serve().send("GET", "/readyz").json()
    assert set(body) == {"status", "generation", "version", "parts"} and body["status"] == "ready"
    assert set(body["parts"]["analyzer"]) == {"ready", "detail"}


class WaitingModel(QuotingModel):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.let_go = threading.Event(), threading.Event()

    def answer(
        self, question: Question, passages: Sequence[Passage], cancelled: Callable[[], bool] = never
    ) -> Iterator[AnswerPiece]:
        self.started.set()
        self.let_go.wait(20)
        yield from super().answer(question, passages)


def test_one_question_too_many_is_refused_and_the_place_is_given_back(serve: Any) -> None:
    model = WaitingModel()
    server = serve(model, max_concurrent=1)
    answers: list[Answer] = []
    first = threading.Thread(target=lambda: answers.append(server.post("/query_stream", QUESTION)))
    first.start()
    assert model.started.wait(20)
    refused = [server.post(path, QUESTION) for path in ("/query", "/query_stream")]
    assert [(each.status, each.json()["error_type"]) for each in refused] == [(503, "overloaded")] * 2
    assert server.send("GET", "/healthz").status == 200
    model.let_go.set()
    first.join(20)
    assert answers[0].status == 200
    assert server.post("/query", QUESTION).status == 200


def test_a_refused_stream_gives_its_place_back(serve: Any) -> None:
    server = serve(max_concurrent=1)
    for _ in range(3):
        assert server.post("/query_stream", {**QUESTION, "rag": False}).status == 422
    assert server.post("/query_stream", QUESTION).status == 200


def test_the_access_log_never_holds_the_question(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="ragtrace.access"):
        serve().post("/query?q=secretword", QUESTION)
        # The line is written after the answer has left, by the server's own thread.
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not any(
            each.name == "ragtrace.access" for each in caplog.records
        ):
            time.sleep(0.01)
    lines = [json.loads(each.message) for each in caplog.records if each.name == "ragtrace.access"]
    assert lines and set(lines[0]) == {"event", "method", "path", "status", "bytes", "ms", "client"}
    assert "휴가" not in caplog.text and "secretword" not in caplog.text
