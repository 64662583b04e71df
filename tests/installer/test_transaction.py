"""Steps are undone in reverse, whichever fails and however."""

from __future__ import annotations

import errno
import io
import os
import signal
from pathlib import Path

import pytest

from bundle.errors import RagTraceError
from bundle.text import Text
from installer.console import Console
from installer.health import Sick
from installer.journal import Journal
from installer.plan import PlannedStep
from installer.signals import Stopped, listening
from installer.transaction import Step, run

COUNT = 4
STATE = Text("그대로입니다", "as it was")


class Recorder:
    """A step that only notes what happens to it."""

    def __init__(
        self, number: int, log: list[str], apply: BaseException | None, undo: Exception | None
    ) -> None:
        self.number, self.log, self.on_apply, self.on_undo = number, log, apply, undo

    def apply(self) -> None:
        self.log.append(f"+{self.number}")
        if self.on_apply is not None:
            raise self.on_apply

    def undo(self) -> None:
        self.log.append(f"-{self.number}")
        if self.on_undo is not None:
            raise self.on_undo


def execute(
    tmp_path: Path, fail_at: int, error: BaseException, undo_fails: int = -1
) -> tuple[list[str], RagTraceError, list[str]]:
    """Run four steps, of which one fails; return what happened, the error, and whether room was made."""
    log: list[str] = []
    room: list[str] = []
    steps: list[Step] = [
        Recorder(n, log, error if n == fail_at else None, OSError("stuck") if n == undo_fails else None)
        for n in range(COUNT)
    ]
    planned = [PlannedStep(f"step{n}", Text(str(n), str(n))) for n in range(COUNT)]
    with pytest.raises(RagTraceError) as raised:
        run(
            planned,
            steps,
            Journal(tmp_path / "journal", "test"),
            Console("en", err=io.StringIO()),
            restored=STATE,
            recovery_command="install.py --again",
            make_room=lambda: room.append("room"),
        )
    return log, raised.value, room


@pytest.mark.parametrize("fail_at", range(COUNT))
def test_every_step_begun_is_undone_newest_first(tmp_path: Path, fail_at: int) -> None:
    log, error, _ = execute(tmp_path, fail_at, OSError("boom"))
    assert log == [f"+{n}" for n in range(fail_at + 1)] + [f"-{n}" for n in reversed(range(fail_at + 1))]
    assert (error.exit_code, error.state) == (13, STATE)


@pytest.mark.parametrize(
    ("cause", "code"),
    (
        (OSError("boom"), 13),
        (Sick(STATE), 16),
        (Stopped("SIGTERM"), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError(), 70),
    ),
)
def test_each_cause_has_its_exit_code_and_everything_is_undone(
    tmp_path: Path, cause: BaseException, code: int
) -> None:
    log, error, _ = execute(tmp_path, 1, cause)
    assert (error.exit_code, log) == (code, ["+0", "+1", "-1", "-0"])


@pytest.mark.parametrize("undo_fails", range(3))
def test_an_undo_that_fails_is_14_with_a_command_and_the_others_are_still_undone(
    tmp_path: Path, undo_fails: int
) -> None:
    log, error, _ = execute(tmp_path, 2, OSError("boom"), undo_fails)
    assert log[-3:] == ["-2", "-1", "-0"]
    assert error.exit_code == 14
    assert error.hint is not None
    assert "install.py --again" in error.hint.en


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
def test_signals_during_undoing_wait_until_everything_is_put_back(
    tmp_path: Path, number: signal.Signals
) -> None:
    log: list[str] = []

    class Shaken(Recorder):
        """Somebody keeps pressing Ctrl-C: while applying, and again before and after each undo."""

        def apply(self) -> None:
            super().apply()
            if self.number == 2:
                os.kill(os.getpid(), number)

        def undo(self) -> None:
            os.kill(os.getpid(), number)
            super().undo()
            os.kill(os.getpid(), number)

    steps: list[Step] = [Shaken(n, log, None, None) for n in range(COUNT)]
    with pytest.raises(RagTraceError) as raised, listening():
        run(
            [PlannedStep(f"step{n}", Text(str(n), str(n))) for n in range(COUNT)],
            steps,
            Journal(tmp_path / "journal", "test"),
            Console("en", err=io.StringIO()),
            restored=STATE,
            recovery_command="install.py --again",
            make_room=lambda: None,
        )
    assert log == ["+0", "+1", "+2", "-2", "-1", "-0"]
    assert raised.value.exit_code == 130


def test_a_second_signal_between_the_first_and_the_undoing_raises_nothing() -> None:
    with listening():
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("told", (True, False))
def test_the_report_of_an_interrupted_run_is_not_interrupted_itself(told: bool) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with listening(to_the_end=True):
            if told:
                with pytest.raises(Stopped):
                    os.kill(os.getpid(), signal.SIGTERM)
        if told:
            os.kill(os.getpid(), signal.SIGTERM)
        assert (signal.getsignal(signal.SIGTERM) is before) is not told
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def test_once_every_step_is_done_a_signal_comes_too_late(tmp_path: Path) -> None:
    steps: list[Step] = [Recorder(n, [], None, None) for n in range(COUNT)]
    with listening():
        run(
            [PlannedStep(f"step{n}", Text(str(n), str(n))) for n in range(COUNT)],
            steps,
            Journal(tmp_path / "journal", "test"),
            Console("en", err=io.StringIO()),
            restored=STATE,
            recovery_command="install.py --again",
            make_room=lambda: None,
        )
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_full_disk_frees_the_reserve_before_undoing(tmp_path: Path) -> None:
    assert execute(tmp_path, 2, OSError(errno.ENOSPC, "full"))[2] == ["room"]
    assert execute(tmp_path, 2, OSError(errno.EIO, "broken"))[2] == []
