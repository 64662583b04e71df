"""Software bills of materials found inside wheels (PEP 770), flattened: what a wheel links statically.

CycloneDX JSON, SPDX 2 JSON and SPDX 3 JSON-LD are understood. These documents were written by others:
whatever is malformed becomes a complaint, never a failure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .cleaning import line

# Rust wheels list some hundred crates; a document with more than this is cut, and says so.
COMPONENTS = 20_000
_PURL = re.compile(r"pkg:[A-Za-z][A-Za-z0-9.+-]*/[^\s]+\Z")
_HEX = re.compile(r"[0-9a-f]{32,128}\Z")
# The algorithms' names in CycloneDX; SPDX writes them without the hyphen.
_ALGORITHMS = {"MD5": "MD5", "SHA1": "SHA-1", "SHA256": "SHA-256", "SHA384": "SHA-384", "SHA512": "SHA-512"}
_KINDS = ("application", "framework", "library", "container", "platform", "operating-system", "file", "data")


@dataclass(frozen=True)
class EmbeddedComponent:
    """One component that a wheel's own SBOM names; `scope` is ``excluded`` for what only its build needed."""

    kind: str
    name: str
    version: str
    purl: str
    licence: str
    scope: str
    hashes: tuple[tuple[str, str], ...]


def read(data: bytes) -> tuple[tuple[EmbeddedComponent, ...], str]:
    """Return the components of a document, sorted and each once, and a complaint or an empty string."""
    try:
        document = json.loads(data.decode("utf-8"))
        found = set()
        for item in _components(document):
            found.add(item)
            if len(found) >= COMPONENTS:
                return in_order(found), f"cut after {COMPONENTS} components"
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return (), line(f"{type(error).__name__}: {error}")
    return in_order(found), ""


def in_order(found: Iterable[EmbeddedComponent]) -> tuple[EmbeddedComponent, ...]:
    """Return components by name, version and package URL."""
    return tuple(sorted(found, key=lambda item: (item.name, item.version, item.purl, item.scope, repr(item))))


def _components(document: Any) -> Iterator[EmbeddedComponent]:  # noqa: ANN401 - the JSON of strangers
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    if document.get("bomFormat") == "CycloneDX":
        return _of_cyclonedx(document)
    if isinstance(document.get("spdxVersion"), str):
        return _of_spdx2(document)
    if isinstance(document.get("@graph"), list):
        return _of_spdx3(document)
    raise ValueError("neither CycloneDX nor SPDX")


def _of_cyclonedx(document: Mapping[str, Any]) -> Iterator[EmbeddedComponent]:
    waiting = _objects(document, "components")
    main = document.get("metadata", {}).get("component")
    if isinstance(main, dict):
        # The main component is the wheel itself: what it holds is inside, save the targets of its own build.
        itself = _text(main, "purl").partition("?")[0] or "-"
        held = _objects(main, "components")
        waiting += [item for item in held if _text(item, "purl").partition("?")[0] != itself]
    while waiting:
        item = waiting.pop()
        waiting += _objects(item, "components")
        kind = item.get("type")
        yield EmbeddedComponent(
            kind=kind if kind in _KINDS else "library",
            name=_text(item, "name") or "?",
            version=_text(item, "version"),
            purl=_purl(_text(item, "purl")),
            licence=_cyclonedx_licence(item),
            scope="excluded" if item.get("scope") == "excluded" else "required",
            hashes=_hashes((entry.get("alg"), entry.get("content")) for entry in _objects(item, "hashes")),
        )


def _cyclonedx_licence(item: Mapping[str, Any]) -> str:
    found = []
    for entry in _objects(item, "licenses"):
        inner = entry.get("license")
        if isinstance(inner, dict):
            found.append(_text(inner, "id") or _text(inner, "name"))
        else:
            found.append(_text(entry, "expression"))
    named = [name for name in found if name]
    return named[0] if len(named) == 1 else " AND ".join(f"({name})" for name in named)


def _of_spdx2(document: Mapping[str, Any]) -> Iterator[EmbeddedComponent]:
    for item in _objects(document, "packages"):
        licences = (_text(item, "licenseConcluded"), _text(item, "licenseDeclared"))
        purls = (
            _text(entry, "referenceLocator")
            for entry in _objects(item, "externalRefs")
            if entry.get("referenceType") == "purl"
        )
        sums = ((entry.get("algorithm"), entry.get("checksumValue")) for entry in _objects(item, "checksums"))
        yield EmbeddedComponent(
            kind="library",
            name=_text(item, "name") or "?",
            version=_text(item, "versionInfo"),
            purl=_purl(next(purls, "")),
            licence=next((name for name in licences if name not in ("", "NOASSERTION", "NONE")), ""),
            scope="required",
            hashes=_hashes(sums),
        )


def _of_spdx3(document: Mapping[str, Any]) -> Iterator[EmbeddedComponent]:
    for item in _objects(document, "@graph"):
        if item.get("type") == "software_Package":
            yield EmbeddedComponent(
                kind="library",
                name=_text(item, "name") or "?",
                version=_text(item, "software_packageVersion"),
                purl=_purl(_text(item, "software_packageUrl")),
                licence="",
                scope="required",
                hashes=_hashes(
                    (entry.get("algorithm"), entry.get("hashValue"))
                    for entry in _objects(item, "verifiedUsing")
                ),
            )


def _objects(item: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    listed = item.get(key)
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return line(value) if isinstance(value, str) else ""


def _purl(text: str) -> str:
    return text if _PURL.match(text) else ""


def _hashes(pairs: Iterator[tuple[object, object]]) -> tuple[tuple[str, str], ...]:
    found = set()
    for algorithm, content in pairs:
        name = _ALGORITHMS.get(str(algorithm).upper().replace("-", ""))
        if name and isinstance(content, str) and _HEX.match(content.lower()):
            found.add((name, content.lower()))
    return tuple(sorted(found))
