"""Say what the installer would register with the service manager now, as JSON: run as a script by the validator, out of
the generation's own tools; never imported by the product.

Nothing is written, and no manager is asked but for the crontab. Arguments: the prefix. Exit status 0 with an object
``{"manager", "kind": "file" | "line" | "none", "place", "text", "found"}``; ``found`` is what stands there of a line,
because only its own program can read a crontab. 3: there is nothing to register; 4 with a reason on standard error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Optional

NOTHING, FAILED = 3, 4


def main(arguments: list[str]) -> int:
    """Derive the registration from the pointer and the settings, as an installation or a repair does."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from pathlib import Path

    from installer import pointer, settings
    from installer.hosts.interface import ServiceError
    from installer.paths import Prefix
    from installer.service import define

    prefix = Prefix(Path(arguments[0]))
    active, wanted = pointer.read(prefix), settings.read(prefix)
    if active is None or wanted is None:
        return NOTHING
    definition = define(prefix, active.generation, wanted)
    if definition is None:
        return NOTHING
    try:
        # Without this right the definition would lack what the operator's settings add to it.
        settings.read_variables(prefix.settings)
        told = describe(wanted.manager, wanted.user, definition)
    except (OSError, ServiceError) as error:
        sys.stderr.write("%s\n" % error)
        return FAILED
    sys.stdout.write(json.dumps({"manager": wanted.manager, **told}) + "\n")
    return 0


def describe(manager: str, user: str, definition: object) -> dict[str, Optional[str]]:
    """Return kind, place and text of what a manager is given."""
    from installer import hosts
    from installer.hosts.interface import ServiceDefinition, ServiceError
    from installer.hosts.launchd import LaunchdHost
    from installer.hosts.process import ProcessHost
    from installer.hosts.systemd import SystemdHost

    assert isinstance(definition, ServiceDefinition)
    host = hosts.choose(manager, user)
    if not user and manager != "none" and definition.home.stat().st_uid != os.geteuid():
        raise ServiceError(f"{definition.home} belongs to another user: its registration is that user's own")
    if isinstance(host, (SystemdHost, LaunchdHost)):
        path, data = host.unit(definition)
        return {"kind": "file", "place": str(path), "text": data.decode("utf-8"), "found": None}
    if isinstance(host, ProcessHost) and not host.inside:
        from installer.hosts.crontab import line_for

        found = host.table.lines_of(definition.name)
        if found is not None:
            text, stands = line_for(definition), "\n".join(found)
            return {"kind": "line", "place": "crontab", "text": text, "found": stands}
    return {"kind": "none", "place": "", "text": "", "found": None}


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception as error:  # noqa: BLE001  its reader is a program: one line, and a number
        sys.stderr.write("%s: %s\n" % (type(error).__name__, error))
        sys.exit(FAILED)
