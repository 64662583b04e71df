"""An interpreter that ends while a model of its own is at work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.tiny_llama import ENDLESS


def ends_amid_an_answer(model: str, path: Path) -> None:
    """Begin an answer that would not end, in another interpreter that ends after its first piece.

    Args:
        model: module and class below ``ragtrace.adapters.language``.
        path: the tiny Llama.
    """
    module, name = model.split(".")
    code = (
        "from pathlib import Path; import sys\n"
        f"from ragtrace.adapters.language.{module} import {name}\n"
        "from ragtrace.application.ports import Generation, Message\n"
        f"model = {name}(Path(sys.argv[1]), threads=1)\n"
        f"items = model.stream([Message('user', {ENDLESS!r})], Generation(max_tokens=400))\n"
        "print(next(items), flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert (done.returncode, done.stdout.decode().strip()) == (0, "가"), done.stderr.decode()[-2000:]
