"""Give up root's rights where the data belongs to another user, before any of it is touched."""

from __future__ import annotations

import os
from pathlib import Path

from ragtrace.errors import AccessProblem
from ragtrace.text import Text


def gives_up_rights(data_folder: Path) -> bool:
    """Say whether `drop_to_owner` makes this process another user's."""
    return os.name == "posix" and os.geteuid() == 0 and _owner(data_folder).st_uid != 0


def drop_to_owner(data_folder: Path) -> str | None:
    """Become the owner of the data when running as root; return that user's name, or None when nothing changed.

    Files made by root in the data folder would be unreadable for the service afterwards.
    """
    if os.name != "posix" or not gives_up_rights(data_folder):
        return None
    import pwd

    owner = _owner(data_folder)
    try:
        entry = pwd.getpwuid(owner.st_uid)
        name, group, home = entry.pw_name, entry.pw_gid, entry.pw_dir
        groups = os.getgrouplist(name, group)
    except KeyError:
        name, group, home, groups = str(owner.st_uid), owner.st_gid, "/", [owner.st_gid]
    try:
        os.setgroups(groups)
        os.setgid(group)
        os.setuid(owner.st_uid)
    except OSError as error:
        raise AccessProblem(
            Text(f"사용자 '{name}'(으)로 바꿀 수 없습니다.", f"Cannot become the user '{name}'."),
            where=str(data_folder),
            state=Text("데이터를 건드리지 않았습니다.", "No data was touched."),
            hint=Text(
                f"그 사용자로 실행하십시오: runuser -u {name} -- …",
                f"Run it as that user: runuser -u {name} -- …",
            ),
        ) from error
    os.environ["HOME"] = home
    return name


def _owner(folder: Path) -> os.stat_result:
    """Return the status of the data folder, or of the nearest folder above that exists."""
    for candidate in (folder, *folder.parents):
        try:
            return candidate.stat()
        except FileNotFoundError:
            continue
    return Path("/").stat()
