"""The audit: which advisories are known against exactly the packages carried, on which day.

The answer is an input of the build like any other: it is kept in the cache with its date, so builds of one
set within a day carry the same bytes and the second asks nobody; a snapshot given by the user makes it the
same for ever. A service that cannot be reached makes every package unknown; it never stops a build by
itself and never makes anything clean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from packaging.utils import canonicalize_name

from bundle.advisories import parse_report
from bundle.atomic import write_atomic
from bundle.errors import IntegrityError
from bundle.hashing import sha256_bytes
from bundle.manifest import parse_time

from ..cache import Cache
from ..plan import BundlePlan
from . import snapshot
from .advisories.interface import OSV_URL, AdvisorySource, Answer
from .findings import AuditReport, Pinned, Unknown

SOURCES = ("pip-audit", "safety", "none")
NOT_PUBLISHED = "built from a source that is on no index: nobody was asked about it"


@dataclass(frozen=True)
class Settings:
    """Whom to ask, and how long an answer is good for.

    `source` is one of `SOURCES`, `service` what pip-audit asks; `snapshot` a file that is used in place of
    asking. An answer without gaps is used for `max_age`; one with gaps that may pass only for `retry_after`.
    """

    source: str = "pip-audit"
    service: str = "pypi"
    osv_url: str = OSV_URL
    snapshot: Path | None = None
    max_age: timedelta = timedelta(hours=24)
    retry_after: timedelta = timedelta(minutes=10)


def subjects(plan: BundlePlan) -> tuple[list[Pinned], list[str]]:
    """Return what a plan carries, and the names among it that no index has published.

    The packed project itself is not asked about: it is whoever builds the bundle who knows its flaws.
    """
    # A source whose version its build decides has none yet, and is on no index either.
    packages = {Pinned(canonicalize_name(item.name), item.version) for item in plan.packages if item.version}
    sources: dict[str, set[str]] = {}
    for item in plan.artifacts:
        sources.setdefault(canonicalize_name(item.name), set()).add(item.kind)
    unpublished = [name for name, kinds in sources.items() if kinds <= {"git", "directory"}]
    return sorted(packages), sorted(unpublished)


def audit(
    packages: Iterable[Pinned],
    cache: Cache,
    settings: Settings,
    *,
    unpublished: Collection[str] = (),
    now: datetime | None = None,
    source: AdvisorySource | None = None,
) -> AuditReport | None:
    """Return what is known about `packages`, or None where nobody is to be asked.

    `source` takes the place of the one that the settings name. The names in `unpublished` are never sent to
    anybody: a package of that name on PyPI would be another one.

    Raises:
        UsageProblem: the given snapshot cannot be read.
        IntegrityError: the given snapshot is not sound.
    """
    listed = sorted(set(packages))
    if settings.snapshot is not None:
        return snapshot.narrowed(snapshot.load(settings.snapshot), listed)
    if settings.source == "none":
        return None
    source = source or _source(settings)
    asked = [item for item in listed if item.name not in unpublished]
    private = tuple(Unknown(item.name, item.version, NOT_PUBLISHED) for item in listed if item not in asked)
    moment = now or datetime.now(timezone.utc)
    key = sha256_bytes(json.dumps([source.key, listed, asked]).encode())
    with cache.lock(f"audit-{key[:32]}"):
        memory = _Memory(cache.root / "audits", key, settings, moment)
        remembered = memory.recall()
        if remembered is not None:
            return remembered
        with cache.work_folder() as work:
            answer = source.ask(asked, work) if asked else Answer()
        date = moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        unknown = (*answer.unknown, *private)
        report = AuditReport(source.name, date, answer.advisories, unknown, tuple(listed))
        # Through the strict reader: what the isolated side would refuse must not be carried.
        return memory.keep(parse_report(report.to_bytes(), source.name), answer.settled)


def _source(settings: Settings) -> AdvisorySource:
    # Imported here: a build that asks nobody needs neither.
    if settings.source == "safety":
        from .advisories.safety import Safety

        return Safety()
    from .advisories.pip_audit import PipAudit

    return PipAudit(settings.service, settings.osv_url)


class _Memory:
    """The answers about one set of packages: a whole one, and one with gaps that another attempt may fill."""

    def __init__(self, folder: Path, key: str, settings: Settings, moment: datetime) -> None:
        self.whole = folder / f"{key}.json"
        self.gaps = folder / f"{key}.gaps.json"
        self.settings = settings
        self.moment = moment
        folder.mkdir(exist_ok=True)

    def recall(self) -> AuditReport | None:
        """Return an answer that is young enough to be used without asking."""
        report = self._read(self.whole)
        if report is not None:
            return report
        try:
            attempted = datetime.fromtimestamp(self.gaps.stat().st_mtime, timezone.utc)
        except OSError:
            return None
        if not timedelta(0) <= self.moment - attempted < self.settings.retry_after:
            return None
        return self._read(self.gaps)

    def keep(self, report: AuditReport, settled: bool) -> AuditReport:
        """Write an answer down and return what the build uses.

        An attempt that learnt nothing new returns the earlier answer with its date, so that builds without
        a network carry the same bytes too.
        """
        place = self.whole if settled else self.gaps
        earlier = None if settled else self._read(self.gaps)
        if earlier is not None and replace(earlier, date=report.date) == report:
            report = earlier
        write_atomic(place, report.to_bytes())
        os.utime(place, (self.moment.timestamp(), self.moment.timestamp()))
        return report

    def _read(self, place: Path) -> AuditReport | None:
        try:
            report = parse_report(place.read_bytes(), str(place))
        except (OSError, IntegrityError):
            return None  # absent or damaged: ask again
        age = self.moment - parse_time(report.date)
        return report if timedelta(0) <= age < self.settings.max_age else None
