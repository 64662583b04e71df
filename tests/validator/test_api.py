"""The function and the command line are one path; what is asked for is what is given."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.errors import UsageProblem
from validator.api import validate
from validator.cli import main
from validator.registry import load

CHEAP = ["SYS-009", "TOOL-003"]


def test_the_function_and_the_command_line_say_the_same(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    words = [word for name in CHEAP for word in ("--only", name)]
    code = main(["--prefix", str(tmp_path / "none"), *words, "--output", str(file), "--lang", "en"])
    told, report = json.loads(file.read_text()), validate(tmp_path / "none", only=CHEAP)
    assert (report.exit_code, report.overall_status) == (code, told["overall_status"])
    assert set(report.to_dict()) == set(told)
    assert (
        json.loads(report.to_json())["validation_results"][0].keys() == told["validation_results"][0].keys()
    )


def test_a_skipped_check_is_left_out_and_every_other_gives_one_result(tmp_path: Path) -> None:
    ids = [item.id for item in load() if item.category.value == "Tools"]
    report = validate(tmp_path / "none", categories=["tools"], skip=[ids[0].lower()])
    assert [result.check.id for result in report.results] == ids[1:]
    assert main(["--prefix", str(tmp_path / "none"), "--only", "SYS-009", "--skip", "TOOL-003"]) == 0


@pytest.mark.parametrize("words", [{"skip": ["SYS-999"]}, {"only": ["SYS-999"]}, {"only": ["ABC-001"]}, {"categories": ["Weather"]},
                                   {"bundle": "/nonexistent"}, {"prefix": "a\0b"}])  # fmt: skip
def test_what_does_not_exist_is_a_usage_problem(tmp_path: Path, words: dict[str, list[str]]) -> None:
    with pytest.raises(UsageProblem):
        validate(**{"prefix": tmp_path / "none", **words})  # type: ignore[arg-type]


def test_a_near_miss_of_an_id_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prefix", str(tmp_path / "none"), "--skip", "SYS-0099", "--lang", "en"]) == 2
    assert "did you mean SYS-009?" in capsys.readouterr().err


def test_strict_and_language_reach_the_report(tmp_path: Path) -> None:
    report = validate(tmp_path / "none", only=["RAG-001"], strict=True, lang="ko")
    assert report.exit_code == 3 and report.to_dict()["language"] == "ko"


def test_nothing_of_a_run_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    validate(tmp_path / "none", only=CHEAP)
    assert list(tmp_path.iterdir()) == []


def test_importing_the_function_is_light(repository: Path) -> None:
    """Counted in modules, not in seconds, so that a busy machine does not fail it: 0.15 s is about 250."""
    code = (
        "import sys; before = set(sys.modules); import validator.cli, validator.api;"
        "heavy = {'asyncio', 'concurrent.futures', 'configparser', 'difflib', 'email', 'html', 'http.client', 'json.tool',"
        " 'logging', 'psutil', 'sqlite3', 'ssl', 'statistics', 'tempfile', 'urllib.request', 'xml'};"
        "print(len(set(sys.modules) - before), sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(repository)!r}); {code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    count, _, heavy = done.stdout.strip().partition(" ")
    assert heavy == "[]"
    assert int(count) < 110
