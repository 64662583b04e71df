"""Read the anchors that an operator names on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

from . import layout, limits
from .errors import UsageProblem
from .text import Text
from .trust import Anchors
from .verify import read_capped


def given(signers_file: Optional[Path], fingerprints: Sequence[str], required: int = 1) -> Anchors:
    """Return the anchors of ``--allowed-signers``, ``--trust-fingerprint`` and ``--require-signatures``.

    Raises:
        UsageProblem: there is no such file, it is not text, or `required` is not a number of signatures.
    """
    if not 1 <= required <= len(layout.SIGNATURES):
        raise UsageProblem(
            Text(
                f"--require-signatures는 1에서 {len(layout.SIGNATURES)}까지입니다",
                f"--require-signatures is from 1 to {len(layout.SIGNATURES)}",
            )
        )
    if signers_file is None:
        return Anchors("", tuple(fingerprints), required)
    data = read_capped(signers_file, limits.ALLOWED_SIGNERS_BYTES)
    try:
        if data is not None:
            return Anchors(data.decode("utf-8"), tuple(fingerprints), required)
    except UnicodeDecodeError:
        pass
    raise UsageProblem(
        Text("allowed_signers 파일을 읽을 수 없습니다", "the allowed_signers file cannot be read"),
        where=str(signers_file),
    )
