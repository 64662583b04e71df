"""What every language model does: the twin, and each engine that is installed, over the same tiny weights."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from ragtrace.application.ports import Generation, LanguageModel, Message, Usage
from ragtrace.errors import InvalidRequest, TooLarge
from ragtrace.testing.language import ScriptedLanguageModel
from tests.service.language.chat_server import ChatServer
from tests.service.loopback import Loopback
from tests.support import tiny_llama
from tests.support.engines import missing
from tests.support.tiny_llama import ANSWER, ASK, CONTEXT, ENDLESS, LOOP

SCHEMA = {
    "type": "object",
    "properties": {"표": {"type": "boolean"}},
    "required": ["표"],
    "additionalProperties": False,
}
GREEDY = Generation(max_tokens=64)


def conversation(last: str) -> list[Message]:
    return [Message("system", "너는 돕는다."), Message("user", f"질문 하나 {last}")]


def scripted(parallel_context: int = CONTEXT) -> ScriptedLanguageModel:
    """The twin with the tiny model's behaviour; its tokens are words, so what it says has spaces."""

    def reply(messages: Sequence[Message], generation: Generation) -> str:
        return " ".join(LOOP * 500) if messages[-1].content.endswith(ENDLESS) else ANSWER

    return ScriptedLanguageModel(reply, context_tokens=parallel_context, delay_s=0.0005)


@dataclass(frozen=True)
class Engine:
    """An engine, and what it calls endless: the twin has other tokens."""

    model: LanguageModel
    kind: str


@pytest.fixture(scope="module", params=["twin", "server", "llama", "openvino", "transformers"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    kind: str = request.param
    needed = {
        "llama": "xllamacpp",
        "openvino": "openvino_genai",
        "transformers": "transformers",
        "server": "httpx",
    }
    if kind in needed and (reason := missing(needed[kind])):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp(kind)
    served: Loopback | None = None
    if kind == "server":
        served = Loopback(ChatServer(scripted()).app())
    with closing(make(kind, folder, served)) as model:
        yield Engine(model, kind)
    if served is not None:
        served.stop()


def make(kind: str, folder: Path, served: Loopback | None) -> LanguageModel:
    if kind == "twin":
        return scripted()
    if kind == "server":
        from ragtrace.adapters.language.openai_server import OpenAiServerModel

        assert served is not None
        return OpenAiServerModel(f"http://127.0.0.1:{served.port}", "tiny")
    if kind == "transformers":
        from ragtrace.adapters.language.transformers import TransformersModel

        place = tiny_llama.write(folder / "tiny", tiny_llama.repository())
        return TransformersModel(place, device="cpu", bits=32, threads=1)
    place = tiny_llama.write(folder, {"tiny.gguf": tiny_llama.gguf(half=True)}) / "tiny.gguf"
    if kind == "llama":
        from ragtrace.adapters.language.llama import LlamaModel

        return LlamaModel(place, threads=1)
    from ragtrace.adapters.language.openvino import OpenVinoModel

    return OpenVinoModel(place, threads=1)


def run(engine: Engine, last: str, generation: Generation = GREEDY) -> tuple[list[str], Usage]:
    engine.model.load()
    items = list(engine.model.stream(conversation(last), generation))
    assert isinstance(items[-1], Usage)
    pieces = [each for each in items[:-1] if isinstance(each, str)]
    assert len(pieces) == len(items) - 1, "a usage before the end"
    return pieces, items[-1]


def test_it_says_what_its_weights_say_and_what_that_cost(engine: Engine) -> None:
    pieces, usage = run(engine, ASK)
    assert "".join(pieces) == ANSWER
    assert usage.finish == "stop"
    assert usage.prompt_tokens == engine.model.count_tokens(conversation(ASK)) > 2
    assert usage.answer_tokens >= len(pieces) >= 2
    assert 0 < usage.first_token_s <= usage.seconds < 60
    assert usage.tokens_per_s > 0


def test_pieces_are_whole_characters_and_never_empty(engine: Engine) -> None:
    pieces, _ = run(engine, ASK)
    assert all(pieces)
    assert not any("�" in piece for piece in pieces)


def test_the_same_question_gets_the_same_answer(engine: Engine) -> None:
    assert "".join(run(engine, ASK)[0]) == "".join(run(engine, ASK)[0])


def test_an_answer_ends_at_max_tokens_and_says_so(engine: Engine) -> None:
    pieces, usage = run(engine, ENDLESS, Generation(max_tokens=5))
    assert (usage.finish, usage.answer_tokens) == ("length", 5)
    assert "".join(pieces).replace(" ", "") == "가나다라가"


def test_an_answer_ends_where_the_context_does(engine: Engine) -> None:
    pieces, usage = run(engine, ENDLESS, Generation(max_tokens=100_000))
    assert usage.finish == "length"
    assert CONTEXT - 2 <= usage.prompt_tokens + usage.answer_tokens <= CONTEXT
    assert len("".join(pieces)) > 100


def test_a_stop_string_ends_the_answer_and_is_not_shown(engine: Engine) -> None:
    stop = " 다" if engine.kind in ("twin", "server") else "다라"
    pieces, usage = run(engine, ENDLESS, Generation(max_tokens=50, stop=("없는", stop)))
    assert "".join(pieces).replace(" ", "") == "가나"
    assert usage.finish == "stop"


def test_half_a_stop_string_at_the_end_is_shown(engine: Engine) -> None:
    pieces, usage = run(engine, ENDLESS, Generation(max_tokens=3, stop=("다라마",)))
    assert "".join(pieces).replace(" ", "") == "가나다"
    assert usage.finish == "length"


def test_a_prompt_that_does_not_fit_is_refused_with_numbers(engine: Engine) -> None:
    engine.model.load()
    long = [Message("user", "가 나 " * CONTEXT + ASK)]
    wanted = engine.model.count_tokens(long)
    assert wanted > CONTEXT
    with pytest.raises(TooLarge) as caught:
        next(iter(engine.model.stream(long, GREEDY)))
    assert str(wanted) in caught.value.summary.ko and str(CONTEXT) in caught.value.summary.en


def test_nothing_to_answer_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidRequest):
        list(engine.model.stream([], GREEDY))
    assert engine.model.count_tokens([]) == 0


def test_a_cancelled_answer_ends_with_its_usage(engine: Engine) -> None:
    engine.model.load()
    seen: list[str | Usage] = []
    for item in engine.model.stream(
        conversation(ENDLESS), Generation(max_tokens=400), lambda: len(seen) >= 3
    ):
        seen.append(item)
    assert isinstance(seen[-1], Usage)
    assert seen[-1].finish == "cancelled"
    assert 3 <= len(seen) < 300
    assert "".join(run(engine, ASK)[0]) == ANSWER


def test_cancelled_before_it_began_it_says_nothing(engine: Engine) -> None:
    engine.model.load()
    (only,) = engine.model.stream(conversation(ENDLESS), GREEDY, lambda: True)
    assert isinstance(only, Usage)
    assert (only.finish, only.answer_tokens) == ("cancelled", 0)


def test_an_iterator_that_is_closed_early_leaves_its_place(engine: Engine) -> None:
    engine.model.load()
    for _ in range(4):
        items = engine.model.stream(conversation(ENDLESS), Generation(max_tokens=400))
        assert isinstance(next(items), str)
        items.close()  # type: ignore[attr-defined]
    start = time.monotonic()
    assert "".join(run(engine, ASK)[0]) == ANSWER
    assert time.monotonic() - start < 30


def test_several_threads_get_each_their_own_answer(engine: Engine) -> None:
    engine.model.load()
    results: dict[int, str] = {}

    def ask(number: int) -> None:
        pieces, _ = run(engine, ASK if number % 2 else ENDLESS, Generation(max_tokens=24))
        results[number] = "".join(pieces).replace(" ", "")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    loop = "".join(itertools.islice(itertools.cycle(LOOP), 24))
    expected = {number: ANSWER.replace(" ", "") if number % 2 else loop for number in range(6)}
    assert results == expected


def test_a_schema_is_obeyed_where_the_engine_says_so(engine: Engine) -> None:
    engine.model.load()
    if not engine.model.constrains:
        pytest.skip(f"{engine.kind} does not constrain")
    pieces, usage = run(engine, ASK, Generation(max_tokens=200, schema=SCHEMA))
    assert usage.finish == "stop"
    found = json.loads("".join(pieces))
    assert list(found) == ["표"] and isinstance(found["표"], bool)


def test_sampling_with_a_seed_repeats(engine: Engine) -> None:
    generation = Generation(max_tokens=20, temperature=0.8, top_p=0.9, seed=7)
    first, second = (run(engine, ENDLESS, generation) for _ in range(2))
    assert first[0] == second[0]
    assert first[1].answer_tokens <= 20


def test_more_turns_are_more_tokens(engine: Engine) -> None:
    engine.model.load()
    one = conversation(ASK)
    more = [*one, Message("assistant", "네"), Message("user", "또")]
    assert engine.model.count_tokens(one) < engine.model.count_tokens(more)
    assert engine.model.context_tokens == CONTEXT
    assert engine.model.name


def test_closed_it_loads_again(engine: Engine) -> None:
    run(engine, ASK)
    engine.model.close()
    assert "".join(run(engine, ASK)[0]) == ANSWER
