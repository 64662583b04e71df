"""Wheels from sources: allowed by name, built once, recorded, tied to the source, portable or refused."""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder import inputs, stage
from builder.cache import Cache
from builder.plan import NO_WHEEL_FITS, Artifact
from builder.sources.build import build_project, build_sources
from builder.sources.permission import permitted, refusals, require_permission
from bundle.errors import BuildError, IntegrityError
from bundle.manifest import Target
from tests.builder.sources.conftest import Build, Quiet, plan_of, processes, sdist
from tests.support.index import Index
from tests.support.wheels import sdist_bytes, wheel_bytes

# A build backend as PyPI has them, small: it needs `helper` and asks for `more` in its hook.
BACKEND = """
import os, helper
from inner import build_wheel as _build

def get_requires_for_build_wheel(config_settings=None):
    return ["more"]

def build_wheel(folder, config_settings=None, metadata_directory=None):
    import more
    return _build(folder)
"""


def archive(files: dict[str, str], top: str = "thing-1.0/") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as out:
        for name, text in files.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(text.encode())
            out.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def inner_backend(name: str, version: str) -> str:
    """The backend of `sdist_bytes`, as a module."""
    with tarfile.open(fileobj=io.BytesIO(sdist_bytes(name, version)), mode="r:gz") as packed:
        stream = packed.extractfile(f"{name}-{version}/backend.py")
        assert stream is not None
        return stream.read().decode()


def project_files(name: str = "thing", version: str = "1.0") -> dict[str, str]:
    return {
        "pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n'
        '[build-system]\nrequires = []\nbuild-backend = "inner"\nbackend-path = ["."]\n',
        "inner.py": inner_backend(name, version),
        f"{name}/__init__.py": "x = 1\n",
    }


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def directory(folder: Path, **changes: str) -> Artifact:
    item = Artifact("directory", "thing", "1.0", folder.name, folder.as_uri(), "", 0, ("3.11",), "uv.lock")
    return replace(item, **changes)  # type: ignore[arg-type]


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *settings, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = write(tmp_path / "repository", project_files())
    (folder / "README").symlink_to("thing/__init__.py")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def commit_of(folder: Path, **changes: str) -> Artifact:
    item = Artifact(
        "git", "thing", "1.0", "repository", folder.as_uri(), "", 0, ("3.11",), "",
        commit=git(folder, "rev-parse", "HEAD"),
    )  # fmt: skip
    return replace(item, **changes)  # type: ignore[arg-type]


# -- permission


def test_without_permission_everything_that_would_be_built_is_named_at_once(tmp_path: Path) -> None:
    first = Artifact(
        "sdist", "one", "1.0", "one-1.0.tar.gz", "https://u:p@i.example/one.tgz", "0" * 64, 9, ("3.11",), ""
    )
    second = Artifact("git", "two", "", "two", "https://g.example/two", "", 0, ("3.11",), "", commit="a" * 40)
    third = directory(tmp_path / "lib")
    plan = plan_of(tmp_path, first, second, third)
    other = replace(plan, target=Target("windows-amd64", "windows", "AMD64", "", "", ("3.11",)))
    with pytest.raises(BuildError) as caught:
        require_permission([plan, other], frozenset())
    text = caught.value.render("en")
    assert len(caught.value.details) == 6
    for expected in (
        "one 1.0: https://i.example/one.tgz", f"two: git+https://g.example/two@{'a' * 40}", "thing 1.0: path:lib",
        "--allow-build one --allow-build thing --allow-build two", "serves windows-amd64 only if it is pure Python",
    ):  # fmt: skip
        assert expected in text
    assert "u:p" not in text and "허용" in caught.value.render("ko")


def test_what_will_hardly_work_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    item = Artifact(
        "sdist", "fast", "1.0", "fast-1.0.tar.gz", "https://i.example/f", "0" * 64, 9, ("3.11",), NO_WHEEL_FITS
    )  # fmt: skip
    plan = plan_of(tmp_path, item)
    (here,) = refusals(replace(plan, target=replace(plan.target, arch=platform.machine())))
    assert "wheels are published for other hosts only" in here.en and "bound to this machine" in here.en
    (there,) = refusals(replace(plan, target=Target("macos-arm64", "macos", "arm64", "", "11.0", ("3.11",))))
    assert "cannot be built for macos-arm64" in there.en and "macos-arm64" in there.ko


def test_a_package_is_allowed_by_name_by_the_profile_or_all_at_once(tmp_path: Path) -> None:
    item = Artifact(
        "sdist", "kiwipiepy-model", "1.0", "k.tar.gz", "https://i.example/k", "0" * 64, 9, ("3.11",), ""
    )
    assert len(refusals(plan_of(tmp_path, item))) == 1
    assert len(refusals(plan_of(tmp_path, item), permitted(["other"]))) == 1
    assert not refusals(plan_of(tmp_path, item), permitted(["Kiwipiepy_Model"]))
    assert not refusals(plan_of(tmp_path, item), permitted(["*"]))
    assert not refusals(plan_of(tmp_path, item, allow=("kiwipiepy_model",)))


def test_nothing_runs_before_everything_is_allowed(cache: Cache, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, sdist(cache, "thing", "1.0", sdist_bytes("thing", "1.0")), directory(tmp_path))
    plan = replace(plan, artifacts=(plan.artifacts[0], replace(plan.artifacts[1], name="other")))
    with processes() as started, pytest.raises(BuildError, match="1 package"):
        build_sources(cache, plan, allow_build=permitted(["thing"]), progress=Quiet())
    assert not started


# -- what comes out


def test_a_source_is_built_once_and_a_second_build_starts_no_process(cache: Cache, build: Build) -> None:
    item = sdist(cache, "thing", "1.0", sdist_bytes("thing", "1.0"))
    with processes() as started:
        first = build(item)
    assert started
    with processes() as started:
        second = build(item)
    assert not started and first == second
    assert first.source_sha256 == item.sha256 and first.source == "https://index.example/thing-1.0.tar.gz"
    assert cache.path(first.sha256).is_file() and first.as_build().wheel == "thing-1.0-py3-none-any.whl"


def test_build_requirements_are_installed_recorded_and_pinned(
    index: Index, tmp_path: Path, cache: Cache, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.5", "2.0"):
        index.add(f"helper-{version}-py3-none-any.whl", wheel_bytes("helper", version))
    index.add("more-3.0-py3-none-any.whl", wheel_bytes("more", "3.0"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple/")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    pyproject = project_files()["pyproject.toml"].replace("requires = []", 'requires = ["helper"]')
    files = {
        **project_files(),
        "pyproject.toml": pyproject.replace('"inner"', '"outer"'),
        "outer.py": BACKEND,
    }
    folder = write(tmp_path / "thing", files)
    assert build(directory(folder)).requires == ("helper==2.0", "more==3.0")
    pins = '[tool.uv]\nbuild-constraint-dependencies = ["helper<2"]\n'
    (tmp_path / "workspace" / "pyproject.toml").write_text(pins)
    assert build(directory(folder)).requires == ("helper==1.5", "more==3.0")


def test_build_requirements_that_would_be_built_themselves_are_refused(
    index: Index, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple/")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    files = project_files()
    files["pyproject.toml"] = files["pyproject.toml"].replace("requires = []", 'requires = ["beta-pkg"]')
    with pytest.raises(BuildError, match="installing build requirements: beta-pkg"):
        build(directory(write(tmp_path / "thing", files)))


def test_equal_sources_give_equal_bytes_whatever_umask_and_hash_seed(
    build: Build, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(directory(write(tmp_path / "thing", project_files())))
    shutil.rmtree(cache.root / "built")
    (cache.root / "built").mkdir()
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("TZ", "Asia/Seoul")
    previous = os.umask(0o077)
    try:
        assert build(directory(tmp_path / "thing")).sha256 == first.sha256
    finally:
        os.umask(previous)


def test_a_changed_folder_is_built_anew_and_its_place_stays_on_the_build_box(
    tmp_path: Path, build: Build
) -> None:
    folder = write(tmp_path / "thing", project_files())
    first = build(directory(folder))
    assert first.source == "path:../thing"
    (folder / "thing/__init__.py").write_text("x = 2\n")
    second = build(directory(folder))
    assert first.source_sha256 != second.source_sha256 and first.sha256 != second.sha256
    shown = subprocess.run(
        ["sh", "-c", "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.split()[0] == second.source_sha256


def test_a_member_of_a_workspace_is_built_from_its_folder(tmp_path: Path, build: Build) -> None:
    write(tmp_path / "monorepo" / "libs" / "thing", project_files())
    wheel = build(directory(tmp_path / "monorepo", subdirectory="libs/thing"))
    assert wheel.filename == "thing-1.0-py3-none-any.whl"
    with pytest.raises(BuildError, match="cannot be used"):
        build(directory(tmp_path / "monorepo", subdirectory="../outside"))


def test_a_folder_that_is_gone_is_named(tmp_path: Path, build: Build) -> None:
    with pytest.raises(BuildError, match="no such folder"):
        build(directory(tmp_path / "gone"))


def test_the_backend_sees_no_secrets_of_the_builder(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_PASSWORD", "hunter2")
    monkeypatch.setenv("HF_TOKEN", "hunter2")
    monkeypatch.setenv("ORDINARY", "yes")
    files = project_files()
    files["inner.py"] = (
        "import os\nassert 'hunter2' not in os.environ.values()\nassert os.environ['ORDINARY']\n"
        + files["inner.py"]
    )
    assert build(directory(write(tmp_path / "thing", files)))


# -- git


@needs_git
def test_a_commit_is_fetched_proved_and_built_without_its_repository(
    repository: Path, build: Build, cache: Cache
) -> None:
    item = commit_of(repository)
    (repository / "thing/__init__.py").write_text("x = 'later'\n")
    git(repository, "commit", "--quiet", "-am", "second")
    wheel = build(item)
    assert wheel.source == f"git+{repository.as_uri()}@{item.commit}"
    with zipfile.ZipFile(cache.path(wheel.sha256)) as packed:
        assert packed.read("thing/__init__.py") == b"x = 1\n"
    shutil.rmtree(repository)
    with processes() as started:
        assert build(item) == wheel
    assert not started


@needs_git
def test_the_digest_of_a_commit_is_what_stock_tools_give(repository: Path, build: Build) -> None:
    git(repository, "rm", "--quiet", "README")
    git(repository, "commit", "--quiet", "-m", "no link")
    wheel = build(commit_of(repository))
    shown = subprocess.run(
        ["sh", "-c", "mkdir x && git archive HEAD | tar x -C x && cd x && find . -type f -printf '%P\\0'"
        " | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"],
        cwd=repository, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.split()[0] == wheel.source_sha256


@needs_git
@pytest.mark.parametrize("commit", ["f" * 40, "0" * 40])
def test_a_commit_that_the_repository_does_not_have_is_refused(
    repository: Path, build: Build, commit: str
) -> None:
    with pytest.raises(BuildError, match="could not be had"):
        build(commit_of(repository, commit=commit))


@needs_git
def test_a_tag_object_in_place_of_a_commit_is_refused(repository: Path, build: Build) -> None:
    git(repository, "tag", "-a", "v1", "-m", "v1")
    with pytest.raises(BuildError, match="not a commit"):
        build(commit_of(repository, commit=git(repository, "rev-parse", "v1")))


@needs_git
@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "thing", "nothing"])
def test_a_link_that_is_no_file_of_the_commit_is_refused(repository: Path, build: Build, target: str) -> None:
    (repository / "link").symlink_to(target)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "link")
    with pytest.raises(BuildError) as caught:
        build(commit_of(repository))
    assert "'link' leads to no file" in caught.value.render("en")


@needs_git
def test_a_submodule_is_refused(repository: Path, build: Build) -> None:
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},vendor")
    git(repository, "commit", "--quiet", "-m", "submodule")
    with pytest.raises(BuildError) as caught:
        build(commit_of(repository))
    assert "'vendor' is a submodule" in caught.value.render("en")


def test_a_build_box_without_git_says_so(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    item = Artifact("git", "thing", "1.0", "r", "https://g.example/r", "", 0, ("3.11",), "", commit="a" * 40)
    with pytest.raises(BuildError, match="no git") as caught:
        build(item)
    assert "git을 설치" in caught.value.render("ko")


# -- failures


def test_a_failing_backend_is_quoted(tmp_path: Path, build: Build) -> None:
    files = project_files()
    files["inner.py"] = (
        "def build_wheel(*a):\n    print('the compiler is missing')\n    raise SystemExit(3)\n"
    )
    with pytest.raises(BuildError) as caught:
        build(directory(write(tmp_path / "thing", files)))
    text = caught.value.render("en")
    assert (
        "thing 1.0: the build backend failed" in text
        and "the compiler is missing" in text
        and "exit 3" in text
    )


def test_all_failing_sources_are_named(cache: Cache, tmp_path: Path) -> None:
    broken = {"pyproject.toml": "[build-system]\nrequires = 3\n"}
    one = directory(write(tmp_path / "one", broken), name="one")
    two = directory(write(tmp_path / "two", {"README": ""}), name="two")
    with pytest.raises(BuildError, match="2 source") as caught:
        build_sources(cache, plan_of(tmp_path, one, two), allow_build=permitted("*"), progress=Quiet())
    text = caught.value.render("en")
    assert "[build-system] is malformed" in text and "neither pyproject.toml nor setup.py" in text


def test_a_backend_outside_the_source_is_refused(tmp_path: Path, build: Build) -> None:
    files = project_files()
    files["pyproject.toml"] = files["pyproject.toml"].replace('["."]', '["../../elsewhere"]')
    with pytest.raises(BuildError) as caught:
        build(directory(write(tmp_path / "thing", files)))
    assert "backend-path leaves the source" in caught.value.render("en")


@pytest.mark.parametrize("tag", ["cp311-cp311-linux_x86_64", "py312-none-any"])
def test_a_wheel_that_does_not_run_everywhere_is_refused(
    cache: Cache, build: Build, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    monkeypatch.setenv("TEST_WHEEL_TAG", tag)
    with pytest.raises(BuildError, match="bound to this machine"):
        build(sdist(cache, "thing", "1.0", sdist_bytes("thing", "1.0")))


def test_another_package_than_was_locked_is_refused(cache: Cache, build: Build) -> None:
    item = sdist(cache, "thing", "1.0", sdist_bytes("thing", "1.0"))
    for wrong in (replace(item, name="other"), replace(item, version="2.0")):
        with pytest.raises(BuildError, match="another package"):
            build(wrong)


def test_a_poisoned_sdist_is_noticed_before_it_runs(cache: Cache, build: Build) -> None:
    item = sdist(cache, "thing", "1.0", sdist_bytes("thing", "1.0"))
    cache.path(item.sha256).write_bytes(sdist_bytes("thing", "1.0", build_requires='"evil"'))
    with processes() as started, pytest.raises(IntegrityError):
        build(item)
    assert not started and not cache.has(item.sha256)


# -- the project itself


def test_the_project_is_built_from_exactly_what_the_bundle_carries(tmp_path: Path, cache: Cache) -> None:
    root = write(tmp_path / "thing", {**project_files(), "uv.lock": ""})
    (root / ".hidden").write_text("not carried")
    project = inputs.ProjectSpec(root, root, "thing", "1.0")
    files = stage.project_source(project)
    wheel = build_project(cache, project, 1_600_000_000, files)
    assert wheel.source_sha256 == stage.source_digest(files)
    with processes() as started:
        assert build_project(cache, project, 1_600_000_000, files) == wheel
    assert not started
    assert sorted(path.name for path in root.iterdir()) == [
        ".hidden",
        "inner.py",
        "pyproject.toml",
        "thing",
        "uv.lock",
    ]


def test_the_backend_that_uv_carries_needs_no_index(tmp_path: Path, cache: Cache) -> None:
    text = '[project]\nname = "thing"\nversion = "1.0"\n[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
    root = write(tmp_path / "thing", {"pyproject.toml": text, "src/thing/__init__.py": "", "uv.lock": ""})
    project = inputs.ProjectSpec(root, root, "thing", "1.0")
    (recorded,) = build_project(cache, project, 1_600_000_000, stage.project_source(project)).requires
    assert recorded.startswith("uv-build==")


LEGACY = """
class __legacy__:
    @staticmethod
    def get_requires_for_build_wheel(config_settings=None):
        return []

    @staticmethod
    def build_wheel(folder, config_settings=None, metadata_directory=None):
        import inner
        assert open("setup.py").read() == "# nothing but this\\n"
        return inner.build_wheel(folder)
"""


def test_a_project_with_nothing_but_setup_py_is_built_by_setuptools(
    index: Index, tmp_path: Path, cache: Cache, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in publishes the entry that PEP 517 names; the real one is too large for a loopback index."""
    files = {"setuptools/__init__.py": "", "setuptools/build_meta.py": LEGACY}
    files["inner.py"] = inner_backend("thing", "1.0")
    for version in ("30.0", "84.0"):
        index.add(f"setuptools-{version}-py3-none-any.whl", wheel_bytes("setuptools", version, files))
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple/")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    data = archive({"setup.py": "# nothing but this\n", "thing/__init__.py": ""})
    assert build(sdist(cache, "thing", "1.0", data)).requires == ("setuptools==84.0",)


def test_a_build_system_without_a_backend_means_setuptools_too(
    index: Index, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple/")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    write(tmp_path / "thing", {"pyproject.toml": '[project]\nname = "thing"\nversion = "1.0"\n'})
    with pytest.raises(BuildError) as caught:
        build(directory(tmp_path / "thing"))
    assert "installing build requirements: setuptools>=40.8.0" in caught.value.render("en")
