"""RAGTrace checks: each passes on a healthy, running installation and fails on a defect."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.validator.fakes import HEALTHY, Installation, free_port, run, status
from validator.checks import ragtrace
from validator.model import Status
from validator.subject import Subject


@pytest.mark.parametrize("item", ragtrace.CHECKS, ids=lambda c: c.id)
def test_a_healthy_installation_passes(running: Installation, item: object) -> None:
    assert status(item, running.subject()) is Status.PASS  # type: ignore[arg-type]


def test_nothing_installed_is_a_skip(tmp_path: Any) -> None:
    outcome = run(ragtrace.pointer, Subject(tmp_path / "none"))
    assert outcome.status is Status.SKIP
    assert outcome.not_installed


def _no_pointer(place: Installation) -> None:
    (place.root / "current.json").unlink()


def _edited(place: Installation) -> None:
    pointer = json.loads((place.root / "current.json").read_text())
    pointer["sequence"] = 9
    (place.root / "current.json").write_text(json.dumps(pointer))


def _torn(place: Installation) -> None:
    data = (place.root / "current.json").read_bytes()
    (place.root / "current.json").write_bytes(data[: len(data) // 2])


def _generation_gone(place: Installation) -> None:
    place.generation.rename(place.root / "elsewhere")


def _other_manifest(place: Installation) -> None:
    path = place.generation / "tools" / "MANIFEST.json"
    path.write_bytes(path.read_bytes() + b" ")


def _link_elsewhere(place: Installation) -> None:
    (place.root / "current").unlink()
    (place.root / "current").symlink_to(place.root / "data")


@pytest.mark.parametrize(
    "defect", [_no_pointer, _edited, _torn, _generation_gone, _other_manifest, _link_elsewhere]
)
def test_a_damaged_pointer_fails(installation: Installation, defect: Any) -> None:
    defect(installation)
    assert status(ragtrace.pointer, installation.subject()) is Status.FAIL


def test_a_command_line_that_does_not_start_fails(installation: Installation) -> None:
    (installation.site / "ragtrace" / "__main__.py").write_text("raise SystemExit('broken')\n")
    outcome = run(ragtrace.command_line, installation.subject())
    assert outcome.status is Status.FAIL
    assert outcome.measured == "broken"


def test_an_unknown_key_fails_and_is_named(installation: Installation) -> None:
    installation.facts(unknown_key="retreival")
    outcome = run(ragtrace.configuration, installation.subject())
    assert outcome.status is Status.FAIL
    assert "retreival" in outcome.details.en


def test_a_stopped_service_fails_once_and_the_dependent_checks_skip(installation: Installation) -> None:
    subject = installation.subject()
    assert status(ragtrace.running, subject) is Status.FAIL
    assert status(ragtrace.ready, subject) is Status.SKIP
    assert status(ragtrace.one_question, subject) is Status.SKIP


def test_a_service_of_another_generation_fails(running: Installation) -> None:
    running.facts(generation="000000-aaaaaaaaaaaa")
    assert status(ragtrace.running, running.subject()) is Status.FAIL


def test_a_part_that_is_not_ready_fails_and_is_named(running: Installation) -> None:
    running.facts(parts={"index": False, "records": True})
    outcome = run(ragtrace.ready, running.subject())
    assert outcome.status is Status.FAIL
    assert "index" in outcome.details.en
    assert "records" not in outcome.details.en


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"documents": 2, "chunks": 5, "index_chunks": 4}, Status.FAIL),
        ({"documents": 2, "chunks": 5, "index_chunks": 5, "index_in_step": False}, Status.FAIL),
        ({"index_in_step": True}, Status.PASS),
        ({"documents": 2}, Status.UNKNOWN),
    ],
)
def test_index_and_records_are_compared(
    installation: Installation, answer: dict[str, Any], expected: Status
) -> None:
    installation.facts(status=answer)
    assert status(ragtrace.consistent, installation.subject()) is expected


def test_a_status_command_that_breaks_is_unknown(installation: Installation) -> None:
    (installation.root / "data" / "facts.json").write_text("{")
    assert status(ragtrace.consistent, installation.subject()) is Status.UNKNOWN


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"query_status": 500}, Status.FAIL),
        ({"sources": 0}, Status.WARN),
        ({"sources": 0, "status": {**HEALTHY["status"], "documents": 0}}, Status.PASS),
        ({"sources": 0, "status": {}}, Status.UNKNOWN),
    ],
)
def test_a_question_needs_an_answer_and_sources(
    running: Installation, changes: dict[str, Any], expected: Status
) -> None:
    running.facts(**changes)
    assert status(ragtrace.one_question, running.subject()) is expected


def test_one_service_process_passes_and_two_fail(running: Installation) -> None:
    assert status(ragtrace.one_service, running.subject()) is Status.PASS
    first = running.port
    running.port = free_port()
    with running.serving():
        outcome = run(ragtrace.one_service, running.subject())
    running.port = first
    assert outcome.status is Status.FAIL
    assert outcome.measured.count("pid") == 2
    assert str(os.getpid()) not in outcome.measured
