"""The builder's own cases: planning, a cold build, archive size, deltas, a very large model, room on disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import uv

from .cases import BUILD, REPOSITORY, Bench, Row, at_most
from .measure import Command, paired, run

# About 400 packages with wheels of every kind, sdist-only ones, and CUDA's dozen on Linux alone.
MANY = [
    "streamlit",
    "fastapi[standard]",
    "sqlalchemy",
    "torch",
    "transformers",
    "langchain",
    "langchain-community",
    "jupyterlab",
    "scikit-learn",
    "polars",
    "ray[serve]",
    "celery",
    "django",
    "boto3",
    "google-cloud-storage",
    "google-cloud-bigquery",
    "opentelemetry-distro",
    "opentelemetry-exporter-otlp",
    "mlflow",
    "dask[complete]",
    "bokeh",
    "plotly",
    "sphinx",
    "mkdocs-material",
    "pytest-xdist",
    "hypothesis",
    "black",
    "pylint",
    "mypy",
    "ansible-core",
    "psycopg[binary]",
    "redis",
    "kafka-python",
    "elasticsearch",
    "pymongo",
    "sentry-sdk",
    "gunicorn",
    "uvicorn",
    "aiohttp",
    "httpx",
    "twisted",
    "pandera",
    "pyspark",
    "xgboost",
    "lightgbm",
    "statsmodels",
    "networkx",
    "nltk",
    "gensim",
    "opencv-python-headless",
    "pdfplumber",
    "python-docx",
    "openpyxl",
]
TARGETS = (
    "linux-x86_64",
    "linux-aarch64",
    "linux-x86_64-musl",
    "windows-amd64",
    "macos-arm64",
    "macos-x86_64",
)
LARGE_MODEL_BYTES = 20_000_000_000


def planning(bench: Bench) -> Row:
    """Plan a lock of about 400 packages for six targets, three interpreters each, in one process."""
    project = bench.folder / "many"
    project.mkdir()
    listed = ", ".join(f'"{item}"' for item in MANY)
    (project / "pyproject.toml").write_text(
        f'[project]\nname = "many"\nversion = "1.0"\nrequires-python = ">=3.11,<3.14"\ndependencies = [{listed}]\n'
    )
    subprocess.run([uv.find_uv_bin(), "lock", "--quiet"], cwd=project, check=True)
    packages = (project / "uv.lock").read_text(encoding="utf-8").count("[[package]]")
    script = (
        "import sys; from builder import options, planning; from builder.commands.plan import requests; "
        "plans = planning.make_plans(requests(options.parser('en').parse_args(sys.argv[1:]))); "
        "assert len(plans) == 6 and all(plan.artifacts for plan in plans)"
    )
    words = [sys.executable, "-c", script, "plan", "--project-root", str(project), "--profile", "library"]
    words += [word for target in TARGETS for word in ("--target", target)]
    environment = {**bench.environment, "PYTHONPATH": str(REPOSITORY)}
    command = Command(words, bench.folder, environment)
    run(command)
    taken = sorted(run(command).seconds for _ in range(5))
    median = taken[2]
    name = f"plan, {packages} packages × 6 targets × 3 interpreters"
    return Row(name, "", f"{median:.2f} s", "", f"({taken[0]:.2f}–{taken[-1]:.2f} s)", "< 3 s", median < 3)


def cold_build(bench: Bench) -> Row:
    """Build with an empty cache, against `uv sync` of the same set with an empty cache."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    cold, out = bench.folder / "cold-cache", bench.folder / "cold-out"
    words = [sys.executable, str(REPOSITORY / BUILD), "--quiet", "--python", here, "--output-dir", str(out)]
    environment = {**bench.environment, "RAGTRACE_CACHE_DIR": str(cold), "UV_CACHE_DIR": str(cold / "uv")}
    venv, empty = bench.folder / "sync-venv", bench.folder / "sync-cache"
    copy = checkout(bench.folder / "checkout")
    sync = [uv.find_uv_bin(), "sync", "--quiet", "--locked", "--package", "ragtrace", "--no-default-groups"]
    sync += ["--python", sys.executable, "--no-editable"]
    theirs = {"UV_PROJECT_ENVIRONMENT": str(venv), "UV_CACHE_DIR": str(empty)}

    def clean() -> None:
        for folder in (cold, out, venv, empty):
            shutil.rmtree(folder, ignore_errors=True)

    pair = paired(
        Command([*words, "--audit", "none"], bench.folder, environment, prepare=clean),
        Command(sync, copy, theirs, prepare=clean),
        times=3,
    )
    clean()
    return at_most("build, empty cache (audit apart)", "uv sync, empty cache", pair, 1.15)


def sizes(bench: Bench) -> Row:
    """The archive's size, against `tar czf` of the unpacked bundle."""
    other = bench.folder / "other.tar.gz"
    subprocess.run(["tar", "czf", str(other), bench.tree.name], cwd=bench.folder, check=True)
    return _size_row("archive size", "tar czf", bench.archive.stat().st_size, other.stat().st_size, 1.03)


def delta(bench: Bench) -> Row:
    """A delta after a change of code only, against the gzipped bytes of the files that changed."""
    project = checkout(bench.folder / "changed") / "service"
    place = project / "src" / "ragtrace" / "__init__.py"
    place.write_text(place.read_text(encoding="utf-8") + "\n# one line more\n", encoding="utf-8")
    out = bench.folder / "delta-out"
    base = bench.tree / "MANIFEST.json"
    result = bench.build(out, "--project-root", str(project), "--delta-from", str(base))
    made = Path(result["archive"])
    names = subprocess.run(
        ["tar", "tzf", str(made)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folder = bench.folder / "delta-tree"
    folder.mkdir()
    subprocess.run(["tar", "xzf", str(made), "-C", str(folder), "--strip-components=1"], check=True)
    # What any delta has to carry: the files that differ, compressed where that helps, and the new statement.
    changed = 0
    for name in names:
        path = folder / name.split("/", 1)[-1]
        if path.is_file() and path.suffix != ".whl":
            done = subprocess.run(["gzip", "-c", str(path)], capture_output=True, check=True)
            changed += min(path.stat().st_size, len(done.stdout))
        elif path.is_file():
            changed += path.stat().st_size
    return _size_row(
        "delta of a one-line change", "its changed files, each gzipped", made.stat().st_size, changed, 1.05
    )


def large_model(bench: Bench) -> list[Row]:
    """Peak memory and room on disk of a build that carries a model file of 20 GB from a local folder."""
    model = bench.folder / "large-model"
    model.mkdir()
    sparse_safetensors(model / "model.safetensors", LARGE_MODEL_BYTES)
    (model / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}\n')
    (model / "tokenizer.json").write_text('{"version": "1.0"}\n')
    cache, out = bench.folder / "large-cache", bench.folder / "large-out"
    # Pinning writes into the checkout, so it is a copy that is pinned and builds.
    copy = checkout(bench.folder / "large-checkout")
    shutil.copytree(bench.cache, cache)
    environment = {**bench.environment, "RAGTRACE_CACHE_DIR": str(cache)}
    tool = [sys.executable, str(copy / BUILD)]
    run(Command([*tool, "models", "pin", "hcx-local", "--from", str(model), "--quiet"], copy, environment))
    words = [*tool, "--quiet", "--audit", "none", "--output-dir", str(out), "--model", f"hcx-local={model}"]
    before = used(cache)
    peak = Watch((cache, out))
    with peak:
        built = run(Command(words, copy, environment))
    (archive,) = out.glob("*.tar.gz")
    size = archive.stat().st_size
    cached = used(cache) - before
    beside = peak.bytes - before - cached
    shutil.rmtree(out)
    shutil.rmtree(cache)
    label = f"{LARGE_MODEL_BYTES / 1e9:.0f} GB model"
    ratio = beside / size
    return [
        Row(
            f"builder, {label}",
            "",
            f"{built.peak_mb:.0f} MB, {built.seconds:.0f} s",
            "",
            "",
            "< 200 MB",
            built.peak_mb < 200,
        ),
        Row(
            f"room on disk beside the cache, {label}",
            "the bundle",
            f"{beside / 1e9:.2f} GB",
            f"{size / 1e9:.2f} GB",
            f"{ratio:.2f} ×",
            "≤ 1.1 ×",
            ratio <= 1.1,
        ),
    ]


def sparse_safetensors(path: Path, size: int) -> None:
    """Write a file of one tensor of zeros, `size` bytes long in all, that takes no room on disk."""
    length = size - 8 - 120
    header = (
        json.dumps({"w": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}).ljust(120).encode()
    )
    with path.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(size)


def checkout(folder: Path) -> Path:
    """Copy what a build needs of this repository into `folder` and return it."""
    shutil.copytree(
        REPOSITORY, folder, ignore=shutil.ignore_patterns(".git", ".venv", "dist", "__pycache__", ".*_cache")
    )
    return folder


def used(folder: Path) -> int:
    """Return the bytes of all files below a folder, as their lengths say."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue  # renamed meanwhile: it is counted under its new name, or next time
    return total


class Watch:
    """Looks ten times a second how much some folders hold, and keeps the most it saw."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        """Prepare to watch `folders`, which need not exist yet."""
        self.bytes = 0
        self._folders = folders
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """End, with a last look."""
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            ended = self._done.is_set()
            self.bytes = max(self.bytes, sum(used(folder) for folder in self._folders))
            if ended:
                return
            time.sleep(0.1)


def _size_row(name: str, other: str, ours: int, theirs: int, limit: float) -> Row:
    ratio = ours / theirs
    return Row(
        name, other, f"{ours:,} B", f"{theirs:,} B", f"{ratio:.3f} ×", f"≤ {limit:g} ×", ratio <= limit
    )
