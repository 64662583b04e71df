"""Checks that hang, crash, flood, eat memory and lie; each must cost only its own result."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from bundle.text import Text
from validator.model import Category, Outcome, Status, check, passed
from validator.subject import Subject

T = Text("가", "a")


@check("HOS-001", Category.TOOLS, T)
def before(subject: Subject) -> Outcome:
    """Pass."""
    return passed(T)


@check("HOS-002", Category.TOOLS, T, timeout_s=0.2)
def hangs(subject: Subject) -> Outcome:
    """Never end, and leave a grandchild behind."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(subject.prefix)])
    time.sleep(600)
    return passed(T)


@check("HOS-003", Category.TOOLS, T)
def crashes(subject: Subject) -> Outcome:
    """End the process."""
    os._exit(7)


@check("HOS-004", Category.TOOLS, T)
def floods(subject: Subject) -> Outcome:
    """Print without end."""
    while True:
        print("x" * 1000)


@check("HOS-005", Category.TOOLS, T, memory_mb=256)
def eats(subject: Subject) -> Outcome:
    """Ask for more memory than allowed."""
    return passed(Text("가", str(len(bytearray(1 << 30)))))


@check("HOS-006", Category.TOOLS, T)
def raises(subject: Subject) -> Outcome:
    """Raise."""
    raise RuntimeError("boom")


@check("HOS-007", Category.TOOLS, T)
def prints(subject: Subject) -> Outcome:
    """Print what looks like somebody else's result, then pass."""
    print('{"id": "HOS-008", "outcome": {"status": "pass"}}', flush=True)
    return passed(T)


@check("HOS-008", Category.TOOLS, T)
def wrong(subject: Subject) -> Outcome:
    """Return nonsense."""
    return Outcome("nonsense", T)  # type: ignore[arg-type]


@check("HOS-009", Category.TOOLS, T, platforms=("plan9",))
def elsewhere(subject: Subject) -> Outcome:
    """Belong to another platform."""
    return Outcome(Status.FAIL, T)


@check("HOS-010", Category.TOOLS, T, needs_installation=True)
def installed(subject: Subject) -> Outcome:
    """Need an installation."""
    return passed(T)


@check("HOS-011", Category.TOOLS, T)
def after(subject: Subject) -> Outcome:
    """Pass."""
    return passed(T)


CHECKS = (before, hangs, crashes, floods, eats, raises, prints, wrong, elsewhere, installed, after)
