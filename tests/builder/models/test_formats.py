"""Hostile and broken model files, each refused by name; sound ones pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builder.models.formats import Inspection, inspect, name_findings
from builder.models.spec import FORMATS
from tests.builder.models.conftest import Declare, in_folder
from tests.support.model_files import (
    PICKLE,
    TORCH_ZIP,
    field,
    gguf,
    onnx,
    safetensors,
    sentencepiece,
    with_header,
)


def looked(
    declare: Declare, folder: Path, files: dict[str, bytes], text: str = "", **keys: Any
) -> Inspection:
    in_folder(folder, files)
    model = declare(text=text, formats=list(FORMATS), **keys)
    return inspect(model, {path: folder / path for path in files})


def problems(declare: Declare, folder: Path, files: dict[str, bytes], **keys: Any) -> str:
    found = looked(declare, folder, files, **keys)
    return "\n".join(item.text().en for item in found.findings)


def test_sound_files_of_every_format_pass(declare: Declare, tmp_path: Path) -> None:
    found = looked(
        declare,
        tmp_path / "model",
        {
            "model.safetensors": safetensors(
                {"a": bytes(8), "b": b"", "c": bytes(24)}, __metadata__={"format": "pt"}
            ),
            "model.gguf": gguf(),
            "onnx/model.onnx": onnx("model.onnx.data", offset=16, length=16, nested=True),
            "onnx/model.onnx.data": bytes(32),
            "tokenizer.model": sentencepiece(),
            "tokenizer.json": b'{"vocab": {"auto_map": 12}}',
            "modules.json": b'[{"type": "sentence_transformers.models.Pooling"}]',
            "LICENSE": "라이선스".encode(),
        },
    )
    assert not found.findings
    assert [(item.path, item.what.en) for item in found.reviews] == [("model.gguf", "chat template (Jinja)")]


F32 = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"short", "no header length"),
        ((2**63).to_bytes(8, "little") + b"{}", "beyond the limit"),
        (with_header(b"{}", bytes(4)), "end at byte 0 of 4"),
        (with_header(b"[]"), "no JSON object"),
        (with_header(b'{"a": '), "no JSON"),
        (with_header(b'{"a": {}, "a": {}}'), "duplicate key"),
        (with_header(b"{" + b'"a":{' * 100_000), "no JSON"),
        (with_header(json.dumps({"w": F32 | {"dtype": "F99"}}).encode(), bytes(16)), "unknown type"),
        (with_header(json.dumps({"w": F32 | {"shape": [5]}}).encode(), bytes(16)), "contradicts"),
        (with_header(json.dumps({"w": F32 | {"shape": [-4]}}).encode(), bytes(16)), "wrong shape"),
        (with_header(json.dumps({"w": F32 | {"shape": [True, 4]}}).encode(), bytes(16)), "wrong shape"),
        (with_header(json.dumps({"w": F32 | {"data_offsets": [4, 20]}}).encode(), bytes(20)), "gap"),
        (with_header(json.dumps({"w": F32, "v": F32}).encode(), bytes(16)), "overlaps"),
        (with_header(json.dumps({"w": F32}).encode(), bytes(12)), "of 12"),
        (with_header(json.dumps({"w": F32 | {"more": 1}}).encode(), bytes(16)), "wrong keys"),
        (with_header(json.dumps({"__metadata__": {"a": 1}}).encode()), "text to text"),
        (PICKLE, "a pickle"),
        (TORCH_ZIP, "ZIP"),
    ],
)
def test_a_broken_safetensors_file_is_refused(
    declare: Declare, tmp_path: Path, data: bytes, reason: str
) -> None:
    assert reason in problems(declare, tmp_path / "model", {"model.safetensors": data})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GGML" + bytes(40), "magic"),
        (gguf(version=9), "version 9"),
        (gguf(tensors=2**40), "counts"),
        (gguf(tensors=50), "too early"),
        (gguf(keys=("general.architecture", "general.architecture")), "twice"),
        (gguf(offsets=(0, 64)), "overlaps"),
        (gguf(offsets=(0, 4)), "not aligned"),
        (gguf(offsets=(0, 1 << 40)), "beyond the end"),
        (gguf(tail=128), "beyond the end"),
        (gguf()[:60], "too early"),
        (
            b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + (1).to_bytes(8, "little") + b"\xff" * 8,
            "beyond the limit",
        ),
    ],
)
def test_a_broken_gguf_file_is_refused(declare: Declare, tmp_path: Path, data: bytes, reason: str) -> None:
    assert reason in problems(declare, tmp_path / "model", {"model.gguf": data})


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("../../etc/shadow", "outside the folder"),
        ("/etc/shadow", "outside the folder"),
        ("other.data", "missing or outside"),
        ("C:\\windows\\win.ini", "outside the folder"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_graph_that_reads_other_files_is_refused(
    declare: Declare, tmp_path: Path, location: str, reason: str, nested: bool
) -> None:
    files = {"model.onnx": onnx(location, nested=nested), "model.onnx.data": bytes(8)}
    assert reason in problems(declare, tmp_path / "model", files)


def test_external_data_that_is_too_short_is_refused(declare: Declare, tmp_path: Path) -> None:
    files = {"model.onnx": onnx("model.onnx.data", offset=8, length=8), "model.onnx.data": bytes(12)}
    assert "too short" in problems(declare, tmp_path / "model", files)


def test_external_data_without_a_graph_is_refused(declare: Declare, tmp_path: Path) -> None:
    assert "no ONNX graph" in problems(declare, tmp_path / "model", {"model.onnx.data": bytes(12)})


@pytest.mark.parametrize("data", [b"", b"plain text", field(1, 8), onnx()[:-3], b"\xff" * 40])
def test_what_is_no_graph_is_refused(declare: Declare, tmp_path: Path, data: bytes) -> None:
    assert problems(declare, tmp_path / "model", {"model.onnx": data})


def test_operators_of_others_are_for_the_reviewer(declare: Declare, tmp_path: Path) -> None:
    found = looked(declare, tmp_path / "model", {"model.onnx": onnx(domain="evil.ops")})
    assert not found.findings
    assert [item.what.en for item in found.reviews] == ["operators of the domain evil.ops"]


@pytest.mark.parametrize("name", ["tokenizer.model", "config.json", "vocab.txt", "model.gguf", "model.onnx"])
@pytest.mark.parametrize("data", [PICKLE, TORCH_ZIP, b"\x93NUMPY\x01\x00"])
def test_a_pickle_is_recognised_under_every_name(
    declare: Declare, tmp_path: Path, name: str, data: bytes
) -> None:
    text = problems(declare, tmp_path / "m", {name: data})
    assert any(word in text for word in ("pickle", "ZIP", "NumPy"))


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "a.pt", "a.pth", "a.ckpt", "a.pkl", "a.joblib", "A.PT"]
)
def test_pickle_formats_are_refused_by_name(declare: Declare, name: str) -> None:
    (found,) = name_findings([name], declare())
    assert found.waivable and "pickle" in found.reason.en


@pytest.mark.parametrize("name", ["modeling_x.py", "run.sh", "lib.so", "evil.DLL", "setup.ipynb"])
def test_code_is_refused_by_name(declare: Declare, name: str) -> None:
    (found,) = name_findings([name], declare())
    assert "code" in found.reason.en


@pytest.mark.parametrize("name", ["model.h5", "weights.zip", "model", "model.exe.", "a.tar.gz"])
def test_unknown_formats_are_refused_and_cannot_be_waived(declare: Declare, name: str) -> None:
    found = name_findings([name], declare())
    assert found and not any(item.waivable for item in found)


@pytest.mark.parametrize(
    "name",
    [
        "../up.json",
        "/etc/up.json",
        "a\\b.json",
        "con.json",
        "a/../b.json",
        "a//b.json",
        "x:y.json",
        "dot./a.json",
    ],
)
def test_tricks_in_names_are_refused(declare: Declare, name: str) -> None:
    assert name_findings([name], declare())


def test_names_that_differ_in_case_only_are_refused(declare: Declare) -> None:
    found = name_findings(["config.json", "Config.json"], declare())
    assert [item.reason.en for item in found] == ["collides with another name"]


@pytest.mark.parametrize(
    "document",
    [
        {"auto_map": {"AutoModel": "modeling_x.X"}},
        {"a": [{"b": {"auto_map": "modeling_x.X"}}]},
        {"custom_pipelines": {"x": {"impl": "pipe.X"}}},
    ],
)
def test_configuration_that_names_code_is_refused(
    declare: Declare, tmp_path: Path, document: dict[str, object]
) -> None:
    assert "Python code" in problems(declare, tmp_path / "m", {"config.json": json.dumps(document).encode()})


def test_code_hidden_behind_a_second_key_is_refused(declare: Declare, tmp_path: Path) -> None:
    data = b'{"auto_map": {"AutoModel": "m.X"}, "auto_map": 1}'
    assert "duplicate key" in problems(declare, tmp_path / "m", {"config.json": data})


VOCABULARY = {f"토큰{number}😀": number for number in range(200_000)}


@pytest.mark.parametrize(
    ("hidden", "reason"),
    [({}, ""), ({"added": [{"auto_map": {"A": "m.A"}}]}, "Python code"), ({"auto_map": 7}, "")],
)
def test_code_is_found_in_a_large_tokenizer_too(
    declare: Declare, tmp_path: Path, hidden: dict[str, object], reason: str
) -> None:
    data = json.dumps({"model": {"vocab": VOCABULARY}} | hidden, ensure_ascii=False).encode()
    assert len(data) > 5_000_000
    text = problems(declare, tmp_path / "m", {"tokenizer.json": data})
    assert (reason in text) if reason else not text
    damaged = problems(
        declare, tmp_path / "m", {"tokenizer.json": data.replace("😀".encode(), b"\xf0\x9f", 1)}
    )
    assert "not UTF-8" in damaged
    cut = problems(declare, tmp_path / "m", {"tokenizer.json": data[:-1]})
    assert "no JSON" in cut


def test_a_large_index_still_names_its_shards(declare: Declare, tmp_path: Path) -> None:
    names = {f"layer.{number}.weight": "gone.safetensors" for number in range(150_000)}
    files = {"model.safetensors.index.json": json.dumps({"weight_map": names}).encode()}
    assert "'gone.safetensors', which is missing" in problems(declare, tmp_path / "m", files)


def test_a_module_of_somebody_else_is_refused(declare: Declare, tmp_path: Path) -> None:
    data = b'[{"type": "custom_st.Transformer"}]'
    assert "somebody else" in problems(declare, tmp_path / "m", {"modules.json": data})


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("config.json", b"{"),
        ("config.json", b'{"a": "\xff"}'),
        ("config.json", b"[" * 200_000),
        ("README.md", b"\xff\xfe"),
        ("README.md", b"a\0b"),
        ("tokenizer.model", b"just text"),
        ("tokenizer.model", b""),
    ],
)
def test_documents_that_are_none_are_refused(
    declare: Declare, tmp_path: Path, name: str, data: bytes
) -> None:
    assert problems(declare, tmp_path / "m", {name: data})


def test_an_index_whose_shard_is_missing_is_refused(declare: Declare, tmp_path: Path) -> None:
    files = {
        "model.safetensors.index.json": b'{"weight_map": {"a": "model-1.safetensors", "b": "../x.safetensors"}}',
        "model-1.safetensors": safetensors(),
    }
    assert "'../x.safetensors', which is missing" in problems(declare, tmp_path / "m", files)


def test_a_waiver_lets_its_file_through_and_is_recorded(declare: Declare, tmp_path: Path) -> None:
    files = {"config.json": b'{"auto_map": {"A": "m.A"}}', "m.py": b"class A: ...\n", "other.py": b"\n"}
    waivers = "".join(
        f'[[waivers]]\nfile = "{path}"\nreason = "read by hand"\nby = "kim"\n'
        for path in ("config.json", "m.py")
    )
    found = looked(declare, tmp_path / "m", files, text=waivers)
    assert [item.path for item in found.findings] == ["other.py"]
    assert {item.path for item in found.waived} == {"config.json", "m.py"}


def test_all_problems_are_told_at_once(declare: Declare, tmp_path: Path) -> None:
    files = {"a.json": b"{", "b.safetensors": b"x", "c.gguf": b"x", "d.py": b""}
    found = looked(declare, tmp_path / "m", files)
    assert {item.path for item in found.findings} == set(files)
