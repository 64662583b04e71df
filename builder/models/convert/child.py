"""Run one conversion job in a child process: events in, errors made readable, nobody left behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle.errors import BuildError, SpaceError
from bundle.text import Text

from .interpreter import WORKER, Interpreter, environment
from .job import Job, Refusal, Report

Progress = Callable[[Text], None]

_STEPS = {
    "read": Text("가중치 읽기", "reading the weights"),
    "reference": Text("기준값 계산", "computing the reference"),
    "export": Text("ONNX로 내보내기", "exporting to ONNX"),
    "quantise": Text("int8로 양자화", "quantising to int8"),
    "compare": Text("결과 비교", "comparing the results"),
}
_TAIL_LINES = 12
# What `wait` gives for SIGKILL, a name that Windows does not have.
_KILLED = -9


def perform(interpreter: Interpreter, job: Job, scratch: Path, progress: Progress | None = None) -> Report:
    """Run the job and return its report. The child ends with this call, however it ends.

    Args:
        scratch: a folder for the libraries' temporary files and the child's messages.

    Raises:
        BuildError: the inputs were refused, or the child failed.
        SpaceError: the disk is full.
    """
    messages = scratch / "messages.txt"
    with messages.open("w+b") as errors:
        child = subprocess.Popen(
            [str(interpreter.path), "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(scratch),
            cwd=scratch,
            text=True,
            encoding="utf-8",
        )
        try:
            last = _follow(child, job, progress)
            code = child.wait()
        finally:
            # Also when interrupted, and without asking: it writes into our scratch folder only.
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    _close(stream)
    return _outcome(last, code, job, messages)


def _follow(child: subprocess.Popen[str], job: Job, progress: Progress | None) -> dict[str, Any]:
    """Hand over the job and return the last event; standard input stays open while we wait."""
    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(job.to_line() + "\n")
        child.stdin.flush()
    except BrokenPipeError:
        return {}
    last: dict[str, Any] = {}
    for line in child.stdout:
        last = json.loads(line)
        if progress is not None and "step" in last:
            progress(_STEPS[last["step"]])
    return last


def _close(stream: Any) -> None:  # noqa: ANN401 - either end of a pipe
    try:
        stream.close()
    except BrokenPipeError:
        pass


def _outcome(last: dict[str, Any], code: int, job: Job, messages: Path) -> Report:
    if code == 0 and "report" in last:
        return Report(**last["report"])
    names = ", ".join(job.inputs)
    if code == 0 and "refused" in last:
        refusal = Refusal.from_dict(last["refused"])
        raise BuildError(
            Text(
                f"모델을 변환할 수 없습니다: {refusal.summary.ko}",
                f"the model cannot be converted: {refusal.summary.en}",
            ),
            where=refusal.where or names,
            details=refusal.details,
        )
    if code == 0 and "full" in last:
        raise SpaceError(
            Text("변환할 디스크 공간이 부족합니다", "there is no disk space for the conversion"),
            where=str(last["full"]),
        )
    tail = "\n".join(
        messages.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_TAIL_LINES:]
    )
    if code == _KILLED:
        raise BuildError(
            Text("변환 프로세스가 강제로 종료되었습니다", "the conversion was killed"),
            where=names,
            hint=Text(
                "메모리 부족일 수 있습니다: BGE-M3 변환에는 약 5 GB가 필요합니다",
                "probably for lack of memory: converting BGE-M3 takes about 5 GB",
            ),
        )
    raise BuildError(
        Text("모델 변환이 실패했습니다", "the conversion of a model failed"),
        where=names,
        details=[Text(tail, tail)] if tail else [],
    )
