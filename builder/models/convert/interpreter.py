"""Find an interpreter that has torch and the exporters: a chosen one, the builder's own, never a guess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import BuildError
from bundle.text import Text

from ...inputs import REPOSITORY
from . import worker
from .job import LIBRARIES, MINIMUM_TORCH

VARIABLE = "RAGTRACE_CONVERT_PYTHON"
WORKER = "builder.models.convert.worker"
_PROBE_S = 60


@dataclass(frozen=True)
class Interpreter:
    """An interpreter that can convert, and the versions its results depend on."""

    path: Path
    versions: dict[str, str]


def find(chosen: Path | None = None) -> Interpreter:
    """Return the chosen interpreter, else the one of ``RAGTRACE_CONVERT_PYTHON``, else the builder's own.

    Raises:
        BuildError: it lacks a library, or its torch is too old; the commands that help are told.
    """
    named = str(chosen) if chosen else os.environ.get(VARIABLE, "")
    path = Path(named).expanduser().absolute() if named else Path(sys.executable)
    versions = _probe(path) if named else worker.versions()
    problems = _problems(versions)
    if problems:
        raise BuildError(
            Text("모델을 변환할 파이썬 환경이 없습니다", "no Python environment can convert models"),
            where=str(path),
            details=problems,
            hint=install_hint(),
        )
    return Interpreter(path, versions)


def install_hint() -> Text:
    """Return how to get such an environment, with and without gigabytes of CUDA."""
    own = "uv sync --inexact --extra convert"
    others = " ".join(name for name in LIBRARIES if name != "torch")
    small = (
        "python3 -m venv ~/convert && ~/convert/bin/pip install --index-url "
        f"https://download.pytorch.org/whl/cpu torch && ~/convert/bin/pip install {others} && "
        f"export {VARIABLE}=~/convert/bin/python"
    )
    return Text(
        f"{own} (리눅스에서는 PyPI의 torch가 CUDA 수 GB를 함께 받습니다). CPU만: {small}",
        f"{own} (on Linux, torch from PyPI brings gigabytes of CUDA). CPU only: {small}",
    )


def environment(scratch: Path) -> dict[str, str]:
    """Return the environment of the child: no network, no GPU, our modules, nothing of the user's Python."""
    from bundle.offline import OFFLINE_ENVIRONMENT

    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {
        **kept,
        **OFFLINE_ENVIRONMENT,
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "CUDA_VISIBLE_DEVICES": "",
        # The exporter and the quantiser keep whole models in temporary files: on the cache's disk, not in /tmp.
        "TMPDIR": str(scratch),
        "TEMP": str(scratch),
        "TMP": str(scratch),
        "HF_HOME": str(scratch / "hf"),
        "XDG_CACHE_HOME": str(scratch / "cache"),
    }


def _probe(path: Path) -> dict[str, str]:
    """Ask another interpreter for its versions; it imports none of the libraries for that."""
    try:
        done = subprocess.run(
            [str(path), "-m", WORKER],
            input="versions\n",
            env=environment(path.parent),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PROBE_S,
            check=False,
        )
        found = json.loads(done.stdout)["versions"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        line = f"{type(error).__name__}: {error}"
        raise BuildError(
            Text("변환용 파이썬을 실행할 수 없습니다", "the interpreter for conversions cannot be run"),
            where=str(path),
            details=[Text(line, line)],
            hint=install_hint(),
        ) from error
    return {str(name): str(version) for name, version in found.items()}


def _problems(versions: dict[str, str]) -> list[Text]:
    from packaging.version import Version

    missing = [name for name in LIBRARIES if name not in versions]
    problems = [Text(f"{name}: 설치되지 않음", f"{name}: not installed") for name in missing]
    torch = versions.get("torch")
    if torch is not None and Version(torch) < Version(MINIMUM_TORCH):
        problems.append(
            Text(
                f"torch {torch}: {MINIMUM_TORCH} 이전 버전은 weights_only가 우회됩니다",
                f"torch {torch}: before {MINIMUM_TORCH} its weights_only can be bypassed",
            )
        )
    return problems
