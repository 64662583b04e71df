"""Read the anchors that an operator names on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

from . import layout, limits
from .errors import UsageProblem
from .text import Text
from .trust import Anchors


def given(signers_file: Optional[Path], fingerprints: Sequence[str], required: int = 1) -> Anchors:
    """Return the anchors of ``--allowed-signers``, ``--trust-fingerprint`` and ``--require-signatures``.

    Raises:
        UsageProblem: there is no such file, it is empty or not text, or `required` is not a number of
            signatures.
    """
    most = len(layout.SIGNATURES)
    if not 1 <= required <= most:
        raise UsageProblem(
            Text(
                f"--require-signatures는 1에서 {most}까지입니다", f"--require-signatures is from 1 to {most}"
            )
        )
    text = "" if signers_file is None else _read(signers_file)
    return Anchors(text, tuple(fingerprints), required)


def _read(path: Path) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(limits.ALLOWED_SIGNERS_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(
            Text("allowed_signers 파일을 읽을 수 없습니다", "the allowed_signers file cannot be read"),
            where=f"{path}: {error}",
        ) from error
    # An empty file would count as none at all.
    if len(text) > limits.ALLOWED_SIGNERS_BYTES or not text.strip():
        raise UsageProblem(
            Text(
                "allowed_signers 파일이 비었거나 너무 큽니다",
                "the allowed_signers file is empty or too large",
            ),
            where=str(path),
        )
    return text
