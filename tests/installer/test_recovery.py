"""Truth is the pointer, the receipts and the hashes; recovery decides from them, again and again the same."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from bundle.errors import RecoveryNeededError
from bundle.manifest import Manifest, Project, ServiceSpec, Target
from installer import (
    accepted,
    activation,
    audit,
    breaker,
    inventory,
    journal,
    pointer,
    receipt,
    reserve,
    settings,
)
from installer.accepted import Accepted
from installer.hosts.interface import ServiceDefinition
from installer.paths import Prefix, generation_name
from installer.pointer import Pointer
from installer.provision import Provision, restore_settings, undo_note
from installer.recovery import choose, recover
from installer.settings import ServiceSettings
from installer.state import read_state
from installer.testing import MemoryHost
from tests.support.bundles import free_port

ONE, TWO, THREE = (generation_name(n, f"{n:02x}" * 32) for n in (1, 2, 3))
NAMES = {1: ONE, 2: TWO, 3: THREE}


def place(tmp_path: Path) -> Prefix:
    """Return an installation of three complete releases of one file each; nothing is active yet."""
    prefix = Prefix(tmp_path)
    for folder in (prefix.state, prefix.trust, prefix.config, prefix.generations):
        folder.mkdir()
    for number in NAMES:
        build(prefix, number)
    return prefix


def build(prefix: Prefix, number: int) -> None:
    folder = prefix.generation(NAMES[number])
    folder.mkdir()
    (folder / "file").write_bytes(b"%d" % number)
    entries = tuple(receipt.take(folder))
    receipt.write(
        folder, receipt.Receipt(NAMES[number], f"{number:02x}" * 32, number, f"{number}.0", "now", entries)
    )


def point(prefix: Prefix, *numbers: int) -> Pointer:
    made = Pointer(
        NAMES[numbers[0]], f"{numbers[0]:02x}" * 32, numbers[0], tuple(NAMES[n] for n in numbers[1:])
    )
    pointer.write(prefix, made)
    return made


def accept(prefix: Prefix, *numbers: int) -> None:
    accepted.write(prefix, Accepted(True, max(numbers), tuple(NAMES[n] for n in numbers), "t"))


def active(prefix: Prefix) -> tuple[str, ...]:
    found = pointer.read(prefix)
    return () if found is None else found.kept


def test_a_consistent_installation_needs_nothing(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    wanted = point(prefix, 2, 1)
    accept(prefix, 1, 2)
    recover(prefix, "again")
    before = prefix.pointer.stat().st_ino
    assert recover(prefix, "again").needed is False
    assert (pointer.read(prefix), prefix.pointer.stat().st_ino) == (wanted, before)


def test_a_release_that_was_never_accepted_gives_way_to_the_one_before(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    point(prefix, 3, 2, 1)
    accept(prefix, 1, 2)
    assert recover(prefix, "again").needed
    assert active(prefix) == (TWO, ONE)
    assert recover(prefix, "again").needed is False, "idempotent"


def test_a_lost_commit_record_takes_no_release_away(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    wanted = point(prefix, 3, 2, 1)
    prefix.accepted.write_bytes(b"garbage")
    recover(prefix, "again")
    assert pointer.read(prefix) == wanted


def test_a_pointer_to_nothing_takes_no_accepted_release_away(tmp_path: Path) -> None:
    """It is whole, and names a release that is not there: what was accepted last comes back, not an empty host."""
    prefix = place(tmp_path)
    accept(prefix, 1, 2)
    gone = generation_name(9, "09" * 32)
    pointer.write(prefix, Pointer(gone, "09" * 32, 9, ()))
    assert recover(prefix, "again").needed
    assert active(prefix) == (TWO, ONE)
    assert recover(prefix, "again").needed is False, "idempotent"


def test_a_pointer_to_nothing_does_not_bring_what_nobody_accepted(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    pointer.write(prefix, Pointer(generation_name(9, "09" * 32), "09" * 32, 9, ()))
    recover(prefix, "again")
    assert active(prefix) == ()


def test_a_damaged_pointer_is_rebuilt_from_the_link(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    prefix.pointer.write_bytes(b"{")
    accept(prefix, 1, 3, 2)
    prefix.link.symlink_to(f"generations/{ONE}")
    recover(prefix, "again")
    assert active(prefix)[0] == ONE
    assert set(active(prefix)) == {ONE, TWO, THREE}


def test_a_damaged_pointer_without_a_link_is_rebuilt_from_the_last_accepted(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    prefix.pointer.write_bytes(b"{")
    accept(prefix, 1, 3, 2)
    recover(prefix, "again")
    assert active(prefix)[0] == TWO


def test_after_an_unfinished_run_a_release_with_changed_bytes_is_not_chosen(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    point(prefix, 2, 1)
    accept(prefix, 1, 2)
    (prefix.generation(TWO) / "file").write_bytes(b"?")
    state = read_state(prefix)
    chosen = choose(prefix, state, deep=True)
    assert chosen is not None
    assert chosen.generation == ONE
    unchanged = choose(prefix, state, deep=False)
    assert unchanged is not None
    assert unchanged.generation == TWO


def test_unfinished_releases_go_and_complete_ones_stay(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    point(prefix, 2, 1)
    accept(prefix, 1, 2)
    (prefix.generation(THREE) / receipt.NAME).unlink()
    recover(prefix, "again")
    assert not prefix.generation(THREE).exists()
    assert prefix.generation(ONE).exists()


def test_the_folder_the_pointer_names_is_never_removed_even_without_a_receipt(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    for number in (2, 3):
        (prefix.generation(NAMES[number]) / receipt.NAME).unlink()
    point(prefix, 2)
    recover(prefix, "again")
    assert (prefix.generation(TWO) / "file").exists()
    assert not prefix.generation(THREE).exists()


def test_half_written_state_files_are_swept(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    point(prefix, 1)
    for path in (
        prefix.root / ".current.json.new",
        prefix.state / ".service.json.new",
        prefix.config / "..env.new",
    ):
        path.write_bytes(b"half")
    (prefix.config / ".hidden-by-the-operator").write_bytes(b"mine")
    prefix.scratch.mkdir()
    recover(prefix, "again")
    assert not list(prefix.root.rglob("*.new"))
    assert not prefix.scratch.exists()
    assert (prefix.config / ".hidden-by-the-operator").exists()


def test_a_recovery_on_a_full_disk_uses_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = place(tmp_path)
    point(prefix, 3, 2, 1)
    accept(prefix, 1, 2)
    assert reserve.ensure(prefix)
    real = pointer.write

    def full_while_reserved(where: Prefix, wanted: Pointer | None) -> None:
        if where.reserve.exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(where.pointer))
        real(where, wanted)

    monkeypatch.setattr(pointer, "write", full_while_reserved)
    recover(prefix, "again")
    assert active(prefix) == (TWO, ONE)


def test_a_recovery_that_cannot_be_done_is_14_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = place(tmp_path)
    point(prefix, 3, 2, 1)
    accept(prefix, 1, 2)

    def broken(where: Prefix, wanted: Pointer | None) -> None:
        raise OSError(errno.EIO, "Input/output error", str(where.pointer))

    monkeypatch.setattr(pointer, "write", broken)
    with pytest.raises(RecoveryNeededError) as raised:
        recover(prefix, "install.py --again")
    assert raised.value.exit_code == 14
    assert raised.value.hint is not None
    assert "install.py --again" in raised.value.hint.en


class Ended(BaseException):
    """Stands for SIGKILL: nothing catches it, nothing is put back."""


class Crashing(MemoryHost):
    """A service manager whose service ends as soon as it was started."""

    def start(self, definition: ServiceDefinition) -> None:
        super().start(definition)
        self.running.clear()


class Fragile(Crashing):
    """A service manager with which the machine goes down whenever the service starts."""

    def start(self, definition: ServiceDefinition) -> None:
        super().start(definition)
        raise Ended


def serving(tmp_path: Path) -> Prefix:
    """Return an installation with two accepted releases whose service should run and does not."""
    prefix = place(tmp_path)
    for number in NAMES:
        (prefix.generation(NAMES[number]) / "tools").mkdir()
        manifest = replace(small_manifest(), sequence=number)
        (prefix.generation(NAMES[number]) / "tools" / "MANIFEST.json").write_bytes(manifest.to_bytes())
        receipt_again(prefix, number)
    point(prefix, 2, 1)
    accept(prefix, 1, 2)
    settings.write(prefix, ServiceSettings("process", "ragtrace", "", "127.0.0.1", free_port(), True))
    return prefix


def receipt_again(prefix: Prefix, number: int) -> None:
    folder = prefix.generation(NAMES[number])
    (folder / receipt.NAME).unlink()
    entries = tuple(receipt.take(folder))
    receipt.write(
        folder, receipt.Receipt(NAMES[number], f"{number:02x}" * 32, number, f"{number}.0", "now", entries)
    )


def small_manifest() -> Manifest:
    return Manifest(
        product="ragtrace-enterprise", version="1.0", profile="starter", sequence=1,
        created="2026-11-20T00:00:00Z", expires=None,
        target=Target("linux-x86_64", "linux", "x86_64", "glibc", "2.17", ("3.11",)),
        project=Project("ragtrace", "1.0"),
        service=ServiceSpec("ragtrace", ("serve",), "127.0.0.1", 8400, "/readyz", 1),
        memory_mb=16, installed_bytes=1, packages=(), files=(),
    )  # fmt: skip


def test_after_three_recoveries_that_never_came_back_the_same_command_does_not_try_again(
    tmp_path: Path,
) -> None:
    prefix, host = serving(tmp_path), Fragile()
    for count in range(1, breaker.ATTEMPTS + 1):
        with pytest.raises(Ended):
            recover(prefix, "install.py v2", host=host)
        assert breaker.read(prefix).count == count
    calls, pointed = list(host.calls), active(prefix)
    with pytest.raises(RecoveryNeededError) as raised:
        recover(prefix, "install.py v2", host=host, go_on="install.py --start")
    assert raised.value.exit_code == 14
    assert raised.value.hint is not None
    assert "install.py --start" in raised.value.hint.en
    assert (host.calls.count("start"), active(prefix)) == (calls.count("start"), pointed)


@pytest.mark.parametrize(("command", "deliberate"), (("install.py v2", True), ("install.py v3", False)))
def test_a_new_decision_of_the_operator_closes_the_breaker_again(
    tmp_path: Path, command: str, deliberate: bool
) -> None:
    prefix = serving(tmp_path)
    for _ in range(breaker.ATTEMPTS):
        with pytest.raises(Ended):
            recover(prefix, "install.py v2", host=Fragile())
    host = Crashing()
    recover(prefix, command, host=host, deliberate=deliberate)
    assert host.calls.count("start") == 1


def test_a_release_that_crashes_again_and_again_is_not_started_for_ever(tmp_path: Path) -> None:
    prefix, host = serving(tmp_path), Crashing()
    with pytest.raises(RecoveryNeededError):
        for _ in range(20):
            recover(prefix, "install.py", host=host)
    assert host.calls.count("start") == breaker.ATTEMPTS


def test_stopping_is_possible_whatever_has_failed(tmp_path: Path) -> None:
    prefix = serving(tmp_path)
    for _ in range(breaker.ATTEMPTS):
        with pytest.raises(Ended):
            recover(prefix, "install.py", host=Fragile())
    recover(prefix, "install.py", serve=False, host=MemoryHost())


def test_a_recovery_that_ends_well_forgets_the_ones_that_did_not(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    point(prefix, 3, 2, 1)
    accept(prefix, 1, 2)
    breaker.count(prefix, "again")
    breaker.count(prefix, "again")
    recover(prefix, "again")
    assert breaker.read(prefix).count == 0
    assert not prefix.breaker.exists()


def test_killed_three_deep_a_recovery_still_ends_with_the_accepted_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upgrade was killed, then its recovery, then the recovery of that; each a little further."""
    prefix = place(tmp_path)
    point(prefix, 3, 2, 1)
    accept(prefix, 1, 2)
    journal.Journal(prefix.journal, "upgrade").begin(to=THREE, transaction="lost")
    (prefix.generation(ONE) / receipt.NAME).unlink()
    (prefix.root / ".current.json.new").write_bytes(b"half")

    def killed(*arguments: object) -> None:
        raise Ended

    for module, name in ((pointer, "write"), (activation, "derive")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, killed)
            with pytest.raises(Ended):
                recover(prefix, "again")
    assert recover(prefix, "again").needed
    assert active(prefix)[0] == TWO
    assert not prefix.generation(ONE).exists()
    assert recover(prefix, "again").needed is False
    assert inventory.undeclared(prefix) == []


def test_a_recovery_says_in_the_audit_log_which_run_had_not_ended(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    point(prefix, 3, 2, 1)
    accept(prefix, 1, 2)
    journal.Journal(prefix.journal, "upgrade").begin(to=THREE, transaction="lost")
    recover(prefix, "again")
    record = audit.read(prefix).records[-1]
    assert (record["action"], record["outcome"], record["committed"]) == ("recover", "ok", False)
    assert record["unfinished"] == {"operation": "upgrade", "to": THREE, "transaction": "lost"}
    assert any(TWO in line for line in record["actions"])


def test_the_only_release_keeps_its_pointer_when_its_receipt_is_gone(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    for number in NAMES:
        (prefix.generation(NAMES[number]) / receipt.NAME).unlink()
    wanted = point(prefix, 2)
    recover(prefix, "again")
    assert pointer.read(prefix) == wanted, "a repair reads from it what to make again"


@pytest.mark.parametrize("committed", (True, False))
def test_settings_of_a_run_that_did_not_commit_are_put_back(tmp_path: Path, committed: bool) -> None:
    prefix = place(tmp_path)
    base = point(prefix, 1)
    old = ServiceSettings("process", "ragtrace", "", "127.0.0.1", 8400, True)
    new = replace(old, port=9000)
    Provision(prefix, old, None, "first").apply(tmp_path / "none")
    assert not undo_note(prefix).exists(), "a first installation has nothing to go back to"
    before = prefix.settings.read_bytes()
    Provision(prefix, new, base, "second").apply(tmp_path / "none")
    assert settings.read(prefix) == new
    assert restore_settings(prefix, "second" if committed else "first") is not committed
    assert settings.read(prefix) == (new if committed else old)
    assert (prefix.settings.read_bytes() == before) is not committed
    assert not undo_note(prefix).exists()


def test_the_journal_of_a_recovered_run_is_closed(tmp_path: Path) -> None:
    prefix = place(tmp_path)
    point(prefix, 1)
    journal.Journal(prefix.journal, "install").begin()
    assert recover(prefix, "again").needed
    assert journal.unfinished(prefix.journal) is None
    assert recover(prefix, "again").needed is False
