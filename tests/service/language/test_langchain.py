"""The wrappers for LangChain, over the twins."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ragtrace.application.ports import Generation, Message
from ragtrace.errors import ConfigProblem, NotSupported, RagTraceError, TooLarge
from ragtrace.testing.embedding import HashEmbedding
from ragtrace.testing.language import ScriptedLanguageModel
from tests.support.engines import missing, needs

pytestmark = needs("langchain_core")


def chat(model: ScriptedLanguageModel, **options: Any) -> Any:
    from ragtrace.integrations.langchain import RagTraceChatModel

    return RagTraceChatModel(model=model, **options)


def test_an_answer_comes_with_its_usage() -> None:
    said = chat(ScriptedLanguageModel("삼 일 전에 합니다.")).invoke("휴가는?")
    assert said.content == "삼 일 전에 합니다."
    assert said.usage_metadata["output_tokens"] == 4 and said.usage_metadata["input_tokens"] == 2
    assert said.response_metadata["finish_reason"] == "stop"


def test_an_answer_is_streamed_piece_by_piece() -> None:
    pieces = list(chat(ScriptedLanguageModel("삼 일 전에 합니다.")).stream("휴가는?"))
    assert [each.content for each in pieces if each.content] == ["삼 ", "일 ", "전에 ", "합니다."]
    whole = pieces[0]
    for each in pieces[1:]:
        whole += each
    assert whole.usage_metadata["total_tokens"] == 6


def test_roles_and_choices_reach_the_model() -> None:
    model = ScriptedLanguageModel("네 네 네 멈춤 뒤")
    made = chat(model, generation=Generation(max_tokens=9, temperature=0.3))
    said = made.invoke(
        [("system", "규칙"), ("human", "하나"), ("ai", "답"), ("human", [{"type": "text", "text": "둘"}])],
        stop=["멈춤"],
        top_p=0.5,
    )
    messages, generation = model.asked[0]
    assert messages == (
        Message("system", "규칙"), Message("user", "하나"), Message("assistant", "답"), Message("user", "둘"),
    )  # fmt: skip
    assert (generation.max_tokens, generation.temperature, generation.top_p, generation.stop) == (
        9,
        0.3,
        0.5,
        ("멈춤",),
    )
    assert said.content == "네 네 네 "


def test_an_image_or_a_tool_is_refused() -> None:
    from langchain_core.messages import HumanMessage, ToolMessage

    made = chat(ScriptedLanguageModel("네"))
    for message in (
        HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]),
        ToolMessage("3", tool_call_id="x"),
    ):
        with pytest.raises(NotSupported):
            made.invoke([message])


def test_structured_output_is_an_object_of_the_schema() -> None:
    from pydantic import BaseModel

    class Answer(BaseModel):
        days: int
        sure: bool

    made = chat(ScriptedLanguageModel("말로 합니다"))
    assert made.with_structured_output(Answer).invoke("며칠?") == Answer(days=0, sure=False)
    assert made.with_structured_output(Answer.model_json_schema()).invoke("며칠?") == {
        "days": 0,
        "sure": False,
    }
    with pytest.raises(NotSupported):
        chat(ScriptedLanguageModel("말", constrains=False)).with_structured_output(Answer)


def test_our_errors_come_through_as_they_are() -> None:
    with pytest.raises(TooLarge):
        chat(ScriptedLanguageModel("네", context_tokens=3)).invoke("하나 둘 셋 넷")


def test_a_stream_that_is_left_stops_the_model() -> None:
    model = ScriptedLanguageModel("말 " * 500)
    items = chat(model).stream("끝없이")
    next(items)
    items.close()
    assert (model.running, model.stopped) == (0, 1)


def test_it_can_be_awaited() -> None:
    made = chat(ScriptedLanguageModel("삼 일"))

    async def ask() -> tuple[str, list[str]]:
        return (await made.ainvoke("?")).content, [each.content async for each in made.astream("?")]

    whole, pieces = asyncio.run(ask())
    assert whole == "".join(pieces) == "삼 일"


def test_vectors_have_length_one_and_one_text_gives_one() -> None:
    from ragtrace.integrations.langchain import RagTraceEmbeddings

    made = RagTraceEmbeddings(HashEmbedding())
    vectors = made.embed_documents(["휴가 신청", "출장 신청"])
    assert len(vectors) == 2 and all(isinstance(each, float) for each in vectors[0])
    assert sum(each * each for each in vectors[0]) == pytest.approx(1.0, abs=1e-5)
    assert made.embed_query("휴가 신청") == vectors[0]
    assert made.embed_documents([]) == []


def test_without_a_configured_model_it_says_so(tmp_path: Path) -> None:
    from ragtrace.integrations.langchain import RagTraceChatModel, RagTraceEmbeddings

    file = tmp_path / "ragtrace.yaml"
    file.write_text("analyzer:\n  kind: whitespace\n", "utf-8")
    for kind in (RagTraceChatModel, RagTraceEmbeddings):
        with pytest.raises(ConfigProblem):
            kind.from_config(str(file))
    with pytest.raises(RagTraceError):
        RagTraceChatModel.from_config(str(tmp_path / "missing.yaml"))


def test_the_configured_model_answers(tmp_path: Path) -> None:
    if reason := missing("xllamacpp"):
        pytest.skip(reason)
    from ragtrace.integrations.langchain import RagTraceChatModel
    from tests.support import tiny_llama

    tiny_llama.write(tmp_path, {"tiny.gguf": tiny_llama.gguf()})
    file = tmp_path / "ragtrace.yaml"
    file.write_text("language:\n  model: tiny.gguf\n  threads: 1\n", "utf-8")
    made = RagTraceChatModel.from_config(str(file))
    assert made.invoke(tiny_llama.ASK).content == tiny_llama.ANSWER
    made.model.close()
