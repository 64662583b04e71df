"""Declarations and pins: strict, and of one mind."""

from __future__ import annotations

import json
import re

import pytest

from builder import inputs
from builder.models import spec
from builder.models.spec import PinnedFile, Pins
from bundle.errors import UsageProblem
from tests.builder.models.conftest import Declare

DIGEST = "ab" * 32
COMMIT = "c" * 40
SHIPPED = tuple(sorted(path.stem for path in (inputs.MANIFESTS / "models").glob("*.toml")))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_declaration_can_be_read(name: str) -> None:
    model = spec.load_model(name)
    assert not model.waivers, "nothing is waived by us"
    assert model.pinned or not model.commit, "a commit has to have its digests"


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_declaration_names_a_digest_that_nobody_computed(name: str) -> None:
    text = (inputs.MANIFESTS / "models" / f"{name}.toml").read_text(encoding="utf-8")
    assert not re.search(r"\b[0-9a-f]{64}\b", text)


@pytest.mark.parametrize("profile", ["standard", "hcx", "gpu"])
def test_profiles_name_declared_models_and_carry_what_runs_them(profile: str) -> None:
    found = inputs.load_profile(profile)
    models = [spec.load_model(name) for name in found.models]
    assert [model.role for model in models] == ["embedding", "reranker", "llm"]
    assert "models" in found.extras
    assert ("llama" if "gguf" in models[-1].formats else "torch") in found.extras
    assert "not use" not in found.description.en and "않음" not in found.description.ko
    needed = sum(item.size for model in models if model.pins for item in model.pins.files)
    assert found.service is not None and found.memory_mb << 20 > needed
    assert found.memory_mb < found.service.memory_limit_mb


def test_a_wrong_key_is_named_with_its_nearest_right_one(declare: Declare) -> None:
    with pytest.raises(UsageProblem) as caught:
        declare(lisence="MIT")
    assert "lisence: unknown key; did you mean licence?" in caught.value.render("en")


def test_an_unknown_model_is_named_with_its_nearest(declare: Declare) -> None:
    declare()
    with pytest.raises(UsageProblem, match="unknown model: tinny") as caught:
        spec.load_model("tinny")
    assert "tiny" in caught.value.render("en")


def test_all_wrong_values_are_told_at_once(declare: Declare) -> None:
    with pytest.raises(UsageProblem) as caught:
        declare(repository="no-owner", role="oracle", folder="../up", formats=["pickle"], files=[])
    assert len(caught.value.details) == 5


@pytest.mark.parametrize(
    "table",
    [
        'kind = "magic"\ninputs = ["config.json"]\noutputs = ["x"]',
        'kind = "safetensors"\ninputs = ["config.json"]\noutputs = []',
        'kind = "safetensors"\ninputs = ["absent.pt"]\noutputs = ["x.safetensors"]',
        'kind = "bge-m3-onnx"\nprecision = "int2"\ninputs = ["config.json"]\noutputs = ["m.onnx"]',
        'kind = "bge-m3-onnx"\ninputs = ["config.json"]\noutputs = ["../m.onnx"]',
        'kind = "safetensors"\ninputs = ["config.json"]\noutputs = ["x.safetensors"]\nshape = "round"',
    ],
)
def test_a_conversion_that_makes_no_sense_is_refused(declare: Declare, table: str) -> None:
    with pytest.raises(UsageProblem):
        declare(text=f"[[conversions]]\n{table}\n")


def test_a_waiver_needs_reason_and_name(declare: Declare) -> None:
    with pytest.raises(UsageProblem) as caught:
        declare(text='[[waivers]]\nfile = "a.pt"\nreason = "small"\n')
    assert "by: missing" in caught.value.render("en")


def test_pins_are_written_as_reviewable_lines_and_read_back(declare: Declare) -> None:
    declare()
    files = (PinnedFile("model.safetensors", 7, DIGEST), PinnedFile("한글.json", 5, DIGEST))
    declaration, place = spec.write_pins("tiny", Pins("lab/tiny", COMMIT, files))
    model = spec.load_model("tiny")
    assert model.pinned and model.pins is not None and model.pins.files == files
    assert f'commit = "{COMMIT}"' in declaration.read_text(encoding="utf-8")
    lines = place.read_text(encoding="utf-8").splitlines()
    assert sum("sha256" in line for line in lines) == 2 and "한글.json" in "".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps({"repository": "a/b", "commit": COMMIT, "files": []}),
        json.dumps(
            {"repository": "a/b", "commit": COMMIT, "files": [{"path": "a", "size": 1, "sha256": "x"}]}
        ),
        json.dumps(
            {"repository": "a/b", "commit": COMMIT, "files": [{"path": "a", "size": -1, "sha256": DIGEST}]}
        ),
        json.dumps({"commit": COMMIT, "files": [{"path": "a", "size": 1, "sha256": DIGEST}]}),
    ],
)
def test_malformed_pins_are_refused(declare: Declare, text: str) -> None:
    (spec.PINS / "tiny.json").write_text(text)
    with pytest.raises(UsageProblem) as caught:
        declare()
    assert "models pin tiny" in caught.value.render("en")
