"""Run one hook of a build backend (PEP 517), inside the build environment's own interpreter.

Started as a file, with one argument: a JSON file that names source, backend, hook and where the answer goes.
It imports nothing of the builder, which that environment does not have.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def main(request_path: str) -> None:
    """Call the hook and write what it returned."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    os.chdir(request["source"])
    sys.argv = ["build"]
    sys.path[:0] = [os.path.join(request["source"], folder) for folder in request["backend_path"]]
    module, _, attributes = request["backend"].partition(":")
    backend: Any = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        backend = getattr(backend, attribute)
    if request["hook"] == "build_wheel":
        answer = backend.build_wheel(request["output"], {}, None)
    else:
        # A backend without this hook needs nothing more (PEP 517, optional hooks).
        hook = getattr(backend, "get_requires_for_build_wheel", None)
        answer = list(hook({})) if hook is not None else []
    Path(request["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
