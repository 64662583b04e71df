"""pip-audit as a child process, whose word is not taken for it.

pip-audit fails open: a package that the service does not know, an index without the JSON API or an OSV
server that answers ``{}`` to everything all end in "No known vulnerabilities found" and exit code 0, and
code 1 means findings as well as no network. So the verdict is ours (docs/adr/0013):

- a *control*, a package with well-known advisories, is asked first; a service that does not name them is
  not believed when it names none for others, and nothing else is asked of it;
- a package is answered only by an entry of the JSON with its name, its version and a list;
- what pip-audit skipped, and what it warned of leaving out, is unknown, with the reason;
- one package whose answer is broken ends a whole run of pip-audit, so such a run is repeated in pieces until
  only that package is left unknown.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from bundle.advisories import IDENTIFIER, VERSION, clean_line

from ..findings import Advisory, Pinned, Severity, Unknown
from . import records
from .children import Ended, child_environment, run_all
from .interface import OSV_URL, Answer, lots, nobody

# Has had advisories since 2014, in every database of Python advisories.
CONTROL = Pinned("jinja2", "2.4.1")
# Seconds: one connection; the control; everything, with so much more for each package.
SOCKET_S = 5
CONTROL_S = 15.0
LIMIT_S = 20.0
PER_PACKAGE_S = 0.2
BATCH = 40
# A run that failed is repeated in so many pieces: two rounds from a batch to the one package at fault.
PIECES = 8
_WARNING = "WARNING:pip_audit._service"


@dataclass(frozen=True)
class PipAudit:
    """pip-audit asking PyPI (``pypi``) or OSV (``osv``)."""

    service: str = "pypi"
    osv_url: str = OSV_URL
    socket_s: int = SOCKET_S
    control_s: float = CONTROL_S
    limit_s: float = LIMIT_S

    @property
    def name(self) -> str:
        """Return pip-audit's version and the service."""
        return f"pip-audit {metadata.version('pip-audit')} ({'OSV' if self.service == 'osv' else 'PyPI'})"

    @property
    def key(self) -> str:
        """Return the name and where severities, or everything, come from."""
        return f"{self.name} {self.osv_url}"

    def ask(self, packages: Sequence[Pinned], work: Path) -> Answer:
        """Ask about the control, then about everything, then how bad it is."""
        distrust = self._distrust(work)
        if distrust:
            return nobody(packages, distrust)
        deadline = time.monotonic() + self.limit_s + PER_PACKAGE_S * len(packages)
        answers: list[Answer] = []
        waiting = list(lots(packages, BATCH))
        while waiting:
            replies = self._run(waiting, work, deadline)
            again: list[tuple[Pinned, ...]] = []
            for batch, reply in zip(waiting, replies, strict=True):
                if reply.doubtful and len(batch) > 1 and time.monotonic() < deadline:
                    again += lots(batch, -(-len(batch) // PIECES))
                else:
                    answers.append(_answer(batch, reply))
            waiting = again
        found = [advisory for item in answers for advisory in item.advisories]
        rated, complete = records.rate(found, self.osv_url)
        unknown = tuple(missing for item in answers for missing in item.unknown)
        return Answer(rated, unknown, complete and all(item.settled for item in answers))

    def _distrust(self, work: Path) -> str:
        """Return why the service's "nothing found" would mean nothing; empty if it can be believed."""
        batch = (CONTROL,)
        reply = self._run([batch], work, time.monotonic() + self.control_s)[0]
        if reply.problem:
            return clean_line(f"the service does not answer: {reply.problem}")
        if not _answer(batch, reply).advisories:
            said = reply.skipped.get(CONTROL.name, "no advisories")
            return clean_line(f"not believed: about the control {CONTROL.name} {CONTROL.version}: {said}")
        return ""

    def _run(self, batches: Sequence[tuple[Pinned, ...]], work: Path, deadline: float) -> list[Reply]:
        commands = [self._command(batch, work, number) for number, batch in enumerate(batches)]
        return [
            Reply.read(ended) for ended in run_all(commands, child_environment("PIP_AUDIT_"), work, deadline)
        ]

    def _command(self, batch: tuple[Pinned, ...], work: Path, number: int) -> list[str]:
        listed = work / f"{number}.txt"
        listed.write_text("".join(f"{item.name}=={_asked(item)}\n" for item in batch), encoding="ascii")
        return [
            *(sys.executable, "-I", "-m", "pip_audit"),
            # Nothing is resolved, built or installed; the lines are exact and are all there is.
            *("--requirement", listed.name, "--no-deps", "--disable-pip"),
            *("--vulnerability-service", self.service, "--osv-url", self.osv_url),
            *("--format", "json", "--desc", "on", "--aliases", "on", "--output", "-"),
            *("--progress-spinner", "off", "--timeout", str(self.socket_s)),
            # Its own HTTP cache would bring back answers of unknown age.
            *("--cache-dir", str(work / f"{number}.http")),
        ]


@dataclass(frozen=True)
class Reply:
    """What one run of pip-audit printed.

    `problem` says why nothing of it can be used; `left_out` what it warned of not having understood, which
    may concern any package of the run.
    """

    answered: Mapping[tuple[str, str], object]
    skipped: Mapping[str, str]
    problem: str = ""
    left_out: str = ""

    @classmethod
    def read(cls, ended: Ended) -> Reply:
        """Read the JSON of a child that ended; exit code and content must agree."""
        try:
            dependencies = json.loads(ended.output)["dependencies"]
            entries = [(str(canonicalize_name(item["name"])), item) for item in dependencies]
            answered = {(name, item["version"]): item["vulns"] for name, item in entries if "vulns" in item}
            skipped = {name: str(item["skip_reason"]) for name, item in entries if "skip_reason" in item}
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return cls({}, {}, _plain(ended))
        if ended.code != (1 if any(answered.values()) else 0):
            return cls({}, {}, f"exit code {ended.code} does not fit what was printed")
        warnings = [line for line in ended.errors.splitlines() if line.startswith(_WARNING)]
        return cls(answered, skipped, "", warnings[0] if warnings else "")

    @property
    def doubtful(self) -> bool:
        """Tell whether a smaller run would say more."""
        return bool(self.problem or self.left_out)


# What a Python traceback's end means to a person, most telling first; the rest of it names objects and hosts.
_MEANINGS = (
    (r"\b([45]\d\d) (?:Client|Server) Error", "the service answered {0}"),
    (r"NameResolutionError|Name or service not known", "the service's host name cannot be resolved"),
    (r"ProxyError", "the proxy refuses or cannot be reached"),
    (r"SSLError|certificate verify failed", "the service's certificate is not trusted"),
    (r"Connection refused", "connection refused"),
    (r"Timeout|timed out|Could not connect", "no answer in time"),
    (r"JSONDecodeError", "the service's answer is not JSON"),
    (r"ConnectionError|ChunkedEncodingError|IncompleteRead|ProtocolError", "the connection broke"),
)


def _plain(ended: Ended) -> str:
    """Return why pip-audit ended without JSON, in a few words that are the same for the same cause."""
    for pattern, meaning in _MEANINGS if ended.code is not None else ():
        found = re.search(pattern, ended.errors)
        if found:
            return meaning.format(*found.groups())
    return ended.complaint


def _answer(batch: Sequence[Pinned], reply: Reply) -> Answer:
    """Return what the reply says about each package of the batch."""
    if reply.problem:
        return nobody(batch, clean_line(reply.problem))
    advisories: list[Advisory] = []
    unknown: list[Unknown] = []
    for item in batch:
        found: list[Advisory] = []
        listed = reply.answered.get((item.name, _asked(item)))
        reason = "" if listed is not None else reply.skipped.get(item.name, "pip-audit said nothing about it")
        try:
            found = _advisories(item, listed) if listed is not None else []
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            reason = f"an answer that is no advisory: {error}"
        if not found and (reason or reply.left_out):
            unknown.append(Unknown(item.name, item.version, clean_line(reason or reply.left_out)))
        advisories += found
    return Answer(tuple(advisories), tuple(unknown))


def _asked(item: Pinned) -> str:
    """Return the version as pip-audit will print it."""
    return str(Version(item.public))


def _advisories(item: Pinned, listed: object) -> list[Advisory]:
    if not isinstance(listed, list):
        raise ValueError("no list of advisories")
    return [_advisory(item, found) for found in listed]


def _advisory(item: Pinned, found: Mapping[str, Any]) -> Advisory:
    identifier = str(found["id"])
    if not IDENTIFIER.match(identifier):
        raise ValueError(f"no identifier: {identifier[:40]!r}")
    return Advisory(
        id=identifier,
        aliases=tuple(sorted(name for name in map(str, found["aliases"]) if IDENTIFIER.match(name))),
        package=item.name,
        version=item.version,
        severity=Severity.UNKNOWN,
        summary=clean_line(str(found.get("description") or "")),
        fixed_in=tuple(name for name in map(str, found["fix_versions"]) if VERSION.match(name)),
        url=f"https://osv.dev/vulnerability/{identifier}",
    )
