"""Known vulnerabilities, as far as the snapshot says that was carried with the release.

Nobody can be asked here. The verdict is "clean as of DATE", "affected" or "unknown", and without a snapshot
it is never clean. Findings are warnings: whoever built the release decided, by policy and waivers, to carry
what is in it, and an installation that was accepted with a known flaw is not broken by it.
"""

from __future__ import annotations

from datetime import datetime, timezone

from bundle import layout
from bundle.advisories import STALE_DAYS, AuditReport, parse_report, pinned
from bundle.errors import RagTraceError
from bundle.hashing import sha256_bytes
from bundle.limits import ADVISORIES_BYTES
from bundle.manifest import Manifest, parse_time
from bundle.text import Text
from validator.model import Category, Outcome, Severity, Status, check, passed, unknown
from validator.names import listed
from validator.subject import Subject, Unreadable, read_limited

REMEDY = "newer-release"


@check(
    "SEC-010",
    Category.SECURITY,
    Text("알려진 취약점", "Known vulnerabilities"),
    severity=Severity.HIGH,
    needs_installation=True,
)
def known_vulnerabilities(subject: Subject) -> Outcome:
    """The carried advisory snapshot names none of the installed packages, and is recent enough to say so.

    A package that the snapshot does not cover, or about which no service answered, is unknown, never clean.
    """
    manifest = subject.manifest
    if manifest is None:
        return unknown(Text("매니페스트를 읽을 수 없습니다", "the manifest cannot be read"))
    if manifest.advisories is None:
        what = Text(
            "이 릴리스에는 취약점 스냅숏이 없습니다",
            "this release carries no advisory snapshot: nobody asked",
        )
        return unknown(what, measured="no snapshot", remedy=REMEDY)
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
        report = parse_report(data, layout.DOCUMENTATION)
    except (Unreadable, RagTraceError) as error:
        return unknown(
            Text(f"스냅숏을 읽을 수 없습니다: {error}", f"the snapshot cannot be read: {error}"),
            remedy="reinstall",
        )
    return _judge(manifest, report, datetime.now(timezone.utc))


def _judge(manifest: Manifest, report: AuditReport, now: datetime) -> Outcome:
    # The packed project's own flaws are known to whoever made it, not to a database of published packages.
    own = pinned(manifest.project.name, "").name
    carried = {pinned(item.name, item.version) for item in manifest.packages}
    carried = {item for item in carried if item.name != own}
    covered = set(report.packages)
    silent = sorted(carried - covered) + [item.carried for item in report.unknown if item.carried in carried]
    found = [item for item in report.advisories if item.carried in carried]
    day = report.date[:10]
    days = (now - parse_time(report.date)).days
    measured = f"{len(carried)} packages, {len(found)} advisories, {len(silent)} unanswered, as of {day}"
    expected = f"0 advisories, 0 unanswered, at most {STALE_DAYS} days old"
    if found:
        names = listed(f"{item.package} {item.version} {item.id} ({item.severity.value})" for item in found)
        what = Text(f"알려진 취약점 ({day} 기준): {names}", f"affected as of {day}: {names}")
        why = Text(
            "빌드의 정책과 면제가 이 패키지를 담도록 했습니다",
            "the build's policy or its waivers let these packages be carried",
        )
        return Outcome(Status.WARN, what, measured, expected, why, REMEDY)
    if silent:
        names = listed(f"{item.name} {item.version}" for item in silent)
        what = Text(
            f"{day}에 답을 얻지 못한 패키지: {names}",
            f"packages about which nobody answered on {day}: {names}",
        )
        return unknown(what, measured=measured, expected=expected, remedy=REMEDY)
    if not 0 <= days <= STALE_DAYS:
        what = Text(
            f"{day} 기준으로 알려진 취약점 없음. 그러나 {days}일 지난 답입니다",
            f"clean as of {day}, but that answer is {days} days old",
        )
        why = Text(
            "그 뒤에 알려진 취약점은 여기서 알 수 없습니다 (또는 시각이 틀렸습니다)",
            "what became known since cannot be seen from here (or the clock is wrong)",
        )
        return Outcome(Status.WARN, what, measured, expected, why, REMEDY)
    what = Text(f"{day} 기준으로 알려진 취약점 없음", f"clean as of {day}")
    return passed(what, measured=measured, expected=expected)
