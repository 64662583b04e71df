"""Fixtures: an installation with secrets in its configuration and content in its logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.validator.fakes import Installation

SECRET = "hunter2 Hunter2/hunter2+é"
LINE = '{"time": "2026-11-20 19:05:37,1", "level": "INFO", "logger": "ragtrace.access", "event": "request", "method": "GET", "path": "/healthz", "status": 200, "client": "10.1.2.3"}\n'


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation with one secret, one log and one document."""
    made = Installation(tmp_path / "prefix")
    with made.settings.open("a", encoding="utf-8") as stream:
        stream.write(f'RAGTRACE_LLM_TOKEN="{SECRET}"\nRAGTRACE_SEARCH_TOP_N=7\n')
    (made.root / "data" / "logs").mkdir()
    (made.root / "data" / "logs" / "service.log").write_text(LINE * 50, encoding="utf-8")
    (made.root / "data" / "documents").mkdir()
    (made.root / "data" / "documents" / "급여대장.txt").write_text("급여 4200만원", encoding="utf-8")
    return made
