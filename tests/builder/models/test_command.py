"""The command line: list, pin, fetch, check, convert, in both languages and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builder.cache import Cache, open_default
from builder.cli import main
from builder.models import spec
from builder.models.carry import stage_models
from builder.models.planning import plan_models
from bundle import layout
from bundle.manifest import Manifest
from tests.builder.models.conftest import FILES, REPOSITORY, Declare, in_folder, pin_now
from tests.support.hub import Hub, sha256
from tests.support.trees import manifest_of

WEIGHTS = "model.safetensors"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["models", *words, "--lang", "en"])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["models", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_list_shows_what_is_pinned(
    hub: Hub, declare: Declare, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    model = pin_now(declare(), cache)
    declare("other", role="reranker", gated=True)
    code, text = run(capsys, "list")
    assert code == 0
    other, tiny = text.splitlines()[1:3]
    assert "reranker" in other and "yes" in other and other.rstrip().endswith("-")
    assert model.commit[:12] in tiny and "MB" in tiny
    assert [item["pinned"] for item in answered(capsys, "list")] == [False, True]


def test_pin_fetch_and_check_one_after_the_other(
    hub: Hub, declare: Declare, capsys: pytest.CaptureFixture[str]
) -> None:
    declare()
    code, text = run(capsys, "check", "tiny")
    assert code == 20 and "models pin tiny" in text
    code, text = run(capsys, "pin", "tiny")
    assert code == 0 and sha256(FILES[WEIGHTS]) in text and str(spec.PINS / "tiny.json") in text
    code, text = run(capsys, "check", "tiny")
    assert code == 10 and "model.safetensors: not fetched" in text
    assert answered(capsys, "fetch", "tiny")["fetched"] == len(FILES[WEIGHTS])
    code, text = run(capsys, "check", "tiny")
    assert code == 0 and "tiny: sound" in text and "chat template" in text


def test_check_finds_and_removes_a_poisoned_file(
    hub: Hub, declare: Declare, capsys: pytest.CaptureFixture[str]
) -> None:
    declare()
    run(capsys, "pin", "tiny")
    run(capsys, "fetch", "tiny")
    place = open_default().path(sha256(FILES[WEIGHTS]))
    place.write_bytes(FILES[WEIGHTS][:-1] + b"\0")
    code, text = run(capsys, "check")
    assert code == 10 and "tiny/model.safetensors: its bytes differ" in text and not place.exists()


def test_check_compares_a_folder_with_the_pins(
    hub: Hub, declare: Declare, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    declare()
    run(capsys, "pin", "tiny")
    folder = in_folder(tmp_path / "given", FILES)
    assert run(capsys, "check", "tiny", "--folder", str(folder))[0] == 0
    (folder / WEIGHTS).write_bytes(bytes(10))
    (folder / "README.md").unlink()
    code, text = run(capsys, "check", "tiny", "--folder", str(folder))
    assert code == 10 and "its bytes differ" in text and "README.md: missing" in text


def test_check_looks_into_an_unpacked_bundle(
    hub: Hub, declare: Declare, cache: Cache, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = pin_now(declare(), cache)
    artifacts, _ = plan_models(["tiny"])
    from builder.models.fetch import fetch_models

    fetch_models(cache, artifacts, lambda count: None)
    files, models = stage_models([model], artifacts, cache)
    contents = {
        item.entry.path: item.source if isinstance(item.source, bytes) else item.source.read_bytes()
        for item in files
    }
    bundle = in_folder(tmp_path / "bundle", contents)
    plain = manifest_of(contents)
    manifest = Manifest(**{**vars(plain), "files": tuple(item.entry for item in files), "models": models})
    (bundle / layout.MANIFEST).write_bytes(manifest.to_bytes())
    code, text = run(capsys, "check", "--bundle", str(bundle))
    assert code == 0 and "tiny: sound" in text
    (bundle / "07_Models/llm" / WEIGHTS).write_bytes(bytes(10))
    code, text = run(capsys, "check", "--bundle", str(bundle))
    assert code == 10 and "model.safetensors: its bytes differ" in text
    code, text = run(capsys, "check", "nothing", "--bundle", str(bundle))
    assert code == 2 and "it carries: tiny" in text


def test_a_folder_is_pinned_and_fetched_without_a_hub(
    hub: Hub, declare: Declare, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    declare(repository="local")
    folder = in_folder(tmp_path / "given", FILES)
    assert run(capsys, "pin", "tiny", "--from", str(folder))[0] == 0
    code, text = run(capsys, "fetch", "tiny")
    assert code == 20 and "--model tiny=DIR" in text
    assert run(capsys, "fetch", "tiny", "--model", f"tiny={folder}")[0] == 0
    assert not hub.requests


def test_a_gated_model_is_pinned_with_a_token_file_that_nothing_prints(
    hub: Hub, declare: Declare, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    token = "hf_secretOfTheTest99"
    hub.add("lab/closed", FILES, gated=True)
    hub.tokens.add(token)
    declare(repository="lab/closed", gated=True)
    place = tmp_path / "token"
    place.write_text(token + "\n")
    code, text = run(capsys, "pin", "tiny", "--token-file", str(place), "--verbose")
    assert code == 21 and "accept its licence" in text and token not in text
    hub.repositories["lab/closed"].accepted.add(token)
    assert run(capsys, "pin", "tiny", "--token-file", str(place))[0] == 0
    assert run(capsys, "fetch", "tiny", "--token-file", str(place))[0] == 0


def test_convert_asks_for_what_was_not_fetched(
    hub: Hub, declare: Declare, capsys: pytest.CaptureFixture[str]
) -> None:
    declare()
    run(capsys, "pin", "tiny")
    code, text = run(capsys, "convert", "tiny")
    assert code == 20 and "models fetch tiny" in text


def test_an_unknown_model_is_a_usage_error(declare: Declare, capsys: pytest.CaptureFixture[str]) -> None:
    declare()
    code, text = run(capsys, "fetch", "tinny")
    assert code == 2 and "available: tiny" in text


def test_every_message_of_a_pinning_is_korean_too(
    hub: Hub, declare: Declare, capsys: pytest.CaptureFixture[str]
) -> None:
    declare()
    assert main(["models", "pin", "tiny", "--lang", "ko"]) == 0
    assert "검토하고 커밋하십시오" in capsys.readouterr().out
    assert REPOSITORY in (spec.PINS / "tiny.json").read_text(encoding="utf-8")
