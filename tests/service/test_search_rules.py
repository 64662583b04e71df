"""Settings of the search that contradict each other are found before anybody asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragtrace.errors import ConfigProblem
from ragtrace.search_rules import require_legs, search_rules
from ragtrace.settings import EmbeddingSettings, SearchSettings, Settings, VectorSettings

from .test_cli import free_port, run

NOTHING = {"RAGTRACE_ANALYZER_KIND": "whitespace", "RAGTRACE_SEARCH_LEXICAL_WEIGHT": "0"}


def test_without_a_model_words_need_a_weight(tmp_path: Path) -> None:
    settings = Settings(tmp_path, search=SearchSettings(lexical_weight=0.0))
    with pytest.raises(ConfigProblem, match="nothing to search by"):
        search_rules(settings)


def test_with_a_model_words_may_have_none(tmp_path: Path) -> None:
    settings = Settings(
        tmp_path, search=SearchSettings(lexical_weight=0.0), embedding=EmbeddingSettings(model="m")
    )
    assert search_rules(settings).weights["lexical"] == 0
    require_legs(settings, frozenset({"dense"}))


def test_kept_colbert_vectors_need_a_model_that_makes_them(tmp_path: Path) -> None:
    settings = Settings(tmp_path, vectors=VectorSettings(colbert=True))
    with pytest.raises(ConfigProblem, match="colbert"):
        require_legs(settings, frozenset({"dense", "sparse"}))


def test_the_service_does_not_start_and_the_check_says_why(tmp_path: Path) -> None:
    for words in (("serve",), ("config", "check")):
        done = run(tmp_path, *words, RAGTRACE_SERVER_PORT=str(free_port()), **NOTHING)
        assert done.returncode == 2, words
        assert "search.lexical_weight" in done.stderr and "Traceback" not in done.stderr
