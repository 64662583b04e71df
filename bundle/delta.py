"""DELTA.json: what a partial bundle leaves out, and which earlier bundle has it.

A delta is an archive with the whole manifest of the new bundle, its signatures, and only the files whose
bytes the base does not have. What is missing follows from the signed manifest; this note, which nobody
signs, only says which bundle to ask the operator for. Where the base has what bytes, its own manifest says;
whatever is found there is compared with the new manifest like every other byte.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import List

from . import layout, strictjson
from .errors import IntegrityError
from .manifest import FileEntry, Manifest
from .text import Text

FORMAT = "ragtrace-delta"
FORMAT_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z")


@dataclass(frozen=True)
class Base:
    """The bundle that a delta was made against: digest of its manifest, version, target, sequence."""

    manifest: str
    version: str
    target: str
    sequence: int

    def text(self) -> Text:
        """Return what to ask for."""
        name = f"{self.version} {self.target}"
        digest = self.manifest[:12]
        return Text(
            f"{name} 순번 {self.sequence} (매니페스트 {digest})",
            f"{name} sequence {self.sequence} (manifest {digest})",
        )


@dataclass(frozen=True)
class Delta:
    """The note of one delta; `lacks_files` and `lacks_bytes` are what it leaves to the base."""

    base: Base
    lacks_files: int
    lacks_bytes: int

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        document = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8")


def parse_delta(data: bytes) -> Delta:
    """Parse a note strictly.

    Raises:
        IntegrityError: malformed, or of a format this reader does not know.
    """
    try:
        source = strictjson.parse(data, "delta")
        if source.text("format") != FORMAT or source.number("format_version") != FORMAT_VERSION:
            raise ValueError(
                "not a delta of a format this reader knows; use the unpack.py beside the archive"
            )
        base = source.child("base")
        return Delta(
            Base(
                base.text("manifest", _SHA256),
                base.text("version", _LABEL),
                base.text("target", _LABEL),
                base.number("sequence", low=1),
            ),
            source.number("lacks_files"),
            source.number("lacks_bytes"),
        )
    except (ValueError, TypeError) as error:
        raise IntegrityError(
            Text(f"델타 설명을 받아들일 수 없습니다: {error}", f"the delta's note is refused: {error}"),
            where=layout.DELTA,
            hint=Text("델타나 전체 번들을 다시 반입하십시오", "carry in the delta again, or the full bundle"),
        ) from error


def carried_entries(manifest: Manifest, base: Manifest) -> List[FileEntry]:
    """Return the files of `manifest` whose bytes `base` does not have, in manifest order, and its trust records:
    they are read before anything of the base can be."""
    known = {(entry.size, entry.sha256) for entry in base.files}
    return [
        entry for entry in manifest.files if entry.kind == "trust" or (entry.size, entry.sha256) not in known
    ]
