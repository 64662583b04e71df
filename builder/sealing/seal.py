"""Seal: the manifest over every staged file, its signature, and the checksums of everything."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from bundle import checksums, layout
from bundle.errors import UsageProblem
from bundle.manifest import Manifest
from bundle.text import Text

from ..inputs import ProjectSpec
from .signing import Signer

# ZIP and tar tools agree on times from here on.
_EARLIEST = 315_532_800


@dataclass(frozen=True)
class Seal:
    """The files beside the numbered folders: the manifest, one signature or several, the checksums."""

    manifest: bytes
    signatures: tuple[bytes, ...]
    checksums: bytes

    def files(self) -> list[tuple[str, bytes]]:
        """Return them by name, the manifest first."""
        return [
            (layout.MANIFEST, self.manifest),
            *zip(layout.SIGNATURES, self.signatures, strict=False),
            (layout.CHECKSUMS, self.checksums),
        ]


def seal(manifest: Manifest, keys: Sequence[Signer]) -> Seal:
    """Sign the manifest's exact bytes with every key and derive the checksums of the whole bundle."""
    data = manifest.to_bytes()
    signatures = tuple(key.sign(data) for key in keys)
    return Seal(data, signatures, checksums.bundle_checksums(manifest, data, signatures[0]))


def build_epoch(project: ProjectSpec) -> int:
    """Return the time that the bundle carries, in seconds since 1970.

    ``SOURCE_DATE_EPOCH`` if set, else the last commit of the project, else - outside version control - the
    newest modification among its files. Never the clock: identical inputs must give identical bytes.

    Raises:
        UsageProblem: ``SOURCE_DATE_EPOCH`` is not a number of seconds.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None:
        if not given.isdigit() or int(given) < _EARLIEST:
            raise UsageProblem(
                Text("SOURCE_DATE_EPOCH가 잘못되었습니다", "SOURCE_DATE_EPOCH is not valid"),
                where=f"SOURCE_DATE_EPOCH={given}",
                hint=Text("1980년 이후의 초 단위 정수", "whole seconds, not before 1980"),
            )
        return int(given)
    committed = _commit_time(project)
    if committed is not None:
        return max(committed, _EARLIEST)
    newest = max((path.stat().st_mtime for path in project.root.rglob("*.py")), default=_EARLIEST)
    newest = max(newest, (project.workspace / "uv.lock").stat().st_mtime)
    return max(int(newest), _EARLIEST)


def utc(epoch: int) -> str:
    """Return seconds since 1970 as a manifest time."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _commit_time(project: ProjectSpec) -> int | None:
    try:
        done = subprocess.run(
            ["git", "-c", "log.showSignature=false", "log", "-1", "--format=%ct", "--", "."],
            cwd=project.workspace,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return None
    text = done.stdout.strip()
    return int(text) if done.returncode == 0 and text.isdigit() else None
