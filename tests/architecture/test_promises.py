"""What the documents promise is what the code does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import tomllib

from builder import inputs, uvtool
from bundle import errors
from bundle.offline import OFFLINE_ENVIRONMENT
from docs import generate
from tests.support.trees import FILES, manifest_of

ROOT = Path(__file__).resolve().parent.parent.parent


def error_classes(
    base: type[errors.RagTraceError] = errors.RagTraceError,
) -> Iterator[type[errors.RagTraceError]]:
    for found in base.__subclasses__():
        yield found
        yield from error_classes(found)


def test_every_error_of_the_bundle_package_stands_in_the_exit_code_page() -> None:
    page = (ROOT / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    for found in error_classes():
        if found.__module__.startswith("bundle."):
            assert re.search(rf"^\| {found.exit_code} \|.*`{found.reference}`", page, re.MULTILINE), found


def test_service_and_bundle_agree_on_the_offline_environment() -> None:
    from ragtrace import offline

    assert offline.OFFLINE_ENVIRONMENT == OFFLINE_ENVIRONMENT


def test_every_dependency_says_why_it_is_there() -> None:
    page = (ROOT / "docs/reference/dependencies.md").read_text(encoding="utf-8")
    for project in ("pyproject.toml", "service/pyproject.toml"):
        table = tomllib.loads((ROOT / project).read_text(encoding="utf-8"))
        wanted = list(table["project"]["dependencies"])
        for group in table.get("dependency-groups", {}).values():
            wanted += group
        for requirement in wanted:
            name = re.split(r"[<>=\[ ;]", requirement)[0]
            assert name == "ragtrace" or f"| `{name}` |" in page, f"{name} of {project}"


def test_the_cpu_profile_stays_free_of_torch_and_telemetry() -> None:
    lock = uvtool.export_pylock(inputs.load_project(ROOT / "service"), (), ())
    names = {package["name"] for package in tomllib.loads(lock)["packages"]}
    assert "kiwipiepy" in names
    assert not names & {"torch", "posthog", "sentry-sdk", "nltk", "tiktoken"}


def test_a_manifest_fits_its_published_schema() -> None:
    schema = json.loads((ROOT / "manifests/schema/manifest.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    document = json.loads(manifest_of(FILES).to_bytes())
    assert not list(validator.iter_errors(document))
    document["files"][0]["sha256"] = "short"
    assert list(validator.iter_errors(document))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "manifests/profiles").glob("*.toml")), ids=lambda path: path.stem
)
def test_every_profile_and_its_targets_can_be_read(path: Path) -> None:
    profile = inputs.load_profile(path.stem)
    assert profile.name == path.stem
    for target in profile.targets:
        assert inputs.load_target(target).name == target


@pytest.mark.parametrize("path", generate.pages(), ids=lambda path: path.name)
def test_generated_pages_say_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.pages()[path], "run: make docs"


def test_readme_commands_are_the_ones_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in ("README.md", "README.ko.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"^ *make ([a-z-]+)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name}: make {target}"
        assert "python create_enterprise_offline.py" in text
    assert "make test\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_both_readmes_count_the_checks_that_there_are() -> None:
    count = generate.pages()[generate.REFERENCE / "checks.md"].count("\n### ")
    assert f" {count} checks " in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f" {count}개" in (ROOT / "README.ko.md").read_text(encoding="utf-8")


def test_what_hancom_asks_for_is_said_in_help_manual_and_code() -> None:
    from ragtrace.credits import HANGUL

    sentence = "본 제품은 한글과컴퓨터의 한글 문서 파일(.hwp) 공개 문서를 참고하여 개발하였습니다."
    assert HANGUL.ko == sentence and sentence in HANGUL.en
    pages = ("docs/reference/service-help.md", "docs/reference/document-formats.md", "service/README.md")
    for page in pages:
        assert sentence in (ROOT / page).read_text(encoding="utf-8"), page


def test_nothing_is_left_open_in_the_code() -> None:
    for folder in ("bundle", "builder", "installer", "validator", "recovery", "service/src"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(
                r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text(encoding="utf-8")
            ), path
