"""The environment a source is built in: made for one build, its packages recorded, its variables chosen.

uv makes it and fills it from the user's indexes; build requirements come as wheels only, so that the one package
that was allowed to run its build code is the only one that does. The backend runs in this environment's own
interpreter through `hooks`, with fixed time, umask and hash seed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.errors import BuildError
from bundle.text import Text

from .. import uvtool
from . import hooks
from .backend import Backend, read_backend

# What the code of others must not find in its environment.
_SECRET = re.compile(
    r"(?i)token|passw|secret|credential|api_?key|private|ssh_auth|^(uv|pip|python|ragtrace)_?"
)
_QUOTED_LINES = 15


@dataclass(frozen=True)
class Settings:
    """How to build: in which interpreter (a path or ``X.Y``), under which pins, for which time.

    `workspace` is the locked project's folder, whose index settings apply.
    """

    python: str
    constraints: tuple[str, ...]
    workspace: Path
    epoch: int
    version: str = ""


def choose_python(pythons: Sequence[str]) -> str:
    """Return the interpreter to build with: the builder's own, unless the target's Pythons exclude it."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    return sys.executable if not pythons or own in pythons else pythons[-1]


def build_wheel(source: Path, work: Path, settings: Settings) -> tuple[Path, tuple[str, ...]]:
    """Build the wheel of the project in `source`; return it and the packages of its build environment.

    Raises:
        BuildError: the environment could not be made, or the backend failed; its last lines are quoted.
    """
    backend = read_backend(source)
    output = work / "wheel"
    output.mkdir()
    if backend.is_uvs_own(uvtool.uv_version()):
        wheel = uvtool.build_wheel(source, output, settings.epoch)
        return wheel, (f"uv-build=={uvtool.uv_version()}",)
    environment = _Environment(work, settings)
    environment.install(backend.requires)
    more = environment.call("get_requires_for_build_wheel", source, backend, output)
    environment.install(_texts(more))
    packages = environment.packages()
    environment.call("build_wheel", source, backend, output)
    wheels = list(output.glob("*.whl"))
    if len(wheels) != 1:
        raise BuildError(
            Text("빌드가 휠 하나를 만들지 않았습니다", "the build did not produce one wheel"),
            where=source.name,
        )
    return wheels[0], packages


class _Environment:
    """A virtual environment in the work folder of one build."""

    def __init__(self, work: Path, settings: Settings) -> None:
        self._work = work
        self._settings = settings
        self._folder = work / "environment"
        self._constraints = work / "constraints.txt"
        self._constraints.write_text("\n".join(settings.constraints), encoding="utf-8")
        uvtool.run_uv(
            ["venv", "--quiet", "--no-project", "--python", settings.python, str(self._folder)],
            settings.workspace,
            Text("빌드 환경 만들기", "making the build environment"),
        )

    @property
    def _python(self) -> Path:
        return self._folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def install(self, requirements: Sequence[str]) -> None:
        """Install build requirements, wheels only."""
        if not requirements:
            return
        options = ["--quiet", "--python", str(self._python), "--no-build"]
        if self._settings.constraints:
            options += ["--constraints", str(self._constraints)]
        uvtool.run_uv(
            ["pip", "install", *options, "--", *requirements],
            self._settings.workspace,
            Text(
                f"빌드 요구 사항 설치: {', '.join(requirements)}",
                f"installing build requirements: {', '.join(requirements)}",
            ),
        )

    def packages(self) -> tuple[str, ...]:
        """Return what is installed, ``name==version``, sorted."""
        listed = uvtool.run_uv(
            ["pip", "freeze", "--quiet", "--python", str(self._python)],
            self._settings.workspace,
            Text("빌드 환경 기록", "recording the build environment"),
        )
        return tuple(sorted(line.strip() for line in listed.splitlines() if line.strip()))

    def call(self, hook: str, source: Path, backend: Backend, output: Path) -> object:
        """Call a hook of the backend and return its answer."""
        request, answer = self._work / f"{hook}.request", self._work / f"{hook}.answer"
        request.write_text(
            json.dumps(
                {
                    "hook": hook,
                    "source": str(source),
                    "backend": backend.name,
                    "backend_path": backend.path,
                    "output": str(output),
                    "answer": str(answer),
                }
            ),
            encoding="utf-8",
        )
        done = subprocess.run(
            [str(self._python), "-s", "-P", str(Path(hooks.__file__)), str(request)],
            cwd=source,
            env=self._variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
            umask=0o022 if os.name != "nt" else -1,
        )
        if done.returncode or not answer.is_file():
            lines = done.stdout.decode("utf-8", "replace").strip().splitlines()[-_QUOTED_LINES:]
            raise BuildError(
                Text("빌드 백엔드가 실패했습니다", "the build backend failed"),
                where=f"{backend.name} {hook} ({source.name}), exit {done.returncode}",
                details=[Text(line, line) for line in lines],
                hint=Text(
                    "빌드 요구 사항은 프로젝트의 tool.uv.build-constraint-dependencies로 고정할 수 있습니다",
                    "build requirements can be pinned by tool.uv.build-constraint-dependencies of the project",
                ),
            )
        answered: Any = json.loads(answer.read_text(encoding="utf-8"))
        return answered

    def _variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
        kept["PATH"] = f"{self._python.parent}{os.pathsep}{kept.get('PATH', '')}"
        kept.update(
            VIRTUAL_ENV=str(self._folder),
            SOURCE_DATE_EPOCH=str(self._settings.epoch),
            PYTHONHASHSEED="0",
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONUTF8="1",
        )
        if self._settings.version:
            # A tree without its history cannot tell its version; the lock can (setuptools-scm and its relatives).
            kept["SETUPTOOLS_SCM_PRETEND_VERSION"] = self._settings.version
        return kept


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
