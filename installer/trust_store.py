"""What this installation trusts: the operator's anchors, else the signers pinned by an earlier installation."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

from bundle import layout
from bundle.anchors import given
from bundle.trust import Anchors, Origin, SignedBy

from . import accepted
from .paths import Prefix


def anchors(
    prefix: Prefix, signers_file: str, fingerprints: Sequence[str], required: Optional[int] = None
) -> Anchors:
    """Return the anchors to verify with, of which `required` have to have signed.

    What the operator brings counts instead of what an earlier installation has pinned.

    Raises:
        UsageProblem: the named file cannot be read, or `required` is not a number of signatures.
    """
    if required is None:
        required = accepted.read(prefix).signatures
    brought = given(Path(signers_file) if signers_file else None, fingerprints, required)
    if brought:
        return brought
    try:
        return Anchors(prefix.allowed_signers.read_text(encoding="utf-8"), (), required)
    except (FileNotFoundError, NotADirectoryError):
        return brought


def pinned_with(origin: Origin, earlier: Optional[bytes]) -> Optional[bytes]:
    """Return the pinned file once `origin` has been accepted: keys verified through an anchor are added
    where they are not there yet. An unverified origin pins nothing."""
    known = (earlier or b"").decode("utf-8")
    added = "".join(_line(signer) for signer in origin.trusted if signer.key.openssh() not in known)
    if not added:
        return earlier
    separator = "" if not known or known.endswith("\n") else "\n"
    return f"{known}{separator}{added}".encode()


def _line(signer: SignedBy) -> str:
    blank = any(character.isspace() for character in signer.principal)
    name = f'"{signer.principal}"' if blank else signer.principal
    return f'{name} namespaces="{layout.NAMESPACE}" {signer.key.openssh()}\n'
