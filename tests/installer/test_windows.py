"""What of Windows can be held to on another system: no POSIX module at import, the pointer without a link, patience with
files in use, long paths, the batch file. Not run on Windows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.atomic import write_atomic
from installer import activation, filesystem
from installer.paths import Prefix
from installer.pointer import Pointer
from tests.support.bundles import REPOSITORY, Bundle

from .test_python39 import interpreter

GENERATION = "000001-0123456789ab"
BATCH = REPOSITORY / "bundle_template" / "04_Scripts" / "install.bat"


def windows(script: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run install.py without POSIX, on the oldest Python there is."""
    python = interpreter("3.9") or sys.executable
    return subprocess.run(
        [python, "-B", str(Path(__file__).with_name("without_posix.py")), str(script), *words],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def carried(bundle_for: Callable[..., Bundle]) -> Bundle:
    """A bundle for Windows, with the real installer in it."""
    arch = {"amd64": "x86_64", "arm64": "aarch64"}.get(os.uname().machine, os.uname().machine)
    return bundle_for(tools="full", os="windows", arch=arch, libc="", libc_min="", name="windows-amd64")


def test_every_module_is_imported_and_the_help_printed_without_posix(carried: Bundle) -> None:
    done = windows(carried.root / "04_Scripts" / "install.py", "--help")
    assert done.returncode == 0, done.stderr
    assert int(re.findall(r"imported (\d+) modules", done.stderr)[0]) > 60
    assert "--service-manager" in done.stdout


def test_a_bundle_is_verified_and_planned_without_posix(carried: Bundle, tmp_path: Path) -> None:
    script = carried.root / "04_Scripts" / "install.py"
    known = ["--bundle", str(carried.root), "--trust-fingerprint", carried.fingerprint, "--json"]
    verified = windows(script, "--verify-only", *known)
    assert verified.returncode == 0, verified.stderr
    planned = windows(
        script, "--dry-run", *known, "--prefix", str(tmp_path / "p"), "--python", sys.executable
    )
    assert planned.returncode == 0, planned.stderr + planned.stdout
    assert '"manager": "windows"' in planned.stdout


def test_a_prefix_that_makes_paths_too_long_is_refused_with_the_switch(
    carried: Bundle, tmp_path: Path
) -> None:
    prefix = tmp_path / ("a" * 80)
    done = windows(
        carried.root / "04_Scripts" / "install.py", "--dry-run", "--bundle", str(carried.root), "--trust-fingerprint",
        carried.fingerprint, "--prefix", str(prefix), "--python", sys.executable, "--lang", "ko", LONG_PATHS="0",
    )  # fmt: skip
    assert done.returncode == 12
    assert "[long-paths]" in done.stderr and "LongPathsEnabled" in done.stderr and not prefix.exists()


def test_the_active_release_is_named_by_a_file_where_there_are_no_links(tmp_path: Path) -> None:
    prefix = Prefix(tmp_path)
    pointer = Pointer(GENERATION, "ab" * 32, 1)
    for _ in range(2):
        activation.derive_link(prefix, pointer, system="nt")
    assert (tmp_path / "current.txt").read_bytes() == f"{prefix.generation(GENERATION)}\r\n".encode()
    assert not os.path.lexists(prefix.link)
    activation.derive_link(prefix, None, system="nt")
    assert list(tmp_path.iterdir()) == []


def in_use(number: int = 32) -> OSError:
    error = PermissionError(
        13, "The process cannot access the file because it is being used by another process"
    )
    error.winerror = number  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("number", (5, 32, 33))
@pytest.mark.parametrize("call", ("replace", "unlink", "rmdir"))
def test_a_file_in_use_for_a_moment_is_waited_for(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, call)
    failures = [in_use(number)] * 3

    def sometimes(*words: object, **options: object) -> object:
        if failures:
            raise failures.pop()
        return real(*words, **options)

    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(os, call, sometimes)
    tree = tmp_path / "tree"
    tree.mkdir()
    write_atomic(tree / "file", b"new")
    if call == "unlink":
        filesystem.remove_file(tree / "file")
    else:
        filesystem.remove_tree(tree)
    assert failures == [] and len(waited) == 3
    assert not (tree / "file").exists()


def test_patience_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    def always(*words: object) -> None:
        raise in_use()

    monkeypatch.setattr(os, "replace", always)
    with pytest.raises(PermissionError):
        write_atomic(tmp_path / "file", b"new")
    assert 1 < sum(waited) < 5
    assert list(tmp_path.iterdir()) == []


def test_any_other_error_comes_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("waited"))

    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "file", b"new")


@pytest.mark.parametrize(
    ("path", "expected"),
    (
        ("C:\\RAGTrace\\a", "\\\\?\\C:\\RAGTrace\\a"),
        ("\\\\server\\share\\a", "\\\\?\\UNC\\server\\share\\a"),
        ("\\\\?\\C:\\a", "\\\\?\\C:\\a"),
        ("relative\\a", "relative\\a"),
    ),
)
def test_long_paths_have_their_prefix_and_lose_it_again(path: str, expected: str) -> None:
    assert filesystem.extended(Path(path), "nt") == expected
    assert filesystem.extended(Path(path), "posix") == path
    plain = path if not path.startswith("\\\\?\\") else path[4:]
    assert str(filesystem.plain_path(Path(expected), "nt")) == plain


def test_the_batch_file_is_one_that_cmd_can_read() -> None:
    """Lines end as cmd wants them, nothing is outside ASCII, every label and every exit code exists."""
    data = BATCH.read_bytes()
    text = data.decode("ascii")
    assert text.count("\n") == text.count("\r\n") > 30
    assert text.count("(") == text.count(")")
    labels = set(re.findall(r"^:(\w+)\r$", text, re.MULTILINE))
    assert set(re.findall(r"goto :(\w+)", text)) == labels
    assert set(re.findall(r"exit /b (\S+?)\)?\r", text)) == {"%ERRORLEVEL%", "%STATUS%", "10", "12"}
    for unwanted in ("PYTHONPATH", "PYTHONHOME"):
        assert re.search(rf"for %%V in \(.*{unwanted}.*\) do set", text)
    assert text.count('-I -B "%HERE%install.py" %*') == 2
