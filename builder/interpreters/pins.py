"""``checksums/interpreters.toml``: one python-build-standalone archive per target and Python, with its digest."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomllib

from bundle.errors import UsageProblem
from bundle.text import Text

from ..inputs import REPOSITORY, check_keys
from ..plan import Artifact, Obstacle

PLACE = REPOSITORY / "checksums" / "interpreters.toml"
# Where archives are taken from instead of their own address: the part of it before ``/DATE/FILE``.
MIRROR_VARIABLE = "RAGTRACE_INTERPRETER_MIRROR"
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
HEADER = """\
# Interpreters that a bundle may carry: python-build-standalone archives, one per target and Python.
# Written by `create_enterprise_offline.py interpreters pin`, reviewed like code. Each digest is the one in the table
# inside the uv named here, which uv.lock pins; nothing is downloaded to write this file.
"""


@dataclass(frozen=True)
class Pinned:
    """One archive: for which target and Python (``X.Y``), its full version, address and SHA-256."""

    target: str
    python: str
    version: str
    url: str
    sha256: str

    @property
    def filename(self) -> str:
        """The archive's own name."""
        return self.url.rpartition("/")[2].replace("%2B", "+")

    def artifact(self, mirror: str = "") -> Artifact:
        """Return the archive as something to fetch and carry."""
        url = self.url
        if mirror:
            url = "/".join([mirror.rstrip("/"), *self.url.split("/")[-2:]])
        reason = f"Python {self.python} for hosts without a fitting one"
        return Artifact("interpreter", "python", self.version, self.filename, url, self.sha256, 0, (), reason)


def load(path: Path | None = None) -> tuple[Pinned, ...]:
    """Read the pins, from ``checksums/interpreters.toml`` unless told otherwise.

    Raises:
        UsageProblem: the file cannot be read, or holds something else.
    """
    path = path or PLACE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageProblem(
            Text("고정된 인터프리터를 읽을 수 없습니다", "the pinned interpreters cannot be read"),
            where=f"{path}: {error}",
        ) from error
    found = []
    for target, rows in document.items():
        if target == "uv":
            continue
        check_keys({target: rows}, {target: dict}, {}, str(path))
        for python, row in rows.items():
            where = f"{path} [{target}.{python}]"
            check_keys({python: row}, {python: dict}, {}, where)
            check_keys(row, {"version": str, "url": str, "sha256": str}, {}, where)
            pinned = Pinned(target, python, **row)
            if not _SHA256.match(pinned.sha256) or not pinned.url.startswith("https://"):
                raise UsageProblem(
                    Text("주소나 SHA-256이 잘못되었습니다", "the address or the SHA-256 is not valid"),
                    where=where,
                )
            found.append(pinned)
    return tuple(found)


def encode(uv: str, pins: Sequence[Pinned]) -> str:
    """Return the file's text."""
    lines = [HEADER, f'uv = "{uv}"\n']
    for pinned in sorted(pins, key=lambda item: (item.target, item.python)):
        lines.append(f'\n[{pinned.target}."{pinned.python}"]\nversion = "{pinned.version}"\n')
        lines.append(f'url = "{pinned.url}"\nsha256 = "{pinned.sha256}"\n')
    return "".join(lines)


def chosen(
    target: str, python: str, pins: Sequence[Pinned], environment: Mapping[str, str] = os.environ
) -> Artifact | Obstacle:
    """Return the archive of this Python for a target, or that none is pinned."""
    for pinned in pins:
        if (pinned.target, pinned.python) == (target, python):
            return pinned.artifact(environment.get(MIRROR_VARIABLE, ""))
    have = ", ".join(item.python for item in pins if item.target == target) or "-"
    return Obstacle(
        "python",
        python,
        Text(
            f"이 파이썬의 아카이브는 고정되어 있지 않습니다 (고정된 것: {have})",
            f"no archive of this Python is pinned (pinned are: {have})",
        ),
        Text(
            "interpreters pin --python X.Y, 또는 --python-archive",
            "interpreters pin --python X.Y, or --python-archive",
        ),
    )
