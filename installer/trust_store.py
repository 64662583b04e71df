"""What this installation trusts: the operator's anchors, else the signers pinned by an earlier installation."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

from bundle import layout, limits
from bundle.errors import UsageProblem
from bundle.text import Text
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
    if not 1 <= required <= len(layout.SIGNATURES):
        most = len(layout.SIGNATURES)
        raise UsageProblem(
            Text(
                f"--require-signatures는 1에서 {most}까지입니다", f"--require-signatures is from 1 to {most}"
            )
        )
    if signers_file:
        return Anchors(_read(Path(signers_file)), tuple(fingerprints), required)
    if fingerprints:
        return Anchors("", tuple(fingerprints), required)
    try:
        return Anchors(prefix.allowed_signers.read_text(encoding="utf-8"), (), required)
    except (FileNotFoundError, NotADirectoryError):
        return Anchors("", (), required)


def _read(path: Path) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(limits.ALLOWED_SIGNERS_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(
            Text("allowed_signers 파일을 읽을 수 없습니다", "the allowed_signers file cannot be read"),
            where=f"{path}: {error}",
        ) from error
    if len(text) > limits.ALLOWED_SIGNERS_BYTES or not text.strip():
        raise UsageProblem(
            Text(
                "allowed_signers 파일이 비었거나 너무 큽니다",
                "the allowed_signers file is empty or too large",
            ),
            where=str(path),
        )
    return text


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
