"""The SBOM: valid CycloneDX 1.6, complete, the same bytes from the same bundle, and untroubled by hostile words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema.validators import validator_for
from referencing import Registry, Resource

from builder.assessment import components, sbom
from builder.assessment.subject import CarriedModel, Subject
from builder.cache import Cache
from builder.plan import Artifact
from bundle.manifest import Build, Model
from tests.builder.assessment.subjects import INDEX, Bundle, crate, cyclonedx


@pytest.fixture
def bundle(cache: Cache) -> Bundle:
    return Bundle(cache)


def validator() -> jsonschema.protocols.Validator:
    """Return a validator of the schema that the library ships."""
    folder = files("cyclonedx.schema") / "_res"
    registry: Registry[Any] = Registry()
    for name in ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"):
        schema = json.loads((folder / name).read_text(encoding="utf-8"))
        resource = Resource.from_contents(schema)
        registry = registry.with_resource(schema["$id"], resource)
    schema = json.loads((folder / "bom-1.6.SNAPSHOT.schema.json").read_text(encoding="utf-8"))
    base = schema["$id"].rpartition("/")[0]
    for name in ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"):
        found = json.loads((folder / name).read_text(encoding="utf-8"))
        registry = registry.with_resource(f"{base}/{name}", Resource.from_contents(found))
        registry = registry.with_resource(
            f"{base}/{name.replace('.SNAPSHOT', '')}", Resource.from_contents(found)
        )
    return validator_for(schema)(schema, registry=registry)


def made(subject: Subject, cache: Cache) -> dict[str, Any]:
    """Return the SBOM of a subject, after checking it against the schema and for double references."""
    document: dict[str, Any] = json.loads(sbom.to_bytes(subject, components.collect(subject, cache)))
    assert [error.message for error in validator().iter_errors(document)] == []
    refs = list(references(document["components"])) + [document["metadata"]["component"]["bom-ref"]]
    assert len(refs) == len(set(refs))
    assert {item["ref"] for item in document["dependencies"]} <= set(refs)
    assert {ref for item in document["dependencies"] for ref in item.get("dependsOn", [])} <= set(refs)
    return document


def references(listed: list[dict[str, Any]]) -> list[str]:
    found = []
    for item in listed:
        found += [item["bom-ref"], *references(item.get("components", []))]
    return found


def named(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in document["components"]}


def test_the_validator_of_these_tests_refuses_what_is_wrong(bundle: Bundle) -> None:
    bundle.wheel("alpha", metadata="License: MIT\n")
    document = made(bundle.subject("alpha"), bundle.cache)
    (alpha,) = document["components"]
    for key, value in (
        ("type", "gadget"),
        ("licenses", [{"license": {"id": "No-Such-1.0"}}]),
        ("hashes", [{}]),
    ):
        wrong = {**document, "components": [{**alpha, key: value}]}
        assert list(validator().iter_errors(wrong)), key


def test_wheels_have_digest_licence_and_package_url(bundle: Bundle) -> None:
    wheel = bundle.wheel("alpha", metadata="License-Expression: MIT\n")
    bundle.wheel(
        "beta", metadata="License-Expression: MIT AND ISC\n", source="https://user:key@index.example/files"
    )
    bundle.wheel("gamma", metadata="License: something of our own\n")
    found = named(made(bundle.subject("alpha", "beta", "gamma"), bundle.cache))
    assert found["alpha"]["hashes"] == [{"alg": "SHA-256", "content": wheel.sha256}]
    assert found["alpha"]["purl"] == "pkg:pypi/alpha@1.0?file_name=alpha-1.0-py3-none-any.whl"
    assert found["alpha"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert "repository_url=https://index.example" in found["beta"]["purl"].replace("%3A", ":").replace(
        "%2F", "/"
    )
    assert "key" not in json.dumps(found["beta"])
    assert found["beta"]["licenses"] == [{"expression": "MIT AND ISC"}]
    assert found["gamma"]["licenses"] == [{"license": {"name": "something of our own"}}]


def test_everything_hangs_on_the_project(bundle: Bundle) -> None:
    bundle.wheel("alpha", requires=("beta",))
    bundle.wheel("beta")
    bundle.file("04_Scripts/install.py", b"", "installer")
    bundle.file("04_Scripts/installer/cli.py", b"1", "installer")
    document = made(bundle.subject("alpha"), bundle.cache)
    graph = {item["ref"]: item.get("dependsOn", []) for item in document["dependencies"]}
    project = document["metadata"]["component"]["bom-ref"]
    assert graph[project] == ["tool:ragtrace-installer", "wheel:alpha-1.0-py3-none-any.whl"]
    assert graph["wheel:alpha-1.0-py3-none-any.whl"] == ["wheel:beta-1.0-py3-none-any.whl"]
    installer = named(document)["ragtrace-installer"]
    assert {item["name"] for item in installer["components"]} == {
        "04_Scripts/install.py",
        "04_Scripts/installer/cli.py",
    }


def test_models_are_components_with_their_files(bundle: Bundle) -> None:
    entries = [
        bundle.file(f"07_Models/bge-m3/{name}", name.encode(), "model") for name in ("a.onnx", "b.json")
    ]
    bundle.file("07_Models/bge-m3-other/a.onnx", b"another model's", "model")
    model = Model("bge-m3", "embedding", "07_Models/bge-m3", "BAAI/bge-m3", "c" * 40, "mit")
    carried = CarriedModel(
        model, "https://example.org/licence", False, ("x.pt: needed (someone)",), ("safetensors",)
    )
    found = named(made(bundle.subject(models=(carried,)), bundle.cache))["bge-m3"]
    assert (found["type"], found["version"]) == ("machine-learning-model", "c" * 40)
    assert found["purl"] == f"pkg:huggingface/BAAI/bge-m3@{'c' * 40}"
    assert found["licenses"] == [{"license": {"id": "MIT"}}]
    assert {item["name"]: item["hashes"][0]["content"] for item in found["components"]} == {
        entry.path: entry.sha256 for entry in entries
    }
    assert {"name": "ragtrace:model:waivers", "value": "x.pt: needed (someone)"} in found["properties"]


def test_a_local_model_and_an_interpreter_have_no_address_of_the_build_box(bundle: Bundle) -> None:
    archive = bundle.file("01_Prerequisites/python.tar.gz", b"python", "interpreter")
    bundle.artifacts.append(
        Artifact("interpreter", "python", "3.11", "python.tar.gz", "file:///home/somebody/python.tar.gz", archive.sha256, 6, (), "")
    )  # fmt: skip
    model = Model("hcx", "llm", "07_Models/hcx", "local", "d" * 64, "NAVER agreement")
    document = made(bundle.subject(models=(CarriedModel(model),)), bundle.cache)
    assert "somebody" not in json.dumps(document)
    assert "nowhere" not in json.dumps(document)
    assert named(document)["python"]["hashes"][0]["content"] == archive.sha256


def test_a_wheel_built_here_says_from_what_and_with_what(bundle: Bundle) -> None:
    wheel = bundle.wheel(
        "alpha", source="https://files.pythonhosted.org/x/alpha-1.0.tar.gz sha256:12, built here"
    )
    build = Build(wheel.filename, wheel.sha256, f"{INDEX}/alpha-1.0.tar.gz", "e" * 64, ("setuptools==80.0",))
    found = named(made(bundle.subject("alpha", builds=(build,)), bundle.cache))["alpha"]
    described = {item["name"]: item["value"] for item in found["properties"]}
    assert described["ragtrace:built-from"] == f"{INDEX}/alpha-1.0.tar.gz sha256:{'e' * 64}"
    assert described["ragtrace:built-with"] == "setuptools==80.0"


def test_components_inside_a_wheel_are_nested_in_it_without_double_references(bundle: Bundle) -> None:
    inner = cyclonedx(
        crate("serde"), crate("serde"), crate("ring", licence="MIT/ISC"), crate("build", scope="excluded")
    )
    for tag, python in (("cp311", "3.11"), ("cp312", "3.12")):
        bundle.wheel(
            "alpha",
            tag=f"{tag}-{tag}-manylinux_2_17_x86_64",
            pythons=(python,),
            files={"alpha-1.0.dist-info/sboms/a.cdx.json": inner},
        )
    document = made(bundle.subject("alpha"), bundle.cache)
    wheels = [item for item in document["components"] if item["name"] == "alpha"]
    assert len(wheels) == 2
    for wheel in wheels:
        nested = {item["name"]: item for item in wheel["components"]}
        assert sorted(nested) == ["build", "ring", "serde"]
        assert nested["serde"]["purl"] == "pkg:cargo/serde@1.0.0"
        assert nested["build"]["scope"] == "excluded"
        assert nested["ring"]["licenses"] == [{"expression": "MIT OR ISC"}]


def test_hostile_words_leave_a_valid_document(bundle: Bundle) -> None:
    hostile = '</script><script>alert(1)</script>\x1b[31m" & ]]> %zz'
    odd = crate("<b>", licence="NOT A LICENCE (", hashes=[{"alg": "SHA-256", "content": "nothex"}])
    bundle.wheel(
        "alpha",
        metadata=f"Summary: {hostile}\nAuthor: {hostile}\nHome-page: https://x.example/{hostile} {{}}|\\^`\nLicense: {hostile}\n",
        files={
            "alpha-1.0.dist-info/sboms/a.cdx.json": cyclonedx(odd, {**odd, "purl": "pkg:x/%%%@@@??"}),
            "alpha-1.0.dist-info/sboms/b.cdx.json": b"{",
        },
    )
    made(bundle.subject("alpha"), bundle.cache)


def test_the_same_bundle_gives_the_same_bytes_in_another_process_with_another_hash_seed(
    bundle: Bundle, tmp_path: Path
) -> None:
    bundle.wheel(
        "alpha",
        requires=("beta",),
        files={"alpha-1.0.dist-info/sboms/a.cdx.json": cyclonedx(*map(crate, "abcdef"))},
    )
    bundle.wheel("beta", metadata="License: MIT\n")
    program = (
        "import sys; from pathlib import Path; from builder.cache import Cache;"
        "from builder.assessment import components, documents; from tests.builder.assessment.subjects import Bundle, crate, cyclonedx;"
        "b = Bundle(Cache(Path(sys.argv[1])));"
        "b.wheel('beta', metadata='License: MIT\\n') if len(sys.argv) > 2 else None;"
        "b.wheel('alpha', requires=('beta',), files={'alpha-1.0.dist-info/sboms/a.cdx.json': cyclonedx(*map(crate, 'abcdef'))});"
        "b.wheel('beta', metadata='License: MIT\\n') if len(sys.argv) == 2 else None;"
        "s = b.subject('alpha');"
        "sys.stdout.write(repr({k: v for k, v in documents.write(s, components.collect(s, b.cache)).items()}))"
    )
    found = set()
    for seed, words in (("1", []), ("2", ["beta first"])):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / seed), *words],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC-{seed}"},
            cwd=Path(__file__).resolve().parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
    (text,) = found
    assert "urn:uuid:" in text and "2025-06-15T15:06:40" in text


def test_the_serial_number_follows_the_contents(bundle: Bundle) -> None:
    bundle.wheel("alpha")
    one = made(bundle.subject("alpha"), bundle.cache)["serialNumber"]
    again = made(bundle.subject("alpha"), bundle.cache)["serialNumber"]
    other = made(bundle.subject("alpha", sequence=8), bundle.cache)["serialNumber"]
    assert one == again != other
