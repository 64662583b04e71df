"""OpenVINO's step keeps the interpreter's lock; played by a library that does the same, so this needs no engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ragtrace.adapters.language.openvino_engine import OpenVinoEngine
from ragtrace.adapters.language.tokens import Tokens
from ragtrace.application.ports import never

STEPS = 6
STEP_S = 0.05


class Pipeline:
    """Makes one token a step, and lets no other thread run meanwhile."""

    def __init__(self, *_: object) -> None:
        self.steps = 0
        self.unread: list[int] = []

    def get_tokenizer(self) -> Any:
        return SimpleNamespace(get_vocab=dict)

    def has_non_finished_requests(self) -> bool:
        return 0 < self.steps < STEPS

    def add_request(self, *_: object) -> Any:
        return SimpleNamespace(
            can_read=lambda: bool(self.unread),
            read=lambda: {0: SimpleNamespace(generated_ids=[self.unread.pop()], finish_reason="")},
            get_status=lambda: "running" if self.steps < STEPS else "finished",
            cancel=lambda: None,
        )

    def step(self) -> None:
        self.steps += 1
        until = time.perf_counter() + STEP_S
        while time.perf_counter() < until:
            pass
        self.unread.append(self.steps)


@pytest.fixture
def lock_is_kept() -> Iterator[None]:
    """Threads of this interpreter change only where one of them waits."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("lock_is_kept")
def test_a_token_is_read_before_the_next_is_made(tmp_path: Path) -> None:
    pipeline = Pipeline()
    library = SimpleNamespace(
        SchedulerConfig=SimpleNamespace,
        ContinuousBatchingPipeline=lambda *_: pipeline,
        GenerationStatus=SimpleNamespace(RUNNING="running", IGNORED="ignored"),
        GenerationFinishReason=SimpleNamespace(LENGTH="length"),
    )
    with closing(OpenVinoEngine(library, tmp_path, threads=1, parallel=1)) as engine:
        seen = [(pipeline.steps, tokens) for tokens in engine.generate(None, None, never)]
    assert [tokens.ids for _, tokens in seen] == [[number] for number in range(1, STEPS + 1)]
    # A busy machine may be late for some; without a turn all but the last one are.
    assert sum(at == number for number, (at, _) in enumerate(seen, 1)) > STEPS // 2
    assert seen[-1][1] == Tokens([STEPS], "stop")
