"""From the command line to a language model on a server and back: settings, wiring, analysis, answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragtrace.testing.language import ScriptedLanguageModel
from tests.service.language.chat_server import ChatServer
from tests.service.loopback import Loopback
from tests.service.support import write

CLI = Path(__file__).parents[3] / "service" / "cli.py"
FILES = {
    "휴가.md": "# 휴가 규정\n\n## 신청\n휴가 신청은 사용 3일 전까지 합니다. 팀장이 승인합니다.\n",
    "회의_20250304.txt": "회의록\n다음 회의는 금요일입니다.",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "home" / "config").mkdir(parents=True)
    done = run(folder / "home", "ingest", str(write(folder / "docs", FILES)))
    assert done.returncode == 0, done.stderr
    return folder / "home"


@pytest.fixture
def upstream() -> Iterator[Any]:
    running: list[Loopback] = []

    def start(*replies: str) -> tuple[ChatServer, dict[str, str]]:
        server = ChatServer(ScriptedLanguageModel(replies))
        running.append(Loopback(server.app()))
        url = f"http://127.0.0.1:{running[-1].port}/v1"
        return server, {
            "RAGTRACE_LANGUAGE_URL": url,
            "RAGTRACE_LANGUAGE_MODEL": "tiny",
            "RAGTRACE_ANSWER_MODEL": "language",
        }

    yield start
    for each in running:
        each.stop()


def run(home: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAGTRACE_")}
    settings = {
        "RAGTRACE_HOME": str(home),
        "RAGTRACE_LANG": "ko",
        "RAGTRACE_ANALYZER_KIND": "whitespace",
        **extra,
    }
    return subprocess.run(
        [sys.executable, str(CLI), *arguments], env={**kept, **settings}, text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_language_model_on_a_server_answers_with_checked_sources(home: Path, upstream: Any) -> None:
    server, settings = upstream("휴가 신청은 사용 3일 전까지 합니다 [1][7].")
    done = run(home, "ask", "휴가 신청은 언제까지 합니까", "--json", "--explain", **settings)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["answer"] == "휴가 신청은 사용 3일 전까지 합니다 [1]." and told["supported"]
    assert told["usage"]["finish"] == "stop" and told["analysis"]["by"] == "rules"
    prompt = server.bodies[-1]["messages"]
    assert prompt[0]["role"] == "system" and "<자료 번호=" in prompt[-1]["content"]


def test_what_no_document_says_is_not_answered(home: Path, upstream: Any) -> None:
    _, settings = upstream("양자 컴퓨터는 큐비트로 계산하는 기계이며 아주 빠릅니다.")
    done = run(home, "ask", "휴가 신청은 언제까지 합니까", **settings)
    assert (
        done.returncode == 0
        and done.stdout.startswith("문서에서 근거를 찾지 못했습니다.")
        and "출처" not in done.stdout
    )


def test_without_retrieval_the_model_alone_answers(home: Path, upstream: Any) -> None:
    _, settings = upstream("서울입니다.")
    done = run(home, "ask", "수도는", "--no-rag", "--json", **settings)
    assert json.loads(done.stdout)["answer"] == "서울입니다." and json.loads(done.stdout)["sources"] == []


def test_an_upstream_that_is_not_there_is_an_error_with_its_own_words(home: Path) -> None:
    settings = {
        "RAGTRACE_LANGUAGE_URL": "http://127.0.0.1:9/v1",
        "RAGTRACE_ANSWER_MODEL": "language",
        "RAGTRACE_LANGUAGE_RETRIES": "0",
    }
    done = run(home, "ask", "휴가 신청은 언제까지 합니까", RAGTRACE_LANGUAGE_MODEL="tiny", **settings)
    assert done.returncode == 1 and "RT-141" in done.stderr and done.stdout.strip() == ""


def test_a_language_model_that_is_not_configured_is_named(home: Path) -> None:
    done = run(home, "ask", "휴가 신청은", RAGTRACE_ANSWER_MODEL="language")
    assert done.returncode == 2 and "language.model" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--since", "2024-13-01"],
        ["--since", "2025-01-02", "--until", "2025-01-01"],
        ["--max-tokens", "0"],
        ["--no-rag"],
    ],
)
def test_what_cannot_be_asked_ends_with_two(home: Path, arguments: list[str]) -> None:
    assert run(home, "ask", "휴가 신청은", *arguments).returncode == 2


def test_explaining_says_how_the_question_was_understood_and_each_score(home: Path) -> None:
    done = run(home, "ask", "작년 휴가 신청은", "--explain")
    assert done.returncode == 0
    assert "# 질문 분석: rules" in done.stdout and "-01-01:" in done.stdout and "lexical" in done.stdout
