"""The options by which a person says whom they trust; shared by the commands that look at bundles."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.text import Text

if TYPE_CHECKING:
    from bundle.trust import Anchors


def trusting(lang: str) -> argparse.ArgumentParser:
    """Return the parent parser with the anchors' options."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--allowed-signers",
        type=Path,
        metavar="FILE",
        help=Text("신뢰하는 서명자 파일", "the file of the signers you trust").to(lang),
    )
    parent.add_argument(
        "--trust-fingerprint",
        action="append",
        default=[],
        metavar="SHA256:…",
        help=Text("신뢰하는 키의 지문", "the fingerprint of a key you trust").to(lang),
    )
    parent.add_argument(
        "--require-signatures",
        type=int,
        default=1,
        metavar="N",
        help=Text(
            "신뢰하는 서명자의 최소 수 (기본 1)", "how many trusted keys must have signed (default: 1)"
        ).to(lang),
    )
    return parent


def anchors(options: argparse.Namespace) -> Anchors:
    """Return what was given.

    Raises:
        UsageProblem: there is no such file of signers, or an impossible number of signatures.
    """
    from bundle.anchors import given

    return given(options.allowed_signers, options.trust_fingerprint, options.require_signatures)
