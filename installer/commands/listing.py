"""`--list`: the kept releases as a table. It looks, changes nothing, and takes no lock."""

from __future__ import annotations

import argparse
from typing import Any, Dict, List, Set

from bundle.text import Text, human_size

from .. import receipt, sealed, usage
from ..console import Console
from ..paths import Prefix
from ..service import manifest_of
from ..state import InstallationState, generation_names, read_state
from ..status import snapshots_of

ROLES = {
    "active": Text("현재", "active"),
    "previous": Text("이전", "previous"),
    "not kept": Text("보관 안 함", "not kept"),
}
STATES = {
    "ok": Text("정상", "ok"),
    "damaged": Text("손상", "damaged"),
    "unfinished": Text("미완성", "unfinished"),
}
HEADINGS = (
    Text("릴리스", "release"),
    Text("버전", "version"),
    Text("구분", "role"),
    Text("상태", "state"),
    Text("순번", "sequence"),
    Text("설치 시각", "installed"),
    Text("크기", "size"),
    Text("번들", "bundle"),
    Text("되돌리기", "rollback"),
)


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    document = releases(prefix)
    console.report(
        Text(_table(document, "ko"), _table(document, "en")),
        document,
    )
    return 0


def releases(prefix: Prefix) -> Dict[str, Any]:
    """Return what is kept. Sizes count every file once, with the release that is listed first."""
    state = read_state(prefix)
    seen: Set[usage.Inode] = set()
    order = list(state.pointer.kept) if state.pointer is not None else []
    names = sorted(
        generation_names(prefix), key=lambda name: (order.index(name) if name in order else len(order), name)
    )
    rows = [_release(prefix, state, name, seen) for name in names]
    store = usage.size([prefix.root / "store"], seen)
    return {
        "ok": True,
        "prefix": str(prefix.root),
        "releases": rows,
        "store_bytes": usage.size([prefix.root / "store"]),
        "snapshots": [
            {
                "name": one.name,
                "release": one.generation,
                "format": one.version,
                "created": one.created,
                "bytes": one.bytes,
            }
            for one in snapshots_of(prefix)
        ],
        "bytes": sum(int(row["bytes"]) for row in rows) + store,
    }


def _release(prefix: Prefix, state: InstallationState, name: str, seen: Set[usage.Inode]) -> Dict[str, Any]:
    folder, pointer = prefix.generation(name), state.pointer
    role = "not kept"
    if pointer is not None and name in pointer.kept:
        role = "active" if name == pointer.generation else "previous"
    row: Dict[str, Any] = {
        "name": name, "version": None, "role": role, "state": "unfinished", "sequence": int(name.split("-")[0]),
        "installed": None, "bytes": usage.size([folder], seen), "manifest": None, "rollback": False,
    }  # fmt: skip
    if name not in state.complete:
        return row
    try:
        known = receipt.read(folder)
        row.update(
            version=known.version, sequence=known.sequence, installed=known.created, manifest=known.manifest
        )
        manifest_of(prefix, name)
        sound = not receipt.differences(folder, known, deep=False)
    except (OSError, sealed.Damaged, ValueError):
        sound = False
    row["state"] = "ok" if sound else "damaged"
    row["rollback"] = sound and role == "previous"
    return row


def _table(document: Dict[str, Any], lang: str) -> str:
    if not document["releases"]:
        return Text(
            f"설치된 것이 없습니다: {document['prefix']}", f"nothing is installed: {document['prefix']}"
        ).to(lang)
    yes, no = Text("가능", "yes").to(lang), "-"
    rows: List[List[str]] = [[heading.to(lang) for heading in HEADINGS]]
    for row in document["releases"]:
        rows.append(
            [
                row["name"],
                row["version"] or "?",
                ROLES[row["role"]].to(lang),
                STATES[row["state"]].to(lang),
                str(row["sequence"]),
                row["installed"] or "-",
                human_size(row["bytes"]),
                (row["manifest"] or "-")[:12],
                yes if row["rollback"] else no,
            ]
        )
    widths = [max(_width(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    ]
    for one in document["snapshots"]:
        size = human_size(one["bytes"])
        lines.append(
            Text(
                f"데이터 스냅숏 {one['name']}: {one['release']}의 데이터, 형식 {one['format']}, {one['created']}, {size}",
                f"data snapshot {one['name']}: of {one['release']}, format {one['format']}, {one['created']}, {size}",
            ).to(lang)
        )
    shared, total = human_size(document["store_bytes"]), human_size(document["bytes"])
    lines.append(
        Text(
            f"공유 저장소 {shared}, 모두 합해 {total} (하드 링크는 한 번만 셈)",
            f"shared store {shared}, {total} in all (hard links counted once)",
        ).to(lang)
    )
    return "\n".join(lines)


def _width(text: str) -> int:
    """Return the columns a text takes on a terminal: Hangul takes two."""
    return sum(2 if "\u1100" <= character <= "\uffdc" else 1 for character in text)
