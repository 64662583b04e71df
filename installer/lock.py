"""One installer at a time: a kernel lock on `state/lock`, gone with the process that held it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType

from bundle.errors import BusyError
from bundle.kernellock import try_lock
from bundle.text import Text

# A killed run's uv dies with it, but a few milliseconds later, and holds the lock until then.
PATIENCE_S = 2.0


class Lock:
    """An exclusive lock for the life of this object. `descriptor` may be inherited by a child, which
    then holds the lock too: nothing begins while an orphan still writes."""

    def __init__(self, path: Path, patience_s: float = PATIENCE_S) -> None:
        self.path = path
        self.patience_s = patience_s
        self.descriptor = -1

    def __enter__(self) -> Lock:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        self.descriptor = os.open(self.path, flags, 0o644)
        deadline = time.monotonic() + self.patience_s
        while not try_lock(self.descriptor) or self._replaced():
            if time.monotonic() >= deadline:
                self.release()
                raise BusyError(
                    Text("다른 설치 작업이 진행 중입니다", "another installer is at work here"),
                    where=str(self.path),
                    state=Text("아무것도 바꾸지 않았습니다", "nothing was changed"),
                    hint=Text("끝난 뒤 다시 실행하십시오", "run again when it has ended"),
                )
            time.sleep(0.05)
        return self

    def _replaced(self) -> bool:
        """Open the file again where an uninstall has removed the one we waited for; nobody else looks at that one."""
        try:
            there, ours = os.stat(self.path), os.fstat(self.descriptor)
            if sys.platform == "win32" or (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return False
        except FileNotFoundError:
            pass
        self.release()
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
