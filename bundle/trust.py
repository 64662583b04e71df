"""Who signed, and whether that is somebody this host was told to trust.

A signature only proves that one key made it. The anchor - an ``allowed_signers`` file or a fingerprint -
comes from outside the bundle; a key found only inside it proves nothing about origin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Iterator, Optional, Sequence, Tuple

from . import layout, sshsig
from .errors import SignatureError
from .sshsig import PublicKey
from .text import Text

# Words of a line: quoted parts may hold blanks. One option: a name, and perhaps a quoted value.
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_OPTION = re.compile(r'([A-Za-z-]+)(?:="([^"]*)")?(?:,|\Z)')
_TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_KEY_TYPES = (sshsig.KEY_TYPE.decode(), sshsig.TOKEN_KEY_TYPE.decode())


@dataclass(frozen=True)
class Anchors:
    """What the operator brought: the text of an ``allowed_signers`` file, key fingerprints, and how many
    different keys among these have to have signed."""

    allowed_signers: str = ""
    fingerprints: Tuple[str, ...] = ()
    required: int = 1

    def __bool__(self) -> bool:
        return bool(self.allowed_signers.strip() or self.fingerprints)


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
    """The key behind one valid signature, and as whom an anchor knows it; without one, `principal` is empty."""

    key: PublicKey
    principal: str = ""


@dataclass(frozen=True)
class Origin:
    """What was established about the signers: `status` is ``verified`` or ``unverified``.

    `signers` are in the order of the signature files.
    """

    status: str
    signers: Tuple[SignedBy, ...]
    explanation: Text

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


def establish_origin(
    manifest: bytes, signatures: Sequence[bytes], anchors: Anchors, now: Optional[datetime] = None
) -> Origin:
    """Verify every signature and compare the keys with the anchors.

    Every signature has to be valid, and each by another key; one by an anchored key verifies the origin.
    Returns an ``unverified`` origin only when there is no anchor at all; whether that is enough is the
    caller's policy. Signers of whom none is among given anchors are an error, never "unverified".

    Raises:
        SignatureError: none, too many, a broken one, one key twice, or no signer among the anchors.
    """
    if not 0 < len(signatures) <= len(layout.SIGNATURES):
        raise SignatureError(
            Text("서명의 수가 잘못되었습니다", "the number of signatures is not valid"),
            where=f"{layout.SIGNATURE}: {len(signatures)}",
        )
    keys = []
    for name, signature in zip(layout.SIGNATURES, signatures):
        key = sshsig.verify(manifest, signature, where=name)
        if key in keys:
            raise SignatureError(
                Text("같은 키의 서명이 둘입니다", "two signatures are by one key"),
                where=f"{name}: {key.fingerprint}",
            )
        keys.append(key)
    return origin_of(keys, anchors, now)


def origin_of(
    keys: Sequence[PublicKey],
    anchors: Anchors,
    now: Optional[datetime] = None,
    namespace: str = layout.NAMESPACE,
) -> Origin:
    """Return what the anchors make of the keys whose signatures were found valid.

    Raises:
        SignatureError: there are anchors, and none of them knows any of the keys.
    """
    signers = _known(keys, anchors, now or datetime.now(timezone.utc), namespace)
    if any(signer.principal for signer in signers):
        trusted = [signer for signer in signers if signer.principal]
        return Origin("verified", signers, _verified(trusted, len(signers) - len(trusted)))
    names = ", ".join(key.fingerprint for key in keys)
    explanation = Text(
        f"내용은 온전하지만 출처는 확인되지 않았습니다 (서명 키 {names})",
        f"intact, origin not verified (signed by {names})",
    )
    return Origin("unverified", signers, explanation)


def _known(
    keys: Sequence[PublicKey], anchors: Anchors, now: datetime, namespace: str
) -> Tuple[SignedBy, ...]:
    lines = parse_allowed_signers(anchors.allowed_signers, namespace)
    signers = []
    lapsed = []
    for key in keys:
        if key.fingerprint in anchors.fingerprints:
            signers.append(SignedBy(key, key.fingerprint))
            continue
        own = [line for line in lines if line.key == key]
        names = [line.principal for line in own if line.valid_at(now)]
        signers.append(SignedBy(key, names[0] if names else ""))
        lapsed += [line.principal for line in own if not names]
    if anchors and not any(signer.principal for signer in signers):
        raise _not_trusted(keys, lapsed)
    return tuple(signers)


def _not_trusted(keys: Sequence[PublicKey], lapsed: Sequence[str]) -> SignatureError:
    where = f"{layout.SIGNATURE}: {', '.join(key.fingerprint for key in keys)}"
    if lapsed:
        return SignatureError(
            Text(
                f"서명자의 줄이 지금은 유효하지 않습니다: {', '.join(lapsed)}",
                f"the signer's line is not in force now: {', '.join(lapsed)}",
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
            "지문을 만든 쪽에 다른 경로로 확인하십시오",
            "compare the fingerprint with the builder's over another channel",
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
