"""The data folder as a whole: made, locked, of this release's format, backed up, put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragtrace.adapters import data_copy, data_format
from ragtrace.adapters.lock import write_lock
from ragtrace.adapters.vectors.files import is_owned
from ragtrace.adapters.vectors.generations import numbered
from ragtrace.errors import BusyProblem, StorageProblem
from ragtrace.text import Text


@dataclass(frozen=True)
class DataFolder:
    """The folder that the configuration names; nothing is looked at before a method is called."""

    path: Path

    def usable(self) -> Path:
        """Return the folder if its data is of the format that this release reads. Raises `FormatProblem`."""
        folder = self._there()
        data_format.require(folder)
        return folder

    def lock(self) -> AbstractContextManager[None]:
        """Return the write lock. Raises `BusyProblem` when it is entered while another process holds it."""
        return write_lock(self.usable() / "write.lock")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the write lock of data that nobody else has open; they need not be readable. Raises `BusyProblem`."""
        folder = self._there()
        with write_lock(folder / "write.lock"):
            busy = [each for _, each in numbered(folder / "vectors") if is_owned(each)]
            if busy:
                raise BusyProblem(
                    Text(
                        "다른 프로세스가 벡터 색인을 갖고 있습니다.", "Another process has the vector index."
                    ),
                    where=str(busy[0]),
                    state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
                    hint=Text("그 작업이나 서비스를 멈추십시오.", "Stop that command or service."),
                )
            yield

    def migrate(self, tell: Callable[[Text], None]) -> tuple[int, int]:
        """Bring the data to this release's format; return the formats before and after."""
        folder = self._there()
        with write_lock(folder / "write.lock"):
            return data_format.migrate(folder, tell)

    def backup(self, path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write all data and `facts` to a new file, also while a service runs; return what was written."""
        from ragtrace.adapters import backup

        return backup.make(path, self.path, self.lock, facts)

    def restore(self, path: Path) -> dict[str, Any]:
        """Put a backup in place of the data, which nobody else has open; return its facts."""
        from ragtrace.adapters import backup

        with self.exclusive():
            return backup.put_back(path, self.path)

    def _there(self) -> Path:
        """Return the folder, made where there is none, with a restore finished that was cut short."""
        folder = self.path
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise StorageProblem(
                Text("데이터 폴더를 만들 수 없습니다.", "The data folder cannot be made."),
                where=f"{folder}: {error.strerror}",
                hint=Text("data.folder와 권한을 확인하십시오.", "Check data.folder and permissions."),
            ) from error
        if data_copy.is_pending(folder):
            # It was decided: it comes before everything else.
            with write_lock(folder / "write.lock"):
                if data_copy.is_pending(folder):
                    data_copy.finish(folder)
        return folder
