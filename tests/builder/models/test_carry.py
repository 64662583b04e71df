"""Models on their way into a bundle: converted, looked into, staged with a record, the same every time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.models import carry
from builder.models.convert import interpreter, run
from builder.models.fetch import fetch_models
from builder.models.planning import plan_models
from builder.models.spec import Conversion, ModelSpec
from builder.stage import StagedFile, sorted_files
from bundle.errors import BuildError
from bundle.hashing import sha256_bytes
from bundle.manifest import Model
from tests.builder.models.conftest import FILES, REPOSITORY, Declare, pin_now
from tests.support.hub import Hub, sha256
from tests.support.model_files import PICKLE, safetensors

HEAD = "sparse_linear.pt"
CONVERSION = (
    f'[[conversions]]\nkind = "safetensors"\ninputs = ["{HEAD}"]\noutputs = ["sparse_linear.safetensors"]\n'
)


def carried(cache: Cache, *models: ModelSpec) -> tuple[list[StagedFile], tuple[Model, ...]]:
    artifacts, obstacles = plan_models([item.name for item in models])
    assert not obstacles
    fetch_models(cache, artifacts, lambda count: None)
    return carry.stage_models(models, artifacts, cache)


def provenance(files: list[StagedFile]) -> dict[str, object]:
    (record,) = [item for item in files if item.entry.path.endswith("PROVENANCE.json")]
    assert isinstance(record.source, bytes)
    found = json.loads(record.source)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> list[Conversion]:
    """Stand in for the converter, which needs torch (tests/convert runs the real one); return what was asked."""
    asked: list[Conversion] = []

    def convert(
        cache: Cache,
        conversion: Conversion,
        inputs: Mapping[str, Path],
        *,
        digests: Mapping[str, str],
        progress: object,
    ) -> run.Converted:
        asked.append(conversion)
        made = []
        for name, source in zip(conversion.outputs, conversion.inputs, strict=True):
            data = safetensors({"weight": inputs[source].read_bytes()})
            with cache.work_folder() as work:
                (work / "made").write_bytes(data)
                cache.admit(work / "made", sha256_bytes(data))
            made.append(run.ConvertedFile(name, sha256_bytes(data), len(data)))
        return run.Converted(tuple(made), dict(digests), {"torch": "0"}, {}, {})

    monkeypatch.setattr(run, "convert_cached", convert)
    return asked


def test_a_model_is_staged_below_its_folder_from_the_cache(pinned: ModelSpec, cache: Cache) -> None:
    files, models = carried(cache, pinned)
    assert models == (Model("tiny", "llm", "07_Models/llm", REPOSITORY, pinned.commit, "MIT"),)
    assert {item.entry.path for item in sorted_files(files)} == {
        *(f"07_Models/llm/{path}" for path in FILES if path != "unwanted.h5"),
        "07_Models/llm/PROVENANCE.json",
    }
    assert {(item.entry.kind, item.entry.component, item.entry.mode) for item in files} == {
        ("model", "tiny", 0o644)
    }
    weights = next(item for item in files if item.entry.path.endswith(".safetensors"))
    assert weights.source == cache.path(sha256(FILES["model.safetensors"]))


def test_the_record_says_what_was_fetched_and_what_to_review(pinned: ModelSpec, cache: Cache) -> None:
    record = provenance(carried(cache, pinned)[0])
    assert record["repository"] == REPOSITORY and record["commit"] == pinned.commit
    assert record["fetched"] == record["carried"]
    (review,) = record["review"]  # type: ignore[misc]
    assert review["what"] == "chat template (Jinja)"  # type: ignore[has-type]
    assert review["sha256"] == sha256(b"{{ messages }}")  # type: ignore[has-type]


def test_staging_twice_gives_the_same_entries(pinned: ModelSpec, cache: Cache, tmp_path: Path) -> None:
    first = carried(cache, pinned)
    assert carried(cache, pinned) == first
    elsewhere = carried(Cache(tmp_path / "other"), pinned)
    assert [item.entry for item in elsewhere[0]] == [item.entry for item in first[0]]


def test_a_pickle_is_converted_and_stays_behind_with_both_digests_recorded(
    hub: Hub, declare: Declare, cache: Cache, converter: list[Conversion]
) -> None:
    hub.add("lab/pickled", FILES | {HEAD: PICKLE})
    model = declare(repository="lab/pickled", text=CONVERSION, files=["*.json", "*.safetensors", HEAD])
    files, _ = carried(cache, pin_now(model, cache))
    paths = {item.entry.path for item in files}
    assert "07_Models/llm/sparse_linear.safetensors" in paths
    assert f"07_Models/llm/{HEAD}" not in paths
    (made,) = provenance(files)["conversions"]  # type: ignore[misc]
    assert made["inputs"] == {HEAD: sha256(PICKLE)}  # type: ignore[has-type]
    assert made["outputs"] == {  # type: ignore[has-type]
        "sparse_linear.safetensors": sha256(safetensors({"weight": PICKLE}))
    }
    assert [item.kind for item in converter] == ["safetensors"]


def test_a_machine_that_cannot_convert_is_told_before_anything_is_fetched(
    hub: Hub, declare: Declare, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(interpreter.VARIABLE, "/nowhere/python")
    hub.add("lab/pickled", FILES | {HEAD: PICKLE})
    plain = declare(repository="lab/pickled")
    carry.require_convertible([plain], [], cache)
    model = pin_now(declare(repository="lab/pickled", text=CONVERSION, files=["*.json", HEAD]), cache)
    artifacts, _ = plan_models(["tiny"])
    with pytest.raises(BuildError, match="interpreter for conversions"):
        carry.require_convertible([model], artifacts, cache)
    assert HEAD not in hub.sent


def test_only_what_the_declaration_carries_goes_into_the_bundle(
    hub: Hub, declare: Declare, cache: Cache, converter: list[Conversion]
) -> None:
    hub.add("lab/pickled", FILES | {HEAD: PICKLE})
    model = declare(
        repository="lab/pickled",
        text=CONVERSION,
        files=["*.json", HEAD],
        carry=["config.json", "sparse_linear.safetensors"],
    )
    files, _ = carried(cache, pin_now(model, cache))
    assert [item.entry.path for item in files] == [
        "07_Models/llm/config.json",
        "07_Models/llm/sparse_linear.safetensors",
        "07_Models/llm/PROVENANCE.json",
    ]


def test_a_file_that_the_bundle_should_get_and_does_not_is_named(
    hub: Hub, declare: Declare, cache: Cache
) -> None:
    model = pin_now(declare(carry=["config.json", "sparse_linear.safetensors"]), cache)
    with pytest.raises(BuildError) as caught:
        carried(cache, model)
    assert "tiny/sparse_linear.safetensors: 'carry' names it" in caught.value.render("en")


def test_problems_of_all_models_are_told_at_once(hub: Hub, declare: Declare, cache: Cache) -> None:
    hub.add("lab/coded", FILES | {"config.json": b'{"auto_map": {"AutoModel": "m.M"}}'})
    hub.add("lab/broken", FILES | {"model.safetensors": PICKLE})
    models = [
        pin_now(declare(name, repository=f"lab/{name}", folder=name), cache) for name in ("coded", "broken")
    ]
    with pytest.raises(BuildError) as caught:
        carried(cache, *models)
    text = caught.value.render("en")
    assert "coded/config.json: 'auto_map'" in text and "broken/model.safetensors: a pickle" in text


def test_a_waiver_and_who_gave_it_stand_in_the_record(hub: Hub, declare: Declare, cache: Cache) -> None:
    hub.add("lab/coded", FILES | {"config.json": b'{"auto_map": {"AutoModel": "m.M"}}'})
    waiver = '[[waivers]]\nfile = "config.json"\nreason = "the loader ignores it"\nby = "kim"\n'
    record = provenance(carried(cache, pin_now(declare(repository="lab/coded", text=waiver), cache))[0])
    assert record["waivers"] == [{"file": "config.json", "reason": "the loader ignores it", "by": "kim"}]
    assert record["waived"] == [{"path": "config.json", "reason": "'auto_map' names Python code to run"}]
