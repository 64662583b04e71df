"""Try one defect: break, validate, mend or undo, validate again."""

from __future__ import annotations

from time import monotonic

from ..tools import HarnessError
from .installed import SLOW, Installed, Undo, is_named
from .judging import EXCELLENT, Report, Verdict, changed, complaints, expected, present
from .table import Defect

MENDED, UNDONE, RESTORED = "mended", "undone", "restored"


def attempt(host: Installed, healthy: Report, name: str, defect: Defect, *, mend: bool = True) -> Verdict:
    """Go through one row of the table; whatever happens, the host is healthy again for the next one.

    Without `mend` the row is undone, even where the assistant could mend it.
    """
    began = monotonic()
    # systemd must not count the starts of one row against the next.
    host.forget_starts()
    undo = defect.inject(host)
    try:
        leave_out = [word for word in SLOW if not (defect.traced and word == "SEC-009")]
        report = host.validate(leave_out, **defect.environment)
        before = {
            check: status for check, status in healthy.statuses.items() if not is_named(check, leave_out)
        }
        found = changed(before, report.statuses)
        wanted = present(expected(defect.finds), {**before, **report.statuses})
        problems = [
            f"{line} - {report.said.get(line.split(':')[0], '')}" for line in complaints(wanted, found)
        ]
        ending, more = _mend(host, undo, defect.otherwise) if defect.mended and mend else _undo(host, undo)
    except HarnessError:
        host.put_everything_back()
        raise
    return Verdict(name, wanted, found, ending, monotonic() - began, (*problems, *more))


def _mend(host: Installed, undo: Undo, otherwise: bool) -> tuple[str, list[str]]:
    """Let the assistant put it right; where it cannot, undo, so that the next defect stands alone."""
    done = host.recover()
    problems = []
    if done.returncode != 0:
        problems.append(f"the assistant ended with {done.returncode}:\n{done.output}")
    left = _left(host)
    if not left and not problems:
        if otherwise:
            undo()
        return MENDED, []
    problems += [f"after the assistant: {line}" for line in left]
    ending, more = _undo(host, undo)
    return ending, [*problems, *more]


def _undo(host: Installed, undo: Undo) -> tuple[str, list[str]]:
    """Undo, and insist that all is well; where it is not, the installation is put back as it was."""
    try:
        undo()
        left = _left(host)
    except (HarnessError, OSError) as error:
        left = [f"{type(error).__name__}: {error}"]
    if not left:
        return UNDONE, []
    host.put_everything_back()
    return RESTORED, [f"after undoing it: {line}" for line in left]


def _left(host: Installed) -> list[str]:
    """Return what still keeps the host from being excellent."""
    report = host.validate()
    if (report.overall, report.exit_code, report.noise) == (EXCELLENT, 0, {}):
        return []
    return [f"{report.overall}, exit {report.exit_code}"] + [
        f"{check} {status}: {report.said[check]}" for check, status in report.noise.items()
    ]
