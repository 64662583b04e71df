"""Licences: what certainly means what, where it was found, and what a reviewer is shown first."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from builder.assessment import components, facts, licences, tables
from builder.assessment.subject import CarriedModel
from builder.cache import Cache
from builder.models import spec
from bundle.errors import UsageProblem
from bundle.manifest import Model
from tests.builder.assessment.subjects import Bundle, crate, cyclonedx
from tests.support.wheels import wheel_bytes

POLICY = licences.load_policy()
MIT = "Permission is hereby granted, free of charge, to any person obtaining\na copy … The above copyright notice\nand this permission notice shall be included"
GPL3 = "                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n"


def licence_of(tmp_path: Path, metadata: str, **texts: str) -> licences.Licence:
    """Return the licence of a wheel with these lines of METADATA and these licence files."""
    path = tmp_path / "wheel"
    files = {f"alpha-1.0.dist-info/licenses/{name}": text for name, text in texts.items()}
    path.write_bytes(wheel_bytes("alpha", "1.0", {"alpha/__init__.py": "", **files}, metadata=metadata))
    return licences.of_wheel(facts.read(path), POLICY)


@pytest.mark.parametrize(
    ("metadata", "stated", "found"),
    [
        ("License-Expression: mit or apache-2.0\n", "MIT OR Apache-2.0", "expression"),
        ("License: MIT\nClassifier: License :: OSI Approved :: BSD License\n", "MIT", "field"),
        ("License: Apache License, Version 2.0\n", "Apache-2.0", "field"),
        ("License: BSD\nClassifier: License :: OSI Approved :: ISC License (ISCL)\n", "ISC", "classifier"),
    ],
)
def test_the_clearest_statement_wins_and_says_where_it_stands(
    tmp_path: Path, metadata: str, stated: str, found: str
) -> None:
    licence = licence_of(tmp_path, metadata)
    assert (licence.stated, licence.spdx, licence.found) == (stated, True, found)


def test_a_package_that_states_nothing_is_known_by_its_text(tmp_path: Path) -> None:
    licence = licence_of(tmp_path, "", LICENSE=MIT)
    assert (licence.stated, licence.found, licence.flags) == ("MIT", "text", ())


@pytest.mark.parametrize("words", ["BSD", "GPL", "Apache", "see LICENSE", "Dual License"])
def test_a_name_that_may_mean_several_licences_becomes_none_of_them(words: str) -> None:
    found = licences.of_words(words, "field", POLICY)
    assert (found.stated, found.spdx) == (words, False)
    assert found.flags


def test_a_vendored_text_is_not_the_packages_own(tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    path.write_bytes(
        wheel_bytes("alpha", "1.0", {"alpha/_vendor/LICENSE": MIT, "alpha/_vendor/COPYING": GPL3})
    )
    licence = licences.of_wheel(facts.read(path), POLICY)
    assert (licence.stated, licence.flags) == ("", ("copyleft-text", "unknown"))


def test_nothing_stated_and_no_text_is_unknown(tmp_path: Path) -> None:
    licence = licence_of(tmp_path, "")
    assert (licence.stated, licence.found, licence.flags) == ("", "none", ("unknown",))


def test_an_expression_that_is_no_spdx_is_kept_as_words_and_flagged(tmp_path: Path) -> None:
    licence = licence_of(tmp_path, "License-Expression: MIT AND (\nLicense: MIT\n")
    assert (licence.stated, licence.spdx, licence.flags) == ("MIT AND (", False, ("unknown",))


@pytest.mark.parametrize(
    ("expression", "flags"),
    [
        ("MIT", set()),
        ("GPL-3.0-or-later", {"strong-copyleft"}),
        ("AGPL-3.0-only AND MIT", {"strong-copyleft"}),
        ("GPL-2.0-only OR MIT", set()),
        ("GPL-2.0-only OR MPL-2.0", {"weak-copyleft"}),
        ("(GPL-2.0-only OR MIT) AND LGPL-2.1-only", {"weak-copyleft"}),
        ("GPL-3.0-only WITH GCC-exception-3.1", {"weak-copyleft"}),
        ("GPL-2.0-only WITH Font-exception-2.0", {"strong-copyleft"}),
        ("EPL-2.0", {"weak-copyleft"}),
        ("LicenseRef-NVIDIA-Proprietary", {"proprietary"}),
        ("LicenseRef-whatever", {"unknown"}),
        ("CC-BY-NC-4.0", {"non-commercial"}),
    ],
)
def test_of_and_both_sides_count_of_or_the_lighter_one(expression: str, flags: set[str]) -> None:
    normal = licences.normalise(expression, POLICY)
    assert normal
    assert licences.flags_of(normal, POLICY) == flags


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ("llama3", "model-terms"),
        ("Llama 3 Community License", "model-terms"),
        ("gemma", "model-terms"),
        ("hyperclovax-seed", "model-terms"),
        ("HyperCLOVA X SEED Model License Agreement", "model-terms"),
        ("EXAONE AI Model License Agreement 1.1 - NC", "non-commercial"),
        ("exaone", "non-commercial"),
        ("NVIDIA Proprietary Software", "proprietary"),
    ],
)
def test_model_terms_and_vendor_terms_are_not_open_source(words: str, flag: str) -> None:
    assert licences.of_words(words, "manifest", POLICY).flags[0] == flag


@pytest.mark.parametrize("name", spec.model_names())
def test_the_terms_of_every_declared_model_are_open_or_flagged_for_what_they_are(name: str) -> None:
    found = licences.of_words(spec.load_model(name).licence, "manifest", POLICY)
    assert found.stated in ("MIT", "Apache-2.0") or found.flags[0] in (
        "model-terms",
        "non-commercial",
        "proprietary",
    )


def test_a_graver_classifier_is_not_overruled_by_a_friendly_field(tmp_path: Path) -> None:
    metadata = "License: MIT\nClassifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)\n"
    licence = licence_of(tmp_path, metadata)
    assert licence.flags == ("strong-copyleft",)
    assert licence.disagreement == "MIT ≠ GPL-3.0-only"


def test_a_vendors_classifier_is_not_overruled_by_an_open_field(tmp_path: Path) -> None:
    licence = licence_of(tmp_path, "License: Apache 2.0\nClassifier: License :: Other/Proprietary License\n")
    assert (licence.stated, licence.flags) == ("Apache-2.0", ("proprietary",))
    assert licence.disagreement == "Apache-2.0 ≠ Other/Proprietary License"


def test_the_notice_of_a_free_licence_in_the_field_is_not_taken_for_a_vendors(tmp_path: Path) -> None:
    licence = licence_of(
        tmp_path, "License: Copyright (c) 2001 Somebody. All rights reserved.\n", LICENSE=MIT
    )
    assert (licence.stated, licence.flags) == ("MIT", ())


def test_an_expression_is_the_whole_truth(tmp_path: Path) -> None:
    metadata = "License-Expression: GPL-2.0-only OR MIT\nClassifier: License :: OSI Approved :: GNU General Public License v2 (GPLv2)\n"
    assert licence_of(tmp_path, metadata).flags == ()


def test_a_gpl_text_beside_a_permissive_statement_is_pointed_out(tmp_path: Path) -> None:
    licence = licence_of(tmp_path, "License-Expression: BSD-3-Clause\n", LICENSE=f"bundled:\n{GPL3}")
    assert licence.flags == ("copyleft-text",)


def test_deeply_nested_and_endless_expressions_do_not_hurt() -> None:
    for words in ("(" * 5000 + "MIT" + ")" * 5000, "MIT AND " * 5000 + "MIT", "(" * 40 + "MIT" + ")" * 40):
        licences.of_words(words, "field", POLICY)


def test_a_policy_without_its_flags_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "licences.toml"
    path.write_text("flags = []\n[linking]\nexceptions = []\n[names]\n")
    with pytest.raises(UsageProblem) as caught:
        licences.load_policy(path)
    assert "strong-copyleft" in caught.value.where


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"))))


def test_the_tables_name_packages_models_and_what_wheels_hold_inside(cache: Cache) -> None:
    bundle = Bundle(cache)
    sbom = {"alpha-1.0.dist-info/sboms/a.cdx.json": cyclonedx(crate("inner", licence="MPL-2.0"))}
    bundle.wheel("alpha", files=sbom, metadata="License: MIT\n")
    weights = bundle.file("07_Models/llm/model.gguf", b"GGUF", "model")
    model = Model("llm", "llm", "07_Models/llm", "owner/llm", "a" * 40, "llama3")
    inventory = components.collect(bundle.subject("alpha", models=(CarriedModel(model),)), cache)
    found = {row["package"]: row for row in rows_of(tables.licences(inventory))}
    assert (found["alpha"]["licence"], found["alpha"]["found_in"]) == ("MIT", "field")
    assert (found["inner"]["inside"], found["inner"]["flags"]) == ("alpha 1.0", "weak-copyleft")
    assert found["llm"]["flags"] == "model-terms"
    listed = {row["file"]: row for row in rows_of(tables.components(inventory))}
    assert listed[weights.path]["sha256"] == weights.sha256


def test_a_cell_that_a_spreadsheet_would_run_is_defused(cache: Cache) -> None:
    bundle = Bundle(cache)
    bundle.wheel("alpha", metadata="License: =HYPERLINK(0)\n")
    data = tables.licences(components.collect(bundle.subject("alpha"), cache))
    assert {row["package"]: row["licence"] for row in rows_of(data)}["alpha"] == "'=HYPERLINK(0)"


def test_each_licence_text_is_printed_once_with_everybody_who_carries_it(cache: Cache) -> None:
    bundle = Bundle(cache)
    for name in ("alpha", "beta"):
        bundle.wheel(name, files={f"{name}/LICENSE.txt": MIT})
    bundle.wheel("gamma")
    text = tables.texts(components.collect(bundle.subject("alpha", "beta", "gamma"), cache)).decode()
    assert text.count("Permission is hereby granted") == 1
    assert "  alpha 1.0: alpha/LICENSE.txt\n  beta 1.0: beta/LICENSE.txt\n" in text
    assert "Without any such text: gamma 1.0, sample 2.0" in text
