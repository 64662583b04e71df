"""Models of an installation: every defect is found, by the check that is about it, and a sound one passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.hashing import sha256_bytes
from tests.validator import toy_models
from tests.validator.fakes import Installation, run, status
from tests.validator.toy_models import GOLDEN, GRAPH, Files, embedding, language_model, reranker
from validator.checks import model_speed, models
from validator.checks.models import (
    complete,
    digests,
    golden_colbert,
    golden_dense,
    golden_sparse,
    load,
)
from validator.engine import run_checks
from validator.host import carried, facts
from validator.model import Check, Outcome, Status
from validator.subject import Subject

FILE_CHECKS = (complete, digests)
RUN_CHECKS = (load, golden_dense, golden_sparse, golden_colbert)
SPEED_CHECKS = (model_speed.load_time, model_speed.embedding_rate)
Spoil = Callable[[Installation], None]


def sound(root: Path, **changes: Any) -> Installation:
    return toy_models.install(root, {"embedding": embedding(), "reranker": reranker()}, **changes)


def of(made: Installation, *wanted: Check) -> dict[str, Outcome]:
    """Run checks as one child does, on one subject."""
    subject = made.subject()
    return {item.id: run(item, subject) for item in wanted}


def told(found: dict[str, Outcome]) -> dict[str, str]:
    return {name: outcome.status.value for name, outcome in found.items()}


def graph_of(made: Installation) -> Path:
    return toy_models.installed(made, f"07_Models/bge-m3/{GRAPH}")


def beside(made: Installation, name: str) -> Path:
    return toy_models.installed(made, f"07_Models/bge-m3/{name}")


def rewrite(path: Path, data: bytes) -> None:
    """Change a file of the generation alone: its object in the store keeps its bytes."""
    path.unlink()
    path.write_bytes(data)


def test_a_sound_installation_passes(tmp_path: Path) -> None:
    found = of(sound(tmp_path / "p"), *FILE_CHECKS, *RUN_CHECKS, *SPEED_CHECKS)
    assert set(told(found).values()) == {"pass"}, {n: o.details.en for n, o in found.items()}
    assert found["RAG-012"].measured.startswith("2 of 2 graphs")
    assert found["RAG-013"].measured == "cosine 1.00000 over 4 texts"
    assert "texts of 48 tokens" in found["PERF-007"].measured
    assert found["PERF-006"].figures["model_load_s"] > 0


def test_a_release_without_models_skips_every_check(installation: Installation) -> None:
    found = of(installation, *models.CHECKS, *SPEED_CHECKS, model_speed.generation_rate)
    assert set(told(found).values()) == {"skip"}
    assert {outcome.details for outcome in found.values()} == {models.NO_MODELS, models.NO_LANGUAGE_MODEL}


def test_a_release_with_a_language_model_alone_has_no_graph(tmp_path: Path) -> None:
    made = toy_models.install(tmp_path / "p", {"llm": language_model()})
    found = told(of(made, *FILE_CHECKS, *RUN_CHECKS, *SPEED_CHECKS))
    assert found.pop("RAG-010") == found.pop("RAG-011") == "pass"
    assert set(found.values()) == {"skip"}


def test_an_environment_without_the_runtime_skips_and_says_how_to_have_it(tmp_path: Path) -> None:
    found = of(sound(tmp_path / "p", runtime=False), *RUN_CHECKS, *SPEED_CHECKS)
    assert set(told(found).values()) == {"skip"}
    assert (
        "no ONNX Runtime" in found["RAG-013"].details.en and "extra 'models'" in found["RAG-013"].details.en
    )


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["sparse_linear.safetensors", "colbert_linear.safetensors", "tokenizer.json", GRAPH, GOLDEN],
)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    made = sound(tmp_path / "p")
    beside(made, name).unlink()
    found = of(made, *FILE_CHECKS)
    assert told(found) == {"RAG-010": "fail", "RAG-011": "fail"}
    assert f"07_Models/bge-m3/{name} missing" in found["RAG-010"].details.en
    assert found["RAG-010"].remedy == "extract-model"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda files: files.pop("sparse_linear.safetensors"), "no sparse_linear.safetensors"),
        (lambda files: files.pop("colbert_linear.safetensors"), "no colbert_linear.safetensors"),
        (lambda files: files.pop("tokenizer.json"), "no tokenizer (tokenizer.json)"),
        (lambda files: files.pop(GOLDEN), "no golden vectors"),
        (lambda files: files.pop(GRAPH), "no weights"),
        (
            lambda files: files.update(
                {GRAPH: toy_models.graph("bge-m3-onnx", location="model_int8.onnx.data")}
            ),
            f"no model_int8.onnx.data, which {GRAPH} names",
        ),
    ],
    ids=["sparse head", "colbert head", "tokenizer", "golden", "weights", "external data"],
)
def test_a_part_that_was_never_carried_is_named(
    spoil: Callable[[Files], Any], said: str, tmp_path: Path
) -> None:
    files = embedding()
    spoil(files)
    found = run(complete, toy_models.install(tmp_path / "p", {"embedding": files}).subject())
    assert found.status is Status.FAIL and f"toy-embedding: {said}" in found.details.en


def test_weights_beside_the_graph_are_found(tmp_path: Path) -> None:
    files = embedding(location="model_int8.onnx.data") | {"onnx/model_int8.onnx.data": b"weights"}
    assert status(complete, toy_models.install(tmp_path / "p", {"embedding": files}).subject()) is Status.PASS


def test_an_embedding_model_without_heads_of_its_own_is_complete(tmp_path: Path) -> None:
    files = {name: data for name, data in embedding().items() if "linear" not in name}
    assert status(complete, toy_models.install(tmp_path / "p", {"embedding": files}).subject()) is Status.PASS


def test_a_shard_that_the_index_names_is_needed(tmp_path: Path) -> None:
    index = json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    )
    files = {
        "model.safetensors.index.json": index.encode(),
        "model-00001-of-00002.safetensors": b"x",
        "tokenizer.json": b"{}",
    }
    found = run(complete, toy_models.install(tmp_path / "p", {"llm": files}).subject())
    assert found.status is Status.FAIL and "no model-00002-of-00002.safetensors" in found.details.en


def test_a_linked_file_is_hashed_once(tmp_path: Path) -> None:
    made = sound(tmp_path / "p")
    found = run(digests, made.subject())
    entries = made.subject().manifest.files  # type: ignore[union-attr]
    assert found.measured.startswith(f"{len({entry.sha256 for entry in entries})} files")


def test_a_changed_store_object_is_found_in_the_store_alone(tmp_path: Path) -> None:
    made = sound(tmp_path / "p")
    digest = sha256_bytes(graph_of(made).read_bytes())
    stored = made.root / "store" / "sha256" / digest[:2] / digest
    data = stored.read_bytes()
    rewrite(stored, data[:-1] + b"?")
    found = of(made, *FILE_CHECKS)
    assert told(found) == {"RAG-010": "pass", "RAG-011": "fail"}
    assert f"store/{digest[:12]}" in found["RAG-011"].details.en and found["RAG-011"].measured.startswith(
        "1 changed"
    )


def test_a_lost_store_object_is_a_warning(tmp_path: Path) -> None:
    made = sound(tmp_path / "p")
    digest = sha256_bytes(graph_of(made).read_bytes())
    (made.root / "store" / "sha256" / digest[:2] / digest).unlink()
    found = run(digests, made.subject())
    assert found.status is Status.WARN and "a repair would need the bundle" in found.details.en


def test_one_flipped_bit_is_found_though_the_size_is_right(tmp_path: Path) -> None:
    made = sound(tmp_path / "p")
    data = bytearray(graph_of(made).read_bytes())
    data[-1] ^= 1
    rewrite(graph_of(made), bytes(data))
    assert told(of(made, *FILE_CHECKS)) == {"RAG-010": "pass", "RAG-011": "fail"}


def test_a_link_in_place_of_a_model_file_is_no_model_file(tmp_path: Path) -> None:
    made = sound(tmp_path / "p")
    copy = tmp_path / "elsewhere"
    copy.write_bytes(graph_of(made).read_bytes())
    graph_of(made).unlink()
    graph_of(made).symlink_to(copy)
    assert told(of(made, *FILE_CHECKS)) == {"RAG-010": "fail", "RAG-011": "fail"}


# --- running ----------------------------------------------------------------------------------------------


def truncated(made: Installation) -> None:
    rewrite(graph_of(made), graph_of(made).read_bytes()[:10])


def no_golden(made: Installation) -> None:
    beside(made, GOLDEN).unlink()


def damaged_golden(made: Installation) -> None:
    rewrite(beside(made, GOLDEN), b'{"format": 1}')


def other_tokenizer(made: Installation) -> None:
    rewrite(beside(made, "tokenizer.json"), b'{"shift": 1}')


def no_tokenizer(made: Installation) -> None:
    beside(made, "tokenizer.json").unlink()


def swapped(made: Installation) -> None:
    rewrite(graph_of(made), toy_models.graph("bge-m3-onnx", seed=0.61))


def swapped_for_a_reranker(made: Installation) -> None:
    rewrite(graph_of(made), toy_models.graph("cross-encoder-onnx"))


def broken_runtime(made: Installation) -> None:
    (made.site / "onnxruntime" / "__init__.py").write_text(
        "raise ImportError('libonnxruntime.so: no such file')\n"
    )


@pytest.mark.parametrize(
    ("spoil", "expected", "said"),
    [
        (truncated, ("fail", "skip", "skip", "skip"), {"RAG-012": "Protobuf parsing failed"}),
        (no_golden, ("pass", "fail", "fail", "fail"), {"RAG-013": "RAG-010"}),
        (damaged_golden, ("pass", "fail", "fail", "fail"), {"RAG-013": "KeyError"}),
        (other_tokenizer, ("pass", "fail", "fail", "fail"), {"RAG-013": "tokenizer: text 1: token 2 is"}),
        (no_tokenizer, ("pass", "fail", "fail", "fail"), {"RAG-014": "tokenizer"}),
        (swapped, ("pass", "fail", "fail", "fail"), {"RAG-013": "cosine", "RAG-014": "cosine"}),
        (swapped_for_a_reranker, ("fail", "fail", "fail", "fail"), {"RAG-012": "output dense missing"}),
        (broken_runtime, ("fail", "skip", "skip", "skip"), {"RAG-012": "libonnxruntime.so"}),
    ],
    ids=lambda item: item.__name__ if callable(item) else "",
)
def test_damage_is_found_by_running(
    spoil: Spoil, expected: tuple[str, ...], said: dict[str, str], tmp_path: Path
) -> None:
    made = sound(tmp_path / "p")
    spoil(made)
    found = of(made, *RUN_CHECKS)
    assert tuple(told(found).values()) == expected, {n: o.details.en for n, o in found.items()}
    for identity, words in said.items():
        assert words in found[identity].details.en


@pytest.mark.parametrize(
    ("spoil", "expected", "said"),
    [
        # Weights of zero: behind the biases every text looks the same.
        (
            {"seed": 0.0},
            ("pass", "fail", "fail", "fail"),
            {"RAG-013": "the same vector for every text", "RAG-014": "zero vector"},
        ),
        (
            {"defect": "NaN"},
            ("pass", "fail", "fail", "fail"),
            {"RAG-013": "NaN", "RAG-014": "NaN", "RAG-015": "NaN"},
        ),
        ({"defect": "infinite"}, ("pass", "fail", "fail", "fail"), {"RAG-013": "infinite"}),
        (
            {"defect": "zero"},
            ("pass", "fail", "fail", "fail"),
            {"RAG-013": "zero vector", "RAG-015": "zero vector"},
        ),
        (
            {"defect": "constant"},
            ("pass", "fail", "fail", "fail"),
            {"RAG-013": "constant vector", "RAG-014": "constant vector"},
        ),
        ({"defect": "long"}, ("pass", "fail", "fail", "fail"), {"RAG-013": "length 1.5000, golden 1.0000"}),
        ({"defect": "short"}, ("pass", "fail", "fail", "fail"), {"RAG-013": "7 numbers, golden 8"}),
        ({"defect": "fails"}, ("fail", "skip", "skip", "skip"), {"RAG-012": "Gather index out of bounds"}),
        ({"defect": "no sparse"}, ("fail", "pass", "fail", "pass"), {"RAG-012": "output sparse missing"}),
        ({"defect": "third input"}, ("fail", "pass", "pass", "pass"), {"RAG-012": "token_type_ids"}),
        ({"defect": "crash"}, ("fail", "skip", "skip", "skip"), {"RAG-012": "ended with code 139"}),
    ],
    ids=lambda item: ", ".join(map(str, item.values())) if isinstance(item, dict) else "",
)
def test_a_model_that_the_manifest_vouches_for_is_found_by_running(
    spoil: dict[str, Any], expected: tuple[str, ...], said: dict[str, str], tmp_path: Path
) -> None:
    made = toy_models.install(tmp_path / "p", {"embedding": embedding(**spoil)})
    found = of(made, *RUN_CHECKS)
    assert tuple(told(found).values()) == expected, {n: o.details.en for n, o in found.items()}
    for identity, words in said.items():
        assert words in found[identity].details.en, found[identity].details.en
    assert told(of(made, *FILE_CHECKS)) == {"RAG-010": "pass", "RAG-011": "pass"}


def test_a_graph_that_hangs_ends_with_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "PROBE_S", 1.0)
    made = toy_models.install(tmp_path / "p", {"embedding": embedding(defect="hang")})
    found = of(made, *RUN_CHECKS)
    assert tuple(told(found).values()) == ("fail", "skip", "skip", "skip")
    assert "did not end within 1 s" in found["RAG-012"].details.en


def test_models_are_not_loaded_where_the_service_would_lose_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "memory_bytes", lambda: (8_000_000_000, 100_000_000))
    made = sound(tmp_path / "p")
    found = of(made, *RUN_CHECKS, *SPEED_CHECKS)
    assert set(told(found).values()) == {"unknown"} and found["RAG-012"].remedy == "more-resources"
    assert found["RAG-012"].measured == "0.1 GB available, 0.4 GB needed"


@pytest.mark.parametrize(("defect", "said"), [("NaN", "NaN"), ("long", "length"), ("", "")])
def test_a_rerankers_golden_scores_belong_to_loading(defect: str, said: str, tmp_path: Path) -> None:
    made = toy_models.install(tmp_path / "p", {"reranker": reranker(defect=defect)})
    found = of(made, *RUN_CHECKS)
    assert found["RAG-012"].status is (Status.FAIL if defect else Status.PASS)
    assert said in found["RAG-012"].details.en
    assert {found[name].status for name in ("RAG-013", "RAG-014", "RAG-015")} == {Status.SKIP}


def counted_probes(monkeypatch: pytest.MonkeyPatch) -> list[Subject]:
    """Let the probe run as it is, and return the list of its runs."""
    calls: list[Subject] = []
    real = carried.run_probe

    def counted(subject: Subject) -> dict[str, Any]:
        calls.append(subject)
        return real(subject)

    monkeypatch.setattr(carried, "run_probe", counted)
    return calls


def test_one_run_of_the_graphs_serves_every_check_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sound(tmp_path / "p")
    calls = counted_probes(monkeypatch)
    scratch = tmp_path / "scratch"
    scratch.mkdir(mode=0o700)
    for group in (RUN_CHECKS, SPEED_CHECKS):
        subject = made.subject()
        subject.scratch = scratch
        assert {status(item, subject) for item in group} == {Status.PASS}
    assert len(calls) == 1


def test_children_of_one_run_share_the_probe(tmp_path: Path) -> None:
    made = toy_models.install(tmp_path / "p", {"embedding": embedding(defect="counted")})
    wanted = (*RUN_CHECKS, *SPEED_CHECKS)
    found = run_checks(
        wanted, made.subject(), modules=("validator.checks.models", "validator.checks.model_speed")
    )
    assert {one.status for one in found} == {Status.PASS}
    runs = graph_of(made).with_name("model_int8.onnx.runs")
    assert runs.read_text(encoding="ascii") == "x"


def test_the_environment_is_left_as_it_was(tmp_path: Path) -> None:
    made = sound(tmp_path / "p")
    before = sorted(made.generation.rglob("*"))
    of(made, *RUN_CHECKS, *SPEED_CHECKS)
    assert sorted(made.generation.rglob("*")) == before


# --- speed ------------------------------------------------------------------------------------------------


def test_slow_models_are_measured_again_before_they_warn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = toy_models.install(
        tmp_path / "p",
        {"embedding": embedding(defect="slow")},
        expectations={"model_load_s": "0.001", "embedding_texts_per_s": "999999999"},
    )
    calls = counted_probes(monkeypatch)
    found = of(made, *SPEED_CHECKS)
    assert set(told(found).values()) == {"warn"} and len(calls) == 2
    assert found["PERF-006"].remedy == "more-resources"


def test_models_that_do_not_run_are_not_measured(tmp_path: Path) -> None:
    made = toy_models.install(tmp_path / "p", {"embedding": embedding(defect="crash")})
    assert set(told(of(made, *SPEED_CHECKS)).values()) == {"skip"}


# --- of the running service -------------------------------------------------------------------------------

CHAT = {"choices": [{"message": {"content": "서울입니다."}}], "usage": {"completion_tokens": 30}}


@pytest.mark.parametrize(
    ("facts", "answer", "speed"),
    [
        ({"chat": CHAT, "chat_status": 200}, "pass", "pass"),
        ({"chat_status": 404}, "skip", "skip"),
        ({"chat_status": 401}, "skip", "skip"),
        ({"chat_status": 503}, "unknown", "skip"),
        ({"chat_status": 500}, "fail", "skip"),
        ({"chat": {"choices": [{"message": {"content": ""}}]}, "chat_status": 200}, "fail", "unknown"),
        ({"chat": {"choices": "?"}, "chat_status": 200}, "fail", "unknown"),
    ],
    ids=["answers", "no such call", "token", "busy", "error", "empty", "nonsense"],
)
def test_a_language_model_answers(facts: dict[str, Any], answer: str, speed: str, tmp_path: Path) -> None:
    made = toy_models.install(tmp_path / "p", {"llm": language_model()}, runtime=False)
    made.facts(**facts)
    with made.serving():
        found = told(of(made, models.language_model, model_speed.generation_rate))
    assert found == {"RAG-016": answer, "PERF-009": speed}


def test_a_stopped_service_is_another_checks_finding(tmp_path: Path) -> None:
    made = toy_models.install(tmp_path / "p", {"llm": language_model()}, runtime=False)
    found = of(made, models.language_model, model_speed.generation_rate, model_speed.retrieval_time)
    assert set(told(found).values()) == {"skip"}
    assert "RAG-004" in found["RAG-016"].details.en and "RAG-004" in found["PERF-008"].details.en


@pytest.mark.parametrize(
    ("events", "expected"),
    [(["reference", "answer", "end"], "pass"), (["error", "end"], "skip"), ([], "skip")],
    ids=["reference", "error", "no such call"],
)
def test_retrieval_is_timed_to_the_reference_event(
    events: list[str], expected: str, running: Installation
) -> None:
    running.facts(events=events)
    found = run(model_speed.retrieval_time, running.subject())
    assert found.status.value == expected
    assert (found.figures.get("retrieval_ms", 0.0) > 0) is (expected == "pass")
