"""The sweep is worth what its eyes are worth: what the hook sees, and what the look after a fault finds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundles import REPOSITORY

from .harness import after_fault, after_rerun, strike
from .scenarios import SCENARIOS, THREE, UPGRADE, count
from .workshop import SECRET, Workshop, wait_for
from .zygote import HOOK, Outcome

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="/proc and record locks of Linux"
)
ENTRY = "import sys; from pathlib import Path; from installer.cli import main; sys.exit(main(script=Path(sys.argv.pop(1))))"


@pytest.mark.parametrize("delay", ("0.005", "0.02", "0.05"))
@pytest.mark.parametrize("child", ("/requirements.txt", " ragtrace serve"))
def test_killing_the_installer_while_a_child_runs_leaves_no_orphan_and_converges(
    workshop: Workshop, child: str, delay: str
) -> None:
    points = workshop.points("upgrade", count)
    found = [n for n, line in enumerate(points, 1) if "subprocess.Popen" in line and line.endswith(child)]
    assert len(found) == 1
    assert strike(workshop, UPGRADE, found[0], "during", DELAY=delay) == ([], True)


def test_the_hook_sees_what_it_is_meant_to_see(workshop: Workshop) -> None:
    points = workshop.points("upgrade", count)
    seen = {line.split()[1] for line in points}
    assert seen >= {"open", "os.rename", "os.mkdir", "os.link", "os.symlink", "os.remove", "os.rmdir"}
    assert seen >= {"os.chmod", "os.fsync", "os.write", "os.sync", "file.write", "subprocess.Popen"}
    switched = [number for number, line in enumerate(points) if line.endswith(" os.rename current.json")]
    received = [n for n, line in enumerate(points) if line.endswith("/RECEIPT.json") and "rename" in line]
    assert len(switched) == len(received) == 1
    assert received[0] < switched[0], "the receipt is written before the pointer"


EVERY_KIND = """
import os, pathlib, shutil, sys
root = pathlib.Path(sys.argv[1])
a, b = root / "a", root / "b"
with open(a, "w") as stream: stream.write("x")
with a.open("ab") as stream: stream.write(b"y" * 20000); stream.truncate(5)
handle = os.open(a, os.O_RDWR)
os.write(handle, b"1"); os.pwrite(handle, b"2", 0); os.ftruncate(handle, 3); os.fsync(handle); os.fdatasync(handle)
os.fchmod(handle, 0o600); os.fchown(handle, -1, -1); os.close(handle)
os.link(a, b); os.symlink("a", root / "c"); os.replace(b, root / "d"); os.utime(a); os.chmod(a, 0o644)
os.truncate(a, 1); os.mkdir(root / "e"); os.rmdir(root / "e"); os.unlink(root / "c"); os.sync()
shutil.copy2(a, root / "f"); a.read_text(); os.listdir(root); a.stat()
"""


def test_the_hook_numbers_every_kind_of_operation_and_no_look(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    place = tmp_path / "root"
    place.mkdir()
    environment = {"PYTHONPATH": str(HOOK), "RAGTRACE_FAULT_ROOT": str(place), "RAGTRACE_FAULT_LOG": str(log)}
    command = [sys.executable, "-B", "-c", EVERY_KIND, str(place)]
    subprocess.run(command, env={**environment, "RAGTRACE_FAULT_MODE": "count"}, check=True)
    kinds = [line.split()[1] for line in log.read_text().splitlines()]
    assert kinds[:24] == [
        "open", "file.write", "open", "file.write", "file.truncate", "open", "os.write", "os.pwrite", "os.truncate",
        "os.fsync", "os.fdatasync", "os.chmod", "os.chown", "os.link", "os.symlink", "os.rename", "os.utime",
        "os.chmod", "os.truncate", "os.mkdir", "os.rmdir", "os.remove", "os.sync", "open",
    ]  # fmt: skip
    assert set(kinds[24:]) <= {"os.sendfile", "file.write", "os.chmod", "os.utime", "os.copy_file_range"}
    assert len(kinds) >= 26


def test_a_forked_installer_does_what_a_fresh_one_does(workshop: Workshop) -> None:
    forked = workshop.points("rollback", count)
    workshop.begin(SCENARIOS["rollback"].start)
    log = workshop.folder / "fresh.txt"
    words = ["--prefix", str(workshop.prefix.root), *SCENARIOS["rollback"].words(workshop)]
    environment = workshop.environment(MODE="count", LOG=str(log))
    done = subprocess.run(
        [sys.executable, "-B", "-c", ENTRY, str(workshop.script), *words],
        env={**environment, "PYTHONPATH": os.pathsep.join([str(HOOK), str(REPOSITORY)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert log.read_text(encoding="utf-8").splitlines() == forked


@pytest.mark.parametrize(
    ("mode", "code"), [("kill", -9), ("SIGINT", 130), ("SIGTERM", 130), ("ENOSPC", 13), ("EIO", 13)]
)
def test_a_fault_before_the_switch_really_strikes(workshop: Workshop, mode: str, code: int) -> None:
    points = workshop.points("upgrade", count)
    switch = next(n for n, line in enumerate(points, 1) if line.endswith(" os.rename current.json"))
    workshop.begin(UPGRADE.start)
    outcome = workshop.installer(*UPGRADE.words(workshop), MODE=mode, AT=str(switch))
    assert (outcome.code, outcome.struck) == (code, f"struck {switch} os.rename current.json")


def _nothing(workshop: Workshop) -> None:
    pass


def _a_byte(workshop: Workshop) -> None:
    place = workshop.prefix.generation(workshop.release("v1")) / "source" / "README.md"
    place.unlink()
    place.write_text("another\n", encoding="utf-8")


def _a_stray(workshop: Workshop) -> None:
    # By a shell that ends at once, so that the stray is nobody's child.
    subprocess.run(["sh", "-c", f"sh -c 'sleep 30; :' '{workshop.prefix.root}' &"], check=True)


def _no_service(workshop: Workshop) -> None:
    workshop.stop()


def _a_document(workshop: Workshop) -> None:
    (workshop.prefix.data / "documents" / "보고서.txt").write_text("gone\n", encoding="utf-8")


def _a_mode(workshop: Workshop) -> None:
    workshop.prefix.settings.chmod(0o644)


def _through_the_link(workshop: Workshop) -> None:
    next(workshop.outside.iterdir()).write_text("yours?\n", encoding="utf-8")


def _a_file(workshop: Workshop) -> None:
    (workshop.prefix.generation(workshop.release("v1")) / "more.txt").write_text("", encoding="utf-8")


def _scratch(workshop: Workshop) -> None:
    workshop.prefix.scratch.mkdir()
    (workshop.prefix.scratch / "left").write_text("", encoding="utf-8")


def _half_written(workshop: Workshop) -> None:
    (workshop.prefix.root / ".current.json.new").write_text("{", encoding="utf-8")


def _a_secret(workshop: Workshop) -> None:
    with open(workshop.prefix.logs / "service.log", "a", encoding="utf-8") as stream:
        stream.write(SECRET)


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (_nothing, ""),
        (_a_byte, "README.md"),
        (_a_stray, "a process is left"),
        (_no_service, "'' answers"),
        (_a_document, "보고서.txt"),
        (_a_mode, "config/.env: file 600"),
        (_through_the_link, "남의 파일.txt"),
        (_a_file, "undeclared: generations/"),
        (_scratch, "the scratch folder is not empty"),
        (_half_written, "half written: .current.json.new"),
        (_a_secret, "the secret can be read in data/logs/service.log"),
    ],
)
def test_the_look_after_a_fault_finds_what_is_wrong(
    workshop: Workshop, break_it: Callable[[Workshop], None], complaint: str
) -> None:
    begun = workshop.begin(THREE)
    before = {path: path.read_bytes() for path in workshop.outside.iterdir()}
    break_it(workshop)
    words = "error RT-RESTORED: x\n  state: y\n  next: z\n"
    problems = after_fault(workshop, UPGRADE, begun, Outcome(13, "", words, "struck"), "EIO")
    workshop.stop()
    wait_for(lambda: not workshop.processes(), "the stray does not end")
    for path, data in before.items():
        path.write_bytes(data)
    assert bool(problems) == bool(complaint), problems
    assert complaint in "\n".join(problems)


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        (Outcome(13, "", "error RT-RESTORED: x\n  state: y\n", "struck"), "lacks 'next: '"),
        (Outcome(13, "", "error RT-RESTORED: x\n  next: y\n", "struck"), "lacks 'state: '"),
        (Outcome(70, "", "error RT-INTERNAL: x\n  state: y\n  next: z\n", "struck"), "exit code 70"),
        (
            Outcome(13, "", "Traceback (most recent call last):\nerror RT-X: \n state: \n next: ", "struck"),
            "traceback",
        ),
        (Outcome(0, "", "", "struck"), "0 says done"),
        (
            Outcome(13, f"{SECRET}", "error RT-RESTORED: x\n  state: y\n  next: z\n", "struck"),
            "read in output",
        ),
    ],
)
def test_the_look_after_a_fault_reads_code_and_words(
    workshop: Workshop, outcome: Outcome, complaint: str
) -> None:
    begun = workshop.begin(THREE)
    problems = after_fault(workshop, UPGRADE, begun, outcome, "EIO")
    assert len(problems) == 1 and complaint in problems[0], problems


def test_the_look_after_the_second_run_wants_the_goal(workshop: Workshop) -> None:
    begun = workshop.begin(THREE)
    problems = after_rerun(workshop, UPGRADE, begun, Outcome(0, "", ""))
    assert len(problems) == 1 and "is active" in problems[0]


def test_bundles_of_the_sweep_do_not_gain_files(workshop: Workshop) -> None:
    for bundle in workshop.bundles.values():
        declared = {entry.path for entry in bundle.manifest.files}
        found = {p.relative_to(bundle.root).as_posix() for p in bundle.root.rglob("*") if p.is_file()}
        assert found - declared == {"MANIFEST.json", "MANIFEST.json.sig", "checksums.sha256"}
