"""Read what is installed in a virtual environment from its ``.dist-info`` folders; nothing is imported."""

from __future__ import annotations

import base64
import csv
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

_DIST_INFO = re.compile(r"^(?P<name>[^-]+)-(?P<version>[^-]+)\.dist-info$")


class Distribution(NamedTuple):
    """One installed package."""

    name: str
    version: str
    folder: Path


class Recorded(NamedTuple):
    """One line of a RECORD: the file, and its SHA-256 in hexadecimal when the line has one."""

    path: Path
    sha256: str
    size: Optional[int]


def normalized(name: str) -> str:
    """Return a package name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(site_packages: Path) -> Dict[str, Distribution]:
    """Return the installed packages by normalized name."""
    found = {}
    for folder in sorted(site_packages.iterdir()):
        match = _DIST_INFO.match(folder.name)
        if match and folder.is_dir():
            name = normalized(match.group("name"))
            found[name] = Distribution(name, match.group("version"), folder)
    return found


def record(distribution: Distribution) -> Iterator[Recorded]:
    """Yield every line of a package's RECORD (PEP 376, PEP 427).

    Raises:
        OSError: there is no RECORD.
    """
    text = (distribution.folder / "RECORD").read_text("utf-8")
    for row in csv.reader(text.splitlines()):
        if len(row) >= 3:
            kind, _, digest = row[1].partition("=")
            value = _hexadecimal(digest) if kind == "sha256" else ""
            yield Recorded(
                distribution.folder.parent / row[0], value, int(row[2]) if row[2].isdigit() else None
            )


def _hexadecimal(digest: str) -> str:
    return base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()


def import_names(distribution: Distribution) -> List[str]:
    """Return the top-level modules a package provides, read from its RECORD."""
    names = set()
    for line in record(distribution):
        parts = line.path.relative_to(distribution.folder.parent).parts
        first = parts[0]
        if first.endswith((".dist-info", ".data", ".libs")) or first in ("..", "__pycache__"):
            continue
        if len(parts) == 1 and first.endswith((".py", ".so", ".pyd")):
            names.add(first.split(".")[0])
        elif len(parts) > 1 and parts[1].startswith("__init__."):
            names.add(first)
    return sorted(name for name in names if name.isidentifier() and not name.startswith("__"))


def direct_requirements(distribution: Distribution) -> Tuple[str, ...]:
    """Return the normalized names a package requires by itself, extras left out."""
    try:
        text = (distribution.folder / "METADATA").read_text("utf-8", "replace")
    except OSError:
        return ()
    found = []
    for line in text.split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        if key == "Requires-Dist" and "extra ==" not in value:
            match = re.match(r"\s*([A-Za-z0-9._-]+)", value)
            if match:
                found.append(normalized(match.group(1)))
    return tuple(dict.fromkeys(found))
