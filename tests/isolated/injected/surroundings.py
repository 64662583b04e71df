"""Break what surrounds the installation: space, inodes, the clock, the locale."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ..host_root import remove_tree
from ..tools import HarnessError, cache_home, run_here
from .files import Injection
from .installed import Installed, Undo

PACKAGES = ("locales",)
SHIFTED = Path(__file__).resolve().parents[2] / "support" / "clock" / "sitecustomize.py"
DAY = 86400
LOCALE = "/usr/local/share/another-locale"
HOLDS = "opt"
"""The installation's own file system, in the host's root: its size and inodes can be changed while it is in use."""

SIZE, INODES = "size=3g", "nr_inodes=200k"


def mount_small(root: Path) -> None:
    """Give the installation a file system of its own, before the host boots; `host_root.release` unmounts it."""
    place = root / HOLDS
    place.mkdir(exist_ok=True)
    run_here(["mount", "-t", "tmpfs", "-o", f"{SIZE},{INODES},mode=755", "tmpfs", str(place)]).expect()


def equip(root: Path) -> None:
    """Lay another clock and another locale into the host's root.

    The host's interpreter reads Debian's `sitecustomize.py` whenever it starts, isolated or not; what is put
    there does nothing but for a program that was told of another day in its environment.
    """
    [hook] = root.glob("etc/python3.*/sitecustomize.py")
    shutil.copyfile(SHIFTED, hook)
    sources = root / "usr/share/i18n"
    remove_tree(sources)
    shutil.copytree(_unpacked() / "usr/share/i18n", sources)
    (root / LOCALE.lstrip("/")).mkdir(parents=True)
    make = ["localedef", "-i", "ko_KR", "-f", "EUC-KR", f"{LOCALE}/ko_KR.euckr"]
    run_here(["chroot", str(root), *make]).expect()


def _unpacked() -> Path:
    """Return the folder in the cache with the unpacked packages, fetching them the first time."""
    ready = cache_home() / "surroundings"
    if ready.is_dir():
        return ready
    building = ready.with_suffix(".building")
    remove_tree(building)
    (building / "downloads").mkdir(parents=True)
    run_here(["apt-get", "download", *PACKAGES], cwd=building / "downloads", timeout=300).expect()
    for package in sorted((building / "downloads").glob("*.deb")):
        run_here(["dpkg-deb", "-x", str(package), str(building)]).expect()
    building.rename(ready)
    return ready


def shifted(days: float) -> dict[str, str]:
    """The environment of a validator that believes it is another day, with all that it starts."""
    return {"RAGTRACE_TEST_CLOCK_SHIFT": str(days * DAY)}


def korean_without_utf8() -> dict[str, str]:
    """The environment of an operator whose terminal still speaks EUC-KR."""
    return {"LOCPATH": LOCALE, "LC_ALL": "ko_KR.euckr", "LANG": "ko_KR.euckr"}


def space_left(megabytes: int) -> Injection:
    """The file system of the installation is nearly full."""
    return _remounted(
        lambda now: f"size={((now.f_blocks - now.f_bfree) * now.f_frsize >> 10) + megabytes * 1024}k", SIZE
    )


def inodes_left(count: int) -> Injection:
    """The file system of the installation can hold hardly another file."""
    return _remounted(lambda now: f"nr_inodes={now.f_files - now.f_ffree + count}", INODES)


def _remounted(option: Callable[[os.statvfs_result], str], before: str) -> Injection:
    def inject(host: Installed) -> Undo:
        place = host.host.root / HOLDS
        run_here(["mount", "-o", f"remount,{option(os.statvfs(place))}", str(place)]).expect()

        def undo() -> None:
            run_here(["mount", "-o", f"remount,{before}", str(place)]).expect()

        return undo

    return inject


def nothing(host: Installed) -> Undo:
    """Break nothing: the defect is in the environment of the program itself."""
    if not host.host.inside(LOCALE).is_dir():
        raise HarnessError("the host is not equipped with another clock and locale")
    return lambda: None
