"""The status page, its JSON, the validator behind it, and readiness by the service's own checks."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ragtrace.adapters.enterprise_validator import EnterpriseValidator
from ragtrace.adapters.tantivy_index import LAYOUT
from ragtrace.application.checkup import Check, Subject
from ragtrace.application.validation import MOST_CHARS, ValidatorReport, read_report
from ragtrace.bootstrap import Container
from ragtrace.domain.findings import Finding
from ragtrace.entrypoints.http.app import create_app
from ragtrace.entrypoints.http.readiness import Readiness
from ragtrace.entrypoints.http.selfcheck import SelfCheck
from ragtrace.entrypoints.http.status import Status
from ragtrace.entrypoints.http.status_page import page
from ragtrace.entrypoints.http.validation import Validation
from ragtrace.errors import BusyProblem, RagTraceError, StorageProblem, UpstreamProblem
from ragtrace.settings import AnalyzerSettings, ServerSettings, Settings
from ragtrace.testing.memory import FixedClock, MemorySource, WordAnalyzer
from ragtrace.text import Text
from tests.service.loopback import Loopback
from tests.service.support import asking, ingest

HOSTILE = '"><script>alert(1)</script>&'
REPORT: dict[str, Any] = {
    "timestamp": "2026-11-20T00:00:00Z",
    "overall_status": "CRITICAL",
    "duration_s": 3.5,
    "validation_results": [
        {"id": "RAG-007", "category": "RAGTrace", "check_name": "Question", "status": "FAIL", "raw_status": "fail", "details": HOSTILE, "recommendation": HOSTILE},
        {"id": "SYS-001", "category": "System", "check_name": HOSTILE, "status": "PASS", "raw_status": "pass", "details": "fine", "recommendation": ""},
    ],
}  # fmt: skip


@dataclass
class FakeValidator:
    """Gives a report when it is let go."""

    report: ValidatorReport = field(default_factory=lambda: read_report(REPORT))
    absent: Text | None = None
    error: Exception | None = None
    let_go: threading.Event = field(default_factory=threading.Event)
    runs: int = 0

    def absence(self) -> Text | None:
        return self.absent

    def run(self) -> ValidatorReport:
        self.runs += 1
        self.let_go.wait(20)
        if self.error:
            raise self.error
        return self.report


@dataclass
class Site:
    """A served status with everything behind it."""

    server: Loopback
    validator: FakeValidator
    found: dict[str, Finding]
    selfcheck: SelfCheck
    time: list[float]

    def page(self, lang: str = "en") -> str:
        return self.server.send("GET", f"/status?lang={lang}").text

    def json(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.server.send("GET", "/status.json").json()
        return answer

    def run(self, **headers: str) -> Any:
        return self.server.send("POST", "/status/run", None, headers)

    def ended(self) -> None:
        self.validator.let_go.set()
        deadline = time.monotonic() + 20
        while self.json()["validator"]["running"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)


GOOD = Finding("pass", Text("좋음", "good"))


@pytest.fixture
def open_site() -> Iterator[Callable[..., Site]]:
    running: list[Loopback] = []

    def start(validator: FakeValidator | None = None) -> Site:
        use_case = ingest()
        use_case.run(MemorySource({"a.txt": "규정\n휴가 신청은 3일 전".encode()}))
        found = {"RTS-003": GOOD, "RTS-007": GOOD}
        checks = tuple(
            Check(
                name,
                Text(f"검사 {name}", f"check {name}"),
                "high",
                partial(lambda name, _: found[name], name),
                part,
            )
            for name, part in (("RTS-003", "index"), ("RTS-007", ""))
        )
        now = [1000.0]
        subject = Subject(None, WordAnalyzer)  # type: ignore[arg-type]
        selfcheck = SelfCheck(subject, checks, now=lambda: now[0])
        readiness = Readiness({"records": lambda: "1 documents", "index": lambda: "1 chunks"}, selfcheck)
        readiness.load()
        made = validator or FakeValidator()
        status = Status(
            readiness=readiness,
            validation=Validation(made, FixedClock(), now=lambda: now[0]),
            counts=use_case.records.counts,
            clock=FixedClock(),
            generation="000001-0123456789ab",
        )
        answering = asking(use_case)
        app = create_app(
            lambda: answering, readiness, FixedClock(), ServerSettings(), "000001-0123456789ab", status
        )
        running.append(Loopback(app))
        return Site(running[-1], made, found, selfcheck, now)

    yield start
    for each in running:
        each.stop()


def test_a_failing_check_makes_readyz_name_its_part_and_questions_wait(
    open_site: Callable[..., Site],
) -> None:
    site = open_site()
    assert site.server.send("GET", "/readyz").status == 200
    site.found["RTS-003"] = Finding("fail", Text("손상", "damaged"))
    assert site.server.send("GET", "/readyz").status == 200, "kept for some seconds"
    site.time[0] += 6
    answer = site.server.send("GET", "/readyz")
    assert (answer.status, answer.json()["status"]) == (503, "not_ready")
    assert answer.json()["parts"]["index"] == {"ready": False, "detail": "RTS-003: damaged"}
    assert answer.json()["parts"]["records"]["ready"]
    assert site.server.post("/query", {"qry_contents": "휴가"}).json()["error_type"] == "not_ready"
    site.found["RTS-003"] = GOOD
    site.time[0] += 6
    assert site.server.send("GET", "/readyz").json()["status"] == "ready"


@pytest.mark.parametrize("status", ["warn", "unknown", "error", "skip"])
def test_only_a_failure_makes_it_unready(open_site: Callable[..., Site], status: Any) -> None:
    site = open_site()
    site.found["RTS-003"] = Finding(status, Text("가", "a"))
    assert site.server.send("GET", "/readyz").status == 200


def test_a_failing_check_without_a_part_leaves_it_ready(open_site: Callable[..., Site]) -> None:
    site = open_site()
    site.found["RTS-007"] = Finding("fail", Text("부족", "little space"))
    assert site.server.send("GET", "/readyz").status == 200
    assert "little space" in site.page()


def test_the_page_loads_nothing_and_runs_nothing(open_site: Callable[..., Site]) -> None:
    site = open_site()
    answer = site.server.send("GET", "/status?lang=ko")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script|<link|<img|<iframe|https?://|style=|onload|url\(", answer.text)
    assert '<meta http-equiv="refresh" content="30">' in answer.text
    for word in ("세대", "000001-0123456789ab", "문서", "RTS-003", "지금 검사"):
        assert word in answer.text


def test_the_language_is_the_address_s_else_the_browser_s(open_site: Callable[..., Site]) -> None:
    site = open_site()
    for path, headers, lang in (
        ("/status", {}, "ko"),
        ("/status", {"Accept-Language": "en-US,en"}, "en"),
        ("/status?lang=ko", {"Accept-Language": "en"}, "ko"),
        ("/status?lang=<x>", {"Accept-Language": "en"}, "en"),
    ):
        answer = site.server.send("GET", path, None, headers)
        assert f'<html lang="{lang}">' in answer.text and answer.headers["content-language"] == lang
        # Hancom's terms: the program itself has to say so, in these words.
        assert (
            "본 제품은 한글과컴퓨터의 한글 문서 파일(.hwp) 공개 문서를 참고하여 개발하였습니다."
            in answer.text
        )


def test_a_run_is_one_at_a_time_and_once_a_minute_and_its_report_is_shown_escaped(
    open_site: Callable[..., Site],
) -> None:
    site = open_site()
    assert (site.run().status, site.run().json()) == (202, {"result": "running"})
    assert 'content="3"' in site.page() and "Checking" in site.page()
    site.ended()
    refused = site.run()
    assert (refused.status, refused.json()["result"], int(refused.headers["retry-after"])) == (
        429,
        "too_soon",
        61,
    )
    assert site.validator.runs == 1
    text = site.page()
    assert "CRITICAL" in text and "RAG-007" in text and "<script>" not in text and "&lt;script&gt;" in text
    facts = site.json()["validator"]
    assert facts["summary"] == {"fail": 1, "pass": 1} and facts["results"][0]["details"] == HOSTILE
    site.time[0] += 60
    assert site.run().status == 202


def test_a_browser_s_form_comes_back_to_the_page(open_site: Callable[..., Site]) -> None:
    answer = open_site().run(Accept="text/html", Host="x:1", Origin="http://x:1")
    assert (answer.status, answer.headers["location"]) == (303, "/status?lang=ko")


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_site_cannot_start_a_run(
    open_site: Callable[..., Site], headers: dict[str, str]
) -> None:
    site = open_site()
    answer = site.run(**headers)
    assert (answer.status, answer.json()["error_type"], site.validator.runs) == (403, "local_only", 0)


def test_another_host_may_look_but_neither_run_nor_see_details(
    open_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = open_site()
    site.run()
    site.ended()
    monkeypatch.setattr("ragtrace.entrypoints.http.status.is_local", lambda request: False)
    site.time[0] += 100
    assert site.run().status == 403
    assert "script" not in json.dumps(site.json()["validator"]["results"][0])
    assert "<form" not in site.page() and "RAG-007" in site.page()


def test_a_missing_validator_is_said_and_no_error(open_site: Callable[..., Site]) -> None:
    site = open_site(FakeValidator(absent=Text("없습니다", "not installed")))
    assert "not installed" in site.page() and "<form" not in site.page()
    assert (site.run().status, site.run().json()) == (404, {"result": "absent"})


def test_a_validator_that_breaks_is_said(open_site: Callable[..., Site]) -> None:
    site = open_site(FakeValidator(error=RuntimeError("/secret")))
    site.run()
    site.ended()
    assert "could not be run" in site.page() and "secret" not in site.page()


def test_only_the_three_addresses_exist(open_site: Callable[..., Site]) -> None:
    site = open_site()
    assert site.server.send("GET", "/status/run").status == 405
    assert site.server.send("POST", "/status").status == 405
    assert site.server.send("GET", "/status/x").status == 404


# The adapter: a real child, as the installer lays it out.
SCRIPT = "enterprise_validator.py"


def installed(home: Path, text: str) -> EnterpriseValidator:
    folder = home / "generations" / "000001-0123456789ab" / "tools" / "06_Verification"
    folder.mkdir(parents=True)
    (folder / SCRIPT).write_text(text)
    return EnterpriseValidator(home, "000001-0123456789ab", {**os.environ, "RAGTRACE_TOKEN": "hush"}, 3)


def test_the_validator_of_the_own_generation_is_run_and_read(tmp_path: Path) -> None:
    body = {**REPORT, "validation_results": []}
    validator = installed(
        tmp_path,
        "import json, os, sys\n"
        f"report = {body!r}\n"
        "names = ' '.join(sys.argv[1:]) + ' nice=%d' % os.nice(0) + ' ' + ' '.join(os.environ)\n"
        "report['validation_results'].append({'id': 'X', 'details': names[:390]})\n"
        "print(json.dumps(report)); sys.exit(3)\n",
    )
    assert validator.absence() is None
    report = validator.run()
    said = report.lines[0].details
    assert report.verdict == "CRITICAL" and f"--prefix {tmp_path}" in said and "nice=10" in said
    assert "--category System --category Packages --category RAGTrace" in said
    assert "RAGTRACE_TOKEN" not in said


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import time\ntime.sleep(60)", "did not end"),
        ("print('x' * 5_000_000)", "no report"),
        ("print('[]')", "no report"),
        ("raise SystemExit(1)", "no report"),
        ("print('[' * 100000)", "no report"),
    ],
)
def test_a_validator_that_gives_no_report_is_a_sentence(tmp_path: Path, script: str, said: str) -> None:
    problem = installed(tmp_path, script).run().problem
    assert problem is not None and said in problem.en


def test_what_the_validator_started_does_not_outlive_it(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid))\ntime.sleep(60)\n"
    )
    installed(tmp_path, script).run()
    number = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and Path(f"/proc/{number}/cmdline").exists():
        if not Path(f"/proc/{number}/cmdline").read_bytes():
            break
        time.sleep(0.02)
    else:
        assert not Path(f"/proc/{number}").exists()


@pytest.mark.parametrize("generation", ["", "../../etc", "000001-a/../..", "x"])
def test_a_name_that_is_no_generation_has_no_validator(tmp_path: Path, generation: str) -> None:
    assert EnterpriseValidator(tmp_path, generation, {}).absence() is not None


def test_a_report_is_cut_to_size() -> None:
    entry = {"id": "A" * 9999, "check_name": ["a", "b"], "status": "??", "details": None}
    report = read_report({"validation_results": [entry, "x"] * 600, "duration_s": "long"})
    assert len(report.lines) <= 400 and report.duration_s == 0.0
    assert len(report.lines[0].id) == MOST_CHARS and report.lines[0].status == "unknown"
    wrong: object
    for wrong in (None, [], {}, {"validation_results": {}}):
        with pytest.raises(ValueError):
            read_report(wrong)


@pytest.mark.parametrize("problem", [StorageProblem, BusyProblem, UpstreamProblem])
def test_what_comes_back_is_tried_again(problem: type[RagTraceError]) -> None:
    tries = []

    def records() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise problem(Text("고장", "broken"))
        return "fine"

    readiness, told = Readiness({"records": records}), []
    readiness.load_in_background(lambda: told.append("done"), lambda p: told.append(str(p)), 0.01).join(20)
    assert readiness.ready and told == ["broken", "done"]


def test_the_real_checks_fit_into_a_probe(tmp_path: Path) -> None:
    container = Container(Settings(tmp_path, analyzer=AnalyzerSettings(kind="whitespace")))
    container.catch_up()
    selfcheck = SelfCheck(Subject(container.inspection, lambda: container.analyzer))
    selfcheck.refresh()
    # No embedding model, no vectors to look at.
    assert [each.finding.status for each in selfcheck.latest] == ["pass"] * 8 + ["skip"] * 2
    assert (tmp_path / "data" / "index" / LAYOUT).is_dir()


def test_a_part_name_from_outside_is_escaped() -> None:
    facts = {
        "version": "1", "generation": HOSTILE, "status": HOSTILE, "started": HOSTILE, "uptime_s": 90061,
        "documents": None, "chunks": 1234, "parts": {HOSTILE: {"ready": False, "detail": HOSTILE}}, "checks": [],
        "validator": {"running": False, "absence": {"ko": HOSTILE, "en": HOSTILE}},
    }  # fmt: skip
    text = page(facts, "en", may_run=True)
    assert "<script" not in text and "1 d 1 h 1 min" in text and "1,234" in text
