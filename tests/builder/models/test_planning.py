"""Plans of models: pinned files as artefacts, everything else as an obstacle with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.models import spec
from builder.models.planning import folder_override, plan_models
from builder.models.spec import ModelSpec, PinnedFile, Pins
from bundle.errors import UsageProblem
from tests.builder.models.conftest import FILES, REPOSITORY, Declare, in_folder

DIGEST = "ab" * 32
COMMIT = "c" * 40
NAMES = ["README.md", "config.json", "model.safetensors"]


def pinned_as(declare: Declare, *paths: str, commit: str = COMMIT, **keys: object) -> ModelSpec:
    declare(**keys)
    files = tuple(PinnedFile(path, 10, DIGEST) for path in paths)
    spec.write_pins("tiny", Pins(REPOSITORY, commit, files))
    return spec.load_model("tiny")


def obstacles(*names: str, **folders: Path) -> str:
    return "\n".join(item.text().en for item in plan_models(names, folders)[1])


def test_a_pinned_model_becomes_one_artefact_for_each_file(pinned: ModelSpec) -> None:
    artifacts, found = plan_models(["tiny", "tiny"])
    assert not found
    assert [item.filename for item in artifacts] == sorted(set(FILES) - {"unwanted.h5"})
    weights = next(item for item in artifacts if item.filename == "model.safetensors")
    assert weights.kind == "model" and weights.version == pinned.commit
    assert weights.source == f"hf://{REPOSITORY}@{pinned.commit}/model.safetensors"
    assert weights.size == len(FILES["model.safetensors"])


def test_an_unpinned_model_is_refused_with_the_command_that_pins_it(declare: Declare) -> None:
    declare()
    artifacts, found = plan_models(["tiny"])
    assert not artifacts
    assert "not pinned → create_enterprise_offline.py models pin tiny" in found[0].text().en


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc1234", "C" * 40])
def test_a_revision_that_may_change_is_refused(declare: Declare, revision: str) -> None:
    pinned_as(declare, *NAMES)
    declare(commit=revision)
    assert "may change" in obstacles("tiny")


def test_digests_of_another_commit_are_refused(declare: Declare) -> None:
    pinned_as(declare, *NAMES)
    declare(commit="d" * 40)
    assert f"the digests are of {REPOSITORY}@{COMMIT}" in obstacles("tiny")


def test_a_commit_without_digests_is_refused(declare: Declare) -> None:
    declare(commit=COMMIT)
    assert "digests of its files are missing" in obstacles("tiny")


def test_all_obstacles_are_told_at_once(declare: Declare) -> None:
    pinned_as(
        declare, "config.json", "../up.json", "pytorch_model.bin", "modeling.py", "Config.json", "x.gguf"
    )
    text = obstacles("tiny")
    for expected in (
        "component",
        "pickle",
        "code",
        "collides",
        "format gguf",
        "'README.md'",
        "'*.safetensors'",
    ):
        assert expected in text, expected


def test_a_pickle_that_is_converted_needs_no_waiver(declare: Declare) -> None:
    conversion = (
        '[[conversions]]\nkind = "safetensors"\ninputs = ["head.pt"]\noutputs = ["head.safetensors"]\n'
    )
    pinned_as(declare, *NAMES, "head.pt", files=[*NAMES, "head.pt"], text=conversion)
    assert not obstacles("tiny")


def test_two_models_that_want_one_folder_are_refused(declare: Declare) -> None:
    declare()
    declare("other")
    assert "wants the folder 'llm', as tiny does" in obstacles("tiny", "other")


def test_a_folder_takes_the_place_of_the_repository_and_the_pins_hold(
    pinned: ModelSpec, tmp_path: Path
) -> None:
    folder = in_folder(tmp_path / "given", FILES)
    artifacts, found = plan_models(["tiny"], {"tiny": folder})
    assert not found and all(item.source == (folder / item.filename).as_uri() for item in artifacts)
    (folder / "config.json").unlink()
    (folder / "README.md").write_text("longer than it was before\n")
    text = obstacles("tiny", tiny=folder)
    assert "does not hold 'config.json'" in text and "'README.md' has another size" in text


def test_a_model_that_only_comes_as_a_folder_needs_one(declare: Declare) -> None:
    declare(repository="local")
    spec.write_pins(
        "tiny", Pins("local", "e" * 64, tuple(PinnedFile(path, 10, DIGEST) for path in NAMES + ["a.json"]))
    )
    assert "--model tiny=DIR" in obstacles("tiny")


def test_a_folder_for_a_model_that_is_not_packed_is_a_mistake(declare: Declare, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="not packed"):
        plan_models([], {"tiny": tmp_path})


@pytest.mark.parametrize("word", ["tiny", "=dir", "tiny="])
def test_a_folder_is_given_as_name_and_folder(word: str) -> None:
    with pytest.raises(UsageProblem):
        folder_override(word)
