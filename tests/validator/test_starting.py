"""A service that has just been started is waited for; one that is down, or has failed, is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.validator.fakes import Installation, run, status
from validator.checks import ragtrace
from validator.host import http, procfs
from validator.model import Status

ONE = {"ready": True, "detail": "x"}
LOADING = {"ready": False, "detail": "loading"}
WAITING = {"ready": False, "detail": "waiting"}
FAILED = {"ready": False, "detail": "the model cannot be read"}
REFUSED = http.Reply(0, {}, "Connection refused", 0.0)


def reply(code: int, generation: str, status: str = "starting", **parts: Any) -> http.Reply:
    return http.Reply(code, {"generation": generation, "status": status, "parts": parts}, "", 0.0)


@pytest.fixture
def young() -> Iterator[procfs.Process]:
    """A process that has just begun."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield procfs.Process(child.pid, ("x",))
    child.kill()
    child.communicate()


class Answers:
    """One reply after the other; the last one again and again."""

    def __init__(self, *replies: http.Reply) -> None:
        self.replies = list(replies)
        self.asked = 0

    def __call__(self, *_: object, **__: object) -> http.Reply:
        self.asked += 1
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@pytest.mark.parametrize("check", [ragtrace.running, ragtrace.ready], ids=lambda check: check.id)
def test_a_service_that_is_loading_is_waited_for(
    check: Any, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = installation.generation.name
    answers = Answers(
        reply(503, name, a=LOADING, b=WAITING), reply(503, name, a=ONE, b=LOADING), reply(200, name, a=ONE)
    )
    monkeypatch.setattr(http, "ask", answers)
    assert status(check, installation.subject()) is Status.PASS
    assert answers.asked == 3


def test_a_young_process_that_does_not_listen_yet_is_waited_for(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, young: procfs.Process
) -> None:
    monkeypatch.setattr(procfs, "service_processes", lambda *_: [young])
    monkeypatch.setattr(
        http, "ask", Answers(REFUSED, REFUSED, reply(200, installation.generation.name, a=ONE))
    )
    assert status(ragtrace.running, installation.subject()) is Status.PASS


def test_a_service_that_loads_for_ever_runs_but_is_not_ready(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ragtrace, "START_S", 0.3)
    monkeypatch.setattr(http, "ask", Answers(reply(503, installation.generation.name, a=LOADING)))
    subject = installation.subject()
    began = time.monotonic()
    assert status(ragtrace.running, subject) is Status.PASS
    assert status(ragtrace.ready, subject) is Status.FAIL
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("old", [None, 3600.0], ids=["no process", "an old process"])
def test_nobody_waits_for_a_service_that_is_down(
    old: Any, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = [] if old is None else [procfs.Process(os.getpid(), ("x",))]
    monkeypatch.setattr(procfs, "service_processes", lambda *_: running)
    monkeypatch.setattr(procfs, "age_s", lambda *_: old)
    answers = Answers(REFUSED)
    monkeypatch.setattr(http, "ask", answers)
    assert status(ragtrace.running, installation.subject()) is Status.FAIL
    assert answers.asked == 1


def test_nobody_waits_for_a_part_that_has_failed(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers(reply(503, installation.generation.name, "not_ready", a=FAILED, b=WAITING))
    monkeypatch.setattr(http, "ask", answers)
    outcome = run(ragtrace.ready, installation.subject())
    assert outcome.status is Status.FAIL and answers.asked == 1


def test_the_age_of_a_process_is_its_own(young: procfs.Process) -> None:
    age = procfs.age_s(young.pid)
    assert age is not None and -0.1 < age < 30
    oldest = procfs.age_s(1)
    assert oldest is not None and oldest > age
    assert procfs.age_s(2**22 + 1) is None
