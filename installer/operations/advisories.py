"""Apply an advisory snapshot that was carried in alone: what is known of the installed packages from now on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable

from bundle import renewal
from bundle.advisories import STALE_DAYS, Advisory, Pinned, packages_of
from bundle.errors import PolicyError, UsageProblem
from bundle.hashing import sha256_bytes
from bundle.manifest import Manifest, parse_time
from bundle.renewal import VerifiedRenewal
from bundle.text import Text
from bundle.trust import Anchors
from bundle.trustrecords import Carried, signature_names

from .. import accepted, advisory_store
from ..console import Console
from ..paths import Prefix
from ..service import manifest_of
from ..state import read_state
from .session import UNCHANGED, opened, record, require_installation

# More names than this help nobody; the count of the rest is given.
_SHOWN = 20


@dataclass(frozen=True)
class Change:
    """What a snapshot would change: the date so far and the new one, and what it says of the active release.

    `earlier` is empty where nothing was brought before; `released` is the date of the snapshot that the release
    itself carries, if it does.
    """

    verified: VerifiedRenewal
    needed: bool
    earlier: str
    released: str
    packages: int
    affected: tuple[Advisory, ...]
    unanswered: tuple[Pinned, ...]
    warnings: tuple[Text, ...]


def read(path: Path) -> Carried:
    """Read the snapshot at `path` and the signatures beside it.

    Raises:
        UsageProblem: there is none.
        IntegrityError: a file is not plain or over its size.
    """
    found = renewal.read(path)
    if found is None:
        raise UsageProblem(
            Text("취약점 스냅숏 파일이 없습니다", "there is no advisory snapshot"),
            where=str(path),
            hint=Text(
                f"create_enterprise_offline.py advisories로 만든 파일과 {signature_names('파일')[0]}을 함께 두십시오",
                f"give the file that create_enterprise_offline.py advisories made, with {signature_names('FILE')[0]} "
                "beside it",
            ),
        )
    return found


def decide(prefix: Prefix, carried: Carried, anchors: Anchors) -> Change:
    """Return what the snapshot changes; nothing is written.

    What the operator names narrows whom this installation trusts and never widens it: whoever reads the snapshot
    later has only the installation's own word.

    Raises:
        SignatureError: unsigned, a signature that does not hold, or by nobody who is trusted here.
        IntegrityError: malformed.
        PolicyError: too few signers, another product, other packages, older than what is there, or of a day to come.
        UsageProblem: there is no active release to compare with.
    """
    if anchors.given:
        renewal.judge(carried, anchors)
    remembered = replace(anchors, allowed_signers="", fingerprints=())
    verified = renewal.judge(carried, remembered)
    manifest = _active(prefix)
    _require_covered(verified, manifest)
    held = advisory_store.held(prefix, remembered)
    released = manifest.advisories.date if manifest.advisories is not None else ""
    same = held.verified is not None and held.verified.carried.data == carried.data
    for date, what in (
        (held.date, Text("이미 적용한 스냅숏", "the one that was applied before")),
        (released, Text("릴리스에 담긴 스냅숏", "the one that the release carries")),
    ):
        if date and not same and parse_time(verified.renewal.date) < parse_time(date):
            raise _older(verified, date, what)
    covered = packages_of(manifest)
    snapshot = verified.renewal.snapshot
    found = tuple(item for item in snapshot.advisories if item.carried in covered)
    silent = tuple(sorted(item.carried for item in snapshot.unknown if item.carried in covered))
    warnings = _warnings(verified, held, anchors, found, silent)
    return Change(verified, not same, held.date, released, len(covered), found, silent, tuple(warnings))


def _active(prefix: Prefix) -> Manifest:
    pointer = read_state(prefix).pointer
    if pointer is None:
        raise UsageProblem(
            Text("활성 릴리스가 없습니다", "there is no active release"),
            where=str(prefix.root),
            hint=Text("--status로 상태를 확인하십시오", "--status shows the state"),
        )
    return manifest_of(prefix, pointer.generation)


def _require_covered(verified: VerifiedRenewal, manifest: Manifest) -> None:
    missing = verified.renewal.missing(manifest)
    if not missing:
        return
    details = [
        Text(f"{item.name} {item.version}", f"{item.name} {item.version}") for item in missing[:_SHOWN]
    ]
    if len(missing) > _SHOWN:
        rest = len(missing) - _SHOWN
        details.append(Text(f"그 밖에 {rest}개", f"and {rest} more"))
    raise PolicyError(
        Text(
            f"다른 패키지의 취약점 스냅숏입니다: 이 릴리스의 패키지 {len(missing)}개가 들어 있지 않습니다",
            f"the advisory snapshot is of other packages: {len(missing)} of this release are not in it",
        ),
        where=verified.carried.name,
        details=details,
        hint=Text(
            "이 릴리스의 MANIFEST.json으로 다시 만드십시오 (설치된 것은 current/tools/MANIFEST.json)",
            "have it made from the MANIFEST.json of this release (that of the installed one is "
            "current/tools/MANIFEST.json)",
        ),
    )


def _older(verified: VerifiedRenewal, date: str, what: Text) -> PolicyError:
    brought = verified.renewal.date
    return PolicyError(
        Text(
            f"더 오래된 취약점 스냅숏입니다: {brought}, {what.ko}은 {date}",
            f"an older advisory snapshot: {brought}, and {what.en} is of {date}",
        ),
        where=verified.carried.name,
        state=UNCHANGED,
        hint=Text("가장 새 스냅숏을 반입하십시오", "carry in the newest one"),
    )


def _warnings(
    verified: VerifiedRenewal,
    held: advisory_store.Held,
    anchors: Anchors,
    found: tuple[Advisory, ...],
    silent: tuple[Pinned, ...],
) -> list[Text]:
    warnings = []
    if held.problem is not None:
        reason = held.problem.summary
        warnings.append(
            Text(
                f"지금까지의 스냅숏은 믿을 수 없어 비교하지 않았습니다: {reason.ko}",
                f"the snapshot so far is not believed and was not compared with: {reason.en}",
            )
        )
    days = (anchors.moment() - parse_time(verified.renewal.date)).days
    if days > STALE_DAYS:
        warnings.append(
            Text(f"이 스냅숏도 {days}일 지난 것입니다", f"this snapshot is {days} days old itself")
        )
    if found:
        names = sorted({f"{item.package} {item.version} {item.id}" for item in found})
        more = "" if len(names) <= _SHOWN else " …"
        listed = ", ".join(names[:_SHOWN]) + more
        warnings.append(
            Text(f"알려진 취약점 {len(found)}건: {listed}", f"{len(found)} known advisory(ies): {listed}")
        )
    if silent:
        listed = ", ".join(f"{item.name} {item.version}" for item in silent[:_SHOWN])
        warnings.append(
            Text(
                f"답을 얻지 못한 패키지 {len(silent)}개: {listed}",
                f"nobody answered about {len(silent)} package(s): {listed}",
            )
        )
    return warnings


def renew(
    prefix: Prefix, path: Path, anchors: Callable[[], Anchors], dry_run: bool, console: Console
) -> Change:
    """Apply the snapshot at `path` and return what it changed; `anchors` are read once nobody else changes them.

    Raises:
        RagTraceError: as `read` and `decide`; then nothing was changed.
    """
    require_installation(prefix)
    carried = read(path)
    if dry_run:
        return decide(prefix, carried, anchors())
    with opened(prefix, console, serve=False, action="advisories"):
        change = decide(prefix, carried, anchors())
        if change.needed:
            apply(prefix, change)
            record(prefix, console, "advisories", "ok", exit=0, **told(change))
    return change


def apply(prefix: Prefix, change: Change) -> None:
    """Write the snapshot, which is one file; its date, which somebody signed, is evidence of the time."""
    advisory_store.write(prefix, change.verified.carried)
    known = accepted.read(prefix)
    if known.known:
        clock = datetime.now(timezone.utc)
        accepted.write(prefix, known.seeing(change.verified.renewal.date, clock=clock))


def told(change: Change) -> dict[str, object]:
    """Return the change for the audit log and for ``--json``."""
    return {
        "date_from": change.earlier or change.released or None,
        "date_to": change.verified.renewal.date,
        "sha256": sha256_bytes(change.verified.carried.data),
        "signers": [signer.key.fingerprint for signer in change.verified.origin.trusted],
        "advisories": len(change.affected),
        "unanswered": len(change.unanswered),
    }
