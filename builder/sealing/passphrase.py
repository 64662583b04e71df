"""Passphrases: from a file, or asked for on the terminal. Never from the command line, never shown."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import UsageProblem
from bundle.text import Text, choose_language

VARIABLE = "RAGTRACE_KEY_PASSPHRASE_FILE"
# Longer lines are a wrong file; and this much fits into a pipe at once.
_MOST_BYTES = 1024
_ATTEMPTS = 3


@dataclass(frozen=True)
class Passphrases:
    """Where passphrases come from: a file's first line, else the terminal."""

    file: Path | None = None
    lang: str = ""

    def attempts(self, key: Path) -> Iterator[bytes]:
        """Yield what may unlock `key`: what the file says, or what the terminal says, three times.

        Raises:
            UsageProblem: the file cannot be used, or there is neither file nor terminal.
        """
        if self.file is not None:
            yield read_file(self.file)
            return
        _require_terminal(key)
        text = Text(f"{key}의 암호: ", f"Passphrase for {key}: ").to(self._language)
        for _ in range(_ATTEMPTS):
            yield _ask(text)

    def new(self, key: Path) -> bytes:
        """Return the passphrase of a new key; a terminal is asked twice.

        Raises:
            UsageProblem: the file cannot be used, there is neither file nor terminal, or the two differ.
        """
        if self.file is not None:
            return read_file(self.file)
        _require_terminal(key)
        first = _ask(Text("새 키의 암호: ", "Passphrase of the new key: ").to(self._language))
        again = _ask(Text("다시 한번: ", "Once more: ").to(self._language))
        if not first or first != again:
            raise UsageProblem(
                Text("암호가 비었거나 서로 다릅니다", "the passphrases are empty or differ"),
                state=Text("키를 만들지 않았습니다", "no key was made"),
            )
        return first

    @property
    def _language(self) -> str:
        return self.lang or choose_language(None)


def from_options(file: Path | None, lang: str = "") -> Passphrases:
    """Return where passphrases come from: ``--passphrase-file``, else the environment, else the terminal."""
    named = os.environ.get(VARIABLE, "")
    return Passphrases(file or (Path(named) if named else None), lang)


def read_file(path: Path) -> bytes:
    """Return the first line of a passphrase file.

    Raises:
        UsageProblem: unreadable, empty, or readable by others.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            line = stream.readline(_MOST_BYTES + 1)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        raise UsageProblem(
            Text("암호 파일을 다른 사용자가 읽을 수 있습니다", "the passphrase file is readable by others"),
            where=f"{path} ({mode & 0o777:04o})",
            hint=Text(f"chmod 600 {path}", f"chmod 600 {path}"),
        )
    passphrase = line.rstrip(b"\r\n")
    if not passphrase or len(line) > _MOST_BYTES or b"\0" in passphrase:
        raise _unusable(path, "empty, too long, or not a line of text")
    return passphrase


def _require_terminal(key: Path) -> None:
    if not sys.stdin.isatty():
        raise UsageProblem(
            Text("서명 키에 암호가 필요합니다", "the signing key needs its passphrase"),
            where=str(key),
            hint=Text(
                f"터미널에서 실행하거나 --passphrase-file FILE 또는 {VARIABLE}=FILE을 주십시오",
                f"run on a terminal, or give --passphrase-file FILE or {VARIABLE}=FILE",
            ),
        )


def _ask(text: str) -> bytes:
    try:
        return getpass.getpass(text).encode("utf-8", "surrogateescape")
    except EOFError:
        return b""


def _unusable(path: Path, why: str) -> UsageProblem:
    return UsageProblem(
        Text("암호 파일을 쓸 수 없습니다", "the passphrase file cannot be used"), where=f"{path}: {why}"
    )
