"""What must be there for a check to make sense; without it the answer is known before anything is run."""

from __future__ import annotations

import sys
from typing import Optional

from bundle.text import Text
from validator.model import Check, Outcome, Status
from validator.subject import Subject


def unmet(item: Check, subject: Subject) -> Optional[Outcome]:
    """Return why *item* does not apply here, or that nobody can tell; nothing when it may run."""
    if sys.platform not in item.platforms:
        why = Text(
            f"이 플랫폼({sys.platform})의 검사가 아닙니다", f"not a check for this platform ({sys.platform})"
        )
        return Outcome(Status.SKIP, why)
    if not item.needs_installation or subject.generation is not None:
        return None
    try:
        installed = subject.anything_installed
    except PermissionError as error:
        return not_permitted(error)
    if installed:
        why = Text(
            f"{subject.prefix}에 활성 세대가 없습니다 (RAG-001 참고)",
            f"there is no active generation at {subject.prefix} (see RAG-001)",
        )
    else:
        why = Text(f"{subject.prefix}에 설치된 것이 없습니다", f"nothing installed at {subject.prefix}")
    return Outcome(Status.SKIP, why, not_installed=True)


def not_permitted(error: PermissionError) -> Outcome:
    """Return the outcome of a look that this user may not take."""
    what = Text(f"볼 권한이 없습니다: {error.filename}", f"not permitted to see: {error.filename}")
    return Outcome(Status.UNKNOWN, what, measured=error.strerror or "")
