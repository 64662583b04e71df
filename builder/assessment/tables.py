"""The review's plain files: components and licences as CSV, licence texts, the vulnerability report as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from . import places
from .components import Component, Inventory
from .subject import Subject

# A spreadsheet takes a cell that begins with one of these for a formula and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def components(inventory: Inventory) -> bytes:
    """Return one line for every file of a component: what it is, its digest, where it came from."""
    header = [
        "kind", "name", "version", "file", "bytes", "sha256", "pythons", "source", "built_from_sha256", "built_with",
        "licence", "flags", "native_files", "runs_at_start", "commands",
    ]  # fmt: skip
    return _csv(header, (row for item in inventory.components for row in _component_rows(item)))


def _component_rows(item: Component) -> Iterable[list[str]]:
    # Our own programs' files stand in the manifest; a line for each would bury the rest.
    for entry in item.files if item.kind != "tool" else ():
        yield [
            item.kind, item.name, item.version, entry.path, str(entry.size), entry.sha256, " ".join(item.pythons),
            item.source,
            item.build.source_sha256 if item.build else "",
            " ".join(item.build.requires) if item.build else "",
            item.licence.stated, " ".join(item.licence.flags),
            str(len(item.facts.native)) if item.facts else "",
            " ".join(item.facts.at_start) if item.facts else "",
            " ".join(item.facts.commands) if item.facts else "",
        ]  # fmt: skip


def licences(inventory: Inventory) -> bytes:
    """Return one line for every package, model and embedded component: licence, where found, flags."""
    header = [
        "package",
        "version",
        "kind",
        "inside",
        "licence",
        "spdx",
        "found_in",
        "flags",
        "reasons",
        "disagreement",
    ]
    rows = set()
    for item in inventory.components:
        licence = item.licence
        reasons = "; ".join(inventory.policy.flags[flag].reason.en for flag in licence.flags)
        rows.add(
            (item.name, item.version, item.kind, "", licence.stated, _yes(licence.spdx), licence.found,
             " ".join(licence.flags), reasons, licence.disagreement)
        )  # fmt: skip
    for part in inventory.inside:
        reasons = "; ".join(inventory.policy.flags[flag].reason.en for flag in part.licence.flags)
        rows.add(
            (part.component.name, part.component.version, "embedded", ", ".join(part.holders),
             part.licence.stated, _yes(part.licence.spdx), part.licence.found, " ".join(part.licence.flags), reasons, "")
        )  # fmt: skip
    return _csv(header, sorted(rows, key=lambda row: (row[3] != "", row)))


def texts(inventory: Inventory) -> bytes:
    """Return every licence and notice text found in the wheels, each once, with the packages that carry it."""
    users: dict[str, set[str]] = {}
    silent = []
    for item in inventory.components:
        found = item.facts.texts if item.facts else ()
        for piece in found:
            users.setdefault(piece.text.strip("\n"), set()).add(f"{item.name} {item.version}: {piece.path}")
        if item.facts and not found:
            silent.append(f"{item.name} {item.version}")
    lines = [
        "Licence and notice texts found in the carried wheels, each printed once.",
        "Models carry their own terms in their folders under 07_Models/.",
        "",
    ]
    if silent:
        lines += ["Without any such text: " + ", ".join(sorted(set(silent))), ""]
    for number, text in enumerate(sorted(users, key=lambda text: (sorted(users[text]), text)), start=1):
        lines += [
            "=" * 100,
            f"[{number}]",
            *(f"  {user}" for user in sorted(users[text])),
            "=" * 100,
            text,
            "",
        ]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def vulnerabilities(subject: Subject) -> bytes:
    """Return the audit's report and the policy's verdict; null where nobody was asked."""
    document = {
        "report": asdict(subject.audit) if subject.audit is not None else None,
        "verdict": asdict(subject.verdict) if subject.verdict is not None else None,
    }
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True, default=str) + "\n").encode(
        "utf-8"
    )


def origins(inventory: Inventory) -> dict[str, tuple[int, int]]:
    """Return how many components and bytes came from each host; what was built here under ``built here``."""
    found: dict[str, tuple[int, int]] = {}
    for item in inventory.components:
        place = places.host(item.source)
        count, size = found.get(place, (0, 0))
        found[place] = (count + 1, size + item.size)
    return dict(sorted(found.items(), key=lambda pair: (-pair[1][0], pair[0])))


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(header)
    table.writerows([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows)
    return buffer.getvalue().encode("utf-8", "replace")


def _yes(value: bool) -> str:
    return "yes" if value else "no"
