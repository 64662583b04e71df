"""Projects that we did not write: planned for every target, built, and installed where there is no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uv

from builder import inputs
from tests.isolated.stacks import STACKS, write_stack
from tests.support.bundles import REPOSITORY

pytestmark = [
    pytest.mark.isolated,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0, reason="a network namespace needs root"
    ),
]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
TARGETS = sorted(path.stem for path in (inputs.MANIFESTS / "targets").glob("*.toml"))
# Targets that a stack cannot be had for, and the package that says so: a change here is a change on PyPI.
OBSTACLES = {
    ("torch-transformers", "linux-x86_64-musl"): "torch",
    ("torch-transformers", "linux-aarch64-musl"): "torch",
    ("torch-transformers", "macos-x86_64"): "torch",
}

ASK = {
    "fastapi-service": """
import fastapi, sqlalchemy, alembic, psycopg, bs4, pydantic_settings
from fastapi.testclient import TestClient
engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool,
                                  connect_args={"check_same_thread": False})
app = fastapi.FastAPI()
@app.get("/sum")
def total():
    with engine.connect() as connection:
        return {"sum": connection.execute(sqlalchemy.text("select 40 + 2")).scalar()}
assert TestClient(app).get("/sum").json() == {"sum": 42}
print("answered")
""",
    "streamlit-app": """
import pathlib, socket, subprocess, sys, tempfile, time, urllib.request
page = pathlib.Path(tempfile.mkdtemp()) / "page.py"
page.write_text("import pandas, plotly, streamlit\\nstreamlit.dataframe(pandas.DataFrame({'a': [1]}))\\n")
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
words = ["-m", "streamlit", "run", str(page), "--server.headless", "true", "--server.address", "127.0.0.1"]
server = subprocess.Popen([sys.executable, *words, "--server.port", str(port),
                           "--browser.gatherUsageStats", "false"])
try:
    for _ in range(300):
        try:
            answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).read()
            break
        except OSError:
            assert server.poll() is None
            time.sleep(0.1)
    assert answer == b"ok"
finally:
    server.terminate()
    server.wait(20)
print("answered")
""",
}


@dataclass(frozen=True)
class Packed:
    """A locked stack and the folder that its bundle was built into."""

    name: str
    project: Path
    output: Path


def locked(name: str, folder: Path) -> Path:
    """Write a stack and lock it against the real index."""
    project = write_stack(name, folder)
    done = subprocess.run(
        [uv.find_uv_bin(), "lock", "--quiet"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return project


def builder(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the builder as a person does."""
    command = [sys.executable, str(REPOSITORY / "create_enterprise_offline.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def offline(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a network namespace that has loopback only."""
    command = [sys.executable, "-m", "tests.support.namespace", *words]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=sorted(ASK))
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packed]:
    """Build the bundle of one stack for this platform, from PyPI."""
    folder = tmp_path_factory.mktemp(request.param)
    project = locked(request.param, folder / "project")
    words = ["build", "--project-root", str(project), "--target", "linux-x86_64", "--python", HERE]
    done = builder(*words, "--audit", "none", "--output-dir", str(folder / "out"), "--quiet")
    assert done.returncode == 0, done.stderr
    yield Packed(request.param, project, folder / "out")


@pytest.mark.parametrize("name", sorted(STACKS))
def test_a_popular_stack_is_planned_for_every_target_or_told_what_stands_in_the_way(
    name: str, tmp_path: Path
) -> None:
    project = locked(name, tmp_path / "project")
    words = [word for target in TARGETS for word in ("--target", target)]
    done = builder("plan", "--json", "--project-root", str(project), *words)
    plans = json.loads(done.stdout)["plans"]
    assert [plan["target"]["name"] for plan in plans] == TARGETS
    for plan in plans:
        target = plan["target"]["name"]
        blocked = {item["package"] for item in plan["obstacles"]}
        expected = OBSTACLES.get((name, target))
        assert (expected in blocked) if expected else not blocked, (target, plan["obstacles"])
        kinds = {item["kind"] for item in plan["artifacts"]}
        assert "uv" in kinds and len(plan["artifacts"]) > 10


def test_a_popular_stack_installs_and_answers_without_a_network(packed: Packed, tmp_path: Path) -> None:
    (archive,) = packed.output.glob("*.tar.gz")
    signers = str(packed.output / "allowed_signers")
    unpacked = offline(
        sys.executable,
        str(packed.output / "unpack.py"),
        str(archive),
        "--allowed-signers",
        signers,
        cwd=tmp_path,
    )
    assert unpacked.returncode == 0, unpacked.stdout + unpacked.stderr
    (root,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    prefix = tmp_path / "prefix"
    installed = offline(
        sys.executable,
        str(root / "04_Scripts/install.py"),
        "--prefix",
        str(prefix),
        "--no-start",
        "--service-manager",
        "none",
        "--allowed-signers",
        signers,
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    script = tmp_path / "ask.py"
    script.write_text(ASK[packed.name])
    answered = offline(str(prefix / "current/venv/bin/python"), "-I", str(script))
    assert answered.returncode == 0, answered.stdout + answered.stderr
    assert answered.stdout.strip().endswith("answered")


def test_its_installed_set_is_what_uv_would_have_installed(packed: Packed, tmp_path: Path) -> None:
    """The archive's wheels are those that `uv sync` of the same lock installs on this platform."""
    venv = tmp_path / "venv"
    done = subprocess.run(
        [uv.find_uv_bin(), "sync", "--locked", "--no-install-project", "--python", sys.executable],
        cwd=packed.project,
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(venv)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [uv.find_uv_bin(), "pip", "list", "--format", "json", "--python", str(venv / "bin/python")],
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = {(item["name"], item["version"]) for item in json.loads(listed.stdout)}
    (archive,) = packed.output.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        member = next(item for item in opened if item.name.endswith("/MANIFEST.json"))
        stream = opened.extractfile(member)
        assert stream is not None
        packages = json.load(stream)["packages"]
    ours = {(item["name"], item["version"]) for item in packages if HERE in item["pythons"]}
    assert theirs <= ours
    # What is carried beyond that is for other patch releases of this interpreter: another version of the same.
    beyond = {name for name, _ in ours - theirs} - {packed.name}
    assert beyond <= {name for name, _ in theirs}
