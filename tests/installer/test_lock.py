"""Kernel locks: one holder, and gone with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bundle.errors import BusyError
from installer.lock import Lock


def test_a_second_holder_is_told_that_it_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock(path), pytest.raises(BusyError) as refused, Lock(path, patience_s=0):
        pass
    assert refused.value.exit_code == 15
    with Lock(path, patience_s=0):
        pass


def test_the_lock_goes_with_a_killed_process_and_its_heirs(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock(path) as held:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(held.descriptor,)
        )
    with pytest.raises(BusyError), Lock(path, patience_s=0):
        pass
    child.kill()
    child.wait()
    assert child.stdin is not None
    child.stdin.close()
    with Lock(path):
        pass


def test_a_link_in_the_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="lock"), Lock(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
