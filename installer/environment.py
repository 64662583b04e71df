"""The virtual environment of a generation: made by the bundled uv from the bundled wheels, hashes required."""

from __future__ import annotations

import base64
import csv
import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterable, Iterator, Optional, Sequence

from bundle import layout
from bundle.errors import IntegrityError, RestoredError
from bundle.hashing import copy_hashed
from bundle.manifest import FileEntry
from bundle.text import Text
from bundle.wheelscript import take_script, uv_name

from . import wheels
from .children import minimal_environment, run_tied, tail
from .filesystem import make_directory, remove_file, remove_tree
from .receipt import Entry
from .sources.interface import Source

# With less than this left, a program that failed is taken to have failed for want of it.
FULL_BYTES = 1024 * 1024
# A generation is immutable: Python must not write bytecode into it. The service gets a cache folder by
# PYTHONPYCACHEPREFIX; whoever else runs this environment uses that folder only if it is their own, because
# bytecode written by another user is code of another user.
STARTUP_NAME = "ragtrace_immutable.pth"
STARTUP = (
    "import os, sys; "
    "c = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(sys.prefix))), 'data', 'cache', 'pycache'); "
    "own = os.name == 'posix' and os.path.isdir(c) and os.stat(c).st_uid == os.geteuid(); "
    "sys.pycache_prefix = sys.pycache_prefix or (c if own else None); "
    "sys.dont_write_bytecode = sys.dont_write_bytecode or sys.pycache_prefix is None\n"
)


def python_of(generation: Path) -> Path:
    """Return the environment's interpreter."""
    scripts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return generation.joinpath("venv", *scripts)


def requirements_of(bundle: Source) -> FileEntry:
    """Return the requirements file for the target.

    Raises:
        IntegrityError: there is none, or no single one.
    """
    target = bundle.manifest.target
    entries = bundle.manifest.of_kind("requirements")
    named = [entry for entry in entries if entry.path.endswith(f"requirements-{target.os}-{target.arch}.txt")]
    if len(named or entries) != 1:
        raise IntegrityError(
            Text(
                "번들에 이 플랫폼의 requirements 파일이 없습니다",
                "the bundle has no requirements file for this platform",
            ),
            where=layout.DEPENDENCIES,
        )
    return (named or list(entries))[0]


def build(bundle: Source, generation: Path, python: str, scratch: Path, descriptors: Sequence[int]) -> None:
    """Make `generation/venv` and install exactly what the requirements list.

    uv's wheel and the requirements are first copied to `scratch`, hashed on the way, and uv is taken out of
    that copy: what runs is what was verified, also from a medium mounted noexec. uv's cache lies there too, on the same file system, so
    that files are unpacked once and linked; it is removed with the scratch folder.

    Raises:
        IntegrityError: a wheel is not sound, or uv's is damaged.
        RestoredError: uv failed; its last lines are in the details.
    """
    # Unpacking uv leaves the interpreter free to look into the wheels meanwhile.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="look") as aside:
        folders = bundle.wheel_folders(scratch)
        looked = aside.submit(wheels.require_sound, _named(bundle, folders))
        uv = bring_uv(bundle, scratch)
        looked.result()
    listed = bring(bundle, requirements_of(bundle), scratch / "requirements.txt", 0o644)
    venv = generation / "venv"
    common = ["--quiet", "--offline", "--no-config", "--no-progress"]
    run_uv([str(uv), "venv", *common, "--no-project", "--python", python, str(venv)], scratch, descriptors)
    run_uv(
        [
            str(uv), "pip", "install", *common, "--no-index", "--no-build", "--no-deps", "--require-hashes",
            "--link-mode", "hardlink", "--python", str(python_of(generation)),
            *(word for folder in folders for word in ("--find-links", str(folder))),
            "-r", str(listed),
        ],
        scratch,
        descriptors,
    )  # fmt: skip
    # uv's lock of the environment stays behind, writable by everybody; a finished generation needs none.
    remove_file(venv / ".lock")
    for packages in site_packages(venv):
        (packages / STARTUP_NAME).write_text(STARTUP, encoding="ascii")


def _named(bundle: Source, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the wheels under their own names, which their content's names in the store are not."""
    for entry in bundle.manifest.of_kind("wheel"):
        name = entry.path.rpartition("/")[2]
        places = (folder / name for folder in folders)
        yield next((place for place in places if place.is_file()), bundle.path(entry))


def bring_uv(bundle: Source, scratch: Path) -> Path:
    """Bring the bundle's uv to `scratch`, executable, and return it.

    Raises:
        IntegrityError: the bundle carries none, its bytes are not those of the manifest, or its wheel is damaged.
    """
    entry = next(iter(bundle.manifest.of_kind("uv")), None)
    if entry is None:
        raise IntegrityError(
            Text("번들에 uv가 없습니다", "the bundle carries no uv"), where=layout.PREREQUISITES
        )
    place = scratch / uv_name()
    if not entry.path.endswith(".whl"):
        # Bundles of the first releases carry the program itself.
        return bring(bundle, entry, place, 0o755)
    take_script(bring(bundle, entry, scratch / "uv.whl", 0o644), place.name, place)
    return place


def bring(bundle: Source, entry: FileEntry, destination: Path, mode: int) -> Path:
    """Copy a bundle file, comparing the copied bytes with the manifest, and return the copy."""
    copy_hashed(bundle.path(entry), destination, mode, (entry.size, entry.sha256))
    return destination


def site_packages(venv: Path) -> list[Path]:
    """Return the environment's package folder (a list of one)."""
    if os.name == "nt":
        return [venv / "Lib" / "site-packages"]
    return sorted((venv / "lib").glob("python3.*/site-packages"))


def run_uv(command: Sequence[str], scratch: Path, descriptors: Sequence[int]) -> None:
    """Run uv with nothing of the operator's environment.

    Raises:
        RestoredError: it did not exit with 0.
    """
    log = scratch / "uv.log"
    environment = minimal_environment(
        {
            "UV_CACHE_DIR": str(scratch / "uv-cache"),
            "UV_OFFLINE": "1",
            "UV_NO_CONFIG": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_LINK_MODE": "hardlink",
            "TMPDIR": str(scratch),
        }
    )
    status = run_tied(command, environment, log, descriptors, cwd=str(scratch))
    if status != 0:
        # On a full disk its log is cut short too, so the disk is asked; and room is made before putting things back.
        full = _full(scratch)
        last = tail(log).splitlines() + ([str(full)] if full is not None else [])
        raise RestoredError(
            Text(f"uv가 실패했습니다 (종료 코드 {status})", f"uv failed (exit status {status})"),
            where=" ".join(command[1:3]),
            details=[Text(line, line) for line in last],
        ) from full


def _full(folder: Path) -> Optional[OSError]:
    """Return the error of a disk that is full, None where it is not."""
    if shutil.disk_usage(folder).free >= FULL_BYTES:
        return None
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def prepare_scratch(scratch: Path) -> None:
    """Make an empty scratch folder."""
    remove_tree(scratch)
    make_directory(scratch, 0o700)


def record_problems(generation: Path, entries: Iterable[Entry]) -> list[str]:
    """Compare what was installed with every wheel's own RECORD; neither pip nor uv does.

    Returns one line for each file whose bytes are not those the wheel declares, or that is missing.
    """
    digests = {entry.path: entry.sha256 for entry in entries if entry.is_file}
    problems = []
    for packages in site_packages(generation / "venv"):
        base = packages.relative_to(generation).as_posix()
        for record in sorted(packages.glob("*.dist-info/RECORD")):
            problems += _record(record, base, digests)
    return problems


def _record(record: Path, base: str, digests: dict[str, str]) -> list[str]:
    problems = []
    with open(record, newline="", encoding="utf-8") as stream:
        for row in csv.reader(stream):
            algorithm, _, value = (row[1] if len(row) > 1 else "").partition("=")
            path = os.path.normpath(f"{base}/{row[0]}") if row else ""
            if algorithm != "sha256":
                continue
            found = digests.get(path)
            if found is None:
                problems.append(f"missing: {path}")
            elif found != _hexadecimal(value) and not _rewritten(path, base):
                problems.append(f"changed: {path}")
    return problems


def _hexadecimal(value: str) -> Optional[str]:
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    except ValueError:
        return None


def _rewritten(path: str, base: str) -> bool:
    # Scripts get the environment's interpreter in their first line, which changes their digest.
    return not path.startswith(base + "/")
