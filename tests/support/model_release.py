"""A release with models, by the real builder: the service, its extra `models`, a tiny BGE-M3 and a tiny reranker.

    RAGTRACE_CONVERT_PYTHON=$(sh tests/engines/prepare.sh) python -m tests.support.model_release build --output-dir DIR …

takes every word that ``create_enterprise_offline.py`` takes. The declarations are the shipped ones, pinned to the
tiny repositories of `tiny_models`; profile, pins and weights lie in a folder of the run. What was converted once
comes out of the builder's cache.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from builder import cli, inputs
from builder.models import pin, spec
from builder.models.convert import interpreter
from tests.support import model_files, tiny_models

PROFILE = "tiny-models"
MODELS = ("bge-m3", "ko-reranker")
COMMIT = "c" * 40
EXPECTATIONS = {"embedding_texts_per_s": "0.1", "model_load_s": "60"}


def weights(name: str, folder: Path) -> Path:
    """Write the tiny repository of a declared model into a folder and return it."""
    files = tiny_models.bge_m3_repository() if name == "bge-m3" else tiny_models.reranker_repository()
    for path, data in (files | {"sentencepiece.bpe.model": model_files.sentencepiece()}).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder


def profile_text() -> str:
    """Return the profile: starter with the extra, the two models and what is expected of their speed."""
    text = (inputs.MANIFESTS / "profiles" / "starter.toml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^name = .*$", f'name = "{PROFILE}"', text, count=1)
    named = ", ".join(f'"{name}"' for name in MODELS)
    text = re.sub(r"(?m)^extras = .*$", f'extras = ["models"]\nmodels = [{named}]', text, count=1)
    lines = "".join(f"{key} = {value}\n" for key, value in EXPECTATIONS.items())
    return f"{text}\n[expectations]\n{lines}"


@contextmanager
def prepared(folder: Path) -> Iterator[list[str]]:
    """Let the builder read its inputs from `folder`; yield the options that name profile and weights."""
    manifests, pins = folder / "manifests", folder / "pins"
    shutil.copytree(inputs.MANIFESTS, manifests)
    pins.mkdir()
    (manifests / "profiles" / f"{PROFILE}.toml").write_text(profile_text(), encoding="utf-8")
    with (
        mock.patch.object(inputs, "MANIFESTS", manifests),
        mock.patch.object(spec, "DECLARATIONS", manifests / "models"),
        mock.patch.object(spec, "PINS", pins),
    ):
        words = ["--profile", PROFILE]
        for name in MODELS:
            place = weights(name, folder / "weights" / name)
            spec.write_pins(
                name, pin.pin_from_folder(spec.load_model(name), place, COMMIT, lambda n: None).pins
            )
            words += ["--model", f"{name}={place}"]
        yield words


def main(words: Sequence[str]) -> int:
    """Run one command of the builder on the release with models."""
    cached = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ragtrace/engines-venv/bin/python"
    )
    if interpreter.VARIABLE not in os.environ and cached.exists():
        os.environ[interpreter.VARIABLE] = str(cached)
    with tempfile.TemporaryDirectory() as folder, prepared(Path(folder)) as more:
        command, *rest = words
        return cli.main([command, *more, *rest])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
