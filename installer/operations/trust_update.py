"""Apply trust records that somebody brought by hand: whom this installation believes from now on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional, Sequence

from bundle import layout, limits, trust, trustrecords, verify
from bundle.errors import IntegrityError, PolicyError, SignatureError, UsageProblem
from bundle.text import Text
from bundle.trust import Anchors
from bundle.trustrecords import Carried, Chain, RevokedKey, TrustedKey

from .. import accepted, trust_store
from ..console import Console
from ..paths import Prefix
from .session import UNCHANGED, opened, record, require_installation

_NUMBERED = re.compile(r"[0-9]{6}\.json\Z")


@dataclass(frozen=True)
class Change:
    """What records would change: the chain before and after, signers who come and go, and what to heed."""

    before: Chain
    after: Chain
    added: tuple[TrustedKey, ...]
    removed: tuple[tuple[str, str], ...]
    revoked: tuple[RevokedKey, ...]
    warnings: tuple[Text, ...]

    @property
    def needed(self) -> bool:
        """Whether there is anything that the installation does not have yet."""
        return self.before != self.after


def read(path: Path) -> tuple[Carried, ...]:
    """Read the records at `path`: a record with its signatures beside it, or a folder of them (also a bundle's).

    Of a numbered record the earlier ones beside it are read too: the installation may lack those.

    Raises:
        UsageProblem: there is no record.
        IntegrityError: a file is not plain or over its size, or the numbers have a gap.
    """
    if path.is_dir():
        inner = path.joinpath(*layout.TRUST.split("/"))
        found = verify.read_records(inner if inner.is_dir() else path)
        if found:
            return found
        raise _no_record(path)
    data = verify.read_capped(path, limits.TRUST_RECORD_BYTES)
    if data is None:
        raise _no_record(path)
    if _NUMBERED.match(path.name):
        beside = [item for item in verify.read_records(path.parent) if item.name <= path.name]
        if beside and beside[-1].name == path.name:
            return tuple(beside)
    signatures = []
    for name in trustrecords.signature_names(path.name):
        signature = verify.read_capped(path.with_name(name), limits.SIGNATURE_BYTES)
        if signature is None:
            break
        signatures.append(signature)
    return (Carried(path.name, data, tuple(signatures)),)


def _no_record(path: Path) -> UsageProblem:
    return UsageProblem(
        Text("키 기록이 없습니다", "there is no trust record"),
        where=str(path),
        hint=Text(
            "000001.json 같은 기록 파일이나 그 폴더를 지정하십시오",
            "give a record such as 000001.json, or the folder that holds the records",
        ),
    )


def decide(prefix: Prefix, carried: Sequence[Carried], anchors: Anchors) -> Change:
    """Return what the records change; nothing is written.

    Raises:
        IntegrityError: a record is malformed or does not follow from those that are known.
        SignatureError: it is not signed by those whom this installation believes, or is another one of a number
            that is known.
        PolicyError: it is older than the record in force here.
    """
    before = anchors.records
    _require_no_gap(before, carried)
    after = trust.informed(anchors, carried).records
    if not after:
        raise SignatureError(
            Text(
                "이 설치가 신뢰하는 서명자가 서명한 키 기록이 아닙니다",
                "no trust record is signed by those whom this installation trusts",
            ),
            where=", ".join(item.name for item in carried),
            hint=Text(
                "기록의 서명자를 다른 경로로 확인한 뒤 --allowed-signers 또는 --trust-fingerprint로 지정하십시오",
                "give --allowed-signers or --trust-fingerprint for a signer of the record, after comparing it "
                "over another channel",
            ),
        )
    newest = trustrecords.parse_record(carried[-1].data, carried[-1].name)
    held = trust_store.version(before)
    if newest.version < held:
        raise PolicyError(
            Text(
                f"더 오래된 키 기록입니다: {newest.version}번, 여기서는 {held}번까지 받아들였습니다",
                f"an older trust record: number {newest.version}, number {held} is in force here",
            ),
            where=carried[-1].name,
            state=UNCHANGED,
            hint=Text("최신 기록을 받으십시오", "get the newest record"),
        )
    return _change(prefix, anchors, before, after)


def _require_no_gap(before: Chain, carried: Sequence[Carried]) -> None:
    first = trustrecords.parse_record(carried[0].data, carried[0].name).version
    held = trust_store.version(before)
    if first > held + 1:
        raise IntegrityError(
            Text(
                f"키 기록이 빠졌습니다: 여기에는 {held}번까지 있고 {first}번을 받았습니다",
                f"trust records are missing: number {held} is in force here, number {first} was brought",
            ),
            where=carried[0].name,
            hint=Text("모든 기록이 든 폴더를 지정하십시오", "give the folder that holds all the records"),
        )


def _change(prefix: Prefix, anchors: Anchors, before: Chain, after: Chain) -> Change:
    latest = after[-1].record
    known: dict[str, str] = {}
    if before:
        known = {signer.key.fingerprint: signer.principal for signer in before[-1].record.signers}
    else:
        for line in trust.parse_allowed_signers(anchors.pinned):
            known[line.key.fingerprint] = line.principal
    now = {signer.key.fingerprint for signer in latest.signers}
    earlier = before[-1].record.revoked if before else ()
    return Change(
        before,
        after,
        tuple(signer for signer in latest.signers if signer.key.fingerprint not in known),
        tuple((name, fingerprint) for fingerprint, name in known.items() if fingerprint not in now),
        tuple(item for item in latest.revoked if item not in earlier),
        tuple(_warnings(prefix, anchors, after)),
    )


def _warnings(prefix: Prefix, anchors: Anchors, after: Chain) -> list[Text]:
    latest = after[-1].record
    found = []
    usable = [signer for signer in latest.signers if signer.valid_at(anchors.moment())]
    demanded = max(anchors.required, accepted.read(prefix).signatures)
    if len(usable) < demanded:
        found.append(
            Text(
                f"지금 유효한 서명자는 {len(usable)}명인데 이 설치는 번들에 서명 {demanded}개를 요구합니다",
                f"{len(usable)} signer(s) are in force now, and this installation demands {demanded} signature(s) "
                "of a bundle",
            )
        )
    for name, revoked in trust_store.releases_signed_by(prefix, latest.revoked):
        found.append(trust_store.revocation_warning(name, revoked))
    return found


def update(prefix: Prefix, path: Path, options_anchors: Anchors, dry_run: bool, console: Console) -> Change:
    """Apply the records at `path` and return what they changed.

    Raises:
        RagTraceError: as `read` and `decide`; then nothing was changed.
    """
    require_installation(prefix)
    carried = read(path)
    if dry_run:
        return decide(prefix, carried, options_anchors)
    with opened(prefix, console, serve=False, action="trust-update"):
        # What another run has adopted since the anchors were read is not lost.
        held = options_anchors.records and trust_store.read_chain(prefix)
        change = decide(prefix, carried, replace(options_anchors, records=held))
        if change.needed:
            apply(prefix, change)
            record(prefix, console, "trust-update", "ok", exit=0, **told(change))
        else:
            trust_store.derive(prefix)
    return change


def apply(prefix: Prefix, change: Change) -> None:
    """Write the chain, which is the truth, and then what follows from it; killed in between, recovery does."""
    trust_store.write_chain(prefix, change.after)
    trust_store.derive(prefix)
    known = accepted.read(prefix)
    if known.known:
        clock: Optional[datetime] = datetime.now(timezone.utc)
        accepted.write(prefix, known.seeing(change.after[-1].record.created, clock=clock))


def told(change: Change) -> dict[str, object]:
    """Return the change for the audit log and for ``--json``."""
    return {
        "record_from": trust_store.version(change.before),
        "record_to": trust_store.version(change.after),
        "added": [signer.key.fingerprint for signer in change.added],
        "removed": [fingerprint for _, fingerprint in change.removed],
        "revoked": [vars(item) for item in change.revoked],
    }
