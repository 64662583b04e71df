"""Trust records: the numbered documents by which signing keys are replaced and revoked.

A record states the whole set of signers that counts from then on. It is signed, as exact bytes in a namespace
of its own, by keys of the set before it - as many as the record before it says - like the root metadata of The
Update Framework (TUF specification, section 5.3). So a host that knows any set of the chain can follow it to the
newest one, whoever carries it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import layout, limits, sshsig, strictjson
from .errors import IntegrityError, SignatureError
from .manifest import parse_time
from .sshsig import PublicKey
from .strictjson import Fields
from .text import Text

FORMAT = "ragtrace-trust"
FORMAT_VERSION = 1
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}\Z")
# Names and reasons are shown on terminals and written into allowed_signers: no control or format characters.
_CONTROLS = "\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
_PRINCIPAL = re.compile(rf'[^\s",!*?#=\\{_CONTROLS}][^\s",!*?\\{_CONTROLS}]{{0,99}}\Z')
_REASON = re.compile(rf"[^{_CONTROLS}]{{1,200}}\Z")
_NAME = re.compile(r"([0-9]{6})\.json\Z")
_KNOWN = frozenset({"version", "created", "threshold", "signers", "revoked"})


@dataclass(frozen=True)
class TrustedKey:
    """A signer of the set: whose key, which key, and from when until when (UTC) it counts."""

    principal: str
    key: PublicKey
    valid_after: Optional[str] = None
    valid_before: Optional[str] = None

    def valid_at(self, moment: datetime) -> bool:
        """Return whether the key is in force."""
        return (self.valid_after is None or moment >= parse_time(self.valid_after)) and (
            self.valid_before is None or moment < parse_time(self.valid_before)
        )


@dataclass(frozen=True)
class RevokedKey:
    """A key that is not to be believed any more, whatever else is said of it; `since` is told, not judged:
    a signature says nothing of its own time that its maker could not have made up."""

    fingerprint: str
    since: str
    reason: str


@dataclass(frozen=True)
class TrustRecord:
    """One record: `threshold` is how many of `signers` have to sign the record after it."""

    version: int
    created: str
    threshold: int
    signers: Tuple[TrustedKey, ...]
    revoked: Tuple[RevokedKey, ...] = ()

    def signer(self, key: PublicKey) -> Optional[TrustedKey]:
        """Return the key as this set knows it."""
        return next((signer for signer in self.signers if signer.key == key), None)

    def revocation(self, key: PublicKey) -> Optional[RevokedKey]:
        """Return why the key is not to be believed, if that is so."""
        return next((item for item in self.revoked if item.fingerprint == key.fingerprint), None)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, which are what is signed."""
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "critical": [],
            **asdict(self),
            "signers": [
                {
                    "principal": signer.principal,
                    "key": signer.key.openssh(),
                    "valid_after": signer.valid_after,
                    "valid_before": signer.valid_before,
                }
                for signer in self.signers
            ],
        }
        return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8")


class Carried(NamedTuple):
    """A record as it came, nothing of it believed; `name` is what errors call it."""

    name: str
    data: bytes
    signatures: Tuple[bytes, ...]

    def files(self) -> Dict[str, bytes]:
        """Return its files by name."""
        names = signature_names(self.name)
        return {self.name: self.data, **dict(zip(names, self.signatures))}


@dataclass(frozen=True)
class SignedRecord:
    """A record whose place in a chain has been verified."""

    data: bytes
    signatures: Tuple[bytes, ...]
    record: TrustRecord

    def by(self) -> Tuple[PublicKey, ...]:
        """Return the keys that signed it.

        Raises:
            SignatureError: a signature does not hold.
        """
        return _signing_keys(Carried(record_name(self.record.version), self.data, self.signatures))


# Consecutive versions, oldest first; each but the first verified against the one before it.
Chain = Tuple[SignedRecord, ...]


def record_name(version: int) -> str:
    """Return the file name of a record."""
    return f"{version:06d}.json"


def signature_names(name: str) -> Tuple[str, ...]:
    """Return the names of a record's signatures: the first one, and further ones numbered from 2."""
    return tuple(name + each[len(layout.MANIFEST) :] for each in layout.SIGNATURES)


def gather(files: Mapping[str, bytes]) -> Tuple[Carried, ...]:
    """Return the records among files of one folder, by number.

    Raises:
        IntegrityError: a file that is neither record nor signature, a gap in their numbers, or too many.
    """
    names = sorted(name for name in files if _NAME.match(name))
    if len(names) > limits.TRUST_RECORDS:
        raise refusal(layout.TRUST, f"more than {limits.TRUST_RECORDS} records")
    if names != [record_name(number) for number in range(1, len(names) + 1)]:
        raise refusal(layout.TRUST, "the records are not numbered from 000001 without a gap")
    carried: List[Carried] = []
    for name in names:
        present = [files[each] for each in signature_names(name) if each in files]
        if not all(each in files for each in signature_names(name)[: len(present)]):
            raise refusal(name, "its signatures are not numbered without a gap")
        carried.append(Carried(name, files[name], tuple(present)))
    known = {name for item in carried for name in item.files()}
    others = sorted(set(files) - known)
    if others:
        raise refusal(others[0], "neither a record nor a signature of one")
    return tuple(carried)


def parse_record(data: bytes, name: str) -> TrustRecord:
    """Parse a record strictly; `name` is what errors call it.

    Raises:
        IntegrityError: too large, malformed, or a set that nobody could follow: no signers, a signer who is
            revoked, one key twice, more signatures demanded than there are signers.
    """
    if len(data) > limits.TRUST_RECORD_BYTES:
        raise refusal(name, "larger than the limit")
    try:
        record = _record(strictjson.parse(data, "record"))
        _require_sense(record)
    except ValueError as error:
        raise refusal(name, str(error)) from error
    named = _NAME.match(name)
    if named is not None and int(named.group(1)) != record.version:
        raise refusal(name, f"the file says that it is record {record.version}")
    return record


def refusal(name: str, why: str) -> IntegrityError:
    """Return the error for a record that is malformed."""
    return IntegrityError(
        Text(f"키 기록을 받아들일 수 없습니다: {why}", f"the trust record is refused: {why}"),
        where=name,
        hint=_ASK,
    )


_ASK = Text(
    "서명 키를 관리하는 쪽에 확인하고 기록을 다시 받으십시오",
    "ask whoever keeps the signing keys, and get the records again",
)


def _record(source: Fields) -> TrustRecord:
    if source.text("format") != FORMAT or source.number("format_version") != FORMAT_VERSION:
        raise ValueError("not of a format that this installer knows; use the installer in the bundle")
    unknown = [name for name in source.texts("critical") if name not in _KNOWN]
    if unknown:
        raise ValueError(f"critical fields this installer does not know: {', '.join(unknown)}")
    return TrustRecord(
        version=source.number("version", 1, 999_999),
        created=_time(source, "created"),
        threshold=source.number("threshold", 1, limits.TRUST_SIGNERS),
        signers=source.items("signers", _signer),
        revoked=source.items("revoked", _revoked),
    )


def _time(source: Fields, name: str) -> str:
    value = source.text(name)
    parse_time(value)
    return value


def _optional_time(source: Fields, name: str) -> Optional[str]:
    return None if source.get(name) is None else _time(source, name)


def _signer(source: Fields) -> TrustedKey:
    kind, _, encoded = source.text("key").partition(" ")
    key = sshsig.parse_public_key(encoded)
    if key.kind.decode() != kind:
        raise ValueError(f"{source.name}.key is of another type than it says")
    return TrustedKey(
        source.text("principal", _PRINCIPAL),
        key,
        _optional_time(source, "valid_after"),
        _optional_time(source, "valid_before"),
    )


def _revoked(source: Fields) -> RevokedKey:
    return RevokedKey(
        source.text("fingerprint", FINGERPRINT), _time(source, "since"), source.text("reason", _REASON)
    )


def _require_sense(record: TrustRecord) -> None:
    keys = [signer.key for signer in record.signers]
    if not keys:
        raise ValueError("it leaves no signer: no later record could ever be signed")
    if len(keys) > limits.TRUST_SIGNERS:
        raise ValueError(f"more than {limits.TRUST_SIGNERS} signers")
    if len(set(keys)) != len(keys):
        raise ValueError("one key is listed twice")
    fingerprints = [item.fingerprint for item in record.revoked]
    if len(set(fingerprints)) != len(fingerprints):
        raise ValueError("one key is revoked twice")
    both = [signer.principal for signer in record.signers if record.revocation(signer.key) is not None]
    if both:
        raise ValueError(f"a signer's key is revoked: {', '.join(both)}")
    for signer in record.signers:
        after, before = signer.valid_after, signer.valid_before
        if after is not None and before is not None and parse_time(after) >= parse_time(before):
            raise ValueError(f"the time of {signer.principal} ends before it begins")
    created = parse_time(record.created)
    usable = [s for s in record.signers if s.valid_before is None or parse_time(s.valid_before) > created]
    if record.threshold > len(usable):
        raise ValueError(
            f"{record.threshold} signatures are demanded of {len(usable)} usable signers: nobody could sign the next"
        )


def extend(chain: Chain, carried: Sequence[Carried]) -> Chain:
    """Return the chain with the carried records that it does not have yet.

    Records that it has must be the same bytes; each further one must follow from the one before it.

    Raises:
        IntegrityError: a record is malformed, or does not follow: a gap, an earlier date, a revocation gone.
        SignatureError: another record of a version that is known, too few signatures of the set before it, a
            signature that does not hold, or one by a revoked key.
    """
    held = {item.record.version: item for item in chain}
    grown = list(chain)
    for item in carried:
        if any(item.data == other.data for other in held.values()):
            continue
        keys = _signing_keys(item)
        record = parse_record(item.data, item.name)
        if record.version in held:
            raise _fork(item.name, record.version)
        if not grown:
            raise ValueError("a chain begins where an anchor knows who signed: use `enter`")
        if record.version < chain[0].record.version:
            # From before this host knew any of the keys.
            continue
        _require_successor(grown[-1].record, record, keys, item.name)
        grown.append(SignedRecord(item.data, item.signatures, record))
        held[record.version] = grown[-1]
    return tuple(grown)


def enter(carried: Sequence[Carried], known: Callable[[PublicKey], bool], threshold: int) -> Chain:
    """Return the chain from the first record that `threshold` known keys have signed; nothing if none is.

    Every record must follow from the one before it also where no known key has signed it.

    Raises:
        IntegrityError: as `extend`.
        SignatureError: as `extend`.
    """
    if not carried:
        return ()
    _signing_keys(carried[0])
    record = parse_record(carried[0].data, carried[0].name)
    first = SignedRecord(carried[0].data, carried[0].signatures, record)
    chain = extend((first,), carried[1:])
    for number, item in enumerate(chain):
        if sum(known(key) for key in item.by()) >= threshold:
            return chain[number:]
    return ()


def _signing_keys(item: Carried) -> Tuple[PublicKey, ...]:
    if not 0 < len(item.signatures) <= len(layout.SIGNATURES):
        raise SignatureError(
            Text("키 기록에 서명이 없거나 너무 많습니다", "the trust record has no signature, or too many"),
            where=f"{item.name}: {len(item.signatures)}",
            hint=_ASK,
        )
    if len(item.data) > limits.TRUST_RECORD_BYTES:
        raise refusal(item.name, "larger than the limit")
    keys: List[PublicKey] = []
    for name, signature in zip(signature_names(item.name), item.signatures):
        key = sshsig.verify(item.data, signature, layout.TRUST_NAMESPACE, name)
        if key in keys:
            raise SignatureError(
                Text("같은 키의 서명이 둘입니다", "two signatures are by one key"),
                where=f"{name}: {key.fingerprint}",
            )
        keys.append(key)
    return tuple(keys)


def _require_successor(
    before: TrustRecord, record: TrustRecord, keys: Sequence[PublicKey], name: str
) -> None:
    if record.version != before.version + 1:
        raise refusal(
            name, f"record {record.version} does not follow record {before.version}: one is missing"
        )
    created = parse_time(record.created)
    if created < parse_time(before.created):
        raise refusal(name, f"it is dated {record.created}, before the record it follows ({before.created})")
    gone = [item.fingerprint for item in before.revoked if item not in record.revoked]
    if gone:
        raise refusal(name, f"it takes back or changes the revocation of {', '.join(gone)}")
    for key in keys:
        revoked = before.revocation(key)
        if revoked is not None:
            raise SignatureError(
                Text(
                    f"폐기된 키가 키 기록에 서명했습니다 ({revoked.since}에 폐기: {revoked.reason})",
                    f"a revoked key signed the trust record (revoked since {revoked.since}: {revoked.reason})",
                ),
                where=f"{name}: {key.fingerprint}",
                hint=_ASK,
            )
    # By the record's own date: a host may meet the record years later, when the key's time has long ended.
    trusted = [s for s in (before.signer(key) for key in keys) if s is not None and s.valid_at(created)]
    if len(trusted) < before.threshold:
        raise SignatureError(
            Text(
                f"키 기록에 이전 키 집합의 서명이 부족합니다: {len(trusted)}개, {before.threshold}개 필요",
                f"too few of the earlier signers have signed the trust record: {len(trusted)} of {before.threshold}",
            ),
            where=f"{name}: {', '.join(key.fingerprint for key in keys)}",
            hint=_ASK,
        )


def _fork(name: str, version: int) -> SignatureError:
    return SignatureError(
        Text(
            f"{version}번 키 기록이 이미 받아들인 것과 다릅니다",
            f"record {version} is not the one that was accepted before",
        ),
        where=name,
        hint=Text(
            "누군가 두 번째 기록을 만들었습니다. 키가 유출되었을 수 있으니 관리자에게 알리십시오",
            "somebody has made a second one: a key may be in wrong hands; tell whoever keeps the keys",
        ),
    )


def allowed_signers(record: TrustRecord) -> str:
    """Return the set as an ``allowed_signers`` file for people and ``ssh-keygen``."""
    namespaces = ",".join(
        (
            layout.NAMESPACE,
            layout.PROVENANCE_NAMESPACE,
            layout.VOLUMES_NAMESPACE,
            layout.TRUST_NAMESPACE,
            layout.ADVISORIES_NAMESPACE,
        )
    )
    lines = [
        f"# Trust record {record.version} of {record.created}. Derived: edits are not read, and are lost.\n"
    ]
    for signer in record.signers:
        options = [f'namespaces="{namespaces}"']
        for name, value in (("valid-after", signer.valid_after), ("valid-before", signer.valid_before)):
            if value is not None:
                options.append(f'{name}="{value.translate(_NO_MARKS)}"')
        lines.append(f"{signer.principal} {','.join(options)} {signer.key.openssh()}\n")
    lines += [
        f"# revoked since {item.since}: {item.fingerprint} ({item.reason})\n" for item in record.revoked
    ]
    return "".join(lines)


_NO_MARKS = {ord(mark): None for mark in "-:T"}
