"""safety as a child process, for those who have an account with it; never run unless it is configured.

Written against the report of ``safety check --output json`` (``report_meta.json_version`` 1) and not run in
this project: safety contacts its platform before anything else and needs an account. It is not installed
with the builder; it is found on PATH and uses the account it was given there (``SAFETY_API_KEY`` or its own
login). Its exit code is not read, since it has been 0 with findings; as with pip-audit, what the report does not list as
scanned is unknown, and what a policy file on the build box makes safety ignore is a finding here: waivers
are ours.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from bundle.advisories import IDENTIFIER, VERSION, clean_line

from ..findings import Advisory, Pinned, Severity, Unknown
from . import cvss
from .children import child_environment, run_all
from .interface import Answer, lots, nobody

LIMIT_S = 60.0


@dataclass(frozen=True)
class Safety:
    """The safety command on PATH, or the one that is given."""

    command: str = "safety"
    limit_s: float = LIMIT_S

    @property
    def name(self) -> str:
        """Return the tool; its version is in the report only."""
        return "safety"

    @property
    def key(self) -> str:
        """Return what distinguishes its answers."""
        return f"{self.name} {self.command}"

    def ask(self, packages: Sequence[Pinned], work: Path) -> Answer:
        """Have safety check a requirements file of exact versions; two versions of a package are two runs."""
        place = shutil.which(self.command)
        if place is None:
            return nobody(packages, f"{self.command} is not on PATH")
        batches = list(lots(packages, len(packages)))
        commands = [
            self._command(place, batch, work / f"{number}.txt") for number, batch in enumerate(batches)
        ]
        ended = run_all(commands, child_environment(), work, time.monotonic() + self.limit_s)
        answers = [
            read_report(batch, child.output, child.complaint)
            for batch, child in zip(batches, ended, strict=True)
        ]
        return Answer(
            tuple(found for item in answers for found in item.advisories),
            tuple(missing for item in answers for missing in item.unknown),
            all(item.settled for item in answers),
        )

    @staticmethod
    def _command(place: str, batch: Sequence[Pinned], listed: Path) -> list[str]:
        text = "".join(f"{item.name}=={item.public}\n" for item in batch)
        listed.write_text(text, encoding="ascii")
        return [place, "check", "--file", str(listed), "--output", "json"]


def read_report(packages: Sequence[Pinned], output: bytes, complaint: str) -> Answer:
    """Return what safety's JSON says about `packages`, no two of one name; anything unexpected is unknown."""
    try:
        report = json.loads(output[output.index(b"{") :])
        scanned = {
            (canonicalize_name(item["name"]), str(Version(item["version"])))
            for item in report["scanned_packages"].values()
        }
        listed = [*report["vulnerabilities"], *report["ignored_vulnerabilities"]]
        found: dict[str, list[Advisory]] = {}
        for item in listed:
            package = next(one for one in packages if one.name == canonicalize_name(item["package_name"]))
            found.setdefault(package.name, []).append(_advisory(package, item))
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError) as error:
        detail = clean_line(f"safety's report cannot be used ({type(error).__name__}): {complaint}")
        return nobody(packages, detail)
    unknown = tuple(
        Unknown(item.name, item.version, "safety's report does not list it as scanned")
        for item in packages
        if (item.name, str(Version(item.public))) not in scanned and item.name not in found
    )
    return Answer(tuple(one for several in found.values() for one in several), unknown)


def _advisory(package: Pinned, item: Mapping[str, Any]) -> Advisory:
    number = str(item["vulnerability_id"])
    if not IDENTIFIER.match(number):
        raise ValueError(f"no identifier: {number[:40]!r}")
    cve = item.get("CVE")
    fixed = item.get("fixed_versions") or ()
    return Advisory(
        id=f"safety-{number}",
        aliases=(cve,) if isinstance(cve, str) and IDENTIFIER.match(cve) else (),
        package=package.name,
        version=package.version,
        severity=_severity(item.get("severity")),
        summary=clean_line(str(item.get("advisory") or "")),
        fixed_in=tuple(name for name in map(str, fixed) if VERSION.match(name)),
        url="",
    )


def _severity(told: object) -> Severity:
    metrics = told.get("cvssv3") if isinstance(told, dict) else None
    vector = metrics.get("vector_string") if isinstance(metrics, dict) else None
    try:
        return cvss.rating(cvss.base_score(vector)) if isinstance(vector, str) else Severity.UNKNOWN
    except ValueError:
        return Severity.UNKNOWN
