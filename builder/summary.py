"""What the builder tells a person at the end: what was made, where, how big, how to verify, what next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundle import layout
from bundle.text import Text, human_size
from bundle.volumes import ARCHIVE_SUFFIX

from .network import shown
from .plan import BundlePlan

if TYPE_CHECKING:
    from .build import BuiltBundle
    from .cache import Cache

# The worst first; a severity nobody could tell is told too.
_SEVERITIES = ("critical", "high", "medium", "low", "unknown")


def as_dict(bundle: BuiltBundle) -> dict[str, object]:
    """Return the result for ``--json``."""
    report = bundle.report
    return {
        "event": "built",
        "archive": str(bundle.archive),
        "files": [str(path) for path in bundle.packed.paths],
        "size": bundle.packed.size,
        "sha256": bundle.packed.sha256,
        "version": bundle.manifest.version,
        "profile": bundle.manifest.profile,
        "target": bundle.manifest.target.name,
        "sequence": bundle.manifest.sequence,
        "expires": bundle.manifest.expires,
        "entries": len(bundle.manifest.files),
        "packages": len(bundle.manifest.packages),
        "models": [model.name for model in bundle.manifest.models],
        "signers": [
            {"principal": signer.principal, "fingerprint": signer.public.fingerprint}
            for signer in bundle.signers
        ],
        "allowed_signers": str(bundle.allowed_signers),
        "provenance": str(bundle.provenance),
        "downloaded_bytes": bundle.downloaded_bytes,
        "flagged_licences": bundle.flagged,
        "advisories": None
        if report is None
        else {"as_of": report.date, "found": _counts(bundle), "unanswered": len(report.unknown)},
    }


def text(bundle: BuiltBundle, new_key: Path | None, lang: str) -> str:
    """Return the summary of a finished build as lines; `new_key` is a key that this run made."""
    manifest = bundle.manifest
    pythons = ", ".join(manifest.target.pythons)
    contents = (
        f"{manifest.project.name} {manifest.version} · {manifest.profile} · {manifest.target.name} · "
        f"Python {pythons} · {len(manifest.packages)} packages · {len(manifest.files)} files"
    )
    if manifest.models:
        contents += " · " + ", ".join(model.name for model in manifest.models)
    rows = [
        (Text("번들", "Bundle"), str(bundle.archive)),
        (Text("내용", "Contents"), contents),
        (Text("크기", "Size"), _size(bundle, lang)),
        (Text("SHA-256", "SHA-256"), bundle.packed.sha256),
    ]
    rows += [
        (Text("서명 키", "Signed by"), f"{signer.principal}  {signer.public.fingerprint}")
        for signer in bundle.signers
    ]
    if manifest.expires is not None:
        rows.append((Text("기한", "Expires"), manifest.expires))
    rows.append((Text("취약점", "Advisories"), _advisories(bundle).to(lang)))
    rows.append((Text("출처 증명", "Provenance"), str(bundle.provenance)))
    if new_key is not None:
        rows.append((Text("새 키", "New key"), f"{new_key} (0600)"))
    lines = [_row(label.to(lang), value) for label, value in rows]
    return "\n".join([*lines, "", *_next(bundle, lang)])


def _next(bundle: BuiltBundle, lang: str) -> list[str]:
    archive, folder = bundle.packed.archive_name, bundle.archive.parent
    top = layout.archive_stem(bundle.manifest.version, bundle.manifest.target.name)
    sums = archive + (".sha256" if bundle.archive.name == archive else ".volumes.sha256")
    lines = [
        Text("이 컴퓨터에서 확인", "Verify here").to(lang) + ":",
        f"  (cd {folder} && sha256sum -c {sums})",
    ]
    separate = Text(
        f"따로 옮길 것 (번들과 다른 경로로): {bundle.allowed_signers} 또는 위의 지문",
        f"Carry separately, over another channel: {bundle.allowed_signers}, or the fingerprint above",
    )
    lines += ["", separate.to(lang), "", Text("폐쇄망 호스트에서", "On the isolated host").to(lang) + ":"]
    trusted = "--allowed-signers /path/to/allowed_signers"
    plain = bundle.archive.name == f"{top}{ARCHIVE_SUFFIX}"
    if plain:
        lines += [f"  tar xzf {archive} && cd {top}"]
    elif archive == f"{top}{ARCHIVE_SUFFIX}":
        lines += [f"  python3 unpack.py {bundle.archive.name} {trusted} && cd {top}"]
    else:
        base = Text("이전-번들-폴더", "EARLIER-BUNDLE").to(lang)
        lines += [f"  python3 unpack.py {bundle.archive.name} --base {base} {trusted} && cd {top}"]
    return [*lines, f"  python3 04_Scripts/install.py {trusted}"]


def _size(bundle: BuiltBundle, lang: str) -> str:
    size = f"{human_size(bundle.packed.size)} ({bundle.packed.size:,} B)"
    volumes = len(bundle.packed.paths) - 1
    if volumes:
        size += Text(f", 볼륨 {volumes}개", f" in {volumes} volume(s)").to(lang)
    return size


def _counts(bundle: BuiltBundle) -> dict[str, int]:
    found = bundle.report.advisories if bundle.report is not None else ()
    counted = {name: sum(item.severity.value == name for item in found) for name in _SEVERITIES}
    return {name: count for name, count in counted.items() if count}


def _advisories(bundle: BuiltBundle) -> Text:
    report = bundle.report
    if report is None:
        return Text("묻지 않았습니다 (--audit none)", "nobody was asked (--audit none)")
    found = ", ".join(f"{name} {count}" for name, count in _counts(bundle).items())
    day = report.date[:10]
    if len(report.unknown) == len(report.packages):
        return Text(f"{day} 기준 알 수 없음: 답한 곳이 없습니다", f"as of {day}: unknown, nobody answered")
    ko = f"{day} 기준 {found or '알려진 것 없음'}"
    en = f"as of {day}: {found or 'none known'}"
    if report.unknown:
        count, total = len(report.unknown), len(report.packages)
        ko += f", 답 없음 {count}/{total}개 패키지"
        en += f"; no answer about {count} of {total} packages"
    return Text(ko, en)


def plan_text(plan: BundlePlan, cache: Cache, allow_build: frozenset[str], lang: str) -> str:
    """Return the plan as a table for people: every file, what is built, what stands in the way, disk needed."""
    from .sources.permission import refusals

    width = max((len(item.filename) for item in plan.artifacts), default=10)
    lines = [
        f"{plan.project.name} {plan.project.version} · {plan.profile.name} · {plan.target.name} · "
        f"Python {', '.join(plan.target.pythons)}"
    ]
    for item in plan.artifacts:
        size = human_size(item.size) if item.size else "?"
        digest = item.sha256[:12] or item.commit[:12] or "-"
        lines.append(
            f"  {item.kind:<9} {item.filename:<{width}} {size:>10}  {digest:<12}  {shown(item.source)}"
        )
    lines += [f"  ! {note.to(lang)}" for note in plan.notes]
    for line in refusals(plan, allow_build):
        lines.append(Text("  빌드 필요 ", "  to be built  ").to(lang) + line.to(lang))
    total = sum(item.size for item in plan.artifacts)
    fetched = sum(item.size for item in plan.artifacts if not item.sha256 or not cache.has(item.sha256))
    count = len(plan.artifacts)
    lines.append(Text(f"모두 {count}개, {human_size(total)}", f"{count} files, {human_size(total)}").to(lang))
    lines.append(
        Text(
            f"필요한 디스크: 내려받기 {human_size(fetched)} ({cache.root}), 번들 약 {human_size(total)}",
            f"disk needed: {human_size(fetched)} to download ({cache.root}), about {human_size(total)} for the bundle",
        ).to(lang)
    )
    return "\n".join(lines)


def _row(label: str, value: str) -> str:
    # Hangul is two columns wide on a terminal.
    width = sum(2 if ord(character) > 0x1100 else 1 for character in label)
    return f"{label}{' ' * max(1, 12 - width)}{value}"
