"""What a profile expects of the host's speed: read strictly, carried in the manifest, documented key by key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builder import inputs
from bundle.errors import UsageProblem
from bundle.expectations import EXPECTATIONS


@pytest.fixture
def profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of a profile that a test may add to."""
    shutil.copytree(inputs.MANIFESTS / "profiles", tmp_path / "profiles")
    monkeypatch.setattr(inputs, "MANIFESTS", tmp_path)
    return tmp_path / "profiles" / "starter.toml"


def add(profile: Path, lines: str) -> None:
    profile.write_text(f"{profile.read_text(encoding='utf-8')}\n[expectations]\n{lines}\n", encoding="utf-8")


def test_figures_of_a_profile_are_those_of_the_manifest(profile: Path) -> None:
    add(profile, "embedding_texts_per_s = 0.5\nanswer_ms = 900")
    assert inputs.load_profile("starter").expectations == {"embedding_texts_per_s": "0.5", "answer_ms": "900"}


def test_a_profile_without_the_table_expects_the_defaults(profile: Path) -> None:
    assert inputs.load_profile("starter").expectations == {}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("embeding_texts_per_s = 1", "did you mean embedding_texts_per_s?"),
        ("colour = 1", "unknown key"),
        ('answer_ms = "fast"', "answer_ms: not of type float"),
        ("answer_ms = true", "answer_ms: not of type float"),
        ("answer_ms = 0", "not above zero"),
        ("answer_ms = inf", "not above zero"),
    ],
)
def test_a_wrong_figure_is_refused_by_name(line: str, told: str, profile: Path) -> None:
    add(profile, line)
    with pytest.raises(UsageProblem) as caught:
        inputs.load_profile("starter")
    assert told in caught.value.render("en")


def test_every_figure_is_documented_with_its_unit_and_default() -> None:
    text = (inputs.REPOSITORY / "docs/reference/expectations.md").read_text(encoding="utf-8")
    for item in EXPECTATIONS.values():
        sign = "≥" if item.at_least else "≤"
        assert f"| `{item.key}` | {sign} {item.default:g} {item.unit} | {item.check} |" in text
