"""Security: who signed what runs here?"""

from __future__ import annotations

from pathlib import Path
from typing import Tuple

from bundle import layout
from bundle.text import Text
from validator import limits
from validator.host import accepted, receipt
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped
from validator.subject import Subject, Unreadable, read_limited

SECURITY = Category.SECURITY


@check(
    "SEC-008",
    SECURITY,
    Text("서명과 출처", "Signature and origin"),
    severity=Severity.CRITICAL,
    needs_installation=True,
)
def signature(subject: Subject) -> Outcome:
    """The generation's manifest carries a valid signature, by a signer that this installation trusts."""
    from bundle.errors import RagTraceError
    from bundle.limits import SIGNATURE_BYTES
    from bundle.trust import Anchors, origin_of, signing_keys

    assert subject.manifest_path is not None
    seal = subject.manifest_path.with_name(layout.SIGNATURE)
    if not seal.exists():
        if _sealed(subject, seal):
            what = Text("서명 파일이 지워졌습니다", "the signature was removed")
            why = Text("누군가 지웠거나 파일이 손상되었습니다", "somebody removed it, or the disk is damaged")
            return Outcome(Status.FAIL, what, str(seal), "valid signature", why, "repair")
        what = Text("세대에 서명 파일이 보관되어 있지 않습니다", "no signature is kept with the generation")
        return skipped(what)
    if accepted.pending(subject):
        # The installer pins the signer when it accepts the release, which is after this validator has run.
        what = Text(
            "릴리스가 아직 확정되지 않았습니다", "the release is not accepted yet; its signer is pinned then"
        )
        return skipped(what)
    try:
        manifest = read_limited(subject.manifest_path, limits.MANIFEST_BYTES)
        places = [seal.with_name(name) for name in layout.SIGNATURES]
        signatures = [read_limited(place, SIGNATURE_BYTES) for place in places if place.exists()]
        keys = signing_keys(manifest, signatures)
    except (RagTraceError, Unreadable) as error:
        what = Text(f"서명을 받아들일 수 없습니다: {error}", f"the signature is refused: {error}")
        why = Text("매니페스트나 서명이 바뀌었습니다", "the manifest or the signature was changed")
        return Outcome(Status.FAIL, what, str(error)[:300], "valid signature", why, "reinstall")
    try:
        origin = origin_of(keys, Anchors(pinned=_signers(subject)))
    except RagTraceError as error:
        if not (subject.prefix / "trust" / "records.json").exists():
            what = Text(f"서명을 받아들일 수 없습니다: {error}", f"the signature is refused: {error}")
            why = Text("매니페스트나 서명이 바뀌었습니다", "the manifest or the signature was changed")
            return Outcome(Status.FAIL, what, str(error)[:300], "trusted signer", why, "reinstall")
        # The set of keys has moved on since: what was verified when it came keeps running (design, trust).
        what = Text(
            "서명은 온전하지만 지금은 쓰지 않는 키의 것입니다",
            "the signature is intact, and by a key that is not in force any more",
        )
        why = Text(
            "설치한 뒤에 키가 교체되었거나 폐기되었습니다 (install.py --explain-trust)",
            "the key was replaced or revoked after the installation (install.py --explain-trust)",
        )
        return Outcome(Status.WARN, what, keys[0].fingerprint, "signer in force", why, "carry-again")
    if origin.status == "verified":
        return passed(origin.explanation, measured=origin.key.fingerprint)
    why = Text("--allow-unverified-origin으로 설치했습니다", "installed with --allow-unverified-origin")
    return Outcome(
        Status.WARN, origin.explanation, origin.key.fingerprint, "verified signer", why, "carry-again"
    )


def _sealed(subject: Subject, seal: Path) -> bool:
    """Tell whether the generation's receipt lists the signature: then it was there."""
    assert subject.generation is not None
    try:
        return seal.relative_to(subject.generation).as_posix() in receipt.read(subject.generation)
    except (Unreadable, ValueError):
        return False


def _signers(subject: Subject) -> str:
    try:
        return read_limited(subject.prefix / "trust" / "allowed_signers").decode("utf-8", "replace")
    except Unreadable:
        return ""


CHECKS: Tuple[Check, ...] = (signature,)
