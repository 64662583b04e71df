"""A renewal: an advisory snapshot that is signed and carried alone, when nothing else has to change.

The document states the snapshot, its product and the releases it was made for; it is signed as exact bytes in a
namespace of its own, beside it like a trust record. A host keeps document and signatures as one file, so that
the two are never of different renewals, and whoever reads it verifies it again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

from . import layout, limits, strictjson, trust, verify
from .advisories import AuditReport, Pinned, packages_of, read_report
from .errors import IntegrityError, PolicyError, SignatureError
from .manifest import Manifest, parse_time
from .strictjson import Fields
from .text import Text
from .trust import Anchors, Origin
from .trustrecords import Carried, signature_names

FORMAT = "ragtrace-advisories-renewal"
FORMAT_VERSION = 1
STORED = "ragtrace-advisories-stored"
# Two honest clocks may differ by a time zone; a snapshot from further ahead would stop every later one.
CLOCK_SKEW = timedelta(days=1)
_KNOWN = frozenset({"product", "releases", "snapshot"})
_ASK = Text(
    "연결된 쪽에서 스냅숏을 다시 만들어 서명 파일과 함께 반입하십시오",
    "have the snapshot made again on the connected side, and carry it in with its signature",
)


class Release(NamedTuple):
    """A release that the snapshot was made for, told and not judged: what counts is which packages it covers."""

    manifest: str
    project: str
    version: str
    target: str


@dataclass(frozen=True)
class Renewal:
    """What is signed: whose product, made for which releases, and what the services answered, with its date."""

    product: str
    releases: Tuple[Release, ...]
    snapshot: AuditReport

    @property
    def date(self) -> str:
        """When the services answered: the later of two is the newer."""
        return self.snapshot.date

    def missing(self, manifest: Manifest) -> Tuple[Pinned, ...]:
        """Return the packages of a release that the snapshot says nothing about."""
        return tuple(sorted(packages_of(manifest) - set(self.snapshot.packages)))

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, which are what is signed."""
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "critical": [],
            "product": self.product,
            "releases": [release._asdict() for release in sorted(self.releases)],
            "snapshot": self.snapshot.as_document(),
        }
        return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8")


@dataclass(frozen=True)
class VerifiedRenewal:
    """A renewal whose signatures hold and are by as many trusted signers as are demanded."""

    carried: Carried
    renewal: Renewal
    origin: Origin


def read(path: Path) -> Optional[Carried]:
    """Read a renewal and the signatures beside it, nothing of it believed; None where there is no such file.

    Raises:
        IntegrityError: a file is not plain or over its size.
    """
    data = verify.read_capped(path, limits.ADVISORIES_BYTES)
    if data is None:
        return None
    signatures = []
    for name in signature_names(path.name):
        signature = verify.read_capped(path.with_name(name), limits.SIGNATURE_BYTES)
        if signature is None:
            break
        signatures.append(signature)
    return Carried(path.name, data, tuple(signatures))


def parse_renewal(data: bytes, name: str) -> Renewal:
    """Parse a renewal strictly; `name` is what errors call it.

    Raises:
        IntegrityError: too large, malformed, or of another format.
    """
    try:
        if len(data) > limits.ADVISORIES_BYTES:
            raise ValueError("larger than the limit")
        return _renewal(strictjson.parse(data, "renewal"))
    except (ValueError, TypeError) as error:
        raise _refusal(name, str(error)) from error


def _refusal(name: str, why: str) -> IntegrityError:
    return IntegrityError(
        Text(f"취약점 스냅숏을 받아들일 수 없습니다: {why}", f"the advisory snapshot is refused: {why}"),
        where=name,
        hint=_ASK,
    )


def _renewal(source: Fields) -> Renewal:
    if source.text("format") != FORMAT or source.number("format_version") != FORMAT_VERSION:
        raise ValueError("not a snapshot that can be carried alone, or of a format that is not known here")
    unknown = [name for name in source.texts("critical") if name not in _KNOWN]
    if unknown:
        raise ValueError(f"critical fields that are not known here: {', '.join(unknown)}")
    releases = source.items("releases", _release)
    if len(releases) > limits.RENEWAL_RELEASES:
        raise ValueError(f"more than {limits.RENEWAL_RELEASES} releases")
    return Renewal(source.text("product"), releases, read_report(source.child("snapshot")))


def _release(source: Fields) -> Release:
    return Release(*(source.text(name) for name in Release._fields))


def judge(carried: Carried, anchors: Anchors, now: Optional[datetime] = None) -> VerifiedRenewal:
    """Return the renewal once its signatures hold, its signers are trusted, and its product and time fit.

    The order is that of a bundle: signature, signer, format, policy. An origin that nobody here knows is never
    enough: what is believed later has to be verifiable later.

    Raises:
        SignatureError: unsigned, a signature that does not hold, or by nobody that is trusted now.
        IntegrityError: malformed.
        PolicyError: too few trusted signers, another product, or a date in the future.
    """
    names = signature_names(carried.name)
    if not carried.signatures:
        raise SignatureError(
            Text("취약점 스냅숏에 서명이 없습니다", "the advisory snapshot is not signed"),
            where=names[0],
            hint=Text(f"{names[0]} 파일도 함께 반입하십시오", f"carry {names[0]} in beside it"),
        )
    moment = anchors.moment(now)
    try:
        keys = trust.signing_keys(carried.data, carried.signatures, layout.ADVISORIES_NAMESPACE, names)
        origin = trust.origin_of(keys, anchors, now, layout.ADVISORIES_NAMESPACE)
        renewal = parse_renewal(carried.data, carried.name)
        date = parse_time(renewal.date)
        if date > moment:
            # It is at least as late as the snapshot says: a clock that was set back revives no signer.
            origin = trust.origin_of(keys, anchors, date, layout.ADVISORIES_NAMESPACE)
    except SignatureError as error:
        raise _about(carried.name, error) from error
    if origin.status != "verified":
        raise _nobody(names[0], origin)
    verify.require_signers(origin, anchors.required)
    if renewal.product != layout.PRODUCT:
        raise PolicyError(
            Text("다른 제품의 취약점 스냅숏입니다", "the advisory snapshot is of another product"),
            where=f"{carried.name}: {renewal.product[:100]!r}",
            hint=_ASK,
        )
    if date > moment + CLOCK_SKEW:
        raise _future(carried.name, renewal.date, moment)
    return VerifiedRenewal(carried, renewal, origin)


def once_believed(carried: Carried, anchors: Anchors) -> bool:
    """Return whether its signatures hold and are by keys that this host knows and that are not revoked: rotated
    away since, or past their time. A stranger's is something else."""
    names = signature_names(carried.name)
    try:
        keys = trust.signing_keys(carried.data, carried.signatures, layout.ADVISORIES_NAMESPACE, names)
        lines = trust.parse_allowed_signers(anchors.pinned)
    except SignatureError:
        return False
    latest = anchors.latest
    if latest is not None and any(latest.revocation(key) is not None for key in keys):
        return False
    known = {signer.key for item in anchors.records for signer in item.record.signers}
    return bool(set(keys) & (known | {line.key for line in lines}))


def _about(name: str, error: SignatureError) -> SignatureError:
    """Return the error as one about this file: those of `bundle.trust` speak of a bundle."""
    where = error.where.replace(layout.SIGNATURE, signature_names(name)[0])
    hint = Text(
        "스냅숏을 적용하지 말고 서명 키를 관리하는 쪽에 확인하십시오. 키가 바뀌었다면 그 기록을 먼저 "
        "--trust-update로 적용하십시오",
        "do not apply the snapshot; ask whoever keeps the signing keys. If the keys have changed, apply the record "
        "that says so with --trust-update first",
    )
    return SignatureError(error.summary, where=where, hint=hint, details=error.details)


def _nobody(where: str, origin: Origin) -> SignatureError:
    return SignatureError(
        Text(
            "이 설치가 신뢰하는 서명자가 없어 누구의 스냅숏도 확인할 수 없습니다",
            "this installation trusts no signer, so nobody's snapshot can be verified",
        ),
        where=f"{where}: {origin.key.fingerprint}",
        hint=Text(
            "번들을 --allowed-signers 또는 --trust-fingerprint로 설치하면 서명자가 고정됩니다",
            "installing a bundle with --allowed-signers or --trust-fingerprint pins its signer",
        ),
    )


def _future(name: str, date: str, moment: datetime) -> PolicyError:
    shown = moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return PolicyError(
        Text(
            f"취약점 스냅숏이 미래의 것입니다: {date} ({shown} 기준)",
            f"the advisory snapshot is from the future: {date} (judged at {shown})",
        ),
        where=name,
        hint=Text(
            "이 호스트의 시계를 확인하십시오. 맞다면 스냅숏을 만든 컴퓨터의 시계가 틀렸습니다",
            "check this host's clock; if it is right, that of the box which made the snapshot is wrong",
        ),
    )


def stored(carried: Carried) -> bytes:
    """Return a renewal and its signatures as the one file that a host keeps."""
    document = {
        "format": STORED,
        "format_version": FORMAT_VERSION,
        "document": carried.data.decode("utf-8"),
        "signatures": [signature.decode("ascii") for signature in carried.signatures],
    }
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8")


def unstored(data: bytes, where: str) -> Carried:
    """Return what a host keeps, as it came: nothing of it is believed.

    Raises:
        IntegrityError: it is not such a file.
    """
    try:
        if len(data) > limits.RENEWAL_BYTES:
            raise ValueError("larger than the limit")
        source = strictjson.parse(data, "stored")
        if source.text("format") != STORED or source.number("format_version") != FORMAT_VERSION:
            raise ValueError("not of a format that is known here")
        signatures = tuple(item.encode("ascii") for item in source.texts("signatures"))
        if len(signatures) > len(layout.SIGNATURES):
            raise ValueError("too many signatures")
        return Carried(where, source.text("document").encode("utf-8"), signatures)
    except (ValueError, TypeError) as error:
        raise _refusal(where, str(error)) from error
