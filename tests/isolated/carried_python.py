"""A CPython for hosts whose own is too old: built from upstream's source, in the oldest root, as a relocatable archive.

What Debian's pool carries as `.orig` is upstream's release archive.  It is compiled inside a Debian 11 root, so
that it runs with that C library and every later one; the libraries that its modules need, but the C library
itself, travel in it.  The archive is kept in the cache: only the first run of a machine builds it.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from pathlib import Path
from time import monotonic

from .host_root import HostKind, fresh_root, locked, remove_tree
from .tools import HarnessError, cache_home, run_here

SERIES = "3.11"
SOURCE_SUITE = "bookworm"
POOL = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
BUILD_ROOT = HostKind(
    suite="bullseye",
    packages=(
        "build-essential",
        "patchelf",
        "libssl-dev",
        "libffi-dev",
        "libsqlite3-dev",
        "zlib1g-dev",
        "liblzma-dev",
        "libbz2-dev",
    ),
    hostname="ragtrace-interpreter",
)
"""Debian 11: the oldest C library that the starter bundle's wheels accept."""

# No profile-guided, no link-time and little other optimisation, no debug symbols: a test waits for the compiler, not for what it made.
COMPILE = f"""
set -eu
cd /srv/source
OPT='-DNDEBUG -fwrapv -O1' ./configure --prefix=/srv/python --without-ensurepip --disable-test-modules --quiet >/srv/configure.log 2>&1
make -j2 >/srv/make.log 2>&1
make install >/srv/install.log 2>&1
cd /srv/python
rm -rf include share lib/pkgconfig lib/*.a lib/python{SERIES}/config-* lib/python{SERIES}/idlelib \\
    lib/python{SERIES}/tkinter lib/python{SERIES}/turtledemo lib/python{SERIES}/test lib/python{SERIES}/*/test \\
    lib/python{SERIES}/*/tests bin/idle* bin/pydoc* bin/2to3* bin/python*-config
find . -name __pycache__ -prune -exec rm -rf {{}} +
strip bin/python{SERIES} lib/python{SERIES}/lib-dynload/*.so
for module in lib/python{SERIES}/lib-dynload/*.so; do
    ldd "$module" | sed -n 's/.* => \\(\\/[^ ]*\\) .*/\\1/p'
done | sort -u | grep -v -E '/(libc|libm|libdl|libpthread|librt|libutil)[.-]' >/srv/libraries || true
xargs -r -I @ cp -L @ lib/ </srv/libraries
for library in lib/*.so.*; do patchelf --set-rpath '$ORIGIN' "$library"; done
for module in lib/python{SERIES}/lib-dynload/*.so; do patchelf --set-rpath '$ORIGIN/../..' "$module"; done
"""

# What an installer, a service and a validator need; a missing header would leave a module out without a word.
NEEDED = ("ssl", "sqlite3", "ctypes", "lzma", "bz2", "zlib", "hashlib", "venv", "uuid", "multiprocessing")


def carried_python() -> Path:
    """Return the archive that `--python-archive` takes, building it when it is not in the cache (some minutes)."""
    home = cache_home() / "interpreters"
    ready = home / f"cpython-{SERIES}-{BUILD_ROOT.key}.tar.gz"
    with locked(ready.with_suffix(".lock")):
        if not ready.is_file():
            began = monotonic()
            _build(ready)
            note = f"built in {monotonic() - began:.0f} s, {ready.stat().st_size / 1e6:.1f} MB\n"
            ready.with_suffix(".txt").write_text(note, encoding="utf-8")
    return ready


def _build(archive: Path) -> None:
    """Fetch, compile, try out and pack."""
    work = archive.with_suffix(".building")
    remove_tree(work)
    work.mkdir(parents=True)
    source = _fetch(work)
    root = fresh_root(BUILD_ROOT, work / "root")
    (root / "srv/source").mkdir(parents=True)
    run_here(["tar", "xf", str(source), "-C", str(root / "srv/source"), "--strip-components=1"]).expect()
    done = run_here(
        ["chroot", str(root), "sh", "-c", COMPILE],
        timeout=3000,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"},
    )
    if done.returncode != 0:
        logs = "\n".join(
            path.read_text(errors="replace")[-1500:] for path in sorted((root / "srv").glob("*.log"))
        )
        raise HarnessError(f"the interpreter was not built: {done.output}\n{logs}")
    moved = root / "opt/elsewhere"
    (root / "srv/python").rename(moved)  # it must find itself wherever it lies
    code = f"import {', '.join(NEEDED)}, sys; print(sys.prefix)"
    run_here(["chroot", str(root), f"/opt/elsewhere/bin/python{SERIES}", "-I", "-B", "-c", code]).expect()
    _pack(moved, archive)
    remove_tree(work)


def _fetch(folder: Path) -> Path:
    """Fetch the source package by apt, with lists of its own: this machine's sources stay as they are."""
    (folder / "lists/partial").mkdir(parents=True)
    sources = folder / "sources.list"
    sources.write_text(f"deb-src [signed-by={KEYRING}] {POOL} {SOURCE_SUITE} main\n", encoding="utf-8")
    options = [
        f"Dir::Etc::sourcelist={sources}",
        "Dir::Etc::sourceparts=-",
        f"Dir::State::lists={folder}/lists",
    ]
    options += [f"Dir::Cache={folder}/cache", "APT::Sandbox::User=root"]
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    run_here([*apt, "update"]).expect()
    run_here([*apt, "source", "--download-only", f"python{SERIES}"], cwd=folder, timeout=900).expect()
    found = [path for path in folder.iterdir() if re.search(r"\.orig\.tar\.(gz|xz)$", path.name)]
    if len(found) != 1:
        raise HarnessError(f"expected one source archive in {folder}, found {found}")
    return found[0]


def _pack(tree: Path, archive: Path) -> None:
    """Pack the tree below one top folder, owned by nobody in particular."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w:gz", compresslevel=6) as packed:
        packed.add(tree, "python", filter=plain)
    os.replace(partial, archive)
    shutil.rmtree(tree)
