"""The models of the installed release: found without being configured, never bound to a release that may go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragtrace.bootstrap import Container
from ragtrace.carried import carried_models, release_of
from ragtrace.config import Place, find_place, load_settings, load_with_origins
from ragtrace.errors import ConfigProblem
from ragtrace.settings import Settings

ROLES = {"bge-m3": "embedding", "reranker": "reranker", "llm": "llm"}


def release(home: Path, name: str, models: dict[str, str] | None = None) -> Path:
    """Make an installed release with these models: their roles by folder."""
    folder = home / "generations" / name
    (folder / "venv").mkdir(parents=True)
    for model, role in (ROLES if models is None else models).items():
        place = folder / "models" / model
        place.mkdir(parents=True)
        (place / "PROVENANCE.json").write_text(json.dumps({"name": f"tiny-{model}", "role": role}))
    (home / "current.json").write_text("{}")
    return folder


def settled(folder: Path, text: str = "", **environment: str) -> Settings:
    file = folder.parents[1] / "ragtrace.yaml"
    file.write_text(text)
    return load_settings(Place(folder.parents[1], file, True, folder), environment)


def models(settings: Settings) -> tuple[str, str, str]:
    return settings.embedding.model, settings.reranker.model, settings.language.model


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigProblem) as caught:
        settled(folder, text)
    return caught.value.render("en") + caught.value.render("ko")


def test_a_release_is_known_by_its_interpreter_also_through_the_link(tmp_path: Path) -> None:
    folder = release(tmp_path, "000001-a")
    (tmp_path / "current").symlink_to(folder)
    assert release_of(tmp_path / "current" / "venv") == folder.resolve()
    assert find_place(str(tmp_path / "x.yaml"), {}, folder / "venv").release == folder.resolve()
    assert release_of(Path("/usr")) is None and release_of(tmp_path) is None


def test_what_the_release_carries_is_used_where_nothing_is_configured(tmp_path: Path) -> None:
    folder = release(tmp_path, "000001-a")
    found = settled(folder, 'embedding:\n  model: ""\n')
    assert models(found) == tuple(str(folder / "models" / name) for name in ROLES)
    assert found.model_writes


def test_where_a_value_comes_from_is_told(tmp_path: Path) -> None:
    folder = release(tmp_path, "000001-a")
    file = tmp_path / "ragtrace.yaml"
    file.write_text('embedding:\n  model: ""\nreranker:\n  model: none\n')
    origins = load_with_origins(Place(tmp_path, file, True, folder), {})[1]
    assert origins == {
        "embedding.model": "release",
        "reranker.model": "ragtrace.yaml",
        "language.model": "release",
    }


def test_one_configuration_serves_upgrade_rollback_and_a_release_without_models(tmp_path: Path) -> None:
    first, second = release(tmp_path, "000001-a"), release(tmp_path, "000002-b", {"other": "embedding"})
    starter = release(tmp_path, "000003-c", {})
    text = 'embedding:\n  model: ""\n'
    assert models(settled(first, text))[0] == str(first / "models" / "bge-m3")
    assert models(settled(second, text)) == (str(second / "models" / "other"), "", "")
    assert models(settled(starter, text)) == ("", "", "") and not settled(starter, text).model_writes
    assert models(settled(first, text))[0] == str(first / "models" / "bge-m3")


def test_none_leaves_a_carried_model_out(tmp_path: Path) -> None:
    folder = release(tmp_path, "000001-a")
    found = settled(folder, "reranker:\n  model: none\n", RAGTRACE_LANGUAGE_MODEL="none")
    assert models(found) == (str(folder / "models" / "bge-m3"), "", "")
    assert not found.model_writes


def test_one_of_several_is_named_by_its_name_or_folder(tmp_path: Path) -> None:
    folder = release(tmp_path, "000001-a", {"a": "llm", "b": "llm"})
    for word in ("release:tiny-b", "release:b"):
        assert models(settled(folder, f"language:\n  model: {word}\n"))[2] == str(folder / "models" / "b")
    assert models(settled(folder))[2] == str(folder / "models" / "a")
    assert "release:tiny-b" in refusal(folder, "language:\n  model: release:tiny-c\n")
    assert "no model of that role" in refusal(folder, "embedding:\n  model: release:b\n")


@pytest.mark.parametrize(
    "written", ["generations/000001-a/models/llm", "x/../generations/000001-a/models/llm"]
)
def test_a_path_into_one_release_is_refused(tmp_path: Path, written: str) -> None:
    folder = release(tmp_path, "000001-a")
    assert "gone after an upgrade" in refusal(folder, f"language:\n  model: {written}\n")
    assert "gone after an upgrade" in refusal(folder, f"language:\n  model: {tmp_path}/{written}\n")


def test_a_path_of_the_operator_s_own_stays_as_it_is(tmp_path: Path) -> None:
    folder = release(tmp_path, "000001-a")
    found = settled(folder, "embedding:\n  model: models/kure\nlanguage:\n  model: current/models/llm\n")
    assert (found.embedding.model, found.language.model) == ("models/kure", "current/models/llm")


@pytest.mark.parametrize("line", ["url: http://10.0.0.5:8000/v1", "engine: server"])
def test_a_server_s_model_is_not_mixed_up_with_the_carried_one(tmp_path: Path, line: str) -> None:
    assert settled(release(tmp_path, "000001-a"), f"language:\n  {line}\n").language.model == ""


def test_what_writes_the_answers_follows_from_what_is_there(tmp_path: Path) -> None:
    folder = release(tmp_path, "000001-a")
    assert not settled(folder, "answer:\n  model: extractive\n").model_writes
    assert settled(folder, "language:\n  url: http://h/v1\n").model_writes
    assert Container(Settings(tmp_path)).settings.model_writes is False
    assert settled(release(tmp_path, "000002-b", {}), "answer:\n  model: language\n").model_writes


@pytest.mark.parametrize("record", [b"", b"[]", b"{", b'{"name": 1, "role": "llm"}', b"\xff", b"[" * 100_000])
def test_a_record_that_says_nothing_is_no_model(tmp_path: Path, record: bytes) -> None:
    folder = release(tmp_path, "000001-a", {"llm": "llm"})
    (folder / "models" / "llm" / "PROVENANCE.json").write_bytes(record)
    assert carried_models(folder) == () and models(settled(folder)) == ("", "", "")
