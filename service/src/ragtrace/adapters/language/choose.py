"""From settings to the language model that they name."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path

from ragtrace.adapters.language.folder import Kind, recognise
from ragtrace.adapters.processors import threads_for
from ragtrace.application.ports import LanguageModel
from ragtrace.errors import ConfigProblem, ModelProblem
from ragtrace.settings import LanguageSettings, Settings
from ragtrace.text import Text

# What each engine reads; the first is what `auto` takes.
_ENGINES: dict[Kind, tuple[str, ...]] = {
    "llama": ("llama", "openvino"),
    "openvino": ("openvino",),
    "transformers": ("transformers",),
}

_ADAPTERS = "ragtrace.adapters.language"
# anyio finds its backend by name when the first request is made.
_MODULES = {
    "server": (f"{_ADAPTERS}.openai_server", "anyio._backends._asyncio"),
    "llama": (f"{_ADAPTERS}.llama", "xllamacpp", "anyio._backends._asyncio"),
    "openvino": (f"{_ADAPTERS}.openvino", "openvino_genai"),
    "transformers": (f"{_ADAPTERS}.transformers", "torch", "transformers", "jinja2"),
}


def build_language(settings: Settings) -> LanguageModel:
    """Return the configured language model, not loaded yet.

    Raises:
        ConfigProblem: settings that contradict each other.
        ModelProblem: what `language.model` names is not there, or not for the engine.
    """
    chosen = settings.language
    if chosen.engine == "server" or (chosen.engine == "auto" and chosen.url):
        return _server(chosen)
    if not chosen.model:
        raise ConfigProblem(
            Text(
                "언어 모델의 파일이나 폴더를 적어야 합니다.",
                "The language model's file or folder must be named.",
            ),
            where="language.model",
        )
    kind, path = recognise(settings.home / Path(chosen.model).expanduser())
    engine = _ENGINES[kind][0] if chosen.engine == "auto" else chosen.engine
    if engine not in _ENGINES[kind]:
        raise ConfigProblem(
            Text(
                f"'{engine}' 엔진은 이 모델을 읽지 못합니다. 읽는 엔진: {', '.join(_ENGINES[kind])}",
                f"The engine '{engine}' does not read this model. These do: {', '.join(_ENGINES[kind])}",
            ),
            where=f"language.engine: {path}",
        )
    return _local(engine, path, chosen)


def preload(settings: Settings) -> None:
    """Import what the configured engine needs. What is missing, or no model, is said in words when it is built."""
    chosen = settings.language
    engine = "server"
    if chosen.engine != "server" and not (chosen.engine == "auto" and chosen.url):
        with suppress(ModelProblem):
            kind, _ = recognise(settings.home / Path(chosen.model).expanduser())
            engine = _ENGINES[kind][0] if chosen.engine == "auto" else chosen.engine
    for name in _MODULES.get(engine, ()):
        with suppress(ImportError):
            importlib.import_module(name)


def _server(chosen: LanguageSettings) -> LanguageModel:
    from ragtrace.adapters.language.openai_server import OpenAiServerModel

    return OpenAiServerModel(
        chosen.url,
        chosen.model,
        api_key=chosen.api_key,
        context_tokens=chosen.context_tokens,
        parallel=chosen.parallel,
        timeout_s=chosen.timeout_s,
        retries=chosen.retries,
    )


def _local(engine: str, path: Path, chosen: LanguageSettings) -> LanguageModel:
    threads = threads_for(chosen.threads)
    if engine == "llama":
        from ragtrace.adapters.language.llama import LlamaModel

        return LlamaModel(
            path,
            context_tokens=chosen.context_tokens,
            threads=threads,
            parallel=chosen.parallel,
            timeout_s=chosen.timeout_s,
            gpu=chosen.device != "cpu",
        )
    if engine == "openvino":
        from ragtrace.adapters.language.openvino import OpenVinoModel

        return OpenVinoModel(
            path,
            context_tokens=chosen.context_tokens,
            threads=threads,
            parallel=chosen.parallel,
            timeout_s=chosen.timeout_s,
        )
    from ragtrace.adapters.language.transformers import TransformersModel

    return TransformersModel(
        path,
        device=chosen.device,
        bits=chosen.bits,
        context_tokens=chosen.context_tokens,
        threads=threads,
        timeout_s=chosen.timeout_s,
    )
