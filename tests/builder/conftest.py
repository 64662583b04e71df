"""A loopback index with a handful of packages, and a project locked against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder import cli, inputs, planning
from builder.cache import Cache
from tests.support import carried_uv
from tests.support.index import Index, serve
from tests.support.projects import locked_project
from tests.support.wheels import sdist_bytes, wheel_bytes

ALPHA = "alpha-1.0-py3-none-any.whl"
BETA = "beta_pkg-2.0.tar.gz"
# Runs the builder with these words and returns exit code, standard output, standard error.
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def index() -> Iterator[Index]:
    """Serve alpha (pure wheel), beta-pkg (sdist only), gamma (one wheel per Python) and delta (Windows only)."""
    content = Index()
    content.add(ALPHA, wheel_bytes("alpha", "1.0", {"alpha/__init__.py": "x = 1\n" * 20_000}))
    content.add(BETA, sdist_bytes("beta_pkg", "2.0"))
    for python in ("cp311", "cp312", "cp313"):
        tag = f"{python}-{python}-manylinux_2_17_x86_64"
        content.add(f"gamma-3.0-{tag}.whl", wheel_bytes("gamma", "3.0", tag=tag))
    content.add(
        "delta-4.0-cp311-cp311-win_amd64.whl", wheel_bytes("delta", "4.0", tag="cp311-cp311-win_amd64")
    )
    with serve(content):
        yield content


@pytest.fixture
def project(tmp_path: Path, index: Index) -> inputs.ProjectSpec:
    """A project that needs alpha, beta-pkg and gamma."""
    root = locked_project(tmp_path / "sample", index, ["alpha", "beta-pkg", "gamma"])
    index.requests.clear()
    return inputs.load_project(root)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def run(
    project: inputs.ProjectSpec,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """The builder's command line on the project, with a cache and an output folder of this test."""
    monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(planning, "uv_for", carried_uv.uv_for)
    carried_uv.in_cache(Cache(tmp_path / "cache"))

    def call(*words: str) -> tuple[int, str, str]:
        arguments = [*words, "--project-root", str(project.root)]
        if "--allow-build" not in words:
            arguments += ["--allow-build", "beta-pkg"]
        if "plan" not in words and "--output-dir" not in words:
            arguments += ["--output-dir", str(tmp_path / "out")]
        code = cli.main(arguments)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call
