"""What a build leaves behind: a wheel in the cache, what it was made from, and what it was made with."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.utils import parse_wheel_filename

from bundle.manifest import Build


@dataclass(frozen=True)
class BuiltWheel:
    """A wheel in the cache and its origin.

    `source` is the sdist's URL, ``git+URL@COMMIT`` or ``path:FOLDER`` (relative to the lock, so that the
    build box's own folders stay out of the bundle). `source_sha256` is the digest of the sdist, or of the tree
    (`sources.trees.tree_digest`). `requires` are the packages of the build environment, ``name==version``.
    """

    name: str
    version: str
    filename: str
    sha256: str
    size: int
    source: str
    source_sha256: str
    requires: tuple[str, ...]

    def as_build(self) -> Build:
        """Return the build as the manifest declares it."""
        return Build(self.filename, self.sha256, self.source, self.source_sha256, self.requires)

    def record(self) -> dict[str, str]:
        """Return the build as the cache remembers it."""
        return {
            "filename": self.filename,
            "sha256": self.sha256,
            "size": str(self.size),
            "source": self.source,
            "source_sha256": self.source_sha256,
            "requires": "\n".join(self.requires),
        }


def from_record(record: dict[str, str]) -> BuiltWheel:
    """Return the build that `BuiltWheel.record` wrote."""
    name, version, _, _ = parse_wheel_filename(record["filename"])
    return BuiltWheel(
        name,
        str(version),
        record["filename"],
        record["sha256"],
        int(record["size"]),
        record["source"],
        record["source_sha256"],
        tuple(record["requires"].split("\n")) if record["requires"] else (),
    )
