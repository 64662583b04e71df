"""What changes from one bundle to another: packages, models, files, and the bytes that a delta carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bundle.delta import carried_entries
from bundle.manifest import Manifest


@dataclass(frozen=True)
class Changes:
    """Names with what they became: (name, before, after); empty where there was or is nothing."""

    added: tuple[tuple[str, str], ...]
    removed: tuple[tuple[str, str], ...]
    changed: tuple[tuple[str, str, str], ...]

    def lines(self) -> list[str]:
        """Return one line for each change."""
        return [
            *(f"+ {name} {after}".rstrip() for name, after in self.added),
            *(f"- {name} {before}".rstrip() for name, before in self.removed),
            *(
                f"~ {name} {before} → {after}" if before != after else f"~ {name}"
                for name, before, after in self.changed
            ),
        ]


@dataclass(frozen=True)
class Difference:
    """Everything that differs, `old` and `new` being the versions."""

    old: str
    new: str
    packages: Changes
    models: Changes
    files: Changes
    delta_files: int
    delta_bytes: int

    def as_dict(self) -> dict[str, object]:
        """Return what ``diff --json`` prints."""
        return asdict(self)


def difference(old: Manifest, new: Manifest) -> Difference:
    """Compare two manifests."""
    carried = carried_entries(new, old)
    return Difference(
        _name(old),
        _name(new),
        _changes(_packages(old), _packages(new)),
        _changes(_models(old), _models(new)),
        _changes(_files(old), _files(new)),
        len(carried),
        sum(entry.size for entry in carried),
    )


def _name(manifest: Manifest) -> str:
    return f"{manifest.version} {manifest.target.name} #{manifest.sequence}"


def _packages(manifest: Manifest) -> dict[str, str]:
    versions: dict[str, list[str]] = {}
    for item in manifest.packages:
        versions.setdefault(item.name, []).append(item.version)
    return {name: ", ".join(sorted(found)) for name, found in versions.items()}


def _models(manifest: Manifest) -> dict[str, str]:
    return {item.name: f"{item.source}@{item.revision[:12]}" for item in manifest.models}


def _files(manifest: Manifest) -> dict[str, str]:
    return {entry.path: entry.sha256[:12] for entry in manifest.files}


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Changes:
    return Changes(
        tuple((name, new[name]) for name in sorted(new.keys() - old.keys())),
        tuple((name, old[name]) for name in sorted(old.keys() - new.keys())),
        tuple(
            (name, old[name], new[name]) for name in sorted(old.keys() & new.keys()) if old[name] != new[name]
        ),
    )
