"""Which format the service's data has, and what a release with another format can do about it.

A service that declares a format (`bundle.manifest.DataFormat`) writes the number into ``data/FORMAT.json`` when it
creates data, and again when it has migrated them. Data without the file has format 1: the one that a service had
before its formats had numbers.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Optional

from bundle.errors import PolicyError
from bundle.manifest import DataFormat, Manifest
from bundle.text import Text

from .filesystem import read_plain
from .paths import Prefix

NAME = "FORMAT.json"
KIND = "ragtrace-data"
# Written all the time and worth nothing to an earlier release: neither kept in a snapshot nor put back from one.
PASSING = frozenset(("logs", "cache"))
_UNCHANGED = Text("아무것도 바꾸지 않았습니다", "nothing was changed")


@dataclass(frozen=True)
class DataState:
    """The data as plan and policy see it.

    `version` is their format, None where there are none yet; `problem` why it cannot be told; `marked` says that
    they carry the number themselves; `before` is the format of the active release, as far as it declares one.
    `files` and `bytes` are only counted where a snapshot will be needed, `odd` names what could not be kept.
    """

    version: Optional[int] = None
    problem: str = ""
    marked: bool = False
    before: Optional[int] = None
    files: int = 0
    bytes: int = 0
    odd: str = ""


NO_DATA = DataState()


def read(prefix: Prefix) -> DataState:
    """Read the data's format; nothing is counted."""
    path = prefix.data / NAME
    try:
        data = read_plain(path)
        if data is None:
            return DataState(1) if _holds_files(prefix) else NO_DATA
        version = _version(json.loads(data))
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        return DataState(problem=f"{path}: {error}", marked=True)
    return DataState(version, marked=True)


def _version(document: object) -> int:
    if not isinstance(document, dict) or document.get("format") != KIND:
        raise ValueError("not the format of any data")
    if document.get("migrating") is not None:
        raise ValueError("a migration was begun and not ended")
    version = document.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError("no version")
    return version


def _holds_files(prefix: Prefix) -> bool:
    """Return whether there is any file of the service's, besides what comes and goes."""
    for folder, folders, files in os.walk(prefix.data):
        if folder == str(prefix.data):
            folders[:] = [name for name in folders if name not in PASSING]
        if files:
            return True
    return False


def declared_by(manifest: Optional[Manifest], data: DataState) -> Optional[DataFormat]:
    """Return the format that a release's service reads and writes, None where nobody knows and nothing is checked.

    A release from before formats had numbers is taken to have the first where the data's number says that they
    have changed since.
    """
    if manifest is None or manifest.service is None:
        return None
    if manifest.service.data is None and data.marked and (data.version or 0) > 1:
        return DataFormat(1)
    return manifest.service.data


def course(data: DataState, wanted: Optional[DataFormat]) -> str:
    """Return what lies between the data and a release.

    ``none``: they fit. ``begin``: there are no data yet, and the release will write others than the one before it.
    ``migrate``: it can take them over. ``unreadable``, ``newer``, ``older`` and ``irreversible`` are refusals.
    """
    if wanted is None:
        return "none"
    if data.problem:
        return "unreadable"
    if data.version is None:
        return "none" if data.before == wanted.version else "begin"
    if data.version == wanted.version:
        return "none"
    if data.version > wanted.version:
        return "newer"
    if data.version not in wanted.migrates:
        return "older"
    return "irreversible" if data.version in wanted.irreversible else "migrate"


def check(data: DataState, wanted: Optional[DataFormat], version: str) -> None:
    """Refuse a release that cannot work with the data; `version` is the release's.

    Raises:
        PolicyError: it says which formats they are, and what can be done.
    """
    found = course(data, wanted)
    if found in ("none", "begin", "migrate") or wanted is None:
        return
    summary, hint = _refusal(found, data, wanted, version)
    raise PolicyError(summary, where=data.problem or f"data/{NAME}", state=_UNCHANGED, hint=hint)


def _refusal(found: str, data: DataState, wanted: DataFormat, version: str) -> tuple[Text, Text]:
    have, need = data.version, wanted.version
    if found == "unreadable":
        return (
            Text("데이터의 형식을 알 수 없습니다", "the format of the data cannot be told"),
            Text(
                "끝나지 않은 변환은 'ragtrace migrate'를 다시 실행하고, 손상된 데이터는 백업에서 되돌리십시오",
                "run 'ragtrace migrate' again after a migration that did not end; put damaged data back from a backup",
            ),
        )
    if found == "newer":
        return (
            Text(
                f"데이터의 형식 {have}이(가) 릴리스 {version}의 형식 {need}보다 새롭습니다",
                f"the data has format {have}, newer than the {need} of release {version}",
            ),
            Text(
                "보관된 릴리스와 그 데이터로 함께 돌아가려면 --rollback GEN --restore-data, 아니면 더 새 릴리스를 설치",
                "--rollback GEN --restore-data returns to a kept release together with its data; "
                "else install a newer release",
            ),
        )
    if found == "irreversible":
        return (
            Text(
                f"릴리스 {version}의 데이터 변환({have} -> {need})은 되돌릴 수 없습니다",
                f"the migration of release {version} ({have} to {need}) cannot be undone",
            ),
            Text(
                "되돌릴 수 있게 변환하는 중간 릴리스를 먼저 설치하거나, 다른 --prefix에 새로 설치하고 문서를 다시 받아들이십시오",
                "install a release between the two that migrates reversibly, or install into another --prefix and take "
                "the documents in again",
            ),
        )
    takes = ", ".join(str(number) for number in sorted(wanted.migrates)) or "-"
    return (
        Text(
            f"릴리스 {version}은(는) 형식 {have}의 데이터를 {need}(으)로 바꾸지 못합니다 (바꿀 수 있는 형식: {takes})",
            f"release {version} cannot migrate data of format {have} to {need} (it takes over: {takes})",
        ),
        Text(
            f"형식 {have}을(를) 변환하는 중간 릴리스를 먼저 설치하십시오",
            f"first install a release between the two, which migrates from format {have}",
        ),
    )
