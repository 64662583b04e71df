"""Trust records on the connected side: the next one of a chain, its signatures, and what a bundle carries."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from bundle import layout, limits, trust, trustrecords, verify
from bundle.atomic import write_atomic
from bundle.errors import UsageProblem
from bundle.manifest import parse_time
from bundle.sshsig import PublicKey
from bundle.text import Text
from bundle.trustrecords import Carried, Chain, RevokedKey, TrustedKey, TrustRecord
from bundle.volumes import RECORDS

from .countersign import require_room
from .signing import Signer


@dataclass(frozen=True)
class Change:
    """What the next record changes: keys that come, names or fingerprints that go, keys that are revoked.

    `threshold` is how many of the new set have to sign the record after; None: as before.
    """

    added: tuple[TrustedKey, ...] = ()
    removed: tuple[str, ...] = ()
    revoked: tuple[RevokedKey, ...] = ()
    threshold: int | None = None


@dataclass(frozen=True)
class Made:
    """A record that lies in its folder, and how many of the signatures it needs it has."""

    path: Path
    record: TrustRecord
    signed: int
    needed: int

    @property
    def complete(self) -> bool:
        """Whether isolated hosts will follow it."""
        return self.signed >= self.needed


def read_chain(folder: Path) -> Chain:
    """Return the chain in a folder; nothing where there is no record yet.

    Raises:
        IntegrityError: a record is malformed or does not follow from the one before it.
        SignatureError: a signature does not hold, or a record lacks signatures.
    """
    return trustrecords.enter(verify.read_records(folder), lambda key: True, 1)


def next_record(
    chain: Chain, base: Sequence[TrustedKey], change: Change, epoch: int | None = None
) -> TrustRecord:
    """Return the record that follows the chain; `base` is the set before the first one, `epoch` its time.

    Raises:
        UsageProblem: nothing would change, somebody to remove is not there, or the new set makes no sense.
    """
    before = chain[-1].record if chain else None
    signers = list(before.signers if before is not None else base)
    revoked = list(before.revoked if before is not None else ())
    gone = [*change.removed, *(item.fingerprint for item in change.revoked)]
    for name in change.removed:
        if not any(name in (item.principal, item.key.fingerprint) for item in signers):
            raise _senseless(
                Text(f"이 서명자는 집합에 없습니다: {name}", f"no such signer in the set: {name}")
            )
    signers = [item for item in signers if not {item.principal, item.key.fingerprint} & set(gone)]
    for key in change.added:
        if any(item.key == key.key for item in signers):
            raise _senseless(
                Text(f"이미 있는 키입니다: {key.principal}", f"the key is there already: {key.principal}")
            )
        signers.append(key)
    for item in change.revoked:
        if any(item.fingerprint == other.fingerprint for other in revoked):
            raise _senseless(Text("이미 폐기된 키입니다", "the key is revoked already"), item.fingerprint)
        revoked.append(item)
    threshold = change.threshold or (before.threshold if before is not None else 1)
    made = TrustRecord(
        version=before.version + 1 if before is not None else 1,
        created=_utc(epoch),
        threshold=threshold,
        signers=tuple(signers),
        revoked=tuple(revoked),
    )
    if before is not None:
        same = (before.signers, before.revoked, before.threshold)
        if (made.signers, made.revoked, made.threshold) == same:
            raise _senseless(Text("바뀌는 것이 없습니다", "nothing would change"))
        if parse_time(made.created) < parse_time(before.created):
            raise _senseless(
                Text(
                    "이 컴퓨터의 시계가 이전 기록보다 이릅니다", "this box's clock is before the last record"
                ),
                f"{made.created} < {before.created}",
            )
    if made.version > limits.TRUST_RECORDS:
        raise _senseless(Text("기록이 너무 많습니다", "there are too many records"))
    # The very checks of the isolated side: a record that hosts refuse is never signed.
    trustrecords.parse_record(made.to_bytes(), trustrecords.record_name(made.version))
    return made


def _utc(epoch: int | None) -> str:
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = epoch if epoch is not None else int(given) if given.isdigit() else int(time.time())
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _senseless(summary: Text, where: str = "") -> UsageProblem:
    return UsageProblem(summary, where=where, state=Text("기록을 만들지 않았습니다", "no record was made"))


def write_record(folder: Path, chain: Chain, record: TrustRecord, signers: Sequence[Signer]) -> Made:
    """Sign a record with every key and write it into the folder, the record itself last; nothing is overwritten.

    Raises:
        UsageProblem: a record of that number is there, or none of the keys may sign it.
        BuildError: a key did not sign.
    """
    name = trustrecords.record_name(record.version)
    if os.path.lexists(folder / name):
        raise UsageProblem(
            Text("이미 있는 기록은 덮어쓰지 않습니다", "an existing record is never overwritten"),
            where=str(folder / name),
        )
    for signer in signers:
        _require_entitled(chain, record, signer.public)
    data = record.to_bytes()
    carried = Carried(name, data, tuple(signer.sign(data, layout.TRUST_NAMESPACE) for signer in signers))
    folder.mkdir(parents=True, exist_ok=True)
    for place, content in reversed(list(carried.files().items())):
        write_atomic(folder / place, content, 0o644)
    return _made(folder / name, chain, record, [signer.public for signer in signers])


def add_signature(path: Path, signer: Signer) -> tuple[Path, list[str], Made]:
    """Sign the newest record of a folder with one more key, and return the signature's file, the fingerprints of
    those who signed before, and what the record has now.

    Raises:
        UsageProblem: not the newest record, the key has signed already, or may not sign it.
        IntegrityError: the record or the chain before it is refused.
        SignatureError: an earlier signature does not hold.
        BuildError: the key did not sign.
    """
    found = verify.read_records(path.parent)
    if not found or found[-1].name != path.name:
        raise UsageProblem(
            Text("폴더의 마지막 키 기록이 아닙니다", "not the newest trust record of its folder"),
            where=str(path),
        )
    chain = trustrecords.enter(found[:-1], lambda key: True, 1)
    record = trustrecords.parse_record(found[-1].data, path.name)
    earlier = list(trustrecords.SignedRecord(found[-1].data, found[-1].signatures, record).by())
    require_room(earlier, signer.public, str(path))
    _require_entitled(chain, record, signer.public)
    place = path.with_name(trustrecords.signature_names(path.name)[len(earlier)])
    write_atomic(place, signer.sign(found[-1].data, layout.TRUST_NAMESPACE), 0o644)
    made = _made(path, chain, record, [*earlier, signer.public])
    return place, [key.fingerprint for key in earlier], made


def _made(path: Path, chain: Chain, record: TrustRecord, keys: Sequence[PublicKey]) -> Made:
    if not chain:
        return Made(path, record, len(keys), 1)
    before, created = chain[-1].record, parse_time(record.created)
    entitled = [item for item in (before.signer(key) for key in keys) if item and item.valid_at(created)]
    return Made(path, record, len(entitled), before.threshold)


def _require_entitled(chain: Chain, record: TrustRecord, key: PublicKey) -> None:
    before = chain[-1].record if chain else None
    if before is None or before.signer(key) is not None or record.signer(key) is not None:
        return
    raise UsageProblem(
        Text(
            "이전 집합에도 새 집합에도 없는 키는 서명할 수 없습니다",
            "a key that is in neither the earlier nor the new set may not sign",
        ),
        where=key.fingerprint,
        hint=Text(
            f"{before.version}번 기록의 서명자 중 {before.threshold}명의 키로 서명하십시오",
            f"sign with {before.threshold} of the keys of record {before.version}",
        ),
    )


def base_set(
    signers: Sequence[Signer], added: Sequence[TrustedKey], text: str = ""
) -> tuple[TrustedKey, ...]:
    """Return the set before the first record: that of an ``allowed_signers`` file, else the signing keys.

    Raises:
        SignatureError: the file cannot be read.
    """
    new = {item.key for item in added}
    if text:
        lines = trust.parse_allowed_signers(text)
        return tuple(
            TrustedKey(line.principal, line.key, _time(line.valid_after), _time(line.valid_before))
            for line in {line.key: line for line in lines}.values()
        )
    return tuple(TrustedKey(item.principal, item.public) for item in signers if item.public not in new)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def for_bundle(folder: Path, signers: Sequence[Signer]) -> tuple[Carried, ...]:
    """Return the records that a bundle is to carry, after making sure that hosts which follow them accept it.

    Raises:
        UsageProblem: there are none, or no signer of the bundle is in force after them.
        IntegrityError, SignatureError: as `read_chain`.
    """
    chain = read_chain(folder)
    if not chain:
        raise UsageProblem(Text("키 기록이 없습니다", "there is no trust record"), where=str(folder))
    latest, now = chain[-1].record, datetime.now(timezone.utc)
    for signer in signers:
        revoked = latest.revocation(signer.public)
        if revoked is not None:
            raise UsageProblem(
                Text(
                    f"서명 키가 {revoked.since}부터 폐기되었습니다: {revoked.reason}",
                    f"the signing key is revoked since {revoked.since}: {revoked.reason}",
                ),
                where=f"{signer.principal} ({signer.public.fingerprint})",
                hint=Text("지금의 키로 서명하십시오", "sign with a key of today"),
            )
    known = [item for item in (latest.signer(signer.public) for signer in signers) if item is not None]
    if not any(item.valid_at(now) for item in known):
        raise UsageProblem(
            Text(
                f"서명 키가 {latest.version}번 키 기록의 유효한 서명자가 아닙니다",
                f"no signing key is in force after trust record {latest.version}",
            ),
            where=", ".join(signer.public.fingerprint for signer in signers),
            hint=Text(
                "기록에 있는 키를 --signing-key로 주십시오", "give a key of the record as --signing-key"
            ),
        )
    return tuple(
        Carried(trustrecords.record_name(item.record.version), item.data, item.signatures) for item in chain
    )


def write_beside(output: Path, records: Sequence[Carried]) -> None:
    """Write the records beside an archive: to be applied by hand, and read with an index of volumes."""
    folder = output / RECORDS
    folder.mkdir(parents=True, exist_ok=True)
    for item in records:
        for name, data in item.files().items():
            write_atomic(folder / name, data, 0o644)
