"""The command line: usage, selection, formats, exit codes, speed limits that a user feels."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.validator.fakes import Installation
from validator.cli import main, make_subject
from validator.registry import load


def codes(words: list[str]) -> int:
    """Return the exit code, also where argparse leaves by itself."""
    try:
        return main(words)
    except SystemExit as leaving:
        return int(leaving.code or 0)


@pytest.mark.parametrize(
    "words",
    [
        ["--category", "Weather"],
        ["--only", "SYS-999"],
        ["--format", "xml"],
        ["--lang", "fr"],
        ["--bundle", "/nonexistent"],
        ["--output", "/nonexistent/report.json"],
        ["--no-such-option"],
    ],
)
def test_wrong_usage_exits_2_without_a_traceback(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert codes(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_list_names_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--lang", "en"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [item.id for item in load()]


def test_a_failure_exits_3_and_says_what_to_do(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--prefix", str(installation.root), "--only", "RAG-004", "--lang", "en"]) == 3
    out = capsys.readouterr().out
    assert "install.py --prefix" in out
    assert "CRITICAL" in out


def test_a_check_that_cannot_see_exits_5(installation: Installation) -> None:
    (installation.generation / "tools" / "MANIFEST.json").write_text("{")
    assert main(["--prefix", str(installation.root), "--only", "PKG-002"]) == 5


def test_quiet_shows_only_what_needs_attention(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["--prefix", str(installation.root), "--category", "System", "--quiet", "--only", "SYS-007"])
        == 0
    )
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_json_on_standard_output_is_only_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--prefix",
        str(tmp_path / "none"),
        "--format",
        "json",
        "--only",
        "SYS-009",
        "--only",
        "TOOL-003",
    ]
    assert main(words) == 0
    assert [r["id"] for r in json.loads(capsys.readouterr().out)["validation_results"]] == [
        "SYS-009",
        "TOOL-003",
    ]


def test_strict_turns_a_skip_into_a_failure(tmp_path: Path) -> None:
    assert main(["--prefix", str(tmp_path / "none"), "--only", "RAG-001"]) == 0
    assert main(["--prefix", str(tmp_path / "none"), "--only", "RAG-001", "--strict"]) == 3


@pytest.mark.parametrize("form", ["console", "json", "junit"])
def test_every_format_gives_the_same_exit_code(installation: Installation, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"report.{form}"
    words = ["--prefix", str(installation.root), "--only", "RAG-004", "--format", form, "--output", str(file)]
    assert main(words) == 3
    assert "RAG-004" in file.read_text()


def test_an_unwritable_report_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    words = ["--prefix", str(tmp_path / "none"), "--only", "SYS-009", "--output", str(tmp_path / "folder")]
    assert main(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_entry_finds_the_bundle_or_installation_around_it(
    installation: Installation, tmp_path: Path
) -> None:
    tools = installation.generation / "tools" / "06_Verification"
    assert make_subject(None, None, home=tools).prefix == installation.root
    bundle = tmp_path / "bundle"
    for name in ("04_Scripts", "02_Dependencies", "06_Verification"):
        (bundle / name).mkdir(parents=True)
    (bundle / "MANIFEST.json").write_text("{}")
    assert make_subject(None, None, home=bundle / "06_Verification").bundle == bundle


@pytest.mark.parametrize("defect", ["current.json", "config/.env", "generations"])
def test_whatever_is_unreadable_there_is_a_report_and_no_traceback(
    installation: Installation, tmp_path: Path, defect: str
) -> None:
    path = installation.root / defect
    if path.is_dir():
        path.rename(tmp_path / "moved")
        path.write_bytes(b"\xff\x00")
    else:
        path.unlink()
        path.mkdir()
    file = tmp_path / "report.json"
    code = main(["--prefix", str(installation.root), "--output", str(file), "--category", "RAGTrace"])
    assert code in (3, 5)
    report = json.loads(file.read_text())
    assert report["overall_status"] != "EXCELLENT"
    assert "Traceback" not in file.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user to look without permission")
def test_a_user_without_permission_gets_unknown_not_a_verdict(
    installation: Installation, tmp_path: Path
) -> None:
    for name in ("config", "data", "state"):
        (installation.root / name).chmod(0o700)
    for folder in installation.root.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)
    repository = Path(__file__).resolve().parents[2]
    copy = tmp_path / "code"
    for name in ("validator", "bundle"):
        # What other tests compile meanwhile comes and goes.
        shutil.copytree(repository / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "enterprise_validator.py", copy)
    interpreter = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if interpreter is None:
        pytest.skip("no interpreter that another user may run")
    done = subprocess.run(
        [
            interpreter,
            str(copy / "enterprise_validator.py"),
            "--prefix",
            str(installation.root),
            "--format",
            "json",
        ],
        capture_output=True,
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    report = json.loads(done.stdout)
    assert done.returncode == 5, [r for r in report["validation_results"] if r["raw_status"] == "fail"]
    assert report["overall_status"] == "WARNING"
    assert "Traceback" not in done.stderr.decode()


OLDEST = shutil.which(
    "python3.9", path=os.pathsep.join(map(str, Path.home().glob(".pyenv/versions/3.9*/bin")))
)


@pytest.mark.skipif(OLDEST is None, reason="no Python 3.9 on this machine")
def test_it_runs_on_python_3_9(repository: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            str(OLDEST),
            str(repository / "enterprise_validator.py"),
            "--prefix",
            str(tmp_path / "none"),
            "--lang",
            "en",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 4), done.stdout + done.stderr
    assert "ERROR" not in done.stdout
    help_text = subprocess.run(
        [str(OLDEST), str(repository / "recovery_assistant.py"), "--help"], capture_output=True, check=False
    )
    assert help_text.returncode == 0


def test_importing_the_validator_is_light(repository: Path) -> None:
    """Nothing heavy is imported before the arguments are known: http, xml and sqlite only when needed."""
    code = "import sys; import validator.cli; print(sorted(set(sys.modules) & {'http.client', 'xml', 'sqlite3', 'psutil'}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout.strip() == "[]"
