"""Plans of a real project with every kind of source, locked by the real uv against a loopback index."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import uv

from builder import inputs, planning, uvtool
from builder.inputs import ProjectSpec
from builder.plan import BundlePlan
from builder.planning import Request
from bundle.errors import BuildError, UsageProblem
from bundle.text import Text
from tests.support.index import Index, serve
from tests.support.wheels import sdist_bytes, wheel_bytes

TARGETS = sorted(path.stem for path in (inputs.MANIFESTS / "targets").glob("*.toml"))
LIBRARY = '[project]\nname = "{name}"\nrequires-python = ">=3.11"\n{version}\n{build}'
BUILD = '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
# A backend of its own, so that a version can be dynamic without an index that has setuptools.
BACKEND = """
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    from pathlib import Path
    info = Path(folder) / "dynamic-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: dynamic\\nVersion: 9.9\\n")
    return info.name


def get_requires_for_build_wheel(config_settings=None):
    return []
"""
PROJECT = """
[project]
name = "app"
version = "1.0.0"
requires-python = ">=3.11,<3.14"
dependencies = [
  "member", "folder", "linked", "dynamic", "fromgit", "archived", "wheeled", "remote",
  "alpha", "winonly; sys_platform == 'win32'", "forked==1; sys_platform == 'linux'", "forked==2; sys_platform != 'linux'",
]
[project.optional-dependencies]
cpu = ["torchy==1.0+cpu"]
cu124 = ["torchy==1.0+cu124"]
[dependency-groups]
docs = ["beta-pkg"]
[tool.uv]
conflicts = [[{{ extra = "cpu" }}, {{ extra = "cu124" }}]]
{more}
[tool.uv.workspace]
members = ["libs/member"]
[tool.uv.sources]
member = {{ workspace = true }}
folder = {{ path = "libs/folder" }}
linked = {{ path = "libs/linked", editable = true }}
dynamic = {{ path = "libs/dynamic" }}
fromgit = {{ git = "file://{repository}", subdirectory = "sub" }}
archived = {{ path = "dist/archived-1.0.tar.gz" }}
wheeled = {{ path = "dist/wheeled-1.0-py3-none-any.whl" }}
remote = {{ url = "{url}/files/remote-1.0-py3-none-any.whl" }}
[[tool.uv.index]]
name = "loopback"
url = "{url}/simple/"
default = true
"""


def uv_lock(root: Path) -> None:
    done = subprocess.run(
        [uv.find_uv_bin(), "lock", "--quiet", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    run = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def library(folder: Path, name: str) -> None:
    (folder / "src" / name).mkdir(parents=True)
    (folder / "src" / name / "__init__.py").touch()
    text = LIBRARY.format(name=name, version='version = "0.5"', build=BUILD)
    (folder / "pyproject.toml").write_text(text)


def write(root: Path, url: str, more: str = "", repository: Path | None = None) -> None:
    repository = repository or root.parent / "repository"
    (root / "pyproject.toml").write_text(PROJECT.format(url=url, repository=repository, more=more))


@pytest.fixture(scope="module")
def served() -> Iterator[Index]:
    """An index with the packages of the project."""
    content = Index()
    content.add("alpha-1.0-py3-none-any.whl", wheel_bytes("alpha", "1.0"))
    content.add("beta_pkg-2.0.tar.gz", sdist_bytes("beta_pkg", "2.0"))
    content.add("remote-1.0-py3-none-any.whl", wheel_bytes("remote", "1.0"))
    for version in ("1", "2"):
        content.add(f"forked-{version}-py3-none-any.whl", wheel_bytes("forked", version))
    content.add("winonly-1.0-py3-none-win_amd64.whl", wheel_bytes("winonly", "1.0", tag="py3-none-win_amd64"))
    for local in ("cpu", "cu124"):
        for tag in ("manylinux_2_28_x86_64", "win_amd64"):
            name = f"torchy-1.0+{local}-py3-none-{tag}.whl"
            content.add(name, wheel_bytes("torchy", f"1.0+{local}", tag=f"py3-none-{tag}"))
    with serve(content):
        yield content


@pytest.fixture(scope="module")
def template(served: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, locked once, in a folder with a blank in its name."""
    root = tmp_path_factory.mktemp("planning") / "my projects" / "app"
    for name in ("member", "folder", "linked"):
        library(root / "libs" / name, name)
    (root / "libs/dynamic").mkdir()
    (root / "libs/dynamic/backend.py").write_text(BACKEND)
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    text = LIBRARY.format(name="dynamic", version='dynamic = ["version"]', build=build)
    (root / "libs/dynamic/pyproject.toml").write_text(text)
    repository = root.parent / "repository"
    library(repository / "sub", "fromgit")
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "one")
    (root / "dist").mkdir()
    (root / "dist/archived-1.0.tar.gz").write_bytes(sdist_bytes("archived", "1.0"))
    (root / "dist/wheeled-1.0-py3-none-any.whl").write_bytes(wheel_bytes("wheeled", "1.0"))
    write(root, served.url)
    uv_lock(root)
    return root


@pytest.fixture
def rich(template: Path, tmp_path: Path) -> ProjectSpec:
    """A copy of the project with every kind of source; its git repository stays where it was."""
    return inputs.load_project(shutil.copytree(template, tmp_path / "my projects" / "app"))


def request(project: ProjectSpec, target: str = "linux-x86_64", **changes: object) -> Request:
    wanted = {"pythons": ("3.11", "3.12", "3.13"), "extras": (), "groups": (), **changes}
    return Request(project, inputs.load_profile("library"), target, **wanted)  # type: ignore[arg-type]


def plan(project: ProjectSpec, target: str = "linux-x86_64", **changes: object) -> BundlePlan:
    (found,) = planning.make_plans([request(project, target, **changes)])
    return found


def test_every_kind_of_source_is_planned_with_what_its_build_needs(rich: ProjectSpec, template: Path) -> None:
    found = plan(rich)
    assert not found.obstacles
    by_name = {item.name: item for item in found.artifacts}
    folders = {item.name: (item.version, item.source) for item in found.of_kind("directory")}
    libraries = rich.root / "libs"
    assert folders == {
        "member": ("0.5", (libraries / "member").as_uri()),
        "folder": ("0.5", (libraries / "folder").as_uri()),
        "linked": ("0.5", (libraries / "linked").as_uri()),
        "dynamic": ("", (libraries / "dynamic").as_uri()),
    }
    (source,) = found.of_kind("git")
    repository = template.parent / "repository"
    assert (source.name, source.version, source.subdirectory) == ("fromgit", "0.5", "sub")
    assert (source.source, source.commit) == (repository.as_uri(), git(repository, "rev-parse", "HEAD"))
    archive = by_name["archived"]
    assert (archive.kind, archive.source) == ("sdist", (rich.root / "dist/archived-1.0.tar.gz").as_uri())
    assert by_name["wheeled"].kind == by_name["remote"].kind == "wheel"
    assert by_name["wheeled"].source == (rich.root / "dist/wheeled-1.0-py3-none-any.whl").as_uri()
    assert (by_name["forked"].version, by_name["uv"].kind) == ("1", "uv")
    assert "winonly" not in by_name and "torchy" not in by_name and "beta-pkg" not in by_name


def test_a_dynamic_version_is_filled_in_from_the_build(rich: ProjectSpec) -> None:
    found = plan(rich).with_versions({"dynamic": "9.9", "alpha": "7"})
    versions = {item.name: item.version for item in found.packages}
    assert (versions["dynamic"], versions["alpha"], versions["folder"]) == ("9.9", "1.0", "0.5")
    assert {item.name: item.version for item in found.of_kind("directory")}["dynamic"] == "9.9"


def test_one_export_serves_every_target_and_each_gets_its_own_uv(
    rich: ProjectSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports, run_uv = [], uvtool.run_uv

    def counted(arguments: Sequence[str], cwd: Path, what: Text) -> str:
        exports.append(arguments[0])
        return run_uv(arguments, cwd, what)

    monkeypatch.setattr(uvtool, "run_uv", counted)
    plans = planning.make_plans([request(rich, target) for target in TARGETS])
    assert exports == ["export"]
    assert len({item.filename for found in plans for item in found.of_kind("uv")}) == len(TARGETS)
    shared = [{item.sha256 for item in found.artifacts if item.name == "alpha"} for found in plans]
    assert len(set().union(*shared)) == 1
    forked = {
        found.target.os: item.version for found in plans for item in found.artifacts if item.name == "forked"
    }
    assert forked == {"linux": "1", "windows": "2", "macos": "2"}


@pytest.mark.parametrize(("extra", "target"), [("cpu", "linux-x86_64"), ("cu124", "windows-amd64")])
def test_an_accelerator_is_an_extra_whose_lock_names_the_local_version(
    extra: str, target: str, rich: ProjectSpec
) -> None:
    (item,) = [found for found in plan(rich, target, extras=(extra,)).artifacts if found.name == "torchy"]
    assert item.version == f"1.0+{extra}"
    assert item.filename.startswith(f"torchy-1.0+{extra}-py3-none-")


def test_conflicting_extras_are_refused_naming_both(rich: ProjectSpec) -> None:
    with pytest.raises(UsageProblem) as caught:
        plan(rich, extras=("cpu", "cu124"))
    assert "extra cpu, extra cu124" in caught.value.render("en")


def test_an_unknown_extra_and_group_are_refused(rich: ProjectSpec) -> None:
    with pytest.raises(UsageProblem) as caught:
        plan(rich, extras=("cpus",), groups=("doc",))
    assert "unknown extra: cpus (has: cpu)" in caught.value.render("en")
    assert "unknown group: doc (has: docs)" in caught.value.render("en")


def test_a_group_is_packed_when_it_is_asked_for(rich: ProjectSpec) -> None:
    assert "beta-pkg" in {item.name for item in plan(rich, groups=("docs",)).of_kind("sdist")}


def test_obstacles_of_all_targets_come_in_one_error(rich: ProjectSpec) -> None:
    plans = planning.make_plans([request(rich, name, extras=("cpu",)) for name in TARGETS])
    assert [found.target.name for found in plans if not found.obstacles] == ["linux-x86_64", "windows-amd64"]
    with pytest.raises(BuildError) as caught:
        planning.require_servable(plans)
    told = caught.value.render("en")
    for name in set(TARGETS) - {"linux-x86_64", "windows-amd64"}:
        assert f"[{name}] torchy 1.0+cpu: there is no wheel for {name}" in told
    assert "5 obstacle(s)" in told and "[linux-x86_64]" not in told
    planning.require_servable([found for found in plans if not found.obstacles])


def test_a_lock_limited_to_other_environments_names_the_targets_it_excludes(
    rich: ProjectSpec, template: Path, served: Index
) -> None:
    limits = "environments = [\"sys_platform == 'linux' and platform_machine == 'x86_64'\"]\n"
    required = "required-environments = [\"sys_platform == 'linux' and platform_machine == 'x86_64'\"]\n"
    write(rich.root, served.url, limits + required, template.parent / "repository")
    uv_lock(rich.root)
    plans = {
        found.target.name: found for found in planning.make_plans([request(rich, name) for name in TARGETS])
    }
    assert not plans["linux-x86_64"].obstacles and not plans["linux-x86_64-musl"].obstacles
    for name in set(TARGETS) - {"linux-x86_64", "linux-x86_64-musl"}:
        (obstacle,) = plans[name].obstacles
        assert "platform_machine == 'x86_64' and sys_platform == 'linux'" in obstacle.reason.en
        assert name in obstacle.remedy.en


def test_paths_are_those_of_the_project_wherever_the_builder_runs(
    rich: ProjectSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = plan(rich)
    monkeypatch.chdir(tmp_path)
    assert plan(rich) == here


def test_a_newer_lock_is_refused_before_uv_runs_and_a_newer_revision_is_told(rich: ProjectSpec) -> None:
    path = rich.root / "uv.lock"
    text = path.read_text()
    path.write_text(text.replace("revision = 5", "revision = 6"))
    assert "revision 6" in plan(rich).notes[0].en
    path.write_text(text.replace("version = 1", "version = 2", 1))
    with pytest.raises(BuildError, match="cannot be understood"):
        plan(rich)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(BuildError):
        plan(rich)


def test_a_file_that_the_lock_does_not_pin_is_told(rich: ProjectSpec) -> None:
    path = rich.root / "uv.lock"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(
        "".join(re.sub(r', hash = "[^"]*"', "", line) if "/alpha-1.0-py3" in line else line for line in lines)
    )
    assert [note.en for note in plan(rich).notes] == [
        "uv.lock has no hash of these; what the index or the file says now was taken: alpha-1.0-py3-none-any.whl"
    ]


def test_what_the_project_asks_of_uv_and_a_bundle_does_not_follow_is_told(rich: ProjectSpec) -> None:
    path = rich.root / "pyproject.toml"
    assert not plan(rich).notes
    path.write_text(path.read_text().replace("[tool.uv]\n", '[tool.uv]\nno-binary-package = ["alpha"]\n'))
    found = plan(rich)
    assert {item.kind for item in found.artifacts if item.name == "alpha"} == {"wheel"}
    assert "tool.uv.no-binary-package is not followed" in found.notes[0].en


def test_a_package_of_an_index_without_hashes_is_an_obstacle_where_it_is_needed(
    rich: ProjectSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = uvtool.export_pylock

    def without(project: ProjectSpec, extras: Sequence[str], groups: Sequence[str]) -> str:
        lines = export(project, extras, groups).splitlines()
        return "\n".join(
            line.partition(", hashes")[0] + " }]" if "winonly-1.0" in line else line for line in lines
        )

    monkeypatch.setattr(uvtool, "export_pylock", without)
    assert not plan(rich).obstacles
    (obstacle,) = plan(rich, "windows-amd64").obstacles
    assert (obstacle.package, obstacle.version) == ("winonly", "1.0") and "SHA-256" in obstacle.reason.en


def test_a_member_of_a_workspace_is_planned_from_the_workspaces_lock(rich: ProjectSpec) -> None:
    member = inputs.load_project(rich.root / "libs/member")
    assert member.workspace == rich.root
    assert [item.name for item in plan(member).artifacts] == ["uv"]
