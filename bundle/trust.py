"""Who signed, and whether that is somebody this host was told to trust.

A signature only proves that one key made it. The anchor - an ``allowed_signers`` file or a fingerprint -
comes from outside the bundle; a key found only inside it proves nothing about origin. From an anchor, trust
records (`bundle.trustrecords`) lead to the keys that count now, and away from those that were revoked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Iterator, List, Optional, Sequence, Tuple

from . import layout, sshsig, trustrecords
from .errors import SignatureError
from .sshsig import PublicKey
from .text import Text
from .trustrecords import Carried, Chain, RevokedKey, TrustRecord

# Words of a line: quoted parts may hold blanks. One option: a name, and perhaps a quoted value.
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_OPTION = re.compile(r'([A-Za-z-]+)(?:="([^"]*)")?(?:,|\Z)')
_TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_KEY_TYPES = (sshsig.KEY_TYPE.decode(), sshsig.TOKEN_KEY_TYPE.decode())
# How an anchor knows a key: named now, in a file or by fingerprint; by an earlier installation; by a record.
BY_FILE, BY_FINGERPRINT, BY_PIN, BY_RECORD = "file", "fingerprint", "pinned", "record"


@dataclass(frozen=True)
class Anchors:
    """What the operator brought: the text of an ``allowed_signers`` file, key fingerprints, and how many
    different keys among these have to have signed. And what the installation remembers: the text of its
    pinned signers, or the chain of trust records in place of them, and the newest time it has seen.

    What is brought counts instead of what is remembered - but a revocation, which counts always.
    """

    allowed_signers: str = ""
    fingerprints: Tuple[str, ...] = ()
    required: int = 1
    pinned: str = ""
    records: Chain = ()
    newest: Optional[datetime] = None

    def __bool__(self) -> bool:
        return bool(self.given or self.pinned.strip() or self.records)

    @property
    def given(self) -> bool:
        """Whether the operator named anybody now."""
        return bool(self.allowed_signers.strip() or self.fingerprints)

    @property
    def latest(self) -> Optional[TrustRecord]:
        """The record in force."""
        return self.records[-1].record if self.records else None

    def moment(self, now: Optional[datetime] = None) -> datetime:
        """Return the time by which expiry is judged: the clock's, unless something newer has been seen."""
        clock = now or datetime.now(timezone.utc)
        return clock if self.newest is None else max(clock, self.newest)


@dataclass(frozen=True)
class Signer:
    """One usable line of an ``allowed_signers`` file; `principal` is its first word, patterns unexpanded."""

    principal: str
    key: PublicKey
    valid_after: Optional[datetime]
    valid_before: Optional[datetime]

    def valid_at(self, now: datetime) -> bool:
        """Return whether the line is in force at `now` (aware, UTC)."""
        return (self.valid_after is None or now >= self.valid_after) and (
            self.valid_before is None or now < self.valid_before
        )


@dataclass(frozen=True)
class SignedBy:
    """The key behind one valid signature, and as whom an anchor knows it; without one, `principal` is empty.

    `known` says how (`BY_FILE` …), `revoked` why a key is known and not believed.
    """

    key: PublicKey
    principal: str = ""
    known: str = ""
    revoked: Optional[RevokedKey] = None


@dataclass(frozen=True)
class Origin:
    """What was established about the signers: `status` is ``verified`` or ``unverified``.

    `signers` are in the order of the signature files; `records` is the chain of trust records that the
    installation has once it accepts what was signed.
    """

    status: str
    signers: Tuple[SignedBy, ...]
    explanation: Text
    records: Chain = ()

    @property
    def trusted(self) -> Tuple[SignedBy, ...]:
        """The signers that an anchor knows; each key once."""
        return tuple(signer for signer in self.signers if signer.principal)

    @property
    def principal(self) -> str:
        """As whom the first signer is known; empty for an unverified origin."""
        return self._first.principal

    @property
    def key(self) -> PublicKey:
        """The first trusted key, else the first key."""
        return self._first.key

    @property
    def _first(self) -> SignedBy:
        return (self.trusted or self.signers)[0]


def parse_allowed_signers(text: str, namespace: str = layout.NAMESPACE) -> Tuple[Signer, ...]:
    """Read an ``allowed_signers`` file (ssh-keygen(1), ALLOWED SIGNERS).

    Ed25519 lines whose namespaces, if given, include `namespace` are returned; other key types are passed
    over, as ``ssh-keygen`` does for keys it does not need.

    Raises:
        SignatureError: a line cannot be understood; a guess would be worse than a refusal.
    """
    signers = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            signer = _signer(stripped, namespace)
        except ValueError as error:
            raise SignatureError(
                Text(
                    "allowed_signers 파일의 줄을 읽을 수 없습니다",
                    "a line of the allowed_signers file cannot be read",
                ),
                where=f"allowed_signers:{number}: {error}",
            ) from error
        if signer is not None:
            signers.append(signer)
    return tuple(signers)


def _signer(line: str, namespace: str) -> Optional[Signer]:
    words = _WORD.findall(line)
    if line.count('"') % 2 or len(words) < 3:
        raise ValueError("expected: principal [options] key-type key")
    principal = words[0].replace('"', "")
    if all(pattern.startswith("!") or not pattern for pattern in principal.split(",")):
        raise ValueError("the principal names nobody")
    given = words[1] if not words[1].startswith(("ssh-", "sk-", "ecdsa-")) else ""
    if given and len(words) < 4:
        raise ValueError("expected: principal [options] key-type key")
    kind, encoded = words[2:4] if given else words[1:3]
    after = before = None
    wanted = True
    for name, value in _options(given):
        if name == "namespaces":
            wanted = _matches(value.split(","), namespace)
        elif name == "valid-after":
            after = _timestamp(value)
        elif name == "valid-before":
            before = _timestamp(value)
        elif name == "cert-authority":
            raise ValueError("cert-authority is not supported: name the signing key itself")
        else:
            raise ValueError(f"option {name!r} is not supported")
    if kind not in _KEY_TYPES or not wanted:
        return None
    key = sshsig.parse_public_key(encoded)
    if key.kind.decode() != kind:
        raise ValueError("the key is of another type than the line says")
    return Signer(principal, key, after, before)


def _options(text: str) -> Iterator[Tuple[str, str]]:
    position = 0
    while position < len(text):
        found = _OPTION.match(text, position)
        if found is None:
            raise ValueError(f"options {text[position:]!r} cannot be read")
        yield found.group(1).lower(), found.group(2) or ""
        position = found.end()


def _matches(patterns: Sequence[str], value: str) -> bool:
    """Return whether a pattern list (ssh_config(5), PATTERNS) names `value`; a negation that fits decides."""
    matched = False
    for pattern in patterns:
        expression = re.escape(pattern.lstrip("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(expression, value):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def _timestamp(value: str) -> datetime:
    """Read a time as ssh-keygen does: with a Z in UTC, without one in this host's time zone."""
    digits = value.rstrip("Zz")
    if not re.fullmatch("[0-9]+", digits) or len(digits) not in _TIMES or len(value) - len(digits) > 1:
        raise ValueError(f"time {value!r} is not valid")
    moment = datetime.strptime(digits, _TIMES[len(digits)])
    return moment.replace(tzinfo=timezone.utc) if value != digits else moment.astimezone()


def informed(anchors: Anchors, carried: Sequence[Carried], now: Optional[datetime] = None) -> Anchors:
    """Return the anchors with what the carried trust records add to them.

    An installation that has a chain goes on with it. One that has none begins where those it trusts have
    signed, as many of them as have to sign a bundle; a chain that none of them has signed is left alone.

    Raises:
        IntegrityError: a record is malformed or does not follow from the one before it.
        SignatureError: a record is not signed by the keys of the one before it, or differs from one known.
    """
    if anchors.records:
        return replace(anchors, records=trustrecords.extend(anchors.records, carried))
    moment = anchors.moment(now)

    def known(key: PublicKey) -> bool:
        return bool(_named(key, anchors, moment, layout.TRUST_NAMESPACE).principal)

    return replace(anchors, records=trustrecords.enter(carried, known, anchors.required))


def signing_keys(
    message: bytes,
    signatures: Sequence[bytes],
    namespace: str = layout.NAMESPACE,
    names: Sequence[str] = layout.SIGNATURES,
) -> List[PublicKey]:
    """Verify every signature of a manifest, or of what `namespace` is for, and return the keys, whoever they
    belong to; `names` are what errors call the signatures.

    Raises:
        SignatureError: none, too many, a broken one, or one key twice.
    """
    if not 0 < len(signatures) <= len(names):
        raise SignatureError(
            Text("서명의 수가 잘못되었습니다", "the number of signatures is not valid"),
            where=f"{names[0]}: {len(signatures)}",
        )
    keys: List[PublicKey] = []
    for name, signature in zip(names, signatures):
        key = sshsig.verify(message, signature, namespace, name)
        if key in keys:
            raise SignatureError(
                Text("같은 키의 서명이 둘입니다", "two signatures are by one key"),
                where=f"{name}: {key.fingerprint}",
            )
        keys.append(key)
    return keys


def origin_of(
    keys: Sequence[PublicKey],
    anchors: Anchors,
    now: Optional[datetime] = None,
    namespace: str = layout.NAMESPACE,
) -> Origin:
    """Return what the anchors make of the keys whose signatures were found valid.

    A revoked key counts for nothing, whoever names it.

    Raises:
        SignatureError: there are anchors, and none of them knows any of the keys, or only revoked ones.
    """
    moment = anchors.moment(now)
    linked = anchors.given and _leads_to_records(anchors, moment)
    signers = tuple(_signer_of(key, anchors, linked, moment, namespace) for key in keys)
    trusted = [signer for signer in signers if signer.principal]
    if trusted:
        explanation = _verified(trusted, len(signers) - len(trusted))
        return Origin("verified", signers, explanation, anchors.records)
    revoked = [signer for signer in signers if signer.revoked is not None]
    if revoked:
        raise _revoked(revoked)
    if anchors:
        raise _not_trusted(keys, _lapsed(keys, anchors, linked, moment, namespace), moment)
    names = ", ".join(key.fingerprint for key in keys)
    explanation = Text(
        f"내용은 온전하지만 출처는 확인되지 않았습니다 (서명 키 {names})",
        f"intact, origin not verified (signed by {names})",
    )
    return Origin("unverified", signers, explanation, anchors.records)


def _signer_of(key: PublicKey, anchors: Anchors, linked: bool, moment: datetime, namespace: str) -> SignedBy:
    latest = anchors.latest
    revoked = None if latest is None else latest.revocation(key)
    if revoked is not None:
        return SignedBy(key, revoked=revoked)
    if not anchors.records or anchors.given:
        found = _named(key, anchors, moment, namespace)
        if found.principal:
            return found
    if latest is not None and (linked or not anchors.given):
        signer = latest.signer(key)
        if signer is not None and signer.valid_at(moment):
            return SignedBy(key, signer.principal, BY_RECORD)
    return SignedBy(key)


def _named(key: PublicKey, anchors: Anchors, moment: datetime, namespace: str) -> SignedBy:
    """Return the key as the operator, or else the pinned file, names it; records left aside."""
    if key.fingerprint in anchors.fingerprints:
        return SignedBy(key, key.fingerprint, BY_FINGERPRINT)
    text, how = (anchors.allowed_signers, BY_FILE) if anchors.given else (anchors.pinned, BY_PIN)
    names = [line.principal for line in _lines(text, key, namespace) if line.valid_at(moment)]
    return SignedBy(key, names[0], how) if names else SignedBy(key)


def _lines(text: str, key: PublicKey, namespace: str) -> List[Signer]:
    lines = parse_allowed_signers(text, namespace)
    if namespace in (layout.TRUST_NAMESPACE, layout.ADVISORIES_NAMESPACE):
        # Files from before there were records, or renewals, name only the bundles' namespace.
        lines += parse_allowed_signers(text, layout.NAMESPACE)
    return [line for line in lines if line.key == key]


def _leads_to_records(anchors: Anchors, moment: datetime) -> bool:
    """Return whether those the operator names have signed a record of the chain: then its newest set is
    theirs, too."""

    def known(key: PublicKey) -> bool:
        return bool(_named(key, anchors, moment, layout.TRUST_NAMESPACE).principal)

    return any(sum(known(key) for key in item.by()) >= anchors.required for item in anchors.records)


def _lapsed(
    keys: Sequence[PublicKey], anchors: Anchors, linked: bool, moment: datetime, namespace: str
) -> List[str]:
    found = []
    latest = anchors.latest
    for key in keys:
        if not anchors.records or anchors.given:
            text = anchors.allowed_signers if anchors.given else anchors.pinned
            found += [line.principal for line in _lines(text, key, namespace) if not line.valid_at(moment)]
        signer = None if latest is None or (anchors.given and not linked) else latest.signer(key)
        if signer is not None and not signer.valid_at(moment):
            found.append(signer.principal)
    return list(dict.fromkeys(found))


def _revoked(signers: Sequence[SignedBy]) -> SignatureError:
    told = [(signer.key.fingerprint, signer.revoked) for signer in signers if signer.revoked is not None]
    first = told[0][1]
    return SignatureError(
        Text(
            f"서명한 키는 {first.since}부터 폐기되었습니다: {first.reason}",
            f"the signing key is revoked since {first.since}: {first.reason}",
        ),
        where=f"{layout.SIGNATURE}: {', '.join(name for name, _ in told)}",
        hint=Text(
            "폐기된 키의 서명은 --allowed-signers나 --trust-fingerprint로도 받아들이지 않습니다. "
            "지금의 키로 서명된 번들을 받으십시오",
            "a revoked key is not accepted by --allowed-signers or --trust-fingerprint either; "
            "get the bundle that is signed by a key of today",
        ),
    )


def _not_trusted(keys: Sequence[PublicKey], lapsed: Sequence[str], moment: datetime) -> SignatureError:
    where = f"{layout.SIGNATURE}: {', '.join(key.fingerprint for key in keys)}"
    if lapsed:
        judged = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        return SignatureError(
            Text(
                f"서명자의 줄이 지금은 유효하지 않습니다: {', '.join(lapsed)} ({judged} 기준)",
                f"the signer's line is not in force now: {', '.join(lapsed)} (judged at {judged})",
            ),
            where=where,
            hint=Text(
                "호스트의 시계와 allowed_signers의 valid-after, valid-before를 확인하십시오",
                "check the host's clock, and valid-after and valid-before in allowed_signers",
            ),
        )
    return SignatureError(
        Text(
            "서명은 온전하지만 신뢰하는 서명자의 것이 아닙니다",
            "the signature is intact, but not by a signer you trust",
        ),
        where=where,
        hint=Text(
            "지문을 만든 쪽에 다른 경로로 확인하십시오. 키가 바뀌었다면 그 기록을 --trust-update로 적용하십시오",
            "compare the fingerprint with the builder's over another channel; if the keys have changed, apply "
            "the record that says so with --trust-update",
        ),
    )


def _verified(trusted: Sequence[SignedBy], others: int) -> Text:
    names = ", ".join(
        signer.principal
        if signer.principal == signer.key.fingerprint
        else f"{signer.principal} ({signer.key.fingerprint})"
        for signer in trusted
    )
    ko = f", 그 밖의 서명 {others}개" if others else ""
    en = f", and {others} further signature(s)" if others else ""
    return Text(f"서명과 출처 확인됨: {names}{ko}", f"signature and origin verified: {names}{en}")
