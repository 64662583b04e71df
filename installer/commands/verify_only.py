"""`--verify-only`: the bundle; run from an installed copy of the tools, the installation."""

from __future__ import annotations

import argparse

from bundle.text import Text

from ..console import Console
from ..operations.install import verify
from ..paths import Prefix
from ..status import is_installed_copy
from . import verify as installed
from .common import anchors_of, bundle_of


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    if is_installed_copy(bundle_of(options), prefix):
        return installed.run(options, prefix, console)
    trusted = anchors_of(options, prefix)
    bundle = verify(bundle_of(options), trusted, options.allow_unverified_origin, console)
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
