"""What this installation trusts: the operator's anchors, else the signers pinned by an earlier installation."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

from bundle import layout, limits
from bundle.errors import UsageProblem
from bundle.text import Text
from bundle.trust import Anchors, Origin

from .paths import Prefix


def anchors(prefix: Prefix, signers_file: str, fingerprints: Sequence[str]) -> Anchors:
    """Return the anchors to verify with. What the operator brings counts instead of what is pinned.

    Raises:
        UsageProblem: the named file cannot be read.
    """
    if signers_file:
        return Anchors(_read(Path(signers_file)), tuple(fingerprints))
    if fingerprints:
        return Anchors("", tuple(fingerprints))
    try:
        return Anchors(prefix.allowed_signers.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return Anchors()


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
    """Return the pinned file once `origin` has been accepted: its key is added if it was verified through
    an anchor and is not there yet. An unverified origin pins nothing."""
    if origin.status != "verified":
        return earlier
    known = (earlier or b"").decode("utf-8")
    key = origin.key.openssh()
    if key in known:
        return earlier
    principal = origin.principal.replace('"', "")
    name = f'"{principal}"' if any(character.isspace() for character in principal) else principal
    separator = "" if not known or known.endswith("\n") else "\n"
    return f'{known}{separator}{name} namespaces="{layout.NAMESPACE}" {key}\n'.encode()
