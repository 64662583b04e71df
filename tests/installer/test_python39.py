"""The isolated side runs on Python 3.9: no newer syntax or interface, and a real installation by it if at hand."""

from __future__ import annotations

import ast
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundles import REPOSITORY, Bundle

from .site import Site

SOURCES = [*sorted((REPOSITORY / "installer").rglob("*.py")), *sorted((REPOSITORY / "bundle").rglob("*.py"))]
ENTRY = REPOSITORY / "bundle_template" / "04_Scripts" / "install.py"


def interpreter(version: str) -> str | None:
    """Return an interpreter of this version that really runs, if the machine has one."""
    patterns = [
        f"/usr/bin/python{version}",
        os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python{version}"),
    ]
    found = [path for pattern in patterns for path in glob.glob(pattern)]
    return next((path for path in [*found, shutil.which(f"python{version}")] if path and _runs(path)), None)


def _runs(path: str) -> bool:
    return subprocess.run([path, "-c", ""], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_sources_parse_as_python_3_9_and_postpone_annotations(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    if any(isinstance(node, (ast.FunctionDef, ast.AnnAssign)) for node in ast.walk(tree)):
        assert "from __future__ import annotations" in text
    newer = {"removeprefix_", "pairwise", "StrEnum", "ExceptionGroup", "tomllib", "TypeAlias", "ParamSpec"}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & newer
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        words = {keyword.arg for keyword in call.keywords}
        called = call.func.id if isinstance(call.func, ast.Name) else ""
        assert not (called == "zip" and "strict" in words)
        assert not (called == "dataclass" and words & {"slots", "kw_only"})


def test_an_old_interpreter_is_refused_readably() -> None:
    old = next(filter(None, map(interpreter, ("2.7", "3.6", "3.7", "3.8"))), None)
    if old is None:
        pytest.skip("no interpreter older than 3.9 on this machine")
    done = subprocess.run([old, str(ENTRY)], capture_output=True, text=True, check=False)
    assert done.returncode == 12
    assert "Python 3.9 or newer is needed" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_installer_itself_runs_on_python_3_9(site: Site, bundle_for: Callable[..., Bundle]) -> None:
    python = interpreter("3.9")
    if python is None:
        pytest.skip("no Python 3.9 on this machine")
    bundle = bundle_for(tools="full")
    command = [python, str(bundle.root / "04_Scripts" / "install.py"), "--prefix", str(site.root)]
    done = subprocess.run(
        [*command, *site.words(bundle), "--python", sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert site.answering() == bundle.generation


def test_the_shell_entry_uses_the_bundled_interpreter_where_the_host_has_none(
    tmp_path: Path, bundle_for: Callable[..., Bundle]
) -> None:
    """An archive whose `python3` is a script that only answers is enough to see what install.sh does."""
    import io
    import tarfile

    fake = '#!/bin/sh\ncase "$*" in *" -c "*) exit 0;; esac\necho "temporary: $RAGTRACE_TEMPORARY_PYTHON"\nexit 7\n'
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("python/bin/python3")
        member.size, member.mode = len(fake), 0o755
        archive.addfile(member, io.BytesIO(fake.encode()))
    bundle = bundle_for(tools="full", archive=buffer.getvalue())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "basename", "mktemp", "tar", "gzip", "rm", "grep", "sha256sum", "chmod"):
        (tools / name).symlink_to(shutil.which(name) or "/missing")
    script = (bundle.root / "04_Scripts" / "install.sh").read_text().replace(" /usr/bin/python3;", ";")
    place = tmp_path / "copy" / "04_Scripts"
    shutil.copytree(bundle.root, place.parent)
    (place / "install.sh").write_text(script)
    command = ["/bin/sh", str(place / "install.sh")]
    done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert not Path(done.stdout.split("temporary: ")[1].strip()).exists()
    archive_path = next(place.parent.glob("01_Prerequisites/python-*.tar.gz"))
    archive_path.write_bytes(archive_path.read_bytes() + b"x")
    assert (
        subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, check=False).returncode == 10
    )
