"""Countersigning: a further signature beside the manifest of a bundle that somebody else has sealed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundle import layout, verify
from bundle.atomic import write_atomic
from bundle.errors import UsageProblem
from bundle.sshsig import PublicKey
from bundle.text import Text
from bundle.trust import Anchors

from .signing import Signer


def countersign(manifest: Path, signer: Signer) -> tuple[Path, list[str]]:
    """Sign `manifest` and return the new signature's file and the fingerprints of those who signed before.

    Earlier signatures have to be valid. That the bundle's files are what the manifest says is not looked at:
    whoever countersigns has verified the bundle.

    Raises:
        IntegrityError: there is no manifest, or it is refused.
        SignatureError: the bundle is unsigned, or a signature in it does not hold.
        UsageProblem: the key has signed already, or there is no room for one more.
        BuildError: the key did not sign.
    """
    folder = manifest.parent
    if manifest.name != layout.MANIFEST:
        raise UsageProblem(
            Text("번들의 MANIFEST.json이 아닙니다", "not the MANIFEST.json of a bundle"), where=str(manifest)
        )
    signed = verify.read_signed_manifest(folder, Anchors())
    earlier = [item.key for item in signed.origin.signers]
    require_room(earlier, signer.public, str(folder))
    place = folder / layout.SIGNATURES[len(earlier)]
    signature = signer.sign(signed.manifest_bytes)
    write_atomic(place, signature, 0o644)
    return place, [key.fingerprint for key in earlier]


def require_room(earlier: Sequence[PublicKey], key: PublicKey, where: str) -> None:
    """Refuse a second signature by one key, and one more than there may be.

    Raises:
        UsageProblem: either.
    """
    if key in earlier:
        raise UsageProblem(
            Text("이 키는 이미 서명했습니다", "this key has signed already"), where=key.fingerprint
        )
    if len(earlier) == len(layout.SIGNATURES):
        raise UsageProblem(
            Text(f"서명은 {len(earlier)}개까지입니다", f"there may be at most {len(earlier)} signatures"),
            where=where,
        )
