"""An upgrade changes the data's format, or nothing at all; going back never shows new data to old code."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from installer import snapshot
from installer.children import minimal_environment, run_tied
from tests.support.bundles import Bundle

from .site import Run, Site
from .test_snapshot import picture

Make = Callable[..., Bundle]
ROOT = os.geteuid() == 0
DOCUMENTS = {f"{n}.md": f"문서 {n}".encode() for n in range(4)}


def release(make: Make, number: int, **data: Any) -> Bundle:
    """Release N writes format N unless told otherwise."""
    serve = data.pop("serve", "healthy")
    return make(
        version=f"{number}.0.0", sequence=number, serve=serve, data={"version": number, **data}, ready_timeout_s=5
    )  # fmt: skip


@pytest.fixture
def one(site: Site, bundle_for: Make) -> Bundle:
    """The first release, running, with documents and a foreign link among them."""
    bundle = release(bundle_for, 1)
    assert site.install(bundle).code == 0
    fill(site)
    return bundle


def fill(site: Site) -> None:
    documents = site.prefix.data / "documents"
    for name, text in DOCUMENTS.items():
        (documents / name).write_bytes(text)
    (site.prefix.data / "link").symlink_to("/etc/hostname")
    if ROOT:
        os.chown(documents / "1.md", 12345, 12346)


def documents(site: Site) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (site.prefix.data / "documents").iterdir()}


def migrated(*formats: int) -> dict[str, bytes]:
    prefix = b"".join(b"format %d: " % number for number in reversed(formats))
    return {name: prefix + text for name, text in DOCUMENTS.items()}


def settled(site: Site) -> None:
    """Nothing is left of what is only there while data change."""
    assert site.undeclared() == []
    assert not site.prefix.data_note.exists()
    assert not list(site.prefix.data.glob(".FORMAT*"))


def snapshots(site: Site) -> list[str]:
    return [one.generation for one in snapshot.kept(site.prefix)]


def test_an_upgrade_migrates_the_data_and_keeps_them_as_they_were(
    site: Site, one: Bundle, bundle_for: Make
) -> None:
    before = picture(site.prefix.data)
    two = release(bundle_for, 2, migrates=[1])
    plan = site.install(two, "--dry-run", "--json").document
    names = [step["name"] for step in plan["steps"]]
    assert names[names.index("snapshot") :][:3] == ["snapshot", "migrate", "switch"]
    done = site.install(two)
    assert done.code == 0, done.err
    assert site.answering() == two.generation
    assert documents(site) == migrated(2)
    (kept,) = snapshot.kept(site.prefix)
    assert (kept.generation, kept.version) == (one.generation, 1)
    assert len(picture(site.prefix.snapshots / kept.name / "tree")) == len(before)
    log = (site.prefix.logs / f"migrate-{two.generation}.log").read_text()
    assert "migrated 0.md" in log
    settled(site)
    assert site.install(two).code == 0
    assert documents(site) == migrated(2), "not twice"


def test_equal_formats_take_no_snapshot_and_no_stop(site: Site, one: Bundle, bundle_for: Make) -> None:
    two = bundle_for(version="2.0.0", sequence=2, data={"version": 1})
    names = [step["name"] for step in site.install(two, "--dry-run", "--json").document["steps"]]
    assert not {"snapshot", "migrate"} & set(names)
    assert site.install(two).code == 0
    assert site.run("--rollback").code == 0
    assert site.answering() == one.generation
    assert not site.prefix.snapshots.exists()


@pytest.mark.parametrize(
    ("bad", "code", "said"),
    (
        ({"migration": "fail"}, 13, "stopping half way"),
        ({"migration": "lie"}, 13, "expected 2"),
        ({"serve": "crash"}, 16, "the service ended"),
        ({"serve": "unhealthy", "spoil": "x" * 1000}, 16, "/readyz"),
    ),
    ids=("fails", "lies", "crashes", "unhealthy"),
)
def test_after_a_bad_migration_everything_is_exactly_as_it_was(
    site: Site, one: Bundle, bundle_for: Make, bad: dict[str, Any], code: int, said: str
) -> None:
    before = picture(site.prefix.data)
    done = site.install(release(bundle_for, 2, migrates=[1], **bad), "--lang", "en")
    assert done.code == code, done.err
    assert said in done.err
    assert picture(site.prefix.data) == before
    assert site.active() == one.generation
    assert site.answering() == one.generation
    assert not site.prefix.snapshots.exists()
    settled(site)
    good = release(bundle_for, 3, migrates=[1])
    assert site.install(good).code == 0
    assert documents(site) == migrated(3)


def test_a_release_that_cannot_migrate_is_refused_before_anything_changes(
    site: Site, one: Bundle, bundle_for: Make
) -> None:
    before, generations = picture(site.prefix.data), os.listdir(site.prefix.generations)
    refused = site.install(release(bundle_for, 3, migrates=[2]), "--lang", "en")
    assert refused.code == 11
    assert "cannot migrate data of format 1 to 3" in refused.err
    assert "first install a release between the two" in refused.err
    irreversible = site.install(release(bundle_for, 4, migrates=[1, 2], irreversible=[1]), "--lang", "en")
    assert irreversible.code == 11
    assert "cannot be undone" in irreversible.err
    assert picture(site.prefix.data) == before
    assert os.listdir(site.prefix.generations) == generations
    assert site.answering() == one.generation
    settled(site)


def test_an_older_release_is_not_shown_newer_data(site: Site, one: Bundle, bundle_for: Make) -> None:
    assert site.install(release(bundle_for, 2, migrates=[1])).code == 0
    refused = site.install(one, "--allow-downgrade", "--lang", "en")
    assert refused.code == 11
    assert "newer than" in refused.err
    # A release from before formats had numbers read format 1; it is not shown format 2 either.
    ancient = bundle_for(version="0.9.0", sequence=1)
    assert site.install(ancient, "--allow-downgrade").code == 11
    assert documents(site) == migrated(2)


@pytest.mark.parametrize("garbage", (b"{", b'{"format": "ragtrace-data", "version": 1, "migrating": 2}'))
def test_data_of_no_known_format_are_left_alone(
    site: Site, one: Bundle, bundle_for: Make, garbage: bytes
) -> None:
    (site.prefix.data / "FORMAT.json").write_bytes(garbage)
    before = picture(site.prefix.data)
    refused = site.install(release(bundle_for, 2, migrates=[1]), "--lang", "en")
    assert refused.code == 11
    assert "ragtrace migrate" in refused.err
    assert picture(site.prefix.data) == before


def test_data_from_before_formats_had_numbers_are_format_1(site: Site, bundle_for: Make) -> None:
    ancient = bundle_for(version="1.0.0", sequence=1)
    assert site.install(ancient).code == 0
    fill(site)
    assert not (site.prefix.data / "FORMAT.json").exists()
    two = release(bundle_for, 2, migrates=[1])
    assert site.install(two).code == 0
    assert documents(site) == migrated(2)
    assert site.run("--rollback").code == 11
    assert site.run("--rollback", "--restore-data").code == 0
    assert site.answering() == ancient.generation
    assert documents(site) == DOCUMENTS
    assert not (site.prefix.data / "FORMAT.json").exists()


def test_going_back_needs_the_data_to_be_asked_for_and_says_what_is_lost(
    site: Site, one: Bundle, bundle_for: Make
) -> None:
    before = picture(site.prefix.data)
    two = release(bundle_for, 2, migrates=[1])
    assert site.install(two).code == 0
    (site.prefix.data / "documents" / "new.md").write_bytes(b"format 2: added since")
    after = picture(site.prefix.data)

    refused = site.run("--rollback", "--lang", "en")
    assert refused.code == 11
    for said in ("taken 20", "changed since", "--restore-data", str(site.prefix.snapshots)):
        assert said in refused.err
    assert picture(site.prefix.data) == after
    assert site.answering() == two.generation

    plan = site.run("--rollback", "--restore-data", "--dry-run", "--json").document
    assert [step["name"] for step in plan["steps"]][2:5] == ["snapshot", "restore", "switch"]
    back = site.run("--rollback", "--restore-data", "--lang", "en")
    assert back.code == 0, back.err
    assert "forward again" in back.err
    assert site.answering() == one.generation
    assert picture(site.prefix.data) == before
    assert snapshots(site)[:1] == [two.generation]
    settled(site)

    forward = site.run("--rollback", two.generation, "--restore-data")
    assert forward.code == 0, forward.err
    assert site.answering() == two.generation
    assert picture(site.prefix.data) == after
    settled(site)


def test_a_kept_newer_release_may_also_migrate_the_older_data_again(
    site: Site, one: Bundle, bundle_for: Make
) -> None:
    two = release(bundle_for, 2, migrates=[1])
    assert site.install(two).code == 0
    assert site.run("--rollback", "--restore-data").code == 0
    (site.prefix.data / "documents" / "0.md").write_bytes(b"changed meanwhile")
    assert site.run("--rollback", two.generation).code == 0
    assert documents(site)["0.md"] == b"format 2: changed meanwhile"
    assert site.answering() == two.generation
    settled(site)


def test_a_rollback_whose_release_is_not_healthy_leaves_the_newer_data(
    site: Site, one: Bundle, bundle_for: Make
) -> None:
    two = release(bundle_for, 2, migrates=[1])
    assert site.install(two).code == 0
    (kept,) = snapshot.kept(site.prefix)
    after = picture(site.prefix.data)
    settings = site.prefix.settings.read_text()
    # What the older release needs is no longer there.
    program = next(
        (site.prefix.generation(one.generation) / "venv/lib").glob("*/site-packages/ragtrace/data.py")
    )
    text = program.read_bytes()
    program.write_bytes(b"#" * (len(text) - 11) + b"\nraise OSErr"[:11])
    assert site.run("--rollback", "--restore-data").code != 0
    program.write_bytes(text)
    assert picture(site.prefix.data) == after
    assert site.answering() == two.generation
    assert [one.name for one in snapshot.kept(site.prefix)] == [kept.name]
    assert site.prefix.settings.read_text() == settings
    settled(site)
    assert site.run("--rollback", "--restore-data").code == 0
    assert documents(site) == DOCUMENTS


def test_without_a_snapshot_there_is_no_way_back(site: Site, one: Bundle, bundle_for: Make) -> None:
    assert site.install(release(bundle_for, 2, migrates=[1])).code == 0
    for one_kept in snapshot.kept(site.prefix):
        snapshot.remove(site.prefix, one_kept.name)
    refused = site.run("--rollback", "--restore-data", "--lang", "en")
    assert refused.code == 11
    assert "no snapshot of that format" in refused.err
    assert documents(site) == migrated(2)


def test_snapshots_go_with_their_releases(site: Site, one: Bundle, bundle_for: Make) -> None:
    for number in (2, 3):
        assert site.install(release(bundle_for, number, migrates=[number - 1])).code == 0
    assert len(snapshots(site)) == 2
    assert documents(site) == migrated(2, 3)
    for number in (4, 5):
        same = bundle_for(version=f"{number}.0.0", sequence=number, data={"version": 3})
        assert site.install(same).code == 0
    assert snapshots(site) == []
    assert not site.prefix.snapshots.exists()
    settled(site)


def test_a_first_installation_that_fails_leaves_no_data_of_its_format(site: Site, bundle_for: Make) -> None:
    bad = release(bundle_for, 2, serve="unhealthy", spoil="mine")
    assert site.install(bad).code == 16
    assert not (site.prefix.data / "FORMAT.json").exists()
    assert not (site.prefix.data / "spoilt").exists()
    assert site.install(release(bundle_for, 1), "--allow-downgrade").code == 0
    settled(site)


def test_data_left_by_an_uninstalled_release_are_migrated_by_the_next(site: Site, bundle_for: Make) -> None:
    (site.prefix.data / "documents").mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (site.prefix.data / "documents" / name).write_bytes(text)
    before = documents(site)
    failed = site.install(release(bundle_for, 2, migrates=[1], migration="fail"))
    assert failed.code == 13
    assert documents(site) == before
    done = site.install(release(bundle_for, 3, migrates=[1]))
    assert done.code == 0, done.err
    assert documents(site) == migrated(3)
    assert not site.prefix.snapshots.exists(), "nobody could go back to it"
    settled(site)


def test_no_room_for_a_snapshot_is_found_before_anything_changes(
    site: Site, one: Bundle, bundle_for: Make
) -> None:
    with open(site.prefix.data / "huge", "wb") as stream:
        stream.truncate(1 << 43)
    refused = site.install(release(bundle_for, 2, migrates=[1]), "--lang", "en")
    assert refused.code == 12
    assert "[disk]" in refused.err
    os.mkfifo(site.prefix.data / "pipe")
    both = site.install(release(bundle_for, 3, migrates=[1]), "--lang", "en")
    assert both.code == 12
    assert "[disk]" in both.err
    assert "data/pipe" in both.err
    assert site.answering() == one.generation


# Kills


def strike(site: Site, words: list[str], ready: Callable[[], bool], number: int = signal.SIGKILL) -> Run:
    """Run a command and signal it once `ready` says so."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        site.command(*words), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not ready() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return Run(process.returncode, out, err)


def test_a_kill_in_the_middle_of_a_migration_puts_everything_back(
    site: Site, one: Bundle, bundle_for: Make
) -> None:
    before = picture(site.prefix.data)
    two = release(bundle_for, 2, migrates=[1], migration="hang")
    half = site.prefix.data / "half" / "done"
    killed = strike(site, site.words(two), half.exists)
    assert killed.code == -signal.SIGKILL
    assert site.answering() == "", "nothing runs over half-migrated data"
    run = site.run("--start", "--lang", "en")
    assert run.code == 0, run.err
    assert picture(site.prefix.data) == before
    assert site.answering() == one.generation
    settled(site)


def test_ctrl_c_in_the_middle_of_a_migration_puts_everything_back(
    site: Site, one: Bundle, bundle_for: Make
) -> None:
    before = picture(site.prefix.data)
    two = release(bundle_for, 2, migrates=[1], migration="hang")
    half = site.prefix.data / "half" / "done"
    stopped = strike(site, site.words(two), half.exists, signal.SIGINT)
    assert stopped.code == 130, stopped.err
    assert picture(site.prefix.data) == before
    assert site.answering() == one.generation
    settled(site)


@pytest.mark.parametrize("phase", ("begun", "changing", "changed"))
def test_a_kill_at_any_stage_of_an_upgrade_is_put_right_by_the_next_run(
    site: Site, one: Bundle, bundle_for: Make, phase: str
) -> None:
    before = picture(site.prefix.data)
    two = release(bundle_for, 2, migrates=[1])
    killed = strike(site, site.words(two), lambda: phase_of(site) == phase)
    if killed.code == 0:
        pytest.skip("it was quicker than we")
    assert site.run("--start").code == 0
    if site.active() == one.generation:
        assert picture(site.prefix.data) == before
    else:
        assert documents(site) == migrated(2)
    assert site.answering() == site.active()
    settled(site)
    assert site.install(two).code == 0
    assert documents(site) == migrated(2)
    assert site.answering() == two.generation


def phase_of(site: Site) -> str:
    try:
        text = site.prefix.data_note.read_text()
    except OSError:
        return ""
    return text.split('"phase": "')[1].split('"')[0]


def test_a_kill_while_data_are_restored_for_a_rollback_keeps_the_newer_ones(
    site: Site, one: Bundle, bundle_for: Make
) -> None:
    two = release(bundle_for, 2, migrates=[1])
    assert site.install(two).code == 0
    after = picture(site.prefix.data)
    killed = strike(site, ["--rollback", "--restore-data"], lambda: phase_of(site) == "changing")
    assert killed.code == -signal.SIGKILL
    assert site.run("--start").code == 0
    assert site.active() == two.generation
    assert picture(site.prefix.data) == after
    assert site.answering() == two.generation
    settled(site)
    assert site.run("--rollback", "--restore-data").code == 0
    assert documents(site) == DOCUMENTS


def test_a_service_that_nobody_stopped_is_noticed(site: Site, bundle_for: Make) -> None:
    """With the service manager `none` somebody else runs the service, and may have forgotten to stop it."""
    bundle = release(bundle_for, 1)
    assert site.install(bundle, "--service-manager", "none").code == 0
    fill(site)
    (site.prefix.data / "FORMAT.json").write_text('{"format": "ragtrace-data", "version": 1}')
    with open(site.prefix.data / "zz-big", "wb") as stream:
        stream.truncate(300_000_000)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            (site.prefix.data / "documents" / "busy.md").write_text(str(time.monotonic_ns()))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        two = release(bundle_for, 2, migrates=[1])
        done = site.install(two, "--service-manager", "none", "--lang", "en")
    finally:
        over.set()
        writer.join()
    assert done.code == 13, done.err
    assert "changed while they were copied" in done.err
    assert site.active() == bundle.generation
    settled(site)


@pytest.mark.skipif(not ROOT, reason="needs root, to become somebody else")
def test_the_migration_runs_as_the_user_of_the_service(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["/bin/sh", "-c", "id -u; id -G"]
    assert run_tied(command, minimal_environment({}), log, user="nobody") == 0
    entry = pwd.getpwnam("nobody")
    assert log.read_text().split() == [str(entry.pw_uid), str(entry.pw_gid)], "no group of root's is left"


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_tied(["/bin/sleep", "60"], minimal_environment({}), tmp_path / "log", timeout_s=0.2)
