"""Which interpreter converts, and what is said where none can. Needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.models.convert import child, interpreter
from builder.models.convert.interpreter import Interpreter
from builder.models.convert.job import LIBRARIES, Job
from builder.models.convert.run import convert_cached
from builder.models.spec import Conversion
from bundle.errors import BuildError, SpaceError

JOB = Job("safetensors", "fp32", {"a.bin": "/nowhere/a.bin"}, ("a.safetensors",), "")
COMPLETE = {**dict.fromkeys(LIBRARIES, "99.0"), "python": "3.11.0"}


def script(folder: Path, lines: str, name: str = "python") -> Path:
    """An executable that stands in for an interpreter."""
    place = folder / name
    place.write_text(f"#!/bin/sh\n{lines}\n")
    place.chmod(0o755)
    return place


def answering(folder: Path, versions: dict[str, str], name: str = "python") -> Path:
    return script(folder, f"echo '{json.dumps({'versions': versions})}'", name)


def test_everything_that_is_missing_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(BuildError) as caught:
        interpreter.find(Path(sys.executable))
    said = caught.value.render("en")
    assert "torch: not installed" in said and "onnxscript: not installed" in said
    assert "uv sync --inexact --extra convert" in said and "CUDA" in said
    assert "download.pytorch.org/whl/cpu" in said


def test_a_torch_whose_protection_can_be_bypassed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        interpreter.find(answering(tmp_path, {**COMPLETE, "torch": "2.9.1+cpu"}))
    assert [item.en.split(":")[0] for item in caught.value.details] == ["torch 2.9.1+cpu"]


@pytest.mark.parametrize("lines", ["exit 3", "echo '{}'", "echo nonsense"])
def test_an_interpreter_that_does_not_answer_is_named(lines: str, tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        interpreter.find(script(tmp_path, lines))
    assert caught.value.where == str(tmp_path / "python")


def test_the_chosen_interpreter_goes_before_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_variable = answering(tmp_path, {**COMPLETE, "python": "3.12.0"}, "by-variable")
    chosen = answering(tmp_path, COMPLETE, "chosen")
    monkeypatch.setenv("RAGTRACE_CONVERT_PYTHON", str(by_variable))
    assert interpreter.find() == Interpreter(by_variable, {**COMPLETE, "python": "3.12.0"})
    assert interpreter.find(chosen) == Interpreter(chosen, COMPLETE)


def test_the_builder_never_imports_what_the_child_imports() -> None:
    code = (
        "import sys; import builder.models.convert.run, builder.models.convert.worker; "
        "print(*sorted({'torch', 'numpy', 'onnx', 'packaging', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_child_that_fails_is_quoted(tmp_path: Path) -> None:
    # The builder's own interpreter has no torch here: the real worker, failing for a real reason.
    with pytest.raises(BuildError) as caught:
        child.perform(Interpreter(Path(sys.executable), {}), JOB, tmp_path)
    assert "No module named 'torch'" in caught.value.render("en")
    assert caught.value.where == "a.bin"


def test_a_child_that_the_system_kills_points_to_the_memory(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        child.perform(Interpreter(script(tmp_path, "kill -9 $$"), {}), JOB, tmp_path)
    assert caught.value.hint is not None and "memory" in caught.value.hint.en


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    lines = """read job; echo '{"full": "[Errno 28] No space left on device"}'"""
    with pytest.raises(SpaceError, match="disk space"):
        child.perform(Interpreter(script(tmp_path, lines), {}), JOB, tmp_path)


def test_missing_inputs_are_all_named(cache: Cache, tmp_path: Path) -> None:
    conversion = Conversion("safetensors", ("a.bin", "b.bin"), ("a.safetensors", "b.safetensors"))
    with pytest.raises(BuildError) as caught:
        convert_cached(cache, conversion, {"a.bin": tmp_path / "a.bin"})
    assert [item.en for item in caught.value.details] == ["a.bin", "b.bin"]
