"""Packages: can this host load the native libraries and programs that were installed?"""

from __future__ import annotations

import os
import platform
import re
import stat
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

from bundle.text import Text
from validator.host import elf, facts, loader
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped
from validator.names import listed
from validator.subject import Subject

# What a generation is made of and runs: its environment, and an interpreter that was carried in.
PLACES = ("venv", "python")
_LIBRARY = re.compile(r"\.so(\.[0-9.]+)?\Z")
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)")
# Named features of the C library that are no version: where they began.
_GLIBC_FEATURES = {"GLIBC_ABI_DT_RELR": (2, 36)}
# Parts that are loaded only where what they need is there: accelerators, and modules of Python for desktops.
_OPTIONAL = re.compile(
    r"libonnxruntime_providers_.*|_tkinter\..*|_crypt\..*|nis\..*|_dbm\..*|_gdbm\..*|readline\..*|_curses.*"
)


class Findings(NamedTuple):
    """What stands in the way, by how sure it is: ``wrong`` cannot be loaded, ``missing`` lacks a library."""

    files: int
    wrong: List[str]
    missing: List[str]
    newest: Tuple[int, ...]


@check(
    "PKG-005",
    Category.PACKAGES,
    Text("네이티브 라이브러리의 호환성", "Native libraries fit this host"),
    severity=Severity.HIGH,
    platforms=("linux",),
    timeout_s=60,
    needs_installation=True,
)
def binaries_fit(subject: Subject) -> Outcome:
    """Every installed library and program is for this processor, this C library, and finds what it links to.

    Read from the files themselves; nothing is loaded. PKG-004 tries the main packages, this looks at all of them. On
    hosts without glibc the symbol versions are not compared.
    """
    assert subject.generation is not None
    name, version = platform.libc_ver()
    host = facts.numbers(version)[:2] if name == "glibc" else ()
    found = examine([subject.generation / place for place in PLACES], facts.architecture(), host)
    if not found.files:
        return skipped(Text("네이티브 파일이 없습니다", "there are no native files"))
    needs = ".".join(map(str, found.newest))
    measured = f"{found.files} files, need glibc {needs or '-'}"
    expected = f"{facts.architecture()}, {name or 'libc'} {version}".strip()
    if not found.wrong and not found.missing:
        return passed(
            Text("모두 이 호스트에 맞습니다", "all fit this host"), measured=measured, expected=expected
        )
    names = listed([*found.wrong, *found.missing])
    if found.wrong:
        what = Text("이 호스트에서 쓸 수 없습니다: " + names, "cannot be used on this host: " + names)
        why = Text(
            "다른 플랫폼용이거나, 더 새 C 라이브러리가 필요하거나, 손상되었습니다",
            "made for another platform, in need of a newer C library, or damaged",
        )
        return Outcome(Status.FAIL, what, measured, expected, why, "repair")
    what = Text("필요한 라이브러리가 없습니다: " + names, "libraries they link to are missing: " + names)
    why = Text(
        "호스트에 시스템 라이브러리가 없거나 패키지 파일이 지워졌습니다",
        "a library of the system is not installed, or a file of a package was removed",
    )
    return Outcome(Status.WARN, what, measured, expected, why, "repair")


def examine(roots: List[Path], architecture: str, glibc: Tuple[int, ...]) -> Findings:
    """Look at every native file below *roots*.

    A library may be loaded by another before it is asked for, so one that lies anywhere below *roots* counts as found.
    """
    wrong: List[str] = []
    read: Dict[Path, elf.Library] = {}
    for path in _native_files(roots):
        try:
            library = elf.read(path)
        except elf.Malformed as error:
            wrong.append(f"{path.name}: {error}")
            continue
        if library.machine not in elf.NOT_OF_PROCESSORS:
            read[path] = library
    carried = {path.name for path in read} | {library.soname for library in read.values()}
    known = carried | loader.system_libraries()
    missing: List[str] = []
    newest: Tuple[int, ...] = ()
    for path, library in read.items():
        needs = _glibc_of(library)
        newest = max(newest, needs)
        problem = _unfit(path, library, architecture)
        if problem:
            wrong.append(f"{path.name}: {problem}")
            continue
        if glibc and needs > glibc:
            wrong.append(f"{path.name}: GLIBC_{'.'.join(map(str, needs))}")
        lost = [item for item in library.needed if item not in known and not _beside(path, library, item)]
        if lost and not _OPTIONAL.match(path.name):
            missing.append(f"{path.name}: {', '.join(lost[:4])}")
    return Findings(len(read) + len(wrong), sorted(wrong), sorted(missing), newest)


def _native_files(roots: List[Path]) -> Iterator[Path]:
    """Yield the ELF files that are named like libraries or may be executed; links lead to files seen anyway."""
    pending = [root for root in roots if root.is_dir()]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False) and _may_be_native(entry):
                    path = Path(entry.path)
                    if elf.is_elf(path):
                        yield path


def _may_be_native(entry: "os.DirEntry[str]") -> bool:
    if entry.name.endswith((".py", ".pyi", ".pyc")):
        return False
    executable = bool(entry.stat(follow_symlinks=False).st_mode & stat.S_IXUSR)
    return executable or _LIBRARY.search(entry.name) is not None


def _unfit(path: Path, library: elf.Library, architecture: str) -> str:
    """Return what is wrong with class, machine or interpreter.

    Packages carry programs for other machines on purpose; they harm nobody unless they are called.
    """
    if library.architecture != architecture or library.bits != 64:
        called = _LIBRARY.search(path.name) is not None or path.parent.name == "bin"
        return f"{library.architecture}, {library.bits} bit" if called else ""
    if library.interpreter and not os.path.exists(library.interpreter):
        return f"{library.interpreter} is missing"
    return ""


def _glibc_of(library: elf.Library) -> Tuple[int, ...]:
    """Return the newest version of the C library that any symbol asks for."""
    newest: Tuple[int, ...] = ()
    for versions in library.versions.values():
        for version in versions:
            match = _GLIBC.match(version)
            asked = (int(match.group(1)), int(match.group(2))) if match else _GLIBC_FEATURES.get(version, ())
            newest = max(newest, asked)
    return newest


def _beside(path: Path, library: elf.Library, name: str) -> bool:
    """Look where the file itself says (RPATH, RUNPATH with ``$ORIGIN``, ld.so(8))."""
    if "/" in name:
        return os.path.exists(name)
    for folder in library.search:
        for word in ("$ORIGIN", "${ORIGIN}"):
            folder = folder.replace(word, str(path.parent))
        if os.path.exists(os.path.join(folder, name)):
            return True
    return False


CHECKS: Tuple[Check, ...] = (binaries_fit,)
