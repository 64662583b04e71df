"""llama.cpp in process: nothing listens where others could come in, damage is told in words, work stops when unwanted."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ragtrace.adapters.language.llama import LlamaModel
from ragtrace.application.ports import Generation, Message, Usage
from ragtrace.errors import ModelProblem, Overloaded
from tests.service.language.ending import ends_amid_an_answer
from tests.support import tiny_llama
from tests.support.engines import needs
from tests.support.tiny_llama import ANSWER, ASK, ENDLESS

pytestmark = needs("xllamacpp")
ASKED = [Message("user", ASK)]
LOOPING = [Message("user", ENDLESS)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_llama.write(tmp_path, {"tiny.gguf": tiny_llama.gguf()}) / "tiny.gguf"


@pytest.fixture
def model(path: Path) -> Iterator[LlamaModel]:
    with closing(LlamaModel(path, threads=1)) as made:
        yield made


def private_folder(model: LlamaModel) -> Path:
    assert model._engine is not None
    return Path(model._engine.folder)


def text(model: LlamaModel, asked: list[Message], **how: int) -> str:
    items = model.stream(asked, Generation(**how))  # type: ignore[arg-type]
    return "".join(each for each in items if isinstance(each, str))


def listening_ports() -> set[str]:
    """Return local addresses of this process's namespace that listen on TCP."""
    found = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(name).read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found.add(fields[1])
    return found


def test_it_listens_on_no_port_and_its_socket_is_nobody_elses(model: LlamaModel) -> None:
    before = listening_ports()
    model.load()
    assert listening_ports() == before
    folder = private_folder(model)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.stat().st_uid == os.geteuid()
    model.close()
    assert not folder.exists()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux keeps a process on one core")
def test_a_model_that_is_closed_as_soon_as_it_is_loaded_does_not_wait_for_ever(path: Path) -> None:
    # On one core the library's listener begins only after its constructor has returned.
    code = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from pathlib import Path; from ragtrace.adapters.language.llama import LlamaModel\n"
        "for _ in range(10):\n"
        "    model = LlamaModel(Path(sys.argv[1]), threads=1); model.load(); model.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=120, check=False)
    assert done.returncode == 0


def test_without_the_key_the_socket_says_nothing(model: LlamaModel) -> None:
    import httpx

    model.load()
    with httpx.Client(transport=httpx.HTTPTransport(uds=f"{private_folder(model)}/llama.sock")) as client:
        for path in ("/v1/chat/completions", "/completion", "/tokenize"):
            assert client.post(f"http://llama{path}", json={"prompt": "x"}).status_code == 401


def test_a_file_with_its_weights_cut_off_is_a_model_problem(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400_000])
    with pytest.raises(ModelProblem) as caught:
        LlamaModel(path, threads=1).load()
    assert str(path) in caught.value.where


def test_a_missing_tensor_is_a_model_problem(path: Path) -> None:
    path.write_bytes(tiny_llama.gguf({"llama.block_count": 3}))
    with pytest.raises(ModelProblem):
        LlamaModel(path, threads=1).load()


def test_without_a_template_the_model_is_asked_in_chatml(path: Path) -> None:
    path.write_bytes(tiny_llama.gguf({"tokenizer.chat_template": None}))
    with closing(LlamaModel(path, threads=1)) as model:
        bare = model.count_tokens(ASKED)
        assert bare > len("<|im_start|>user")
        assert [each for each in model.stream(ASKED, Generation(max_tokens=3)) if isinstance(each, Usage)]


def test_a_long_prompt_is_left_when_nobody_wants_it_any_more(path: Path) -> None:
    path.write_bytes(tiny_llama.gguf({"llama.context_length": 30_000}))
    with closing(LlamaModel(path, context_tokens=30_000, threads=1, parallel=1)) as model:
        model.load()
        long = [Message("user", "가나다" * 9000 + ASK)]
        start = time.monotonic()
        items = list(model.stream(long, Generation(max_tokens=4), lambda: time.monotonic() - start > 0.3))
        assert isinstance(items[-1], Usage) and items[-1].finish == "cancelled" and len(items) == 1
        # The one place is free again at once, not when the prompt would have been read.
        spent = time.monotonic() - start
        assert text(model, ASKED) == ANSWER
        assert spent < 2


def test_more_answers_than_places_wait_their_turn(path: Path) -> None:
    with closing(LlamaModel(path, threads=1, parallel=2)) as model:
        model.load()
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(text(model, ASKED))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert found == [ANSWER] * 8


def test_a_place_is_not_waited_for_for_ever(path: Path) -> None:
    with closing(LlamaModel(path, threads=1, parallel=1, timeout_s=0.2)) as model:
        first = model.stream(LOOPING, Generation(max_tokens=400))
        next(first)
        with pytest.raises(Overloaded):
            text(model, ASKED)
        first.close()  # type: ignore[attr-defined]
        assert text(model, ASKED) == ANSWER


def test_closing_ends_what_is_under_way(model: LlamaModel) -> None:
    items = model.stream(LOOPING, Generation(max_tokens=400))
    next(items)
    start = time.monotonic()
    model.close()
    assert time.monotonic() - start < 5
    with pytest.raises(ModelProblem):
        list(items)


def test_many_answers_keep_no_file_and_no_thread_open(model: LlamaModel) -> None:
    for _ in range(5):
        text(model, ASKED)
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    for number in range(60):
        items = model.stream(ASKED if number % 2 else LOOPING, Generation(max_tokens=30))
        next(items)
        items.close()  # type: ignore[attr-defined]
    time.sleep(0.5)
    after = (len(os.listdir("/proc/self/fd")), threading.active_count())
    assert after[0] <= before[0] + 2 and after[1] <= before[1] + 1


def test_the_process_ends_while_an_answer_is_made(path: Path) -> None:
    ends_amid_an_answer("llama.LlamaModel", path)
