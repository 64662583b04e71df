"""What is imported when: nothing heavy at the start of a starter, nothing at all once root's rights are given up."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from .embedding import folders
from .loopback import request
from .reranking.folders import cross_encoder
from .support import write
from .test_cli import environment, free_port

# As root, but the rights are kept: what is imported from then on is written down.
AS_ROOT = """
import os, sys
from pathlib import Path
import ragtrace.privileges
class Written:
    names = []
    def find_spec(self, name, path=None, target=None):
        self.names.append(name)
ragtrace.privileges.gives_up_rights = lambda folder: True
ragtrace.privileges.drop_to_owner = lambda folder: sys.meta_path.insert(0, Written())
from ragtrace.entrypoints.cli.main import main
code = main(sys.argv[1:])
print([name for name in Written.names if name in sys.modules])
sys.exit(code)
"""
STARTED = """
import sys
from pathlib import Path
from ragtrace.bootstrap import Container
from ragtrace.entrypoints.http import server
from ragtrace.settings import AnalyzerSettings, Settings
container = Container(Settings(Path(sys.argv[1]), analyzer=AnalyzerSettings(kind="whitespace")))
readiness = server._readiness(container)
readiness.load()
assert readiness.ready, readiness.failure
container.ask
print(sorted({each.partition(".")[0] for each in sys.modules}))
"""
HEAVY = {
    "docx", "httpx", "jpype", "konlpy", "kiwipiepy", "langchain_core", "lxml", "numpy", "olefile", "onnxruntime",
    "openpyxl", "openvino_genai", "pptx", "pypdfium2", "qdrant_client", "qdrant_edge", "tokenizers", "torch",
    "transformers", "xllamacpp",
}  # fmt: skip
WORDS = {"RAGTRACE_ANALYZER_KIND": "whitespace"}


def imported_late(home: Path, *arguments: str, **variables: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", AS_ROOT, *arguments],
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = ast.literal_eval(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path / "docs", {"휴가.md": "# 휴가\n\n휴가는 사흘 전에 신청합니다.\n"})
    return tmp_path


def test_no_command_imports_after_roots_rights_are_given_up(home: Path) -> None:
    backup = str(home / "all.backup")
    for command in (
        ("ingest", str(home / "docs")),
        ("status",),
        ("ask", "휴가는 언제 신청합니까?"),
        ("search", "휴가", "--explain"),
        ("documents", "list"),
        ("index", "verify"),
        ("backup", backup),
        ("restore", backup),
        ("index", "rebuild"),
        ("documents", "delete", "휴가.md"),
        ("migrate",),
    ):
        assert imported_late(home, *command, **WORDS) == [], command


def test_the_service_imports_nothing_after_roots_rights_are_given_up(home: Path) -> None:
    port = free_port()
    started = subprocess.Popen(
        [sys.executable, "-c", AS_ROOT, "serve"],
        env=environment(home, RAGTRACE_SERVER_PORT=str(port), **WORDS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stderr is not None
        assert any('"ready"' in line for line in started.stderr)
        asked = json.dumps({"qry_contents": "휴가?"}).encode()
        chat = json.dumps({"messages": [{"role": "user", "content": "휴가?"}]}).encode()
        for address, body in (("/query", asked), ("/query_stream", asked), ("/v1/chat/completions", chat)):
            assert request(port, "POST", address, body).status == 200
        assert request(port, "GET", "/status").status == 200
    finally:
        started.terminate()
        out, err = started.communicate(timeout=60)
    assert started.returncode == 0, err
    assert ast.literal_eval(out.splitlines()[-1]) == []


def test_models_import_nothing_late_either(home: Path) -> None:
    folders.bge_m3(home / "models/bge-m3")
    cross_encoder(home / "models/reranker")
    models = {
        "RAGTRACE_EMBEDDING_MODEL": "models/bge-m3",
        "RAGTRACE_EMBEDDING_ENGINE": "onnx",
        "RAGTRACE_RERANKER_MODEL": "models/reranker",
        "RAGTRACE_RERANKER_ENGINE": "onnx",
    }
    for command in (("ingest", str(home / "docs")), ("search", "휴가"), ("index", "verify")):
        assert imported_late(home, *command, **WORDS, **models) == [], command


def test_kiwi_and_its_model_are_imported_before(home: Path) -> None:
    assert imported_late(home, "search", "휴가") == []


def test_a_starter_starts_without_anything_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert not found & HEAVY
    assert "ragtrace" in found
