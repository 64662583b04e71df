"""A folder of files as a source of documents."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ragtrace.application.ports import FoundFile
from ragtrace.application.reading import suffix_of, wanted
from ragtrace.errors import AccessProblem, ParseProblem, UsageProblem
from ragtrace.text import Text

_OUTSIDE = Text(
    "폴더 밖을 가리키는 링크라서 읽지 않습니다.", "A link that leads out of the folder is not followed."
)
_BAD_NAME = Text("파일 이름이 UTF-8이 아닙니다.", "The file name is not UTF-8.")
_UNSUPPORTED = Text("지원하지 않는 형식입니다.", "This format is not supported.")
# Ending -> what such a file is, and as what to save it.
_OTHERS = {
    ".hml": ("HWPML(한글 XML)", "HWPML (the XML of Hangul)", "HWPX"),
    ".hwt": ("한글 서식", "Hangul template", "HWPX"),
    ".doc": ("Word 97-2003", "Word 97-2003", "DOCX"),
    ".xls": ("Excel 97-2003", "Excel 97-2003", "XLSX"),
    ".xlsb": ("Excel 이진", "binary Excel", "XLSX"),
    ".ppt": ("PowerPoint 97-2003", "PowerPoint 97-2003", "PPTX"),
    ".rtf": ("RTF", "RTF", "DOCX"),
    ".odt": ("OpenDocument", "OpenDocument", "DOCX"),
    ".ods": ("OpenDocument", "OpenDocument", "XLSX"),
    ".odp": ("OpenDocument", "OpenDocument", "PPTX"),
}


class FolderSource:
    """Every file under a folder; links may not lead out of it, and only regular files are opened."""

    def __init__(self, root: Path, max_bytes: int, name: str | None = None) -> None:
        """Raises `UsageProblem` when `root` is no folder, `AccessProblem` when it may not be listed."""
        try:
            self._root = root.resolve(strict=True)
            if not self._root.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(root))
            os.scandir(self._root).close()
        except PermissionError as error:
            raise AccessProblem(unreadable_text(), where=str(root), hint=_hint()) from error
        except OSError as error:
            raise UsageProblem(
                Text("문서 폴더가 없습니다.", "There is no such folder of documents."), where=str(root)
            ) from error
        self._max_bytes = max_bytes
        self.name = name or str(self._root)

    def files(self, suffixes: frozenset[str]) -> Iterator[FoundFile]:
        """Yield every file, sorted; what cannot be listed or may not be followed comes with the reason."""
        problems: list[FoundFile] = []

        def note(error: OSError) -> None:
            problems.append(FoundFile(self._relative(str(error.filename)), unreadable_text()))

        for folder, folders, names in os.walk(self._root, onerror=note):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in folders:
                path = os.path.join(folder, name)
                if os.path.islink(path) and not self._inside(path):
                    problems.append(FoundFile(self._relative(path), _OUTSIDE))
            for name in sorted(names):
                if not name.startswith("."):
                    yield self._found(os.path.join(folder, name), suffixes)
            yield from problems
            problems.clear()

    def read(self, path: str) -> bytes:
        """Return the bytes of a regular file under the size cap."""
        target = self._root / path
        try:
            descriptor = os.open(
                target, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
            )
            with open(descriptor, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ParseProblem(Text("일반 파일이 아닙니다.", "It is not a regular file."))
                if status.st_size > self._max_bytes:
                    raise self._too_large(status.st_size)
                data = file.read(self._max_bytes + 1)
        except PermissionError as error:
            raise AccessProblem(unreadable_text(), where=str(target), hint=_hint()) from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise AccessProblem(
                Text(f"읽을 수 없습니다: {reason}", f"It cannot be read: {reason}"), where=str(target)
            ) from error
        if len(data) > self._max_bytes:
            raise self._too_large(len(data))
        return data

    def _found(self, path: str, suffixes: frozenset[str]) -> FoundFile:
        relative = self._relative(path)
        try:
            relative.encode()
        except UnicodeEncodeError:
            # Records and answers are UTF-8 throughout, so such a name could be neither kept nor shown.
            return FoundFile(relative.encode("utf-8", "backslashreplace").decode(), _BAD_NAME)
        if not wanted(relative, suffixes):
            return FoundFile(relative, _unsupported(relative), ignored=True)
        if os.path.islink(path) and not self._inside(path):
            return FoundFile(relative, _OUTSIDE)
        try:
            status = os.stat(path)
        except OSError:
            # Gone since it was listed, or not to be seen: reading it says what it is.
            return FoundFile(relative)
        return FoundFile(relative, size=status.st_size, mtime_ns=status.st_mtime_ns)

    def _inside(self, path: str) -> bool:
        try:
            return Path(path).resolve(strict=True).is_relative_to(self._root)
        except (OSError, RuntimeError):
            return False

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._root).replace(os.sep, "/")

    def _too_large(self, size: int) -> ParseProblem:
        cap, mib = self._max_bytes // (1 << 20), size // (1 << 20)
        return ParseProblem(
            Text(
                f"너무 큽니다: {mib} MiB(한도 {cap} MiB).",
                f"It is too large: {mib} MiB, the limit is {cap} MiB.",
            ),
            hint=Text("ingest.max_file_mb를 확인하십시오.", "See ingest.max_file_mb."),
        )


def _unsupported(path: str) -> Text:
    if (other := _OTHERS.get(suffix_of(path))) is None:
        return _UNSUPPORTED
    ko, en, better = other
    return Text(
        f"{ko} 형식은 읽지 않습니다. {better}로 저장해 주십시오.",
        f"The format {en} is not read. Save it as {better}.",
    )


def unreadable_text() -> Text:
    """Say that the user the program runs as may not read something."""
    user = _user_name()
    return Text(f"사용자 '{user}'에게 읽을 권한이 없습니다.", f"The user '{user}' may not read it.")


def _hint() -> Text:
    return Text(
        "그 사용자가 읽을 수 있게 하거나, 읽을 수 있는 폴더로 복사하십시오.",
        "Make it readable for that user, or copy it to a folder that user can read.",
    )


def _user_name() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError):
        return str(getattr(os, "geteuid", lambda: "?")())
