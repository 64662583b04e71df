"""The format of the data folder: one number in ``FORMAT.json``, and the migrations that lead to it.

The number covers everything below the folder: the records' schema and the layout of the index. It is written before
anything else when data is created, checked before anything is opened, and changed by `migrate` alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragtrace.adapters.durable import replace_file
from ragtrace.errors import FormatProblem, StorageProblem
from ragtrace.text import Text

NAME = "FORMAT.json"
KIND = "ragtrace-data"
RECORDS = "records.sqlite3"
Tell = Callable[[Text], None]
Migration = Callable[[Path, Tell], None]


def _pages_groups_and_journal(folder: Path, tell: Tell) -> None:
    """2: the records' schema 2. The index has another layout too: it is made anew at the next start."""
    from ragtrace.adapters.sqlite_records import migrate_schema

    records = folder / RECORDS
    if not records.exists() or records.stat().st_size == 0:
        # Without records the former index is the last trace of them: whoever opens the data has to notice.
        return
    if migrate_schema(records, 2):
        tell(Text("기록의 스키마 2", "schema 2 of the records"))
    former = folder / "index" / "bm25-v1"
    try:
        if former.exists():
            shutil.rmtree(former)
    except OSError as error:
        raise StorageProblem(
            Text("이전 색인을 지울 수 없습니다.", "The former index cannot be removed."),
            where=f"{former}: {error.strerror}",
            hint=Text(
                "권한을 확인한 뒤 다시 실행하십시오: ragtrace migrate",
                "Check permissions, then run it again: ragtrace migrate",
            ),
        ) from error
    tell(Text("검색 색인은 다음 시작 때 다시 만듭니다.", "The search index is made anew at the next start."))


# Entry n turns format n into n + 1 and is run again after a kill, so it has to bear finding its work half done or
# done. Entries are only ever added; `service/pyproject.toml` declares which of them a release still carries out.
MIGRATIONS: Sequence[Migration] = (_pages_groups_and_journal,)
VERSION = 1 + len(MIGRATIONS)
_UNCHANGED = Text("아무것도 바뀌지 않았습니다.", "Nothing was changed.")


@dataclass(frozen=True)
class DataFormat:
    """What is written: the number, and the one that a migration was on its way to when it was stopped."""

    version: int
    migrating: int | None = None


def read(folder: Path) -> DataFormat | None:
    """Return the format of the data, None where there is no data.

    Data of the releases before the number was introduced has format 1.

    Raises:
        FormatProblem: it cannot be read or understood.
    """
    path = folder / NAME
    try:
        document = json.loads(path.read_bytes())
        version, migrating = document["version"], document.get("migrating")
        if document["format"] != KIND or not all(type(n) is int for n in (version, migrating or 1)):
            raise ValueError("not a number")
    except FileNotFoundError:
        return DataFormat(1) if (folder / RECORDS).exists() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatProblem(
            Text("데이터의 형식을 알 수 없습니다.", "The format of the data cannot be told."),
            where=f"{path}: {error}",
            state=_UNCHANGED,
            hint=Text(
                "파일을 고치지 말고 백업이나 스냅숏을 되돌리십시오.",
                "Do not mend the file; put a backup or a snapshot back.",
            ),
        ) from error
    return DataFormat(version, migrating)


def require(folder: Path, version: int = VERSION) -> None:
    """Let data of this very format pass, and mark a new folder; `folder` exists.

    Raises:
        FormatProblem: the data is newer, older, half migrated, or of no known format.
    """
    found = read(folder)
    if found is None or (found == DataFormat(version) and not (folder / NAME).exists()):
        _write(folder, DataFormat(version))
    elif found.version > version or (found.migrating or 0) > version:
        raise _newer(folder, found, version)
    elif found != DataFormat(version):
        raise FormatProblem(
            Text(
                f"데이터의 형식 {found.version}이(가) 이 판의 {version}보다 오래되었습니다.",
                f"The data has format {found.version}, older than this release's {version}.",
            ),
            where=str(folder),
            state=_UNCHANGED,
            hint=Text(
                "백업한 뒤 실행하십시오: ragtrace migrate", "Make a backup, then run: ragtrace migrate"
            ),
        )


def migrate(folder: Path, tell: Tell, migrations: Sequence[Migration] = MIGRATIONS) -> tuple[int, int]:
    """Bring the data to the newest format, step by step; return the formats before and after.

    The caller holds the write lock. Killed at any instant, running it again goes on with the step it was at.

    Raises:
        FormatProblem: the data is newer or of no known format.
    """
    newest = 1 + len(migrations)
    found = read(folder)
    if found is None:
        _write(folder, DataFormat(newest))
        return newest, newest
    if found.version > newest or (found.migrating or 0) > newest:
        raise _newer(folder, found, newest)
    for version in range(found.version, newest):
        tell(Text(f"형식 {version} -> {version + 1}", f"format {version} -> {version + 1}"))
        # From here on no release opens the data, neither the old one nor the new.
        _write(folder, DataFormat(version, migrating=version + 1))
        migrations[version - 1](folder, tell)
        _write(folder, DataFormat(version + 1))
    return found.version, newest


def _newer(folder: Path, found: DataFormat, version: int) -> FormatProblem:
    number = max(found.version, found.migrating or 0)
    return FormatProblem(
        Text(
            f"데이터의 형식 {number}이(가) 이 판의 {version}보다 새롭습니다.",
            f"The data has format {number}, newer than this release's {version}.",
        ),
        where=str(folder),
        state=_UNCHANGED,
        hint=Text(
            "더 새 판을 설치하거나, install.py --rollback --restore-data로 스냅숏을 되돌리십시오.",
            "Install the newer release, or put a snapshot back by install.py --rollback --restore-data.",
        ),
    )


def _write(folder: Path, wanted: DataFormat) -> None:
    document: dict[str, object] = {"format": KIND, "version": wanted.version}
    if wanted.migrating is not None:
        document["migrating"] = wanted.migrating
    path = folder / NAME
    try:
        replace_file(path, json.dumps(document).encode("ascii") + b"\n")
    except OSError as error:
        raise StorageProblem(
            Text("데이터의 형식을 적을 수 없습니다.", "The format of the data cannot be written down."),
            where=f"{path}: {error.strerror}",
            hint=Text("권한과 디스크 공간을 확인하십시오.", "Check permissions and disk space."),
        ) from error
