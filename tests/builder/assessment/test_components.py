"""Components: facts of wheels read once, requirements evaluated for the target, strangers' words as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.assessment import cleaning, components, embedded, facts, graph, places
from builder.assessment.subject import CarriedModel
from builder.cache import Cache
from builder.inputs import load_target
from builder.models import spec
from bundle.errors import IntegrityError
from bundle.manifest import Model
from tests.builder.assessment.subjects import Bundle, crate, cyclonedx
from tests.support.wheels import wheel_bytes


@pytest.fixture
def bundle(cache: Cache) -> Bundle:
    return Bundle(cache)


def needs(inventory: components.Inventory) -> dict[str, list[str]]:
    """Return who needs whom, by file name without the version."""
    return {
        item.ref.partition(":")[2].partition("-")[0]: [
            ref.partition(":")[2].partition("-")[0] for ref in item.requires
        ]
        for item in inventory.of_kind("project", "wheel")
    }


def test_the_graph_goes_from_the_project_over_direct_to_transitive_requirements(bundle: Bundle) -> None:
    bundle.wheel("alpha", requires=("beta>=1",))
    bundle.wheel("beta")
    found = needs(components.collect(bundle.subject("alpha"), bundle.cache))
    assert found == {"sample": ["alpha"], "alpha": ["beta"], "beta": []}


def test_markers_are_those_of_the_target_not_of_the_build_box(bundle: Bundle) -> None:
    bundle.wheel("alpha", requires=("beta; sys_platform == 'win32'", "gamma; sys_platform == 'linux'"))
    bundle.wheel("beta")
    bundle.wheel("gamma")
    found = needs(components.collect(bundle.subject("alpha", "beta"), bundle.cache))
    assert found["alpha"] == ["gamma"]


def test_a_requirement_of_one_interpreter_leads_to_the_wheel_of_that_interpreter(bundle: Bundle) -> None:
    old = bundle.wheel("native", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64", pythons=("3.11",))
    new = bundle.wheel("native", "2.0", tag="cp312-cp312-manylinux_2_17_x86_64", pythons=("3.12",))
    bundle.wheel("alpha", requires=("native; python_version < '3.12'",))
    inventory = components.collect(bundle.subject("alpha", "native"), bundle.cache)
    by_name = {item.name: item for item in inventory.components}
    assert by_name["alpha"].requires == (f"wheel:{old.filename}",)
    assert inventory.project.requires == tuple(
        sorted(["wheel:alpha-1.0-py3-none-any.whl", f"wheel:{old.filename}", f"wheel:{new.filename}"])
    )


def test_extras_count_only_where_somebody_asks_for_them(bundle: Bundle) -> None:
    bundle.wheel("alpha", requires=('beta; extra == "fast"', 'gamma; extra == "slow"'))
    bundle.wheel("beta")
    bundle.wheel("gamma")
    found = needs(components.collect(bundle.subject("alpha[fast]", "gamma"), bundle.cache))
    assert found["alpha"] == ["beta"]


def test_the_projects_own_extras_are_those_of_the_request(bundle: Bundle) -> None:
    bundle.wheel("alpha")
    bundle.wheel("beta")
    subject = bundle.subject('alpha; extra == "On_e"', 'beta; extra == "two"', extras=("on-e",))
    graph_of = components.collect(subject, bundle.cache).project
    # beta is carried all the same, so it hangs on the project: nothing stands outside the graph.
    assert [ref.partition("-")[0] for ref in graph_of.requires] == ["wheel:alpha", "wheel:beta"]


def test_a_circle_that_nothing_asks_for_hangs_on_the_project_by_one_of_its_members() -> None:
    root = graph.Node("root", "sample", ("3.11",), ())
    nodes = [graph.Node(name, name, ("3.11",), (other,)) for name, other in (("a", "b"), ("b", "a"))]
    found = graph.build(root, nodes, load_target("linux-x86_64"), ())
    assert {key: sorted(value) for key, value in found.needs.items()} == {
        "root": ["a"],
        "a": ["b"],
        "b": ["a"],
    }


def test_what_metadata_asks_for_and_nobody_carries_is_told(bundle: Bundle) -> None:
    bundle.wheel("alpha", requires=("left-out>=3", "not a requirement !!"))
    inventory = components.collect(bundle.subject("alpha"), bundle.cache)
    (alpha,) = inventory.of_kind("wheel")
    assert alpha.missing == ("left-out>=3",)


def test_a_wheel_is_opened_once_in_the_life_of_a_cache(bundle: Bundle) -> None:
    wheel = bundle.wheel(
        "alpha",
        metadata="Summary: one\nLicense-Expression: MIT\n",
        entry_points="[console_scripts]\nrun = alpha:main\n",
    )
    first = facts.of_wheel(bundle.cache, wheel.sha256)
    bundle.cache.path(wheel.sha256).unlink()
    # Were it opened again this would fail: it is gone.
    second = facts.of_wheel(bundle.cache, wheel.sha256)
    assert second == first
    assert (first.summary, first.commands, first.native, first.at_start) == ("one", ("run",), (), ())


def test_a_damaged_reading_is_read_again(bundle: Bundle) -> None:
    wheel = bundle.wheel("alpha")
    first = facts.of_wheel(bundle.cache, wheel.sha256)
    record = bundle.cache.built(f"facts-{facts._FORMAT}-{wheel.sha256}")
    assert record is not None
    bundle.cache.path(record["sha256"]).write_bytes(b'{"name": "evil"}')
    assert facts.of_wheel(bundle.cache, wheel.sha256) == first


def test_a_poisoned_wheel_is_not_believed(bundle: Bundle) -> None:
    wheel = bundle.wheel("alpha")
    bundle.cache.path(wheel.sha256).write_bytes(wheel_bytes("alpha", "6.6"))
    with pytest.raises(IntegrityError):
        facts.of_wheel(bundle.cache, wheel.sha256)


def test_native_code_and_code_that_runs_unasked_are_named(tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    members: dict[str, str | bytes] = {
        "alpha/core.cpython-311-x86_64-linux-gnu.so": b"x" * 10,
        "alpha.libs/libz.so.1.2": b"x" * 5,
        "alpha-hook.pth": "import os\n",
        "alpha-1.0.data/purelib/sitecustomize.py": "",
        "alpha/notes.soap": "",
    }
    path.write_bytes(wheel_bytes("alpha", "1.0", members))
    found = facts.read(path)
    assert found.native == ("alpha.libs/libz.so.1.2", "alpha/core.cpython-311-x86_64-linux-gnu.so")
    assert found.native_bytes == 15
    assert found.at_start == ("alpha-1.0.data/purelib/sitecustomize.py", "alpha-hook.pth")


@pytest.mark.parametrize("data", [b"", b"no zip at all", wheel_bytes("a", "1")[:-200]])
def test_what_is_no_wheel_is_a_complaint_and_no_crash(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "wheel"
    path.write_bytes(data)
    (complaint,) = facts.read(path).complaints
    assert "not a readable wheel" in complaint


def test_hostile_metadata_becomes_short_visible_text(tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    metadata = f"Summary: a\x1b[2J\u202eb\u200b{'x' * 5000}\nLicense: {'L' * 5000}\nAuthor: \udcff\udcfe\n"
    path.write_bytes(wheel_bytes("alpha", "1.0", metadata=metadata))
    found = facts.read(path)
    everything = repr(found)
    assert len(found.summary) <= cleaning.LINE + 1
    assert len(found.licence_field) <= cleaning.LINE + 1
    assert not any(sign in everything for sign in ("\x1b", "\u202e", "\u200b", "\\x1b", "\\u202e"))
    json.dumps(found.author).encode("utf-8")


def test_a_huge_licence_is_named_instead_of_read(tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    path.write_bytes(
        wheel_bytes("alpha", "1.0", {"alpha-1.0.dist-info/licenses/LICENSE": b"y" * (facts._TEXT_BYTES + 1)})
    )
    found = facts.read(path)
    assert found.texts == ()
    assert "larger than" in found.complaints[0]


def test_endless_licence_texts_are_cut_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    files: dict[str, str | bytes] = {f"alpha/{n}/LICENSE": str(n) for n in range(facts._TEXTS + 5)}
    path.write_bytes(wheel_bytes("alpha", "1.0", files))
    found = facts.read(path)
    assert len(found.texts) == facts._TEXTS
    assert found.complaints == (f"{facts._TEXTS + 5} licence texts, {facts._TEXTS} of them read",)


def test_sboms_inside_wheels_are_flattened_each_component_once(tmp_path: Path) -> None:
    nested = crate("outer", components=[crate("inner")])
    main = crate("alpha", components=[
        {**crate("alpha"), "purl": "pkg:cargo/alpha@1.0.0?download_url=file://."}, crate("vendored"),
    ])  # fmt: skip
    files = {
        "alpha-1.0.dist-info/sboms/one.cdx.json": cyclonedx(nested, crate("twice"), main=main),
        "alpha-1.0.dist-info/sboms/two.cdx.json": cyclonedx(crate("twice"), crate("twice")),
    }
    path = tmp_path / "wheel"
    path.write_bytes(wheel_bytes("alpha", "1.0", files))
    found = facts.read(path)
    assert [item.name for item in found.embedded] == ["inner", "outer", "twice", "vendored"]
    assert found.complaints == ()


def test_spdx_documents_are_understood_too() -> None:
    two = {
        "spdxVersion": "SPDX-2.3",
        "packages": [
            {
                "name": "libgfortran",
                "versionInfo": "5",
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "GPL-3.0-only WITH GCC-exception-3.1",
                "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:rpm/libgfortran@5"}],
                "checksums": [
                    {"algorithm": "SHA256", "checksumValue": "AB" * 32},
                    {"algorithm": "ROT13", "checksumValue": "x"},
                ],
            }
        ],
    }
    three = {
        "@graph": [
            {"type": "software_Package", "name": "zlib", "software_packageVersion": "1.3"},
            {"type": "Agent"},
        ]
    }
    (old,), complaint = embedded.read(json.dumps(two).encode())
    assert (old.name, old.purl, old.licence) == (
        "libgfortran",
        "pkg:rpm/libgfortran@5",
        "GPL-3.0-only WITH GCC-exception-3.1",
    )
    assert old.hashes == (("SHA-256", "ab" * 32),)
    (new,), complaint = embedded.read(json.dumps(three).encode())
    assert (new.name, new.version, complaint) == ("zlib", "1.3", "")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"bomFormat": "CycloneDX", "metadata": 5}',
        b'{"bomFormat": "CycloneDX", "n": ' + b"9" * 10_000 + b"}",
    ],
)
def test_a_malformed_sbom_is_a_complaint_and_no_crash(data: bytes) -> None:
    found, complaint = embedded.read(data)
    assert found == ()
    assert complaint


def test_an_sbom_of_odd_types_gives_what_can_be_used() -> None:
    odd = {
        "type": "weapon",
        "name": 5,
        "version": ["1"],
        "purl": "javascript:alert(1)",
        "licenses": [7, {"license": 3}],
        "hashes": [{"alg": "SHA-256", "content": "zz"}],
    }
    (found,), complaint = embedded.read(
        json.dumps({"bomFormat": "CycloneDX", "components": [odd, "no", None]}).encode()
    )
    assert (found.kind, found.name, found.version, found.purl, found.licence, found.hashes) == (
        "library",
        "?",
        "",
        "",
        "",
        (),
    )
    assert complaint == ""


@pytest.mark.parametrize(
    ("source", "shown", "host"),
    [
        (
            "https://user:secret@index.example/simple/a.whl?token=t#x",
            "https://index.example/simple/a.whl",
            "index.example",
        ),
        ("file:///home/somebody/models/weights.bin", "file:…/weights.bin", "local"),
        ("hf://BAAI/bge-m3@abc/model.onnx", "hf://BAAI/bge-m3@abc/model.onnx", "huggingface.co"),
        ("git+https://token@git.example/x@abc", "git+https://git.example/x@abc", "git.example"),
        ("https://[broken/x.whl", "?", "?"),
        ("this project", "this project", "this project"),
    ],
)
def test_neither_credentials_nor_folders_of_the_build_box_are_written_down(
    source: str, shown: str, host: str
) -> None:
    assert places.shown(source) == shown
    assert places.host(source) == host


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "components",
                    "metadata",
                    "component",
                    "name",
                    "version",
                    "purl",
                    "licenses",
                    "license",
                    "hashes",
                    "alg",
                ]
                + [
                    "content",
                    "packages",
                    "externalRefs",
                    "checksums",
                    "@graph",
                    "type",
                    "verifiedUsing",
                    "id",
                    "scope",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None)
@given(
    document=json_values, kind=st.sampled_from([{"bomFormat": "CycloneDX"}, {"spdxVersion": "SPDX-2.3"}, {}])
)
def test_no_sbom_of_a_stranger_brings_the_reading_down(document: object, kind: dict[str, str]) -> None:
    whole = {**document, **kind} if isinstance(document, dict) else document
    found, complaint = embedded.read(json.dumps(whole).encode())
    assert isinstance(found, tuple) and isinstance(complaint, str)


def test_a_models_declaration_tells_its_waivers_and_conversions() -> None:
    declared = spec.load_model("bge-m3")
    model = Model(
        "bge-m3", declared.role, "07_Models/bge-m3", declared.repository, "a" * 40, declared.licence
    )
    found = CarriedModel.of(model, declared)
    assert len(found.conversions) == len(declared.conversions) > 0
    assert all(path in " ".join(found.conversions) for path in declared.outputs())
    assert found.gated is declared.gated
