"""The host's own earlier runs: kept safely, believed only as far as they are sound, and compared with patience."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.text import Text
from installer import inventory
from installer.paths import Prefix
from tests.validator.fakes import Installation
from validator import cli, history, speed
from validator.checks import performance
from validator.model import Outcome, Result, Status
from validator.subject import Subject

RELEASE = "0.1.0 starter"


def line(value: float, release: str = RELEASE, key: str = "answer_ms") -> str:
    return json.dumps({"at": "2026-11-20T00:00:00Z", "release": release, "figures": {key: value}})


def remember(installation: Installation, *lines: str) -> Subject:
    (installation.root / "state" / history.FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return installation.subject()


def results(value: float = 10.0, key: str = "answer_ms") -> list[Result]:
    return [Result(performance.answer_time, Outcome(Status.PASS, Text("가", "a"), figures={key: value}))]


def judged(subject: Subject, value: float, second: float | None = None, key: str = "answer_ms") -> Outcome:
    return speed.judged(subject, {key: value}, lambda: None if second is None else {key: second})


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "busy", lambda: False)


def test_a_run_is_appended_for_the_owner_alone(installation: Installation) -> None:
    subject = installation.subject()
    assert history.append(subject, results(12.0)) and history.append(subject, results(14.0))
    place = installation.root / "state" / history.FILE
    assert place.stat().st_mode & 0o777 == 0o600
    found = history.read(installation.subject())
    assert [run.figures["answer_ms"] for run in found] == [12.0, 14.0]
    assert {run.release for run in found} == {RELEASE}


def test_a_run_of_the_command_line_is_remembered(installation: Installation) -> None:
    words = ["--prefix", str(installation.root), "--only", "PERF-002", "--quiet"]
    assert cli.main(words) == cli.main(words) == 0
    runs = history.read(installation.subject())
    assert len(runs) == 2 and all(run.figures["hash_mb_per_s"] > 0 for run in runs)


def test_the_installer_knows_the_file(installation: Installation) -> None:
    before = inventory.undeclared(Prefix(installation.root))
    history.append(installation.subject(), results())
    assert inventory.undeclared(Prefix(installation.root)) == before


def test_the_last_fifty_runs_are_kept(installation: Installation) -> None:
    subject = remember(installation, *(line(float(number)) for number in range(1, 61)))
    assert history.append(subject, results(99.0))
    found = [run.figures["answer_ms"] for run in history.read(installation.subject())]
    assert len(found) == history.RUNS and found[0] == 12.0 and found[-1] == 99.0


def test_damaged_lines_are_ignored(installation: Installation) -> None:
    torn = [
        '{"at": "2026',
        "[1]",
        '{"figures": {}}',
        line(-5.0),
        line(float("nan")),
        "\x00\x01",
        "[" * 100_000,
    ]
    subject = remember(installation, line(10.0), *torn, line(11.0))
    assert [run.figures["answer_ms"] for run in history.read(subject)] == [10.0, 11.0]


def test_a_file_that_is_too_large_or_no_file_is_no_history(installation: Installation) -> None:
    place = installation.root / "state" / history.FILE
    place.write_bytes(b"x" * (2 << 20))
    assert history.read(installation.subject()) == []
    place.unlink()
    place.mkdir()
    assert history.read(installation.subject()) == []
    assert not history.append(installation.subject(), results())


def test_without_an_installation_or_figures_nothing_is_written(
    tmp_path: Path, installation: Installation
) -> None:
    (tmp_path / "state").mkdir()
    assert not history.append(Subject(tmp_path), results())
    assert not history.append(installation.subject(), [])
    assert not history.append(installation.subject(), results(float("inf")))
    assert not (installation.root / "state" / history.FILE).exists()


def test_figures_of_another_check_are_not_believed(installation: Installation) -> None:
    assert not history.append(installation.subject(), results(1.0, key="import_s"))


def test_who_may_not_write_has_no_history(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not history.append(installation.subject(), results())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_writes_belongs_to_the_installations_owner(installation: Installation) -> None:
    os.chown(installation.root / "state", 12345, 12345)
    assert history.append(installation.subject(), results())
    facts = (installation.root / "state" / history.FILE).stat()
    assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o777) == (12345, 12345, 0o600)


def test_a_link_in_its_place_is_replaced_not_followed(installation: Installation, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (installation.root / "state" / history.FILE).symlink_to(victim)
    assert history.append(installation.subject(), results())
    assert victim.read_text() == "untouched"


@pytest.mark.parametrize(
    ("spoil", "runs"),
    [
        (lambda n: line(100.0), 4),
        (lambda n: line(100.0, release="0.2.0 starter"), 20),
        (lambda n: line(100.0, key="retrieval_ms"), 20),
    ],
    ids=["too few", "another release", "another figure"],
)
def test_without_enough_comparable_runs_only_the_expectation_counts(
    spoil: Callable[[int], str], runs: int, installation: Installation, quiet: None
) -> None:
    subject = remember(installation, *(spoil(number) for number in range(runs)))
    assert history.median(subject, "answer_ms") is None
    assert judged(subject, 1000.0).status is Status.PASS


def test_three_times_slower_than_the_median_twice_in_a_row_warns(
    installation: Installation, quiet: None
) -> None:
    subject = remember(installation, *(line(value) for value in (90.0, 100.0, 100.0, 110.0, 5000.0)))
    found = judged(subject, 400.0, 350.0)
    assert found.status is Status.WARN
    assert "median of 5 runs 100 ms" in found.expected and "100 ms" in found.details.en
    assert found.measured == "350 ms" and found.figures == {"answer_ms": 350.0}


def test_once_is_chance(installation: Installation, quiet: None) -> None:
    subject = remember(installation, *[line(100.0)] * 5)
    assert judged(subject, 400.0, 120.0).status is Status.PASS
    assert judged(subject, 299.0).status is Status.PASS


def test_milliseconds_are_noise_however_often_they_fit(installation: Installation, quiet: None) -> None:
    subject = remember(installation, *[line(3.0)] * 5)
    assert judged(subject, 60.0, 60.0).status is Status.PASS
    assert judged(subject, 160.0, 160.0).status is Status.WARN


def test_a_busy_host_is_not_compared_with_its_past(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "busy", lambda: True)
    subject = remember(installation, *[line(100.0)] * 5)
    found = judged(subject, 400.0, 400.0)
    assert found.status is Status.PASS and "busy" in found.expected
    assert judged(subject, 4000.0, 4000.0).status is Status.WARN, "the expectation holds all the same"


def test_what_has_to_be_large_is_compared_the_other_way(installation: Installation, quiet: None) -> None:
    subject = remember(installation, *[line(30.0, key="embedding_texts_per_s")] * 5)
    assert judged(subject, 9.0, 9.5, "embedding_texts_per_s").status is Status.WARN
    assert judged(subject, 90.0, key="embedding_texts_per_s").status is Status.PASS


def test_a_host_is_busy_by_its_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    assert speed.busy()


@pytest.mark.parametrize(("idle", "expected"), [(90, False), (10, True)])
def test_a_host_is_busy_by_its_processors(idle: int, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = iter([[0] * 8, [100 - idle, 0, 0, idle, 0, 0, 0, 0]])
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(speed, "_processor_times", lambda: next(samples))
    assert speed.busy() is expected
