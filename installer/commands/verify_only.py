"""`--verify-only`: the bundle; run from an installed copy of the tools, the installation."""

from __future__ import annotations

import argparse

from bundle.text import Text

from ..console import Console
from ..operations.examination import examine
from ..paths import Prefix
from .common import bundle_of, offer_of


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    if not options.delta and prefix.holds_tools(bundle_of(options)):
        from . import verify as installed

        return installed.run(options, prefix, console)
    bundle = examine(prefix, offer_of(options, prefix), console)
    explanation = bundle.origin.explanation
    summary = Text(
        f"번들 {bundle.manifest.version}: 파일 {len(bundle.manifest.files)}개가 온전합니다. {explanation.ko}",
        f"bundle {bundle.manifest.version}: {len(bundle.manifest.files)} files are intact. {explanation.en}",
    )
    document = {
        "ok": True,
        "version": bundle.manifest.version,
        "sequence": bundle.manifest.sequence,
        "manifest": bundle.digest,
        "files": len(bundle.manifest.files),
        "origin": bundle.origin.status,
        "fingerprint": bundle.origin.key.fingerprint,
        "signers": [
            {"principal": signer.principal or None, "fingerprint": signer.key.fingerprint}
            for signer in bundle.origin.signers
        ],
    }
    console.report(summary, document)
    return 0
