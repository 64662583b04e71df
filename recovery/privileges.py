"""Who may change an installation: its owner. Whoever runs the assistant as somebody else is told the exact command."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Optional

from bundle.text import Text
from recovery.action import Action
from recovery.engine import Means, command, owner_of


def missing(means: Means, action: Action, again: str) -> Optional[Text]:
    """Return whose rights an action needs and the command that has them; None where the caller has them.

    Args:
        means: what is worked with.
        action: what is to be done.
        again: the assistant's own command, for what the installer has no command for.
    """
    if sys.platform == "win32":
        return None
    owner = owner_of(means.subject)
    if owner is None or owner == os.geteuid():
        return None
    words = action.words(means)
    wanted = command(means, *words) if words else again
    name = _name(owner)
    given = f"sudo {wanted}" if owner == 0 else f"sudo -u {shlex.quote(name)} {wanted}"
    return Text(f"{name} 권한이 필요합니다. 실행: {given}", f"it needs the rights of {name}; run: {given}")


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
