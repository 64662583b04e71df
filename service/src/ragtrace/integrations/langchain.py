"""LangChain's `Embeddings` and `BaseChatModel` over our ports (extra `langchain`).

    chat = RagTraceChatModel.from_config("/opt/ragtrace/config/ragtrace.yaml")
    chat.invoke("휴가는 며칠 전에 신청하나요?")

The models are those that the configuration names, in this process; nothing is traced or sent anywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict

from ragtrace.application.ports import EmbeddingModel, Generation, LanguageModel, Message, Role, Usage
from ragtrace.errors import ConfigProblem, NotSupported
from ragtrace.offline import go_offline
from ragtrace.text import Text

_ROLES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "ai": "assistant",
    "user": "user",
    "assistant": "assistant",
}
_CHOSEN = ("max_tokens", "temperature", "top_p", "seed")


class RagTraceEmbeddings(Embeddings):  # type: ignore[misc]
    """Dense vectors of an embedding model."""

    def __init__(self, model: EmbeddingModel) -> None:
        self._model = model

    @classmethod
    def from_config(cls, file: str | None = None) -> RagTraceEmbeddings:
        """Return the configured embedding model. Raises `ConfigProblem` where none is configured."""
        model = _container(file).embedding
        if model is None:
            raise _not_configured("embedding.model")
        return cls(model)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector of length 1 per text, in order. Raises `ModelProblem`."""
        return [_dense(each) for each in self._model.embed(texts, frozenset({"dense"}))]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a question: the same model, without an instruction before it."""
        return self.embed_documents([text])[0]


class RagTraceChatModel(BaseChatModel):  # type: ignore[misc]
    """A language model as LangChain's chat model: streamed, with usage, JSON where the engine constrains."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Any
    generation: Generation = Generation()

    @classmethod
    def from_config(cls, file: str | None = None) -> RagTraceChatModel:
        """Return the configured language model. Raises `ConfigProblem` where none is configured."""
        container = _container(file)
        model = container.language
        if model is None:
            raise _not_configured("language.model")
        chosen = container.settings.language
        return cls(model=model, generation=Generation(chosen.max_tokens, chosen.temperature, chosen.top_p))

    @property
    def _llm_type(self) -> str:
        return "ragtrace"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model_name": self._port().name, "context_tokens": self._port().context_tokens}

    def get_num_tokens(self, text: str) -> int:
        """Return the tokens of a text as a message of its own, template included."""
        return self._port().count_tokens([Message("user", text)])

    def with_structured_output(
        self,
        schema: Any,  # noqa: ANN401 - LangChain's signature
        *,
        include_raw: bool = False,
        **kwargs: Any,  # noqa: ANN401 - LangChain's signature
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable that answers with an object of the schema: a dictionary's JSON Schema, or a pydantic class.

        Raises `NotSupported` where the engine cannot constrain: text that merely looks like JSON is not promised.
        """
        if include_raw or not self._port().constrains:
            raise NotSupported(
                Text(
                    "이 언어 모델 엔진은 JSON 스키마를 보장하지 못합니다.",
                    "This engine cannot promise a JSON schema.",
                ),
                where=self._port().name,
            )
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return self.bind(schema=schema.model_json_schema()) | PydanticOutputParser(pydantic_object=schema)
        return self.bind(schema=dict(schema)) | JsonOutputParser()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # noqa: ANN401 - LangChain's signature
    ) -> ChatResult:
        text, usage = "", None
        for item in self._items(messages, stop, kwargs):
            if isinstance(item, Usage):
                usage = item
            else:
                text += item
        assert usage is not None
        message = AIMessage(
            text, usage_metadata=_usage(usage), response_metadata=_facts(self._port().name, usage)
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # noqa: ANN401 - LangChain's signature
    ) -> Iterator[ChatGenerationChunk]:
        for item in self._items(messages, stop, kwargs):
            if isinstance(item, Usage):
                facts = _facts(self._port().name, item)
                yield ChatGenerationChunk(
                    message=AIMessageChunk("", usage_metadata=_usage(item), response_metadata=facts)
                )
                continue
            chunk = ChatGenerationChunk(message=AIMessageChunk(item))
            if run_manager is not None:
                run_manager.on_llm_new_token(item, chunk=chunk)
            yield chunk

    def _items(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> Iterator[str | Usage]:
        changes = {name: kwargs[name] for name in (*_CHOSEN, "schema") if kwargs.get(name) is not None}
        generation = replace(self.generation, **changes)
        if stop:
            generation = replace(generation, stop=tuple(stop))
        return self._port().stream([_message(each) for each in messages], generation)

    def _port(self) -> LanguageModel:
        model: LanguageModel = self.model
        return model


def _dense(embedding: Any) -> list[float]:  # noqa: ANN401 - numpy is not imported for a type
    vector: list[float] = embedding.dense.tolist()
    return vector


def _message(message: BaseMessage) -> Message:
    """Return our form of a message. Raises `NotSupported` for tools and images."""
    role = _ROLES.get(message.role if message.type == "chat" else message.type)
    content = message.content
    if isinstance(content, list):
        blocks = [each if isinstance(each, str) else each.get("text") for each in content]
        content = "".join(blocks) if all(isinstance(each, str) for each in blocks) else None
    if role is None or content is None:
        raise NotSupported(
            Text("글이 아닌 메시지는 쓸 수 없습니다.", "Only messages of text can be used."),
            where=message.type,
        )
    return Message(role, content)


def _usage(usage: Usage) -> UsageMetadata:
    total = usage.prompt_tokens + usage.answer_tokens
    return UsageMetadata(
        input_tokens=usage.prompt_tokens, output_tokens=usage.answer_tokens, total_tokens=total
    )


def _facts(name: str, usage: Usage) -> dict[str, Any]:
    return {
        "model_name": name,
        "finish_reason": usage.finish,
        "first_token_s": usage.first_token_s,
        "tokens_per_s": usage.tokens_per_s,
    }


def _container(file: str | None) -> Any:  # noqa: ANN401 - bootstrap is imported when it is asked for
    go_offline(os.environ)
    from pathlib import Path

    from ragtrace.bootstrap import Container
    from ragtrace.config import find_place, load_settings

    return Container(load_settings(find_place(file, os.environ, Path(sys.prefix)), os.environ))


def _not_configured(key: str) -> ConfigProblem:
    return ConfigProblem(
        Text(f"설정에 {key}이(가) 없습니다.", f"The configuration names no {key}."), where=key
    )
