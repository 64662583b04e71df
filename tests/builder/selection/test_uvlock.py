"""What uv.lock says beyond its export: format, conflicts, extras, versions of folders, the wheels of uv."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder import inputs
from builder.inputs import ProjectSpec
from builder.selection import choices, uvlock
from builder.selection.uvlock import UvLock, read_uv_lock
from bundle.errors import BuildError, UsageProblem

LOCK = """
version = 1
revision = 3
requires-python = ">=3.11"
conflicts = [[
    { package = "my-app", extra = "cpu" },
    { package = "my-app", extra = "cu124" },
    { package = "my-app", group = "old-docs" },
], [
    { package = "other", extra = "cpu" },
    { package = "my-app", extra = "plain" },
]]

[[package]]
name = "my-app"
version = "1.0"
source = { editable = "." }

[package.optional-dependencies]
cpu = [{ name = "torch" }]

[package.metadata]
provides-extras = ["cpu", "cu124", "plain"]

[[package]]
name = "member"
version = "0.3"
source = { directory = "libs/member" }

[[package]]
name = "dynamic"
source = { editable = "libs/dynamic" }

[[package]]
name = "uv"
version = "0.13.8"
source = { registry = "links" }
wheels = [{ path = "uv-0.13.8-py3-none-win_amd64.whl", hash = "sha256:00ff", size = 7 }]

[[package]]
name = "twice"
version = "1"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "twice"
version = "2"
source = { registry = "https://pypi.org/simple" }
"""


@pytest.fixture
def project(tmp_path: Path) -> ProjectSpec:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "My_App"\nversion = "1.0"\n[dependency-groups]\nOld_Docs = []\nnew = []\n'
    )
    return ProjectSpec(tmp_path, tmp_path, "My_App", "1.0")


def refusal(project: ProjectSpec, *, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> str:
    with pytest.raises(UsageProblem) as caught:
        choices.check(UvLock(LOCK), project, extras, groups)
    return " / ".join(detail.en for detail in caught.value.details)


def test_conflicting_extras_and_groups_are_refused_with_all_their_names(project: ProjectSpec) -> None:
    told = refusal(project, extras=("cpu", "CU124", "plain"), groups=("old-docs",))
    assert "extra cpu, extra cu124, group old-docs" in told and "plain" not in told


def test_an_unknown_extra_and_an_unknown_group_are_refused_together_with_the_nearest(
    project: ProjectSpec,
) -> None:
    told = refusal(project, extras=("cu214",), groups=("nwe",))
    assert "unknown extra: cu214 (has: cu124)" in told and "unknown group: nwe (has: new)" in told


def test_what_goes_together_is_not_refused(project: ProjectSpec) -> None:
    choices.check(UvLock(LOCK), project, ("cpu", "plain"), ("new",))


def test_versions_of_folders_come_from_the_lock_unless_they_are_dynamic() -> None:
    lock = UvLock(LOCK)
    assert [lock.folder_version(name) for name in ("member", "dynamic", "absent", "uv")] == [
        "0.3",
        "",
        "",
        "",
    ]


def test_the_wheels_of_a_published_package_are_read(tmp_path: Path) -> None:
    package = UvLock(LOCK).published("uv", tmp_path)
    assert package is not None and package.version == "0.13.8"
    (wheel,) = package.wheels
    assert (wheel.sha256, wheel.size) == ("00ff", 7)
    assert wheel.url == (tmp_path / "links/uv-0.13.8-py3-none-win_amd64.whl").as_uri()
    assert UvLock(LOCK).published("twice", tmp_path) is None
    assert UvLock(LOCK).published("member", tmp_path) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version = 2\n", "another uv made it"),
        ('version = "1"\n', "another uv made it"),
        ("", "another uv made it"),
        ("version = [", "uv lock"),
        ('version = 1\nconflicts = [[{ extra = "x" }]]\n', "uv lock"),
        ("version = 1\nconflicts = 3\n", "uv lock"),
    ],
)
def test_a_malformed_or_newer_lock_is_refused_with_what_to_do(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(text)
    with pytest.raises(BuildError, match="cannot be understood") as caught:
        read_uv_lock(tmp_path / "uv.lock")
    assert caught.value.hint is not None and words in caught.value.hint.en


def test_a_lock_that_is_not_text_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="cannot be understood"):
        read_uv_lock(tmp_path / "uv.lock")
    (tmp_path / "uv.lock").write_bytes(b"\xff\xfe")
    with pytest.raises(BuildError, match="cannot be understood"):
        read_uv_lock(tmp_path / "uv.lock")


@pytest.mark.parametrize("entry", ["source = {", "source = 3", ""])
def test_a_malformed_entry_is_refused_by_name(entry: str) -> None:
    lock = UvLock(f'version = 1\n[[package]]\nname = "broken"\n{entry}\n')
    with pytest.raises(BuildError, match="cannot be understood") as caught:
        lock.folder_version("broken")
    assert "broken" in caught.value.details[0].en


def test_a_newer_revision_is_used_and_told() -> None:
    assert uvlock.newer_revision(UvLock(LOCK)) is None
    newer = uvlock.newer_revision(UvLock(LOCK.replace("revision = 3", "revision = 99")))
    assert newer is not None and "99" in newer.en


def test_the_known_revision_is_the_one_that_the_builders_uv_writes() -> None:
    assert read_uv_lock(inputs.REPOSITORY / "uv.lock").revision == uvlock.REVISION
