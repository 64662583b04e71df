"""The whole way, once, for real: claims about one journey from the build box to a rolled back isolated host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .defects import DEFECTS
from .documents import QUESTIONS
from .host_root import HostKind, fresh_root, run_directory
from .journey import Journey
from .machine import IsolatedHost
from .outbound import OutboundRecorder
from .releases import REPOSITORY, break_health, next_versions, project_version
from .service_view import wrong_sources
from .story import Story

pytestmark = pytest.mark.isolated

ROLLBACK_SECONDS = 30  # far above what is measured: a machine under load must not fail the claim

EARLY, LATE = "the environment is being made", "the pointer has just been switched"


@pytest.fixture(scope="module")
def journey(able: None, request: pytest.FixtureRequest) -> Iterator[Journey]:
    """Go the whole way once; its story is told as it happens, whatever pytest captures."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with run_directory() as folder, OutboundRecorder(folder) as recorder:
        root = fresh_root(HostKind(), folder / "root")
        host = IsolatedHost(root, folder / "console.log")
        with capture.global_and_fixture_disabled():
            travelled = Journey(host, recorder, folder, Story("en"))
            try:
                travel(travelled)
            finally:
                host.close()
        yield travelled


def travel(journey: Journey) -> None:
    """The steps, in order."""
    broken_version, good_version = next_versions(project_version(REPOSITORY))
    first = journey.build("first")
    broken = journey.build("broken", broken_version, break_health)
    good = journey.build("good", good_version)
    journey.gather_documents()
    journey.boot()
    unpacked = journey.carry_in(first)
    journey.install("empty", unpacked).expect()
    journey.ingest()
    journey.question()
    journey.validate(unpacked)
    journey.install("again", unpacked)
    journey.install("broken", journey.carry_in(broken))
    unpacked_good = journey.carry_in(good)
    journey.refuse(unpacked_good)
    journey.cut_power(EARLY, unpacked_good, journey.generation_begun(journey.generations()))
    journey.cut_power(LATE, unpacked_good, journey.pointer_switched())
    journey.install("good", unpacked_good)
    journey.roll_back(unpacked_good)
    journey.restart_host()
    journey.count_attempts()


def test_the_host_boots_completely_every_time(journey: Journey) -> None:
    assert journey.seen.boots == ["running"] * 4


def test_a_first_installation_is_started_by_systemd_and_ready(journey: Journey) -> None:
    assert journey.seen.installs["empty"].returncode == 0
    assert journey.seen.active["empty"] == "active"
    assert journey.seen.states["empty"].readiness == 200
    assert journey.seen.states["empty"].version == project_version(REPOSITORY)


def test_all_documents_are_ingested(journey: Journey) -> None:
    assert journey.seen.commands["ingest"].returncode == 0
    assert journey.seen.states["empty"].documents == 0
    assert journey.seen.states["first"].documents == len(journey.seen.pages)


def test_unchanged_documents_are_not_ingested_twice(journey: Journey) -> None:
    once, again = journey.seen.commands["ingest"], journey.seen.commands["ingest again"]
    assert again.returncode == 0
    assert again.seconds < once.seconds


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.page)
def test_an_answer_cites_pages_that_hold_what_was_asked_for(journey: Journey, question: object) -> None:
    asked = next(known for known in QUESTIONS if known == question)
    answer = journey.seen.answers[asked.text]
    assert answer.status == 200, answer.raw
    assert wrong_sources(answer, asked, journey.seen.pages) == []


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.page)
def test_a_streamed_answer_gives_its_sources_first_and_is_the_same_answer(
    journey: Journey, question: object
) -> None:
    asked = next(known for known in QUESTIONS if known == question)
    streamed, events = journey.seen.streams[asked.text]
    assert streamed.status == 200, streamed.raw
    assert events[0] == "reference" and events.count("reference") == 1
    assert "answer" in events and "error" not in events
    assert streamed.sources == journey.seen.answers[asked.text].sources
    assert wrong_sources(streamed, asked, journey.seen.pages) == []


def test_the_validator_finds_nothing_that_fails(journey: Journey) -> None:
    validator = journey.seen.commands["validator"]
    failed = [r for r in journey.seen.report["validation_results"] if r["status"] == "FAIL"]
    assert failed == []
    assert validator.returncode in (0, 4), validator.output


def test_the_report_has_the_keys_that_others_read(journey: Journey) -> None:
    report = journey.seen.report
    assert {"timestamp", "system_info", "validation_results", "overall_status", "recommendations"} <= set(
        report
    )
    assert {"platform", "python_version", "memory_gb", "cpu_count"} <= set(report["system_info"])
    assert report["overall_status"] in ("EXCELLENT", "GOOD", "WARNING")
    for result in report["validation_results"]:
        assert {"category", "check_name", "status", "details", "recommendation"} <= set(result)
        assert result["status"] in ("PASS", "WARN", "FAIL", "SKIP")
    categories = {result["category"] for result in report["validation_results"]}
    assert categories == {"System", "Tools", "Packages", "RAGTrace", "Performance", "Security"}


def test_installing_the_same_bundle_again_changes_nothing(journey: Journey) -> None:
    assert journey.seen.installs["again"].returncode == 0
    assert journey.seen.states["again"] == journey.seen.states["first"]


def test_a_release_that_never_gets_healthy_gives_way_to_the_first_one(journey: Journey) -> None:
    assert journey.seen.installs["broken"].returncode in (13, 16), journey.seen.installs["broken"].output
    assert journey.seen.active["broken"] == "active"
    assert journey.seen.states["broken"] == journey.seen.states["first"]


def test_a_good_release_takes_over_with_the_data(journey: Journey) -> None:
    first, good = journey.seen.states["first"], journey.seen.states["good"]
    assert journey.seen.installs["good"].returncode == 0, journey.seen.installs["good"].output
    assert (good.readiness, good.version) == (200, next_versions(first.version)[1])
    assert good.generation != first.generation
    assert (good.documents, good.sources) == (first.documents, first.sources)


def test_a_rollback_brings_the_first_release_back_within_seconds(journey: Journey) -> None:
    first, back = journey.seen.states["first"], journey.seen.states["rollback"]
    assert journey.seen.installs["rollback"].returncode == 0, journey.seen.installs["rollback"].output
    assert (back.version, back.generation) == (first.version, first.generation)
    assert (back.documents, back.sources) == (first.documents, first.sources)
    assert journey.seen.seconds["rollback until answered"] < ROLLBACK_SECONDS


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_bundle_with_a_defect_is_refused(journey: Journey, defect: str) -> None:
    assert journey.seen.refused[defect].returncode == 10, journey.seen.refused[defect].output


def test_a_refused_bundle_changes_nothing(journey: Journey) -> None:
    assert journey.seen.trees["after"] == journey.seen.trees["before"]
    assert journey.seen.states["refused"] == journey.seen.states["first"]


def test_a_power_cut_before_the_switch_leaves_the_first_release_running(journey: Journey) -> None:
    assert journey.seen.active[EARLY] == "active"
    assert journey.seen.states[EARLY] == journey.seen.states["first"]


def test_a_power_cut_after_the_switch_leaves_a_release_that_answers_with_all_data(journey: Journey) -> None:
    first, cut = journey.seen.states["first"], journey.seen.states[LATE]
    assert (journey.seen.active[LATE], cut.readiness) == ("active", 200)
    assert (cut.documents, cut.sources) == (first.documents, first.sources)


def test_the_service_comes_up_by_itself_after_a_reboot(journey: Journey) -> None:
    assert journey.seen.active["rebooted"] == "active"
    assert journey.seen.states["rebooted"] == journey.seen.states["rollback"]


def test_no_process_of_the_host_ever_attempted_to_reach_out(journey: Journey) -> None:
    assert journey.seen.attempts == []
