"""The manifest: canonical when written, strict when read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundle import expectations, limits, names
from bundle.errors import IntegrityError
from bundle.manifest import DataFormat, parse_manifest
from tests.support.trees import FILES, manifest_of


def document() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(manifest_of(FILES).to_bytes())
    return data


def test_what_is_written_is_read_back_the_same() -> None:
    manifest = manifest_of(FILES)
    assert parse_manifest(manifest.to_bytes()) == manifest
    assert manifest.to_bytes() == manifest_of(FILES).to_bytes()


def test_unknown_fields_are_ignored_unless_critical() -> None:
    data = document()
    data["future"] = {"anything": [1, 2]}
    assert parse_manifest(json.dumps(data).encode()) == manifest_of(FILES)
    data["critical"] = ["future"]
    with pytest.raises(IntegrityError, match="critical"):
        parse_manifest(json.dumps(data).encode())


def with_path(path: str) -> dict[str, Any]:
    data = document()
    data["files"][1]["path"] = path
    return data


HOSTILE: dict[str, bytes] = {
    "not JSON": b"{",
    "not UTF-8": b'{"a": "\xff"}',
    "a list": b"[]",
    "nested too deeply": b"[" * 2000 + b"]" * 2000,
    "nested after a string of brackets": b'{"a": "[[[[\\\\", "b": ' + b"[" * 40 + b"]" * 40 + b"}",
    "duplicate key": json.dumps(document()).encode().replace(b'"version"', b'"product"', 1),
    "NaN": json.dumps(document()).encode().replace(b'"sequence": 7', b'"sequence": NaN'),
    "a float": json.dumps(document()).encode().replace(b'"sequence": 7', b'"sequence": 7.0'),
    "a huge integer": json.dumps(document())
    .encode()
    .replace(b'"sequence": 7', b'"sequence": ' + b"9" * 5000),
    "another format version": json.dumps(document())
    .encode()
    .replace(b'"format_version": 1', b'"format_version": 2'),
    "sequence zero": json.dumps(document()).encode().replace(b'"sequence": 7', b'"sequence": 0'),
    "a boolean for a number": json.dumps(document()).encode().replace(b'"sequence": 7', b'"sequence": true'),
    "a time that is none": json.dumps(document()).encode().replace(b"2026-11-20T", b"2026-13-40T"),
    "path with ..": json.dumps(with_path("04_Scripts/../../etc/passwd")).encode(),
    "absolute path": json.dumps(with_path("/etc/passwd")).encode(),
    "path outside the numbered folders": json.dumps(with_path("etc/passwd")).encode(),
    "path of the manifest": json.dumps(with_path("MANIFEST.json")).encode(),
    "a time in Arabic digits": json.dumps(document(), ensure_ascii=False)
    .encode()
    .replace(b"2026-11-20T", "٢٠٢٦-11-20T".encode()),
    "a time without its noughts": json.dumps(document()).encode().replace(b"2026-11-20T", b"2026-11-2T"),
    "half a character": json.dumps({**document(), "note": "x\ud800"}).encode(),
    "half a character in a name": json.dumps(with_path("03_Source/x\udc00")).encode(),
    "infinity": json.dumps(document()).encode().replace(b'"sequence": 7', b'"sequence": -Infinity'),
    "a large exponent": json.dumps(document()).encode().replace(b'"sequence": 7', b'"sequence": 1e400'),
    "a duplicate key deep inside": json.dumps(document()).encode().replace(b'"sha256"', b'"size"', 1),
    "a duplicate key under an escape": json.dumps(document())
    .encode()
    .replace(b'"version"', b'"\\u0070roduct"', 1),
    "advisories outside the bundle": json.dumps(
        {
            **document(),
            "advisories": {"path": "../../x", "date": "2026-11-20T00:00:00Z", "sha256": "0" * 64},
        }
    ).encode(),
    "bytes behind the document": json.dumps(document()).encode() + b"{}",
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(document()).encode(),
    "UTF-16": json.dumps(document()).encode("utf-16"),
    "a file twice": json.dumps(
        {**document(), "files": [*document()["files"], document()["files"][0]]}
    ).encode(),
    "backslash": json.dumps(with_path("04_Scripts\\install.py")).encode(),
    "Windows device": json.dumps(with_path("04_Scripts/NUL.txt")).encode(),
    "case collision": json.dumps(with_path("04_scripts/../x")).encode(),
    "file where a folder is": json.dumps(with_path("02_Dependencies/wheels")).encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_manifest_is_refused(name: str) -> None:
    with pytest.raises(IntegrityError, match="the manifest is refused"):
        parse_manifest(HOSTILE[name])


def test_a_manifest_over_the_limit_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MANIFEST_BYTES", 100)
    with pytest.raises(IntegrityError, match="larger than the limit"):
        parse_manifest(manifest_of(FILES).to_bytes())


@pytest.mark.parametrize("field", sorted(document()))
def test_every_field_is_required_or_typed(field: str) -> None:
    data = document()
    if field in ("expires", "service", "builds", "models", "advisories", "expectations"):
        data[field] = 3.5
    else:
        del data[field]
    with pytest.raises(IntegrityError):
        parse_manifest(json.dumps(data).encode())


def with_service(**changes: Any) -> bytes:
    data = document()
    data["service"].update(changes)
    return json.dumps(data).encode()


DATA = {"version": 3, "migrates": [1, 2], "migrate": ["migrate", "{data}"], "irreversible": [1]}


def test_a_data_format_is_read_and_an_older_manifest_has_none() -> None:
    found = parse_manifest(with_service(data=DATA, memory_limit_mb=512))
    assert found.service is not None
    assert found.service.data == DataFormat(3, (1, 2), ("migrate", "{data}"), (1,))
    assert found.service.memory_limit_mb == 512
    assert parse_manifest(found.to_bytes()) == found
    older = document()
    del older["service"]["data"], older["service"]["memory_limit_mb"]
    assert parse_manifest(json.dumps(older).encode()) == manifest_of(FILES)


@pytest.mark.parametrize(
    "changes",
    (
        {"version": 0},
        {"version": "3"},
        {"version": True},
        {"migrates": [3]},
        {"migrates": [1, 1]},
        {"migrates": [True]},
        {"migrates": 1},
        {"migrate": []},
        {"migrate": [1]},
        {"irreversible": [3]},
        {"irreversible": None},
    ),
    ids=str,
)
def test_a_data_format_that_does_not_agree_with_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="the manifest is refused"):
        parse_manifest(with_service(data={**DATA, **changes}))


def with_expectations(value: object) -> bytes:
    return json.dumps({**document(), "expectations": value}).encode()


def test_expectations_are_decimal_text_and_an_older_manifest_has_none() -> None:
    found = parse_manifest(with_expectations({"embedding_texts_per_s": "0.5", "of_a_newer_builder": "7"}))
    assert expectations.expected(found.expectations, "embedding_texts_per_s") == 0.5
    assert parse_manifest(found.to_bytes()) == found
    older = document()
    del older["expectations"]
    stated = parse_manifest(json.dumps(older).encode()).expectations
    assert expectations.expected(stated, "answer_ms") == expectations.EXPECTATIONS["answer_ms"].default


@pytest.mark.parametrize(
    "value",
    ({"answer_ms": 1500}, {"answer_ms": "fast"}, {"answer_ms": "-1"}, {"answer_ms": "1e9"}, {"Answer": "1"},
     {f"k{number}": "1" for number in range(65)}, ["answer_ms"], None),
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_expectations_of_another_form_are_refused(value: object) -> None:
    with pytest.raises(IntegrityError, match="expectations"):
        parse_manifest(with_expectations(value))


@pytest.mark.parametrize(
    ("value", "text"), [(1500.0, "1500"), (0.5, "0.5"), (0.3333, "0.333"), (100.0, "100")]
)
def test_a_figure_is_written_as_plain_decimal_text(value: float, text: str) -> None:
    assert expectations.decimal(value) == text


@pytest.mark.parametrize("value", [0.0, 0.0001, -1.0, 1e9, float("nan"), float("inf")])
def test_a_figure_that_means_nothing_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not above zero"):
        expectations.decimal(value)


def test_a_memory_limit_is_a_number() -> None:
    with pytest.raises(IntegrityError, match="memory_limit_mb"):
        parse_manifest(with_service(memory_limit_mb=-1))


@pytest.mark.parametrize(
    "path",
    ["a/b.txt", "03_Source/한글 이름.md", "a/.hidden", "a/b c/(d)-[e].txt", "com.example/x"],
)
def test_ordinary_names_are_accepted(path: str) -> None:
    assert names.problem_with(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a//b",
        "a/./b",
        "a/",
        "/a",
        "a/b.",
        "a/b ",
        "a:b",
        "a|b",
        "con",
        "a/LPT1.log",
        "a/com¹",
        "a\x00b",
        "a\u0301",
    ]
    + ["x" * 300, "/".join("abcdefghijklmnopqrstuvwxyz" * 2), "a/\ud800"]
    + ["a/nul .txt", "a/COM1 ", "a/aux.tar.gz", "a/CONIN$", "a/ .", "a/..b/.. "]
    + ["a/INSTAL~1.PY", "a/long~12", "04_SCR~1/x"]
    # Invisible or turning text around; decomposed jamo; more than 255 bytes in 86 characters.
    + ["a/\u200b", "a/exe.\u202egnp", "a/\ufeff", "a/\x85", "a/\u2028", "a/so\u00adft"]
    + ["a/\u1112\u1161\u11ab", "a/" + "가" * 86],
)
def test_names_that_no_system_agrees_on_are_refused(path: str) -> None:
    assert names.problem_with(path) is not None


def test_collisions_are_found_across_case_and_kind() -> None:
    assert names.colliding(["a/B", "a/b"]) == ["a/b"]
    assert names.colliding(["a", "a/b"]) == ["a"]
    assert names.colliding(["a/b", "a/c"]) == []
    assert names.colliding(["a/b", "a/b"]) == ["a/b"]
    assert names.colliding(["A/b", "a/c"]) == ["a/c"], "one folder on Windows, two elsewhere"
    assert names.colliding(["a/B", "a/b/c"]) == ["a/B"]
    assert names.colliding(["a/straße", "a/STRASSE"]) == ["a/STRASSE"]
    # Each is in normal form C, and they differ; without case they are canonically the same.
    assert names.colliding(["a/\u0390", "a/\u03aa\u0301"]) == ["a/\u03aa\u0301"]
    assert names.colliding(["가/나", "가/다", "각/나"]) == []


def test_composed_and_decomposed_hangul_collide() -> None:
    composed, jamo = "03_Source/한글.md", "03_Source/\u1112\u1161\u11ab\u1100\u1173\u11af.md"
    assert composed != jamo and names.colliding([composed, jamo]) == [jamo]
