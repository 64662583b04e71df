"""The plug is pulled in the middle of real runs: old or new stays, whole, and each synchronisation is needed."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator

import pytest

from .disk import FATES, Cut, chance_fate, survivors, torn
from .recording import NAME, Recording, Studio, fates

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="/proc, as the recorder needs it"
)

# Name: commands before the recording, the recorded one, old and new release, its exit code.
RUNS: dict[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...], str, str, int]] = {
    "install": ((), ("v1",), "", "v1", 0),
    "upgrade": ((("v1",),), ("v2",), "v1", "v2", 0),
    "rollback": ((("v1",), ("v2",)), ("--rollback", "v1"), "v2", "v1", 0),
    "unhealthy": ((("v1",),), ("bad",), "v1", "bad", 16),
    "uninstall": ((("v1",),), ("--uninstall",), "v1", "", 0),
}
# The quick run takes this many moments off the commit path: every so-many-th.
QUICK_STRIDE = 12


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """Where everything is recorded, once."""
    made = Studio(tmp_path_factory.mktemp("power"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def recorded(studio: Studio) -> Callable[[str], Recording]:
    """Return a run by its name; each is recorded when it is first asked for."""
    known: dict[str, Recording] = {}

    def get(name: str) -> Recording:
        if name not in known:
            prepare, words, old, new, code = RUNS[name]
            known[name] = studio.record(name, prepare, words, old, new, code)
        return known[name]

    return get


def cut_everywhere(studio: Studio, recording: Recording, moments: list[int], seeds: int) -> None:
    result = studio.check(recording, moments, fates(seeds))
    print(
        f"\npower cut/{recording.name}: {len(recording.operations) - recording.begin} operations, "
        f"{result.moments} cut points, {result.states} states, {result.disks} different disks"
    )
    assert not result.problems, "\n".join(result.problems[:40])


@pytest.mark.parametrize("name", RUNS)
def test_a_power_cut_on_the_commit_path_leaves_the_old_or_the_new_release_whole(
    studio: Studio, recorded: Callable[[str], Recording], name: str
) -> None:
    recording = recorded(name)
    cut_everywhere(studio, recording, recording.some_moments(QUICK_STRIDE), 2)


@pytest.mark.fault
@pytest.mark.parametrize("name", RUNS)
def test_a_power_cut_at_any_moment_leaves_the_old_or_the_new_release_whole(
    studio: Studio, recorded: Callable[[str], Recording], name: str
) -> None:
    recording = recorded(name)
    cut_everywhere(studio, recording, recording.moments(5), 6)


@pytest.mark.parametrize("name", RUNS)
def test_the_same_command_given_again_after_a_power_cut_comes_to_its_end(
    studio: Studio, recorded: Callable[[str], Recording], name: str
) -> None:
    recording = recorded(name)
    if recording.new == "":
        pytest.skip("an uninstall that has happened has nothing left to uninstall")
    problems = []
    moments = (recording.begin + 40, recording.switched, recording.committed - 1, len(recording.operations))
    tries = list(zip(moments, (FATES[2], FATES[3], chance_fate(1), FATES[0])))
    # Each of them is two runs of the installer; the upgrade stands for the others.
    for moment, fate in tries if name == "upgrade" else tries[1:3]:
        problems += studio.run_again(recording, moment, fate)
    assert not problems, "\n".join(problems)


def named(*ends: str) -> Callable[[str], bool]:
    return lambda path: path.endswith(ends)


# A synchronisation that is left out, and a run in which that is found.
MUTATIONS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "the pointer, before its rename": ("upgrade", named("/.current.json.new")),
    "the pointer's folder, after the rename": ("upgrade", named(NAME)),
    "the receipt, before its rename": ("install", named("/.RECEIPT.json.new")),
    "the commit record, before its rename": ("upgrade", named("/.accepted.json.new")),
    "the commit record's folder": ("upgrade", named("/trust")),
    "the files of a release": ("install", lambda path: "/generations/" in path and not path.endswith(".new")),
    "the folders of a release": ("install", named("/site-packages", "/bin", "/tools", "/source", "/models")),
    "the folder with the releases": ("install", named("/generations")),
    "the prefix in the folder above": ("install", named("/site")),
    "the settings, before their rename": ("install", named("/..env.new", "/.service.json.new")),
    "the folders of the data": ("install", named("/data")),
    "the audit log": ("upgrade", named("/audit.jsonl")),
    "the head of the audit log": ("upgrade", named("/.audit-head.json.new")),
    "the folder of the pointer that is removed": ("uninstall", named(NAME)),
}


@pytest.mark.parametrize("left_out", MUTATIONS)
def test_a_synchronisation_left_out_is_found(
    studio: Studio, recorded: Callable[[str], Recording], left_out: str
) -> None:
    name, fits = MUTATIONS[left_out]
    recording = recorded(name).without(fits)
    moments = [moment for moment in recording.moments() if moment >= recording.switched - 3]
    result = studio.check(recording, moments, FATES)
    assert result.problems


def test_recovery_does_not_need_the_journal_to_be_synchronised(
    studio: Studio, recorded: Callable[[str], Recording]
) -> None:
    recording = recorded("upgrade").without(named("/journal.jsonl"))
    assert studio.check(recording, recording.some_moments(QUICK_STRIDE), FATES).problems == []


def test_the_recorder_sees_the_whole_run_and_the_replay_comes_to_what_really_lies_there(
    studio: Studio, recorded: Callable[[str], Recording]
) -> None:
    recording = recorded("upgrade")
    nodes = survivors(Cut(recording.operations, len(recording.operations)), FATES[1], recording.blobs)
    studio.prepare([("v1",), ("v2",)])
    studio.site.stop()
    skipped = ("/state/", "/data/")
    real = {
        path.relative_to(studio.site.root.parent).as_posix()
        for path in studio.site.root.rglob("*")
        if not any(part in path.as_posix() for part in skipped)
    }
    replayed = {path[1:] for path in nodes if not any(part in path for part in skipped)}
    assert replayed - {NAME, ""} == real


def test_torn_contents_are_made_of_what_was_there_what_was_written_and_zeros() -> None:
    before, after = b"a" * 3000, b"b" * 4000
    made = [torn(before, after, random.Random(seed)) for seed in range(200)]
    assert {bytes(sorted(set(data))) for data in made} >= {b"b", b"ab", b"\0ab"}
    assert len({len(data) for data in made}) > 20
    assert max(map(len, made)) == len(after)
