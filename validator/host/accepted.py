"""Whether the active release is committed: passed its health check and written down in ``trust/accepted.json``."""

from __future__ import annotations

import time

from validator.subject import Subject, Unreadable, checksum_of, read_json_object

# The installer accepts a release within minutes of switching to it, or goes back.
LONGEST_SWITCH_S = 3600.0


def release_of(name: object) -> str:
    """Return the release that a generation is, or is a repaired rebuild of."""
    return "-".join(str(name).split("-")[:2])


def pending(subject: Subject) -> bool:
    """Tell whether an installer may still be about to accept the active release: this validator is part of that.

    A record that is damaged, or does not name the release long after the switch, is no excuse to look away.
    """
    assert subject.generation is not None
    path = subject.prefix / "trust" / "accepted.json"
    if path.exists():
        try:
            record = read_json_object(path)
        except Unreadable:
            return False
        names = record.get("generations")
        if record.get("checksum") != checksum_of(record) or not isinstance(names, list):
            return False
        if release_of(subject.generation.name) in {release_of(name) for name in names}:
            return False
    try:
        switched = (subject.prefix / "current.json").stat().st_mtime
    except OSError:
        return False
    return abs(time.time() - switched) < LONGEST_SWITCH_S
