"""Uninstall: what the installer made goes, what belongs to others stays, and no instant leaves something in between."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.errors import RecoveryNeededError, RestoredError
from installer import activation, journal, pointer, removal
from installer.console import Console
from installer.hosts.interface import ServiceError
from installer.hosts.process import ProcessHost
from installer.lock import Lock
from installer.operations import uninstall
from installer.paths import Prefix
from installer.recovery import recover
from tests.support.bundles import Bundle

from .site import Site

Make = Callable[..., Bundle]


def paths(root: Path) -> set[str]:
    """Every file and link below a folder."""
    return {
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink() or path.is_file()
    }


def state_files(site: Site) -> list[str]:
    """What lies in `state/` beside the audit log."""
    return [name for name in os.listdir(site.prefix.state) if not name.startswith("audit")]


def audit(site: Site) -> list[dict[str, object]]:
    return list(journal.read_lines(site.prefix.audit))


def test_data_configuration_trust_and_audit_stay_and_all_else_goes(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for(models={"m/w.bin": b"weights" * 1000}))
    site.install(bundle_for(version="2.0.0", sequence=2))
    document = site.prefix.data / "documents" / "규정.md"
    document.write_text("내용")
    settings = site.prefix.settings.read_bytes()
    done = site.run("--uninstall", "--json")
    assert done.code == 0, done.err
    assert site.answering() == ""
    assert sorted(os.listdir(site.root)) == ["config", "data", "state", "trust"]
    assert state_files(site) == []
    assert document.read_text() == "내용"
    assert site.prefix.settings.read_bytes() == settings
    assert audit(site)[-1]["action"] == "uninstall"
    assert audit(site)[-1]["outcome"] == "ok"
    kept = {item["path"]: item["bytes"] for item in done.document["kept"]}
    assert set(kept) >= {"config", "data", "trust", "state/audit.jsonl"}
    assert kept["data"] > 0
    assert done.document["foreign"] == []
    assert done.document["bytes"] > 1000


def test_a_second_uninstall_says_that_nothing_is_installed(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    assert site.run("--uninstall").code == 0
    before = paths(site.root)
    again = site.run("--uninstall", "--lang", "en")
    assert again.code == 2
    assert "nothing is installed here" in again.err
    assert paths(site.root) == before


@pytest.mark.parametrize("word", ("--start", "--stop", "--rollback", "--uninstall", "--prune"))
def test_where_nothing_is_installed_nothing_is_written(site: Site, word: str) -> None:
    assert site.run(word).code == 2
    assert not site.root.exists()


def test_after_an_uninstall_there_is_no_service_to_start(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    site.run("--uninstall")
    before = paths(site.root)
    assert site.run("--start").code == 2
    assert paths(site.root) == before


def test_a_purge_leaves_nothing_at_all(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    done = site.run("--uninstall", "--purge-data", "--json")
    assert done.code == 0, done.err
    assert not site.root.exists()
    assert done.document["kept"] == []


def test_what_an_uninstall_left_can_be_purged_later(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    site.run("--uninstall")
    assert site.run("--uninstall", "--purge-data").code == 0
    assert not site.root.exists()


def test_a_reinstallation_is_still_protected_from_a_downgrade(site: Site, bundle_for: Make) -> None:
    old, new = bundle_for(), bundle_for(version="2.0.0", sequence=2)
    site.install(new)
    site.run("--uninstall")
    assert site.install(old).code == 11
    assert site.install(new).code == 0
    assert site.answering() == new.generation
    assert site.undeclared() == []


def test_a_reinstallation_finds_the_signer_and_the_address_again(site: Site, bundle_for: Make) -> None:
    elsewhere = bundle_for(port=1)
    assert site.install(elsewhere, "--port", str(site.port)).code == 0
    site.run("--uninstall")
    done = site.run("--bundle", str(elsewhere.root), "--service-manager", "process")
    assert done.code == 0, done.err
    assert site.answering() == elsewhere.generation


def test_foreign_files_stay_with_their_folders_and_are_listed(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for(models={"m/w.bin": b"weights"})
    site.install(bundle)
    release = site.prefix.generation(bundle.generation)
    mine = [
        site.root / "notes.txt",
        site.prefix.state / "mine.txt",
        site.prefix.trust / "letter.txt",
        site.prefix.store / "readme",
        release / "source" / "patch.diff",
        release / "venv" / "mine" / "deep.txt",
    ]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
    planned = site.run("--uninstall", "--dry-run", "--json").document["foreign"]
    done = site.run("--uninstall", "--json")
    assert done.code == 0, done.err
    assert done.document["foreign"] == planned
    assert set(planned) >= {path.relative_to(site.root).as_posix() for path in mine}
    aside = release.with_name(release.name + ".foreign")
    for path in mine:
        moved = aside / path.relative_to(release) if release in path.parents else path
        assert moved.read_text() == path.name
    assert paths(aside) == {"source/patch.diff", "venv/mine/deep.txt"}
    assert site.run("--uninstall").code == 2
    assert site.install(bundle).code == 0, "foreign files are in nobody's way"
    assert (aside / "source" / "patch.diff").exists()


def test_bytecode_of_our_modules_is_not_foreign(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    cached = next(site.prefix.generation(bundle.generation).rglob("ragtrace")) / "__pycache__"
    cached.mkdir()
    (cached / "__main__.cpython-311.pyc").write_bytes(b"bytecode")
    assert site.run("--uninstall", "--json").document["foreign"] == []
    assert not site.prefix.generations.exists()


def test_links_are_removed_and_never_followed(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    bundle = bundle_for()
    site.install(bundle)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (site.prefix.data / "documents" / "link").symlink_to(outside)
    (site.prefix.generation(bundle.generation) / "source" / "link").symlink_to(outside)
    shutil.move(str(site.prefix.config), str(tmp_path / "config"))
    site.prefix.config.symlink_to(tmp_path / "config")
    done = site.run("--uninstall", "--purge-data", "--json")
    assert done.code == 0, done.err
    assert (outside / "precious").read_text() == "x"
    assert (tmp_path / "config" / ".env").exists()
    assert not site.prefix.data.exists()
    assert not site.prefix.config.is_symlink()
    aside = site.prefix.generations / f"{bundle.generation}.foreign"
    assert paths(aside) == {"source/link"}


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting takes root")
def test_a_file_system_mounted_in_the_data_folder_is_not_purged(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    site.install(bundle_for())
    share = site.prefix.data / "documents" / "공유 폴더"
    share.mkdir()
    outside = tmp_path / "share"
    outside.mkdir()
    (outside / "precious").write_text("x")
    if subprocess.run(["mount", "--bind", outside, share], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not allow mounting")
    try:
        assert site.run("--uninstall", "--purge-data").code == 0
        assert (share / "precious").read_text() == "x"
        assert paths(site.root) == {"data/documents/공유 폴더/precious"}
    finally:
        subprocess.run(["umount", share], check=True)


def test_a_dry_run_lists_and_changes_nothing(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    before = {path: path.lstat().st_mtime_ns for path in site.root.rglob("*")}
    done = site.run("--uninstall", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert {item["path"] for item in done.document["removed"]} >= {
        f"generations/{bundle.generation}", "store", "state", "current", "current.json",
    }  # fmt: skip
    assert {item["path"] for item in done.document["kept"]} >= {
        "data",
        "config",
        "trust",
        "state/audit.jsonl",
    }
    assert {path: path.lstat().st_mtime_ns for path in site.root.rglob("*")} == before
    assert site.answering() == bundle.generation
    purge = site.run("--uninstall", "--purge-data", "--dry-run", "--json").document
    assert purge["kept"] == []
    assert "data" in {item["path"] for item in purge["removed"]}
    assert site.run("--uninstall").code == 0
    assert site.run("--uninstall", "--dry-run").code == 2


@pytest.mark.parametrize("python", ("host", "release"))
def test_it_removes_its_own_code(site: Site, bundle_for: Make, python: str) -> None:
    bundle = bundle_for(tools="full")
    assert site.install(bundle).code == 0
    release = site.prefix.generation(bundle.generation)
    program = sys.executable if python == "host" else str(site.prefix.link / "venv" / "bin" / "python")
    tools = site.prefix.link / "tools" / "04_Scripts"
    done = subprocess.run(
        [program, "install.py", "--uninstall", "--json"],
        cwd=tools,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["foreign"] == []
    assert not release.exists()
    assert sorted(os.listdir(site.root)) == ["config", "data", "state", "trust"]


def test_a_damaged_pointer_does_not_stop_it(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    site.prefix.pointer.write_bytes(b"{")
    assert site.run("--uninstall").code == 0
    assert site.answering() == ""
    assert sorted(os.listdir(site.root)) == ["config", "data", "state", "trust"]


def test_a_damaged_release_does_not_stop_it(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    (site.prefix.generation(bundle.generation) / "tools" / "MANIFEST.json").unlink()
    site.prefix.pointer.write_bytes(b"{")
    done = site.run("--uninstall")
    assert done.code == 0, done.err
    assert sorted(os.listdir(site.root)) == ["config", "data", "state", "trust"]


def test_lost_settings_do_not_leave_the_service_running(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    known = site.prefix.service.read_bytes()
    site.prefix.service.write_bytes(b"{")
    try:
        assert site.run("--uninstall").code == 0
        assert site.answering() == ""
    finally:
        site.prefix.state.mkdir(exist_ok=True)
        site.prefix.service.write_bytes(known)


def test_a_service_that_has_died_does_not_stop_it(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    site.stop()
    assert site.run("--uninstall").code == 0


def test_a_half_installed_place_is_cleaned(site: Site) -> None:
    prefix = site.prefix
    for folder in (site.root, prefix.state, prefix.trust, prefix.generations, prefix.scratch):
        folder.mkdir()
    prefix.lock.touch()
    prefix.reserve.write_bytes(b"0")
    unfinished = prefix.generation("000001-0123456789ab")
    unfinished.mkdir()
    (unfinished / "part").write_bytes(b"x")
    assert site.run("--uninstall").code == 0
    assert state_files(site) == []
    assert not prefix.generations.exists()


def test_while_another_installer_works_it_is_busy(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    with Lock(site.prefix.lock):
        assert site.run("--uninstall").code == 15
    assert site.answering() == bundle.generation


def test_a_lock_whose_file_was_removed_meanwhile_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = Lock(path)
    with first:
        path.unlink()
        path.touch()
        second = Lock(path)
        second.descriptor = os.dup(first.descriptor)
        with Lock(path) as third:
            assert os.fstat(third.descriptor).st_ino == path.stat().st_ino
        assert second._replaced()
        second.release()


def killed(site: Site, at: str) -> int:
    """Uninstall, and die without a word at the `at`-th call of one function (``module:function:number``)."""
    module, function, number = at.split(":")
    hook = (
        "import importlib, os, sys\n"
        f"module, count = importlib.import_module({module!r}), [0]\n"
        f"real = getattr(module, {function!r})\n"
        "def strike(*words, **more):\n"
        "    count[0] += 1\n"
        f"    if count[0] == {number}:\n"
        "        os._exit(99)\n"
        "    return real(*words, **more)\n"
        f"setattr(module, {function!r}, strike)\n"
    )
    command = site.command("--uninstall")
    command[3] = hook + command[3]
    environment = {**os.environ, "PYTHONPATH": str(Path(removal.__file__).parent.parent)}
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode


BEFORE = (
    "installer.removal:write_marker:1",
    "installer.activation:stop:1",
    "installer.operations.uninstall:read_plain:1",
)
AFTER = (
    "installer.removal:carry_out:1", "installer.removal:_unlink:1", "installer.removal:_unlink:40",
    "installer.removal:_remove_release:2", "installer.removal:_remove_empty:3", "installer.removal:remove_file:1",
    "installer.removal:leave:1",
)  # fmt: skip


@pytest.mark.parametrize("at", BEFORE)
def test_killed_before_the_commit_point_the_next_run_brings_the_service_back(
    site: Site, bundle_for: Make, at: str
) -> None:
    bundle = bundle_for()
    site.install(bundle)
    assert killed(site, at) == 99
    assert pointer.read(site.prefix) is not None
    assert site.run("--start").code == 0
    assert (site.active(), site.answering()) == (bundle.generation, bundle.generation)
    assert site.undeclared() == []
    assert not site.prefix.uninstalling.exists()


@pytest.mark.parametrize("at", AFTER)
@pytest.mark.parametrize("then", ("uninstall", "install"))
def test_killed_after_the_commit_point_the_next_run_finishes_it(
    site: Site, bundle_for: Make, at: str, then: str
) -> None:
    first, second = bundle_for(models={"m/w.bin": b"w"}), bundle_for(version="2.0.0", sequence=2)
    site.install(first)
    site.install(second)
    assert killed(site, at) == 99
    assert pointer.read(site.prefix) is None
    if then == "uninstall":
        assert site.run("--uninstall").code == 0
        assert sorted(os.listdir(site.root)) == ["config", "data", "state", "trust"]
        assert state_files(site) == []
        return
    done = site.install(second)
    assert done.code == 0, done.err
    assert site.answering() == second.generation
    assert os.listdir(site.prefix.generations) == [second.generation]
    assert site.undeclared() == []


def test_recovery_does_not_resurrect_a_half_uninstalled_installation(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    assert killed(site, "installer.removal:_remove_release:1") == 99
    assert site.prefix.generation(bundle.generation).exists()
    assert recover(site.prefix, "again").needed
    assert not site.prefix.generation(bundle.generation).exists()
    assert not site.prefix.pointer.exists()
    assert "uninstall" in [entry["action"] for entry in audit(site)]


def test_an_uninstall_that_fails_before_the_commit_point_is_undone(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    (site.root / "state" / ".uninstall.json.new").mkdir()
    try:
        done = site.run("--uninstall")
    finally:
        (site.root / "state" / ".uninstall.json.new").rmdir()
    assert done.code in (13, 14)
    assert site.answering() == bundle.generation


def test_an_uninstall_that_cannot_finish_says_how_to(
    site: Site, bundle_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install(bundle_for())
    prefix = site.prefix
    monkeypatch.setattr(os, "chdir", lambda folder: None)

    def broken(where: Prefix, marker: removal.Marker) -> None:
        raise OSError(5, "Input/output error", str(where.generations))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(removal, "carry_out", broken)
        with pytest.raises(RecoveryNeededError) as raised:
            uninstall.uninstall(prefix, False, Console("en", quiet=True))
    assert raised.value.exit_code == 14
    assert raised.value.hint is not None
    assert str(prefix.root) in raised.value.hint.en
    assert site.run("--uninstall").code == 0


class Refusing(ProcessHost):
    """A service manager that does not let go of a registration."""

    def remove_unit(self, name: str) -> None:
        raise ServiceError("remove_unit refused")


def test_a_registration_that_cannot_be_removed_leaves_everything_as_it_was(
    site: Site, bundle_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_for()
    site.install(bundle)
    before = paths(site.root)
    monkeypatch.setattr(activation, "host_for", lambda settings: Refusing())
    monkeypatch.setattr(os, "chdir", lambda folder: None)
    with pytest.raises(RestoredError) as raised:
        uninstall.uninstall(site.prefix, False, Console("en", quiet=True))
    assert raised.value.exit_code == 13
    assert (site.active(), site.answering()) == (bundle.generation, bundle.generation)
    assert {path for path in paths(site.root) if not path.startswith("state/audit")} >= {
        path for path in before if not path.startswith(("state/", "data/"))
    }
    assert not site.prefix.uninstalling.exists()
    assert audit(site)[-1]["outcome"] == "RT-RESTORED"


def test_status_tells_what_is_left(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    assert killed(site, "installer.removal:carry_out:1") == 99
    told = site.run("--status", "--json").document
    assert (told["installed"], told["uninstalling"]) == (False, True)
    assert "run --uninstall again" in site.run("--status", "--lang", "en").out
    site.run("--uninstall")
    told = site.run("--status", "--json").document
    assert (told["uninstalling"], told["left"]) == (False, ["data", "config", "trust"])


def test_data_that_could_not_be_put_right_keep_what_they_can_be_put_right_from(
    site: Site, bundle_for: Make
) -> None:
    site.install(bundle_for())
    site.stop()
    prefix = site.prefix
    (prefix.snapshots / "kept").mkdir(parents=True)
    prefix.data_note.write_bytes(b"{}")
    removal.carry_out(prefix, removal.Marker("t", site.active(), purge=False, whole=False))
    assert (prefix.snapshots / "kept").exists()
    assert prefix.data_note.exists()
    removal.carry_out(prefix, removal.Marker("t", site.active(), purge=False, whole=True))
    assert not prefix.snapshots.exists()
    assert not prefix.data_note.exists()
