"""The uv commands the builder uses, run as child processes with their errors made readable."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import uv

from bundle.errors import BuildError
from bundle.text import Text

from .inputs import ProjectSpec


def uv_version() -> str:
    """Return the version of the uv that builds."""
    return version("uv")


def run_uv(
    arguments: Sequence[str], cwd: Path, what: Text, environment: Mapping[str, str] | None = None
) -> str:
    """Run uv and return its standard output.

    Raises:
        BuildError: it failed; its last lines are quoted.
    """
    command = [uv.find_uv_bin(), "--color", "never", "--no-progress", *arguments]
    # A builder started from some other project's environment must not pack that one.
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-12:])
        raise BuildError(
            Text(f"uv가 실패했습니다: {what.ko}", f"uv failed: {what.en}"),
            where=f"uv {' '.join(arguments[:2])} ({cwd})",
            details=[Text(tail, tail)] if tail else [],
        )
    return done.stdout


def export_pylock(project: ProjectSpec, extras: Sequence[str], groups: Sequence[str]) -> str:
    """Return the project's part of its ``uv.lock`` as pylock TOML (PEP 751).

    Raises:
        BuildError: the lock does not fit ``pyproject.toml``, or names an unknown extra or group.
    """
    arguments = ["export", "--format", "pylock.toml", "--locked", "--no-header", "--no-default-groups"]
    arguments += [
        "--package",
        project.name,
        "--no-emit-package",
        project.name,
        "--project",
        str(project.root),
    ]
    for extra in extras:
        arguments += ["--extra", extra]
    for group in groups:
        arguments += ["--group", group]
    return run_uv(arguments, project.workspace, Text("uv.lock 읽기", "reading uv.lock"))


def build_wheel(source: Path, output: Path, epoch: int) -> Path:
    """Build one wheel from a source tree or sdist in an isolated environment and return its path.

    Args:
        source: a project folder or an sdist archive.
        output: an empty folder for the wheel.
        epoch: SOURCE_DATE_EPOCH for the backend, so equal sources give equal bytes.

    Raises:
        BuildError: the backend failed.
    """
    arguments = ["build", "--wheel", "--out-dir", str(output), "--no-create-gitignore"]
    run_uv(
        [*arguments, str(source)],
        output,
        Text(f"{source.name} 휠 빌드", f"building the wheel of {source.name}"),
        {"SOURCE_DATE_EPOCH": str(epoch)},
    )
    wheels = list(output.glob("*.whl"))
    if len(wheels) != 1:
        raise BuildError(
            Text("빌드가 휠 하나를 만들지 않았습니다", "the build did not produce one wheel"),
            where=str(source),
        )
    return wheels[0]
