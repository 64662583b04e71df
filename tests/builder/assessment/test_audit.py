"""The audit: asked once a day, remembered with its date, reproducible, and honest when nobody answers."""

from __future__ import annotations

import dataclasses
import multiprocessing
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from builder.assessment import audit, snapshot
from builder.assessment.advisories.interface import Answer, lots, nobody
from builder.assessment.audit import Settings
from builder.assessment.findings import Advisory, AuditReport, Pinned, Severity, Unknown
from builder.cache import Cache
from builder.inputs import ProjectSpec, load_profile
from builder.plan import Artifact, BundlePlan
from bundle.errors import IntegrityError, UsageProblem
from bundle.manifest import Package, Target

GOOD = Pinned("good", "1.0")
BAD = Pinned("bad", "1.0")
FLAW = Advisory("PYSEC-2026-7", ("CVE-2026-7",), *BAD, Severity.HIGH, "bad is bad", ("1.1",), "")
NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=timezone.utc)


class Recorded:
    """A source that gives recorded answers in turn and counts the questions; the last answer is for ever."""

    name = key = "recorded"

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Pinned, ...]] = []

    def ask(self, packages: Sequence[Pinned], work: Path) -> Answer:
        """Give the next answer."""
        self.asked.append(tuple(packages))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache")


def ask(cache: Cache, source: Recorded, hours: float = 0, **settings: object) -> AuditReport:
    """Audit the two packages some hours after noon."""
    wanted = dataclasses.replace(Settings(), **settings)  # type: ignore[arg-type]
    now = NOON + timedelta(hours=hours)
    report = audit.audit([GOOD, BAD], cache, wanted, now=now, source=source)
    assert report is not None
    return report


def test_an_answer_is_used_for_a_day_without_asking_again_and_keeps_its_date(cache: Cache) -> None:
    source = Recorded(Answer((FLAW,)))
    first = ask(cache, source)
    assert ask(cache, source, 23.9) == first
    assert first.date == "2026-11-20T12:00:00Z"
    assert len(source.asked) == 1
    assert ask(cache, source, 24).date == "2026-11-21T12:00:00Z"
    assert len(source.asked) == 2


def test_another_set_of_packages_is_another_question(cache: Cache) -> None:
    source = Recorded(Answer())
    ask(cache, source)
    audit.audit([GOOD], cache, Settings(), now=NOON, source=source)
    assert source.asked == [(BAD, GOOD), (GOOD,)]


def test_a_report_names_what_is_clean_and_what_is_not(cache: Cache) -> None:
    report = ask(cache, Recorded(Answer((FLAW,))))
    assert report.clean == (GOOD,)
    assert report.of(BAD) == (FLAW,)
    assert report.packages == (BAD, GOOD)


def test_no_answer_is_asked_for_again_after_ten_minutes_and_filled_in(cache: Cache) -> None:
    source = Recorded(nobody([GOOD, BAD], "down"), Answer())
    assert ask(cache, source).clean == ()
    assert ask(cache, source, 0.1).clean == ()
    assert len(source.asked) == 1
    assert ask(cache, source, 0.2).clean == (BAD, GOOD)


def test_whoever_insists_has_a_failed_question_asked_again_at_once(cache: Cache) -> None:
    source = Recorded(nobody([GOOD, BAD], "down"), Answer())
    ask(cache, source)
    assert ask(cache, source, retry_after=timedelta(0)).clean == (BAD, GOOD)


def test_failing_again_in_the_same_way_gives_the_same_bytes(cache: Cache) -> None:
    source = Recorded(nobody([GOOD, BAD], "down"))
    first = ask(cache, source)
    assert snapshot.to_bytes(ask(cache, source, 5)) == snapshot.to_bytes(first)
    assert len(source.asked) == 2


def test_an_answer_from_the_future_is_not_used(cache: Cache) -> None:
    source = Recorded(Answer())
    ask(cache, source, 48)
    assert ask(cache, source).date == "2026-11-20T12:00:00Z"


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format": "ragtrace-advisories"}', b"\xff"])
def test_a_damaged_memory_is_asked_about_again(cache: Cache, damage: bytes) -> None:
    source = Recorded(Answer((FLAW,)))
    ask(cache, source)
    for remembered in (cache.root / "audits").glob("*.json"):
        remembered.write_bytes(damage)
    assert ask(cache, source).advisories == (FLAW,)
    assert len(source.asked) == 2


def test_what_no_index_has_published_is_never_asked_about(cache: Cache) -> None:
    source = Recorded(Answer())
    report = audit.audit([GOOD, BAD], cache, Settings(), unpublished=["bad"], now=NOON, source=source)
    assert source.asked == [(GOOD,)]
    assert report is not None
    assert report.unknown == (Unknown(*BAD, audit.NOT_PUBLISHED),)


def test_nobody_is_asked_where_nobody_is_to_be_asked(cache: Cache) -> None:
    assert audit.audit([GOOD], cache, Settings(source="none"), now=NOON) is None


def test_a_given_snapshot_is_used_without_asking_and_covers_only_what_it_covers(
    cache: Cache, tmp_path: Path
) -> None:
    earlier = AuditReport("then", "2025-01-02T03:04:05Z", (FLAW,), (), (BAD, Pinned("other", "1")))
    file = tmp_path / "advisories.json"
    file.write_bytes(snapshot.to_bytes(earlier))
    source = Recorded(Answer())
    report = ask(cache, source, snapshot=file)
    assert (report.date, report.advisories, report.packages) == (earlier.date, (FLAW,), (BAD, GOOD))
    assert [item.carried for item in report.unknown] == [GOOD]
    assert source.asked == []


def test_a_given_snapshot_that_is_missing_or_unsound_is_refused(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem):
        ask(cache, Recorded(Answer()), snapshot=tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(IntegrityError):
        ask(cache, Recorded(Answer()), snapshot=tmp_path / "bad.json")


def test_an_interrupted_question_leaves_nothing_behind(cache: Cache) -> None:
    class Interrupted(Recorded):
        def ask(self, packages: Sequence[Pinned], work: Path) -> Answer:
            (work / "half").write_text("made")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(cache, Interrupted(Answer()))
    assert list((cache.root / "work").iterdir()) == []
    assert list((cache.root / "audits").iterdir()) == []
    assert ask(cache, Recorded(Answer())).clean == (BAD, GOOD)


class Slow(Recorded):
    """A source that takes its time and writes a line for every question, from whatever process."""

    def __init__(self, log: Path) -> None:
        super().__init__(Answer((FLAW,)))
        self.log = log

    def ask(self, packages: Sequence[Pinned], work: Path) -> Answer:
        """Answer after half a second."""
        with self.log.open("a") as stream:
            stream.write("asked\n")
        time.sleep(0.5)
        return super().ask(packages, work)


def _audit_in_child(cache: Path, log: Path) -> bytes:
    return ask(Cache(cache), Slow(log)).to_bytes()


def test_two_builds_at_once_ask_once_and_carry_the_same_bytes(cache: Cache, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.starmap(_audit_in_child, [(cache.root, log)] * 2, chunksize=1)
    assert made[0] == made[1]
    assert log.read_text() == "asked\n"


def artifact(kind: str, name: str) -> Artifact:
    """Return an artefact of a plan."""
    return Artifact(kind, name, "1.0", "", "https://x", "", 0, ("3.12",), "a test")


def test_a_plan_says_what_it_carries_and_what_no_index_has_published(repository: Path) -> None:
    packages = tuple(Package(name, "1.0", ("3.12",)) for name in ("Wheel.Name", "Forked", "both", "inner"))
    plan = BundlePlan(
        project=ProjectSpec(repository, repository, "own", "1.0"),
        profile=load_profile("library"),
        target=Target("t", "linux", "x86_64", "glibc", "2.28", ("3.12",)),
        artifacts=(
            artifact("wheel", "Wheel.Name"),
            artifact("git", "Forked"),
            artifact("wheel", "both"),
            artifact("git", "both"),
            artifact("directory", "inner"),
            artifact("uv", "uv"),
        ),
        packages=(*packages, Package("dynamic", "", ("3.12",))),
        obstacles=(),
    )
    found, unpublished = audit.subjects(plan)
    assert [item.name for item in found] == ["both", "forked", "inner", "wheel-name"]
    assert unpublished == ["forked", "inner"]


def test_lots_hold_no_name_twice() -> None:
    several = [Pinned("a", "1"), Pinned("a", "2"), Pinned("b", "1"), Pinned("c", "1")]
    made = list(lots(several, 2))
    assert sorted(item for lot in made for item in lot) == sorted(several)
    assert all(len({item.name for item in lot}) == len(lot) <= 2 for lot in made)
