"""Who signed, and whether that is somebody this host was told to trust.

A signature only proves that one key made it. The anchor - an ``allowed_signers`` file or a fingerprint -
comes from outside the bundle; a key found only inside it proves nothing about origin.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import List, Optional, Tuple

from . import layout, sshsig
from .errors import SignatureError
from .sshsig import PublicKey
from .text import Text


@dataclass(frozen=True)
class Anchors:
    """What the operator brought: the text of an ``allowed_signers`` file, and key fingerprints."""

    allowed_signers: str = ""
    fingerprints: Tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.allowed_signers.strip() or self.fingerprints)


@dataclass(frozen=True)
class Signer:
    """One usable line of an ``allowed_signers`` file."""

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
class Origin:
    """What was established about the signer: `status` is ``verified`` or ``unverified``."""

    status: str
    principal: str
    key: PublicKey
    explanation: Text


def parse_allowed_signers(text: str) -> Tuple[Signer, ...]:
    """Read an ``allowed_signers`` file (ssh-keygen(1), ALLOWED SIGNERS).

    Ed25519 lines whose namespaces, if given, include ours are returned; other key types are passed over,
    as ``ssh-keygen`` does for keys it does not need. Patterns in principals are not expanded.

    Raises:
        SignatureError: a line cannot be understood; a guess would be worse than a refusal.
    """
    signers = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            signer = _signer(shlex.split(stripped, comments=False))
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


def _signer(words: List[str]) -> Optional[Signer]:
    if len(words) < 3:
        raise ValueError("expected: principal [options] key-type key")
    options = words[1] if not words[1].startswith(("ssh-", "sk-", "ecdsa-")) else ""
    kind, encoded = (words[2:4] if options else words[1:3])[:2]
    after = before = None
    for option in filter(
        None, options.split(",") if "namespaces" not in options else _split_options(options)
    ):
        name, _, value = option.partition("=")
        value = value.strip('"')
        if name.lower() == "namespaces":
            if layout.NAMESPACE not in value.split(","):
                return None
        elif name.lower() == "valid-after":
            after = _timestamp(value)
        elif name.lower() == "valid-before":
            before = _timestamp(value)
        else:
            raise ValueError(f"option {name!r} is not supported")
    if kind != "ssh-ed25519":
        return None
    return Signer(words[0], sshsig.parse_public_key(encoded), after, before)


def _split_options(options: str) -> List[str]:
    # shlex has removed the quotes, so commas inside namespaces=a,b look like separators: a piece without
    # '=' belongs to the option before it.
    pieces: List[str] = []
    for piece in options.split(","):
        if "=" in piece or not pieces:
            pieces.append(piece)
        else:
            pieces[-1] += "," + piece
    return pieces


def _timestamp(value: str) -> datetime:
    digits = value.rstrip("Zz")
    for form in ("%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S"):
        if len(digits) == len(datetime(2000, 1, 1).strftime(form)):
            return datetime.strptime(digits, form).replace(tzinfo=timezone.utc)
    raise ValueError(f"time {value!r} is not valid")


def establish_origin(
    manifest: bytes, signature: bytes, anchors: Anchors, now: Optional[datetime] = None
) -> Origin:
    """Verify the signature and compare its key with the anchors.

    Returns an ``unverified`` origin only when there is no anchor at all; whether that is enough is the
    caller's policy. A key that is not among given anchors is an error, never "unverified".

    Raises:
        SignatureError: broken signature, or a signer outside the anchors.
    """
    key = sshsig.verify(manifest, signature)
    moment = now or datetime.now(timezone.utc)
    if key.fingerprint in anchors.fingerprints:
        return Origin("verified", key.fingerprint, key, _verified(key, "--trust-fingerprint"))
    for signer in parse_allowed_signers(anchors.allowed_signers):
        if signer.key == key and signer.valid_at(moment):
            return Origin("verified", signer.principal, key, _verified(key, signer.principal))
    if anchors:
        raise SignatureError(
            Text(
                "서명은 온전하지만 신뢰하는 서명자의 것이 아닙니다",
                "the signature is intact, but not by a signer you trust",
            ),
            where=f"{layout.SIGNATURE}: {key.fingerprint}",
            hint=Text(
                "지문을 만든 쪽에 다른 경로로 확인하십시오",
                "compare the fingerprint with the builder's over another channel",
            ),
        )
    explanation = Text(
        f"내용은 온전하지만 출처는 확인되지 않았습니다 (서명 키 {key.fingerprint})",
        f"intact, origin not verified (signed by {key.fingerprint})",
    )
    return Origin("unverified", "", key, explanation)


def _verified(key: PublicKey, by: str) -> Text:
    return Text(
        f"서명과 출처 확인됨: {by} ({key.fingerprint})",
        f"signature and origin verified: {by} ({key.fingerprint})",
    )
