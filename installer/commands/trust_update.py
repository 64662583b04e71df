"""`--trust-update`: apply records that replace or revoke signing keys."""

from __future__ import annotations

import argparse
from pathlib import Path

from bundle.text import Text
from bundle.trust import Anchors

from ..console import Console
from ..operations.trust_update import Change, told, update
from ..paths import Prefix
from ..trust_store import repairing_anchors, version
from .common import anchors_of


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    path = Path(options.trust_update).expanduser()
    change = update(prefix, path, _anchors(options, prefix), options.dry_run, console)
    for warning in change.warnings:
        console.warn(warning)
    document = {
        "ok": True,
        "action": "trust-update" if change.needed else "none",
        "dry_run": options.dry_run,
        "prefix": str(prefix.root),
        **told(change),
        "signers": [
            {"principal": signer.principal, "fingerprint": signer.key.fingerprint}
            for signer in change.after[-1].record.signers
        ],
        "warnings": [warning.to(console.lang) for warning in change.warnings],
    }
    console.report(_text(change, options.dry_run), document)
    return 0


def _anchors(options: argparse.Namespace, prefix: Prefix) -> Anchors:
    """Return whom this run trusts. A damaged chain is begun anew where the operator says whom to begin with."""
    if options.allowed_signers or options.trust_fingerprint:
        return repairing_anchors(
            prefix, options.allowed_signers, options.trust_fingerprint, options.require_signatures
        )
    return anchors_of(options, prefix)


def _text(change: Change, dry_run: bool) -> Text:
    latest = change.after[-1].record
    if not change.needed:
        return Text(
            f"이미 {latest.version}번 키 기록이 적용되어 있습니다",
            f"trust record {latest.version} is in force here already",
        )
    earlier = version(change.before)
    if dry_run:
        ko = [f"키 기록 {earlier}번 -> {latest.version}번: 적용하면 (아무것도 쓰지 않았습니다)"]
        en = [f"trust record {earlier} -> {latest.version}: if it is applied (nothing was written)"]
    else:
        ko = [f"키 기록 {earlier}번 -> {latest.version}번을 적용했습니다"]
        en = [f"applied trust record {earlier} -> {latest.version}"]
    for signer in change.added:
        ko.append(f"  추가: {signer.principal} ({signer.key.fingerprint})")
        en.append(f"  added: {signer.principal} ({signer.key.fingerprint})")
    for name, fingerprint in change.removed:
        ko.append(f"  제외: {name} ({fingerprint})")
        en.append(f"  removed: {name} ({fingerprint})")
    for item in change.revoked:
        ko.append(f"  폐기: {item.fingerprint}, {item.since}부터 ({item.reason})")
        en.append(f"  revoked: {item.fingerprint} since {item.since} ({item.reason})")
    ko.append(f"  다음 기록에 필요한 서명: {len(latest.signers)}명 중 {latest.threshold}명")
    en.append(f"  the next record needs: {latest.threshold} of {len(latest.signers)} signer(s)")
    return Text("\n".join(ko), "\n".join(en))
