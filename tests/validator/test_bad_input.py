"""Half-installed, damaged and hostile hosts: always a report or a clear usage error, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.validator.fakes import Installation
from validator.cli import main

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ROOT / "enterprise_validator.py"
# What looks at these files; measurements and the watched start of the service only take time here.
LOOKING = ["--category", "System", "--category", "Packages", "--category", "RAGTrace"]
SCHEMA = json.loads((ROOT / "manifests/schema/report.schema.json").read_text(encoding="utf-8"))


def report_of(words: Sequence[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run the validator and return its report, which fits the schema and whose exit code is the run's."""
    file = tmp_path / "report.json"
    code = main([*words, "--output", str(file), "--lang", "en"])
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out + file.read_text()
    report: dict[str, Any] = json.loads(file.read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["exit_code"] == code
    return report


def gaps(report: dict[str, Any]) -> dict[str, str]:
    return {
        r["id"]: r["raw_status"]
        for r in report["validation_results"]
        if r["raw_status"] in ("fail", "error", "unknown")
    }


FILES = {
    "pointer": "current.json",
    "manifest": "generations/{name}/tools/MANIFEST.json",
    "receipt": "generations/{name}/RECEIPT.json",
    "settings": "config/.env",
    "note": "state/service.json",
}


def replaced(path: Path) -> Path:
    """Remove a file or folder so that something else can take its place."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return path


CONTENT: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "bytes": lambda path: path.write_bytes(bytes(range(256)) * 8),
    "nested": lambda path: path.write_bytes(b"[" * 200_000),
    "huge number": lambda path: path.write_bytes(b'{"format": 1e999, "port": ' + b"9" * 5000 + b"}"),
    "wrong kinds": lambda path: path.write_text('{"generation": [], "files": 7, "name": {}, "port": "²"}'),
    "folder": lambda path: replaced(path).mkdir(),
    "pipe": lambda path: os.mkfifo(replaced(path)),
    "endless": lambda path: replaced(path).symlink_to("/dev/zero"),
    "loop": lambda path: replaced(path).symlink_to(path),
}
# Every content once at least, the pointer, which everything hangs on, most often.
CASES = [
    ("pointer", "empty"),
    ("pointer", "truncated"),
    ("pointer", "nested"),
    ("pointer", "folder"),
    ("pointer", "pipe"),
    ("pointer", "endless"),
    ("manifest", "truncated"),
    ("manifest", "wrong kinds"),
    ("manifest", "pipe"),
    ("receipt", "nested"),
    ("receipt", "wrong kinds"),
    ("receipt", "loop"),
    ("settings", "endless"),
    ("note", "huge number"),
    ("note", "wrong kinds"),
    ("note", "bytes"),
]


@pytest.mark.parametrize(("file", "content"), CASES)
def test_a_damaged_state_file_is_a_finding(
    running: Installation, tmp_path: Path, capfd: pytest.CaptureFixture[str], file: str, content: str
) -> None:
    path = running.root / FILES[file].format(name=running.name)
    if not path.exists():
        path.write_text("{}")
    CONTENT[content](path)
    report = report_of(["--prefix", str(running.root), *LOOKING], tmp_path, capfd)
    assert report["overall_status"] != "EXCELLENT" or file == "note"
    assert gaps(report) or file == "note"
    assert report["exit_code"] in (3, 5) or file == "note"


def test_hostile_settings_do_not_decide_more_than_they_may(
    running: Installation, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    running.settings.write_text(
        "RAGTRACE_SERVER_PORT=²\nRAGTRACE_SERVER_HOST=\x00\x1b[31m\nLD_PRELOAD=/nonexistent\x00\n=x\nA\x00B=1\n"
    )
    report = report_of(["--prefix", str(running.root), *LOOKING], tmp_path, capfd)
    assert report["overall_status"] != "EXCELLENT" and report["exit_code"] != 0


HALF: dict[str, Callable[[Installation], object]] = {
    "no pointer": lambda host: (host.root / "current.json").unlink(),
    "no generation": lambda host: shutil.rmtree(host.generation),
    "an empty generation": lambda host: replaced(host.generation).mkdir(),
    "no environment": lambda host: shutil.rmtree(host.generation / "venv"),
    "no interpreter": lambda host: (host.generation / "venv/bin/python").unlink(),
    "no packages": lambda host: shutil.rmtree(host.site),
    "no receipt": lambda host: (host.generation / "RECEIPT.json").unlink(),
    "no tools": lambda host: shutil.rmtree(host.generation / "tools"),
    "no configuration": lambda host: shutil.rmtree(host.root / "config"),
    "no data": lambda host: shutil.rmtree(host.root / "data"),
    "no state": lambda host: shutil.rmtree(host.root / "state"),
    "generations is a file": lambda host: replaced(host.root / "generations").write_text(""),
}


@pytest.mark.parametrize("what", HALF)
def test_a_half_installed_host_is_never_excellent(
    installation: Installation, tmp_path: Path, capfd: pytest.CaptureFixture[str], what: str
) -> None:
    HALF[what](installation)
    report = report_of(["--prefix", str(installation.root), *LOOKING], tmp_path, capfd)
    assert report["overall_status"] in ("WARNING", "CRITICAL") and report["exit_code"] != 0
    errors = [r for r in report["validation_results"] if r["raw_status"] == "error"]
    assert errors == [], "a check broke on a host that is merely incomplete"


@pytest.mark.parametrize("manifest", [b"", b"{", b"[" * 100_000, b'{"format": 1}', b"\xff" * 100])
def test_an_unreadable_manifest_of_a_bundle_is_a_named_gap(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], manifest: bytes
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "MANIFEST.json").write_bytes(manifest)
    words = ["--prefix", str(tmp_path / "none"), "--bundle", str(bundle), "--category", "System"]
    report = report_of(words, tmp_path, capfd)
    assert report["overall_status"] != "EXCELLENT"
    assert "unknown" in gaps(report).values()
    assert report["exit_code"] == 5


@pytest.mark.parametrize("prefix", ["file", "a\0b", "~nobody-has-this-name/x"])
def test_a_prefix_that_cannot_be_one_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prefix: str
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--prefix", str(tmp_path / "file") if prefix == "file" else prefix, "--lang", "en"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("enterprise_validator.py: ") and "Traceback" not in said.err


@pytest.mark.parametrize("option", ["--bundle", "--waivers", "--plugins", "--output"])
def test_a_path_that_cannot_be_one_is_a_usage_error(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "SYS-009", option, "a\0b", "--lang", "en"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_without_psutil_and_procfs_the_memory_is_unknown_not_fine(
    monkeypatch: pytest.MonkeyPatch, installation: Installation
) -> None:
    from validator.checks import system
    from validator.host import facts

    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    assert facts._memory_elsewhere() == (0, 0)
    monkeypatch.setattr(facts, "memory_bytes", lambda: facts._memory_elsewhere())
    memory = next(item for item in system.CHECKS if item.id == "SYS-005")
    assert memory.function(installation.subject()).status.value in ("unknown", "skip")


def test_a_report_that_does_not_fit_on_the_disk_is_shown_at_least(tmp_path: Path) -> None:
    """The size limit of a process is a full disk that needs no root."""
    file = tmp_path / "report.json"
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 1; exec "$@"', "x", sys.executable, str(ENTRY), "--prefix", str(tmp_path / "none"),
         "--category", "System", "--output", str(file), "--lang", "en"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "the report cannot be written" in done.stderr and "Traceback" not in done.stderr
    assert "Verdict: " in done.stdout
    assert list(tmp_path.glob("*report*")) == [] and list(tmp_path.glob(".*")) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_device_is_written_to_and_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--prefix", str(tmp_path / "none"), "--only", "SYS-009", "--lang", "en"]
    assert main([*words, "--output", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()
    assert main([*words, "--output", "/dev/full"]) == 2
    assert "the report cannot be written" in capsys.readouterr().err


def test_a_report_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    words = ["--prefix", str(tmp_path / "none"), "--only", "SYS-009", "--output", str(tmp_path / "link.json")]
    assert main(words) == 0
    assert (tmp_path / "link.json").is_symlink() and json.loads((tmp_path / "real.json").read_text())


@pytest.mark.parametrize("sink", ["/dev/full", "closed pipe"])
def test_a_reader_that_is_gone_is_no_traceback(tmp_path: Path, sink: str) -> None:
    words = [
        sys.executable,
        str(ENTRY),
        "--prefix",
        str(tmp_path / "none"),
        "--only",
        "SYS-009",
        "--format",
        "html",
    ]
    if sink == "closed pipe":
        words = ["bash", "-c", '"$@" | true; exit ${PIPESTATUS[0]}', "x", *words]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


HANGING = {
    "while it runs": "import time\nCHECKS = [{'id': 'ABC-001', 'category': 'Tools', 'title': 'a', 'timeout_s': 60, 'run': lambda c: time.sleep(60)}]",
    "while it is listed": "import time\ntime.sleep(60)",
}


@pytest.mark.parametrize("when", HANGING)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_no_child_behind(
    tmp_path: Path, when: str, number: signal.Signals, code: int
) -> None:
    folder = tmp_path / "checks"
    folder.mkdir()
    mark = tmp_path / "ran"
    (folder / "toy.py").write_text(
        f"import os\nopen({str(mark)!r}, 'a').write(f'{{os.getpid()}} ')\n{HANGING[when]}"
    )
    process = subprocess.Popen(
        [sys.executable, str(ENTRY), "--prefix", str(tmp_path / "none"), "--plugins", str(folder), "--category", "tools"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wanted = 2 if when == "while it runs" else 1
    for _ in range(600):
        if mark.exists() and len(mark.read_text().split()) >= wanted:
            break
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(number)
    said = process.communicate(timeout=30)
    assert process.returncode == code, said
    assert "Traceback" not in said[1]
    for child in mark.read_text().split():
        assert not _lives(int(child))


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


as_nobody = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def run_as_nobody(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the validator as a user who owns nothing here."""
    interpreter = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if interpreter is None:
        pytest.skip("no interpreter that another user may run")
    copy = tmp_path / "code"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("validator", "bundle"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    shutil.copy(ENTRY, copy)
    for folder in copy.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    return subprocess.run(
        [interpreter, str(copy / ENTRY.name), "--lang", "en", *words],
        capture_output=True, text=True, check=False, user=65534, group=65534, extra_groups=[], cwd="/",
    )  # fmt: skip


@as_nobody
@pytest.mark.parametrize("hidden", ["", "generations", "config", "current.json"])
def test_what_a_user_may_not_see_is_unknown_not_absent(
    installation: Installation, tmp_path: Path, hidden: str
) -> None:
    (installation.root / hidden).chmod(0o600 if hidden == "current.json" else 0o700)
    done = run_as_nobody(tmp_path, "--prefix", str(installation.root), "--format", "json", *LOOKING)
    assert "Traceback" not in done.stderr, done.stderr
    report = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert "unknown" in gaps(report).values()
    assert report["overall_status"] in ("WARNING", "CRITICAL") and done.returncode in (3, 5)
    if not hidden:
        assert "fail" not in gaps(report).values()
        assert "nothing installed" not in done.stdout


@as_nobody
def test_a_read_only_folder_is_refused_before_anything_runs(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir(mode=0o755)
    done = run_as_nobody(
        tmp_path, "--prefix", str(tmp_path / "none"), "--output", str(folder / "report.json")
    )
    assert done.returncode == 2 and done.stdout == ""
    assert "the report cannot be written" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("program", ["enterprise_validator", "recovery_assistant"])
@pytest.mark.parametrize("damage", ["removed", "cut off", "zeroed"])
def test_a_damaged_file_of_the_program_itself_is_said_in_words(
    tmp_path: Path, program: str, damage: str
) -> None:
    for name in ("bundle", "validator", "recovery"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / f"{program}.py", tmp_path)
    module = (
        tmp_path / {"enterprise_validator": "validator", "recovery_assistant": "recovery"}[program] / "cli.py"
    )
    if damage == "removed":
        module.unlink()
    elif damage == "cut off":
        module.write_text(module.read_text(encoding="utf-8")[:2000] + "(", encoding="utf-8")
    else:
        module.write_bytes(bytes(4096))
    words = [sys.executable, str(tmp_path / f"{program}.py"), "--prefix", str(tmp_path / "p")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr and "06_Verification" in done.stderr and "손상" in done.stderr


def test_a_damaged_check_file_is_no_verdict_and_no_traceback(tmp_path: Path) -> None:
    for name in ("bundle", "validator"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ENTRY, tmp_path)
    module = tmp_path / "validator/checks/tools.py"
    module.write_bytes(module.read_bytes()[:1500])
    words = [sys.executable, str(tmp_path / ENTRY.name), "--prefix", str(tmp_path / "p"), "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 5 and "Traceback" not in done.stderr + done.stdout, done.stderr
    assert "tools.py" in done.stderr and "EXCELLENT" not in done.stdout
