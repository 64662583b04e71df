"""``inspect``: what a bundle says about itself, in any of its forms, without unpacking it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.text import Text, human_size

if TYPE_CHECKING:
    from ..console import Console
    from ..transport.look import Look

NAME = "inspect"


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    speaking: argparse.ArgumentParser,
    lang: str,
) -> None:
    """Add the command's options."""
    from .trusting import trusting

    parser = commands.add_parser(
        NAME,
        parents=[trusting(lang), speaking],
        help=Text("번들의 내용 보기", "show what a bundle holds").to(lang),
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help=bundle_help(lang))


def bundle_help(lang: str) -> str:
    """Return what may stand for a bundle on the command line."""
    return Text(
        "아카이브, 볼륨 목록, 볼륨 하나 또는 풀린 폴더",
        "an archive, an index of volumes, a volume, or a folder",
    ).to(lang)


def run(options: argparse.Namespace, console: Console) -> int:
    """Print what the manifest declares; the signature is verified, the files are not read."""
    from ..transport.look import look
    from .trusting import anchors

    found = look(options.bundle, anchors(options))
    if options.json:
        console.result_json(found.as_dict())
    else:
        console.result(text(found, console.lang))
    return 0


def text(found: Look, lang: str) -> str:
    """Return the bundle as lines for a person."""
    from ..transport.look import sizes

    manifest = found.manifest
    target = manifest.target
    rows = [
        (Text("번들", "Bundle"), f"{manifest.project.name} {manifest.version} · {manifest.profile}"),
        (Text("형태", "Form"), _form(found, lang)),
        (
            Text("대상", "Target"),
            f"{target.name} ({target.libc} {target.libc_min}) · Python {', '.join(target.pythons)}",
        ),
        (Text("순번", "Sequence"), f"{manifest.sequence} · {manifest.created}"),
        (Text("사용 기한", "Expires"), manifest.expires or "-"),
        (Text("매니페스트", "Manifest"), f"sha256:{found.digest}"),
        (Text("서명", "Signed by"), found.origin.explanation.to(lang)),
    ]
    if found.delta is not None:
        rows.append((Text("기준 번들", "Base"), found.delta.base.text().to(lang)))
    if manifest.advisories is not None:
        rows.append((Text("취약점 자료", "Advisories"), manifest.advisories.date))
    # Every Korean syllable is two columns wide.
    lines = [f"{title.to(lang)}{' ' * (12 - _width(title.to(lang)))}{value}" for title, value in rows]
    lines += ["", Text("종류            파일      크기", "kind           files      size").to(lang)]
    for kind, (files, size) in sizes(manifest).items():
        lines.append(f"{kind:<14} {files:>5} {human_size(size):>9}")
    lines += ["", Text(f"패키지 {len(manifest.packages)}개", f"{len(manifest.packages)} packages").to(lang)]
    lines += [f"  {item.name} {item.version}" for item in manifest.packages]
    if manifest.models:
        lines += ["", Text(f"모델 {len(manifest.models)}개", f"{len(manifest.models)} models").to(lang)]
        lines += [
            f"  {item.name} ({item.role}) · {item.source}@{item.revision[:12]} · {item.licence}"
            for item in manifest.models
        ]
    return "\n".join(lines)


def _form(found: Look, lang: str) -> str:
    names = {
        "archive": Text("아카이브", "archive"),
        "volumes": Text("볼륨", "volumes"),
        "folder": Text("풀린 폴더", "unpacked folder"),
    }
    parts = [names[found.form].to(lang)]
    if found.index is not None:
        parts.append(f"× {len(found.index.volumes)}")
    if found.delta is not None:
        parts.append(Text("(델타)", "(delta)").to(lang))
    return f"{' '.join(parts)} · {human_size(found.size)}"


def _width(text: str) -> int:
    return sum(2 if character > "\u1100" else 1 for character in text)
