"""All documents of an assessment, by their names in ``05_Documentation/``."""

from __future__ import annotations

from bundle import layout
from bundle.hashing import sha256_bytes
from bundle.manifest import FileEntry

from . import sbom, tables
from .components import Inventory
from .dossier import page
from .subject import Subject

SBOM = "sbom.cdx.json"
COMPONENTS = "components.csv"
LICENCES = "licences.csv"
TEXTS = "THIRD_PARTY_LICENCES.txt"
VULNERABILITIES = "vulnerabilities.json"
DOSSIER = "review.html"


def write(subject: Subject, inventory: Inventory) -> dict[str, bytes]:
    """Return the documents; the dossier last, because it lists the digests of the others."""
    made = {
        SBOM: sbom.to_bytes(subject, inventory),
        COMPONENTS: tables.components(inventory),
        LICENCES: tables.licences(inventory),
        TEXTS: tables.texts(inventory),
        VULNERABILITIES: tables.vulnerabilities(subject),
    }
    others = [
        FileEntry(
            f"{layout.DOCUMENTATION}/{name}", len(data), sha256_bytes(data), 0o644, "document", "assessment"
        )
        for name, data in made.items()
    ]
    files = sorted((*subject.files, *others), key=lambda entry: entry.path)
    return {**made, DOSSIER: page.to_bytes(subject, inventory, files)}
