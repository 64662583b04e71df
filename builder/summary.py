"""What the builder tells a person at the end: what was made, where, how big, how to verify, what next."""

from __future__ import annotations

from pathlib import Path

from bundle import layout
from bundle.text import Text, human_size

from .build import BuiltBundle
from .plan import BundlePlan


def as_dict(bundle: BuiltBundle) -> dict[str, object]:
    """Return the result for ``--json``."""
    return {
        "event": "built",
        "archive": str(bundle.archive),
        "size": bundle.size,
        "sha256": bundle.sha256,
        "version": bundle.manifest.version,
        "profile": bundle.manifest.profile,
        "target": bundle.manifest.target.name,
        "sequence": bundle.manifest.sequence,
        "files": len(bundle.manifest.files),
        "fingerprint": bundle.key.public.fingerprint,
        "allowed_signers": str(bundle.allowed_signers),
        "downloaded_bytes": bundle.downloaded_bytes,
    }


def text(bundle: BuiltBundle, new_key: Path | None, lang: str) -> str:
    """Return the summary of a finished build as lines; `new_key` is a key that this run made."""
    manifest, archive = bundle.manifest, bundle.archive
    top = layout.archive_stem(manifest.version, manifest.target.name)
    pythons = ", ".join(manifest.target.pythons)
    rows = [
        (Text("번들", "Bundle"), str(archive)),
        (
            Text("내용", "Contents"),
            f"{manifest.project.name} {manifest.version} · {manifest.profile} · {manifest.target.name} · "
            f"Python {pythons} · {len(manifest.packages)} packages · {len(manifest.files)} files",
        ),
        (Text("크기", "Size"), f"{human_size(bundle.size)} ({bundle.size:,} B)"),
        (Text("SHA-256", "SHA-256"), bundle.sha256),
        (Text("서명 키", "Signed by"), f"{bundle.key.principal}  {bundle.key.public.fingerprint}"),
    ]
    if new_key is not None:
        rows.append((Text("새 키", "New key"), f"{new_key} (0600)"))
    lines = [_row(label.to(lang), value) for label, value in rows]
    lines += ["", Text("이 컴퓨터에서 확인", "Verify here").to(lang) + ":"]
    lines += [f"  (cd {archive.parent} && sha256sum -c {archive.name}.sha256)"]
    separate = Text(
        f"따로 옮길 것 (번들과 다른 경로로): {bundle.allowed_signers} 또는 위의 지문",
        f"Carry separately, over another channel: {bundle.allowed_signers}, or the fingerprint above",
    )
    lines += ["", separate.to(lang), "", Text("폐쇄망 호스트에서", "On the isolated host").to(lang) + ":"]
    lines += [
        f"  tar xzf {archive.name} && cd {top}",
        "  python3 04_Scripts/install.py --allowed-signers /path/to/allowed_signers",
    ]
    return "\n".join(lines)


def plan_text(plan: BundlePlan, lang: str) -> str:
    """Return the plan as a table for people."""
    width = max((len(item.filename) for item in plan.artifacts), default=10)
    lines = [
        f"{plan.project.name} {plan.project.version} · {plan.profile.name} · {plan.target.name} · "
        f"Python {', '.join(plan.target.pythons)}"
    ]
    for item in plan.artifacts:
        size = human_size(item.size) if item.size else "?"
        lines.append(
            f"  {item.kind:<6} {item.filename:<{width}} {size:>10}  {item.sha256[:12]}  {item.source}"
        )
    total = human_size(sum(item.size for item in plan.artifacts))
    count = len(plan.artifacts)
    lines.append(Text(f"모두 {count}개, {total}", f"{count} files, {total}").to(lang))
    return "\n".join(lines)


def _row(label: str, value: str) -> str:
    # Hangul is two columns wide on a terminal.
    width = sum(2 if ord(character) > 0x1100 else 1 for character in label)
    return f"{label}{' ' * max(1, 12 - width)}{value}"
