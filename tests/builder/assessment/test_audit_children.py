"""Children of the audit: in order, under one deadline, and gone when their caller is."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import pytest

from builder.assessment.advisories.children import Ended, child_environment, run_all

SLEEPER = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"


def python(code: str) -> list[str]:
    """Return a command that runs `code`."""
    return [sys.executable, "-I", "-c", code]


def test_more_commands_than_run_at_once_end_in_order(tmp_path: Path) -> None:
    commands = [python(f"import sys; print({number}); sys.exit({number})") for number in range(7)]
    ended = run_all(commands, os.environ, tmp_path, time.monotonic() + 60)
    assert [(item.code, item.output.strip()) for item in ended] == [(n, b"%d" % n) for n in range(7)]


def test_what_is_not_finished_at_the_deadline_is_stopped_and_what_is_stays(tmp_path: Path) -> None:
    waiting = python("import time; time.sleep(60)")
    began = time.monotonic()
    ended = run_all([python("print(1)"), waiting], os.environ, tmp_path, time.monotonic() + 3)
    assert [item.code for item in ended] == [0, None]
    assert ended[1].complaint == "no answer in time"
    assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform == "win32", reason="alarms are POSIX")
def test_an_interruption_leaves_no_child_behind(tmp_path: Path) -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_all([python(SLEEPER)], os.environ, tmp_path, time.monotonic() + 50)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_last_line_that_says_something_is_the_complaint() -> None:
    assert Ended(1, b"", "Traceback\n  deep\nValueError: no\n\n").complaint == "ValueError: no"
    assert Ended(1, b"", "\n").complaint == "ended with code 1 and said nothing"


def test_children_trust_the_authority_that_the_builder_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "ours.pem"
    ours.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(ours))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/elsewhere")
    monkeypatch.setenv("PIP_AUDIT_DESC", "off")
    environment = child_environment("PIP_AUDIT_")
    assert environment["REQUESTS_CA_BUNDLE"] == str(ours)
    assert "PIP_AUDIT_DESC" not in environment
