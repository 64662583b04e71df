"""The child lives no longer than the builder, and an interrupted conversion leaves nothing that looks whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_BUILDER = """
import sys
from pathlib import Path
from builder.cache import Cache
from builder.models.convert.run import convert
from tests.convert.conftest import FP32

folder, output, cache, python = map(Path, sys.argv[1:])
inputs = {name: folder / name for name in FP32.inputs}
convert(FP32, inputs, output, cache=Cache(cache), python=python, progress=lambda step: print(step.en, flush=True))
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_conversion_takes_its_child_along(
    kind: signal.Signals, convert_python: Path, bge_m3: Path, tmp_path: Path, repository: Path
) -> None:
    arguments = [str(path) for path in (bge_m3, tmp_path / "out", tmp_path / "cache", convert_python)]
    builder = subprocess.Popen(
        [sys.executable, "-c", _BUILDER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=repository,
        text=True,
    )
    with builder:
        assert builder.stdout is not None and builder.stderr is not None
        for line in builder.stdout:
            if line == "exporting to ONNX\n":
                break
        (child,) = _children(builder.pid)
        builder.send_signal(kind)
        builder.wait(20)
        builder.stderr.read()
    deadline = time.monotonic() + 20
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)
    assert not (tmp_path / "out").exists()
    assert not [path for path in (tmp_path / "cache/files").rglob("*") if path.is_file()]
    assert not list((tmp_path / "cache/built").iterdir())
    if kind == signal.SIGINT:
        assert not list((tmp_path / "cache/work").iterdir())


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return [int(number) for number in found]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False
