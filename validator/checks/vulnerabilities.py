"""Known vulnerabilities, as far as the snapshots say that were carried here.

Nobody can be asked here. The verdict is "clean as of DATE", "affected" or "unknown", and without a snapshot
it is never clean. Findings are warnings: whoever built the release decided, by policy and waivers, to carry
what is in it, and an installation that was accepted with a known flaw is not broken by it.

A release carries a snapshot; another may have been carried in since (``install.py --advisories``). About each
package the newest of the two that covers it is believed, and the day of the verdict is the oldest that was needed.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Optional, Sequence, Tuple, Union

from bundle import layout
from bundle.advisories import STALE_DAYS, Advisory, AuditReport, Pinned, packages_of, parse_report
from bundle.errors import IntegrityError, RagTraceError, SignatureError
from bundle.hashing import sha256_bytes
from bundle.limits import ADVISORIES_BYTES, RENEWAL_BYTES
from bundle.manifest import Manifest, parse_time
from bundle.text import Text
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, unknown
from validator.names import listed
from validator.subject import Subject, Unreadable, read_limited

FIXED, RENEW = "newer-release", "renew-snapshot"
CARRIED = Text("릴리스의 스냅숏", "the release's snapshot")
RENEWED = Text("새로 반입한 스냅숏", "renewed snapshot")


@dataclass(frozen=True)
class Known:
    """A snapshot that is believed, and what it is called."""

    report: AuditReport
    name: Text


@check(
    "SEC-010",
    Category.SECURITY,
    Text("알려진 취약점", "Known vulnerabilities"),
    severity=Severity.HIGH,
    needs_installation=True,
)
def known_vulnerabilities(subject: Subject) -> Outcome:
    """The newest advisory snapshot names none of the installed packages, and is recent enough to say so.

    A package that no snapshot covers, or about which no service answered, is unknown, never clean. A snapshot that was
    carried in alone is believed only if its signature is by a signer whom this installation trusts now.
    """
    manifest = subject.manifest
    if manifest is None:
        return unknown(Text("매니페스트를 읽을 수 없습니다", "the manifest cannot be read"))
    now = datetime.now(timezone.utc)
    carried = _carried(subject, manifest)
    if isinstance(carried, Outcome):
        return carried
    renewed = _renewed(subject, now)
    complaint = renewed if isinstance(renewed, Outcome) else None
    found = [item for item in (renewed, carried) if isinstance(item, Known)]
    # The renewed one stands first: of two of one day it is the one that somebody chose to carry in.
    found.sort(key=lambda item: parse_time(item.report.date), reverse=True)
    outcome = _judge(manifest, found, now) if found else _nothing()
    if complaint is None:
        return outcome
    from validator import trustfiles

    if not trustfiles.accepted(subject):
        # It lies beside the release and is none of it: a forged one must not keep a better release out.
        complaint = replace(complaint, status=Status.UNKNOWN)
    return _beside(complaint, outcome)


def _nothing() -> Outcome:
    what = Text(
        "이 릴리스에는 취약점 스냅숏이 없습니다",
        "this release carries no advisory snapshot: nobody asked",
    )
    return unknown(what, measured="no snapshot", remedy=RENEW)


def _carried(subject: Subject, manifest: Manifest) -> Union[Known, Outcome, None]:
    """Return the release's own snapshot, which the signed manifest vouches for; a damaged one is an outcome."""
    if manifest.advisories is None:
        return None
    assert subject.manifest_path is not None
    place = subject.manifest_path.parent / manifest.advisories.path
    try:
        data = read_limited(place, ADVISORIES_BYTES)
        if sha256_bytes(data) != manifest.advisories.sha256:
            what = Text("스냅숏이 매니페스트와 다릅니다", "the snapshot is not the one of the manifest")
            why = Text("설치 뒤에 바뀌었습니다", "it was changed after the installation")
            return Outcome(
                Status.FAIL, what, sha256_bytes(data), manifest.advisories.sha256, why, "reinstall"
            )
        return Known(parse_report(data, layout.DOCUMENTATION), CARRIED)
    except (Unreadable, RagTraceError) as error:
        return unknown(
            Text(f"스냅숏을 읽을 수 없습니다: {error}", f"the snapshot cannot be read: {error}"),
            remedy="reinstall",
        )


def _renewed(subject: Subject, now: datetime) -> Union[Known, Outcome, None]:
    """Return the snapshot that was carried in since, verified here and now; one that is not believed is an outcome.

    Forged or damaged fails. Genuine, and yet not for here and now - a key that was rotated away, a date to come,
    trust files that cannot be read - is unknown.
    """
    place = subject.prefix / "trust" / "advisories.json"
    try:
        linked = stat.S_ISLNK(place.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _disbelieved(Status.UNKNOWN, Text(str(error), str(error)))
    from bundle import renewal
    from validator import trustfiles

    try:
        anchors = trustfiles.anchors(subject)
        if linked:
            raise IntegrityError(Text("심볼릭 링크입니다", "it is a symbolic link"))
        kept = renewal.unstored(read_limited(place, RENEWAL_BYTES), "trust/advisories.json")
    except IntegrityError as error:
        return _disbelieved(Status.FAIL, error.summary)
    except Unreadable as error:
        return _disbelieved(Status.UNKNOWN, Text(str(error), str(error)))
    try:
        return Known(renewal.judge(kept, anchors, now).renewal.snapshot, RENEWED)
    except (SignatureError, IntegrityError) as error:
        lapsed = isinstance(error, SignatureError) and renewal.once_believed(kept, anchors)
        return _disbelieved(Status.UNKNOWN if lapsed else Status.FAIL, error.summary)
    except RagTraceError as error:
        return _disbelieved(Status.UNKNOWN, error.summary)


def _disbelieved(status: Status, reason: Text) -> Outcome:
    what = Text(
        f"새로 반입한 취약점 스냅숏을 믿을 수 없어 쓰지 않았습니다: {reason.ko}",
        f"the renewed advisory snapshot is not believed and was not used: {reason.en}",
    )
    why = Text(
        "반입한 뒤에 바뀌었거나, 서명한 키를 지금은 믿지 않거나, 시각이 맞지 않습니다 (install.py --explain-trust)",
        "it was changed since, its signer is not believed now, or the time is wrong (install.py --explain-trust)",
    )
    return Outcome(status, what, "not believed", "signed by a signer in force", why, RENEW)


def _beside(complaint: Outcome, outcome: Outcome) -> Outcome:
    """Return the complaint about the renewed snapshot with what is known without it."""
    details = Text(
        f"{complaint.details.ko}. 그것 없이: {outcome.details.ko}",
        f"{complaint.details.en}; without it: {outcome.details.en}",
    )
    measured = f"renewed snapshot {complaint.measured}; {outcome.measured}"
    expected = f"{complaint.expected}; {outcome.expected}" if outcome.expected else complaint.expected
    return replace(complaint, details=details, measured=measured, expected=expected)


def _judge(manifest: Manifest, snapshots: Sequence[Known], now: datetime) -> Outcome:
    """Return the verdict of the snapshots, newest first."""
    packages = sorted(packages_of(manifest))
    answered_by = {item: _covering(snapshots, item) for item in packages}
    used = [one for one in snapshots if one in answered_by.values()] or list(snapshots[:1])
    found = [flaw for item, one in answered_by.items() if one is not None for flaw in one.report.of(item)]
    silent = [
        item
        for item, one in answered_by.items()
        if one is None or any(gap.carried == item for gap in one.report.unknown)
    ]
    date = used[-1].report.date
    day = date[:10]
    days = (now - parse_time(date)).days
    names = [f"{one.name.en} of {one.report.date[:10]}" for one in used]
    measured = (
        f"{len(packages)} packages, {len(found)} advisories, {len(silent)} unanswered, as of {day} "
        f"({', '.join(names)})"
    )
    expected = f"0 advisories, 0 unanswered, at most {STALE_DAYS} days old"
    if found:
        flaws = listed(f"{item.package} {item.version} {item.id} ({item.severity.value})" for item in found)
        what = Text(f"알려진 취약점 ({day} 기준): {flaws}", f"affected as of {day}: {flaws}")
        return Outcome(Status.WARN, what, measured, expected, _why(found, snapshots), FIXED)
    if silent:
        gaps = listed(f"{item.name} {item.version}" for item in silent)
        what = Text(
            f"{day}에 답을 얻지 못한 패키지: {gaps}",
            f"packages about which nobody answered on {day}: {gaps}",
        )
        return unknown(what, measured=measured, expected=expected, remedy=RENEW)
    if not 0 <= days <= STALE_DAYS:
        what = Text(
            f"{day} 기준으로 알려진 취약점 없음. 그러나 {days}일 지난 답입니다",
            f"clean as of {day}, but that answer is {days} days old",
        )
        why = Text(
            "그 뒤에 알려진 취약점은 여기서 알 수 없습니다 (또는 시각이 틀렸습니다)",
            "what became known since cannot be seen from here (or the clock is wrong)",
        )
        return Outcome(Status.WARN, what, measured, expected, why, RENEW)
    what = Text(f"{day} 기준으로 알려진 취약점 없음", f"clean as of {day}")
    return passed(what, measured=measured, expected=expected)


def _why(found: Sequence[Advisory], snapshots: Sequence[Known]) -> Text:
    before = {flaw.names for one in snapshots if one.name is CARRIED for flaw in one.report.advisories}
    if all(flaw.names in before for flaw in found):
        return Text(
            "빌드의 정책과 면제가 이 패키지를 담도록 했습니다",
            "the build's policy or its waivers let these packages be carried",
        )
    return Text("릴리스를 만든 뒤에 알려졌습니다", "it became known after the release was built")


def _covering(snapshots: Sequence[Known], package: Pinned) -> Optional[Known]:
    return next((one for one in snapshots if package in one.report.packages), None)


CHECKS: Tuple[Check, ...] = (known_vulnerabilities,)
