"""Every kind of source that a lock can name, and what it may lack."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder import inputs
from builder.plan import Artifact, Obstacle
from builder.selection.lock import read_pylock
from builder.selection.select import Selection, select
from bundle.errors import BuildError

TARGET = inputs.load_target("linux-x86_64")
COMMIT = "874ee26e61642563e991d622aa2c5bef25c5a0b6"
DIGEST = "a" * 64
HEAD = 'lock-version = "1.0"\ncreated-by = "uv"\n'


def selection(*packages: str, head: str = HEAD, pythons: tuple[str, ...] = ("3.12",)) -> Selection:
    text = head + "".join(f"[[packages]]\n{package}\n" for package in packages)
    return select(read_pylock(text, Path("/work space/app")), TARGET, pythons)


def artifact(package: str) -> Artifact:
    found = selection(package)
    assert not found.obstacles()
    (item,) = found.sorted_artifacts()
    return item


def obstacle(package: str, head: str = HEAD) -> Obstacle:
    found = selection(package, head=head)
    assert not found.artifacts and not found.packages()
    (item,) = found.obstacles()
    return item


def test_a_git_source_needs_repository_commit_and_subdirectory() -> None:
    source = (
        f'{{ type = "git", url = "https://git.example/r.git", commit-id = "{COMMIT}", subdirectory = "sub" }}'
    )
    item = artifact(f'name = "g"\nversion = "1.0"\nvcs = {source}')
    assert (item.kind, item.source, item.commit) == ("git", "https://git.example/r.git", COMMIT)
    assert (item.subdirectory, item.sha256, item.version) == ("sub", "", "1.0")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('type = "git", url = "https://git.example/r", commit-id = "main"', "commit is not complete"),
        (f'type = "hg", url = "https://hg.example/r", commit-id = "{COMMIT}"', "hg repository"),
        (f'type = "git", url = "https://u:****@git.example/r", commit-id = "{COMMIT}"', "redacted"),
        (
            f'type = "git", url = "https://u:secret@git.example/r", commit-id = "{COMMIT}"',
            "password or token",
        ),
        (
            f'type = "git", url = "https://{"t" * 40}@git.example/r", commit-id = "{COMMIT}"',
            "password or token",
        ),
    ],
)
def test_a_repository_that_cannot_be_had_again_is_an_obstacle(source: str, words: str) -> None:
    assert words in obstacle(f'name = "g"\nvcs = {{ {source} }}').reason.en


def test_the_user_name_of_ssh_is_no_secret() -> None:
    source = f'{{ type = "git", url = "ssh://git@git.example/r", commit-id = "{COMMIT}" }}'
    assert artifact(f'name = "g"\nvcs = {source}').source == "ssh://git@git.example/r"


@pytest.mark.parametrize("editable", ["true", "false"])
def test_a_folder_is_built_whether_or_not_it_is_editable(editable: str) -> None:
    item = artifact(f'name = "d"\ndirectory = {{ path = "../libs/d", editable = {editable} }}')
    assert (item.kind, item.source) == ("directory", "file:///work%20space/libs/d")
    assert ("editable" in item.reason) == (editable == "true")


def test_an_archive_is_an_sdist_and_keeps_its_subdirectory() -> None:
    where = f'url = "https://x.example/v1.0.zip", subdirectory = "python", hashes = {{ sha256 = "{DIGEST}" }}'
    item = artifact(f'name = "s"\nversion = "1.0"\narchive = {{ {where} }}')
    assert (item.kind, item.filename, item.subdirectory) == ("sdist", "v1.0.zip", "python")


def test_a_wheel_named_by_path_or_url_is_a_plain_wheel() -> None:
    hashes = f'hashes = {{ sha256 = "{DIGEST}" }}'
    by_path = artifact(
        f'name = "w"\nversion = "1.0"\narchive = {{ path = "w-1.0-py3-none-any.whl", {hashes} }}'
    )
    assert (by_path.kind, by_path.source) == ("wheel", "file:///work%20space/app/w-1.0-py3-none-any.whl")
    url = "https://x.example/w-1.0%2Bcpu-cp312-cp312-manylinux_2_28_x86_64.whl"
    by_url = artifact(f'name = "w"\nversion = "1.0+cpu"\narchive = {{ url = "{url}", {hashes} }}')
    assert (by_url.kind, by_url.source) == ("wheel", url)
    assert by_url.filename == "w-1.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl"


def test_a_wheel_by_url_for_another_system_is_an_obstacle() -> None:
    where = f'url = "https://x.example/w-1.0-cp312-cp312-win_amd64.whl", hashes = {{ sha256 = "{DIGEST}" }}'
    assert "win_amd64" in obstacle(f'name = "w"\nversion = "1.0"\narchive = {{ {where} }}').reason.en


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ("", "names no file"),
        ('wheels = [{ url = "https://x.example/w-1-py3-none-any.whl" }]', "no SHA-256"),
        ('sdist = { url = "https://x.example/w-1.tar.gz", hashes = { md5 = "0" } }', "no SHA-256"),
        (f'wheels = [{{ name = "w-1-py3-none-any.whl", hashes = {{ sha256 = "{DIGEST}" }} }}]', "no address"),
        (
            f'wheels = [{{ url = "https://u:****@x.example/w-1-py3-none-any.whl", hashes = {{ sha256 = "{DIGEST}" }} }}]',
            "redacted",
        ),
        (
            f'wheels = [{{ url = "https://x.example/w-1 (1).whl", hashes = {{ sha256 = "{DIGEST}" }} }}]',
            "no wheel",
        ),
    ],
)
def test_an_entry_without_a_usable_file_is_an_obstacle_only_where_it_is_needed(
    files: str, words: str
) -> None:
    entry = f'name = "w"\nversion = "1"\n{files}'
    found = obstacle(entry)
    assert words in found.reason.en and found.remedy.en
    elsewhere = selection("marker = \"sys_platform == 'win32'\"\n" + entry)
    assert not elsewhere.obstacles() and not elsewhere.artifacts


def test_two_registries_with_one_version_are_told_apart_by_marker() -> None:
    def of(index: str, digest: str, marker: str) -> str:
        file = f'url = "https://{index}/w-1-py3-none-any.whl", hashes = {{ sha256 = "{digest * 64}" }}'
        return (
            f'name = "w"\nversion = "1"\nindex = "https://{index}/simple"\nmarker = "{marker}"\n'
            f"wheels = [{{ {file} }}]"
        )

    ours = of("a.example", "a", "sys_platform == 'linux'")
    theirs = of("b.example", "b", "sys_platform != 'linux'")
    (item,) = selection(ours, theirs).sorted_artifacts()
    assert item.source.startswith("https://a.example/")
    (both,) = selection(ours, of("b.example", "b", "")).obstacles()
    assert "https://a.example/simple" in both.reason.en and "https://b.example/simple" in both.reason.en


@pytest.mark.parametrize(
    "marker", ["sys_platform ~~ 'linux'", "platform_machine ~= '3'", "platform_release >= '5'"]
)
def test_a_marker_without_an_answer_is_an_obstacle(marker: str) -> None:
    (found,) = selection(f'name = "w"\nmarker = "{marker}"').obstacles()
    assert marker in found.reason.en


def test_a_lock_for_other_environments_names_them_and_the_target() -> None:
    head = HEAD + "environments = [\"sys_platform == 'win32'\", \"sys_platform == 'darwin'\"]\n"
    found = obstacle('name = "w"\nversion = "1"', head)
    assert "sys_platform == 'win32' | sys_platform == 'darwin'" in found.reason.en
    assert "tool.uv.environments" in found.remedy.en and TARGET.name in found.remedy.en


def test_an_environment_without_an_answer_is_an_obstacle() -> None:
    head = HEAD + "environments = [\"platform_release >= '5'\"]\n"
    assert "platform_release" in obstacle('name = "w"\nversion = "1"', head).reason.en


def test_an_environment_that_covers_some_interpreters_refuses_the_others_by_name() -> None:
    head = HEAD + "environments = [\"python_full_version >= '3.12'\"]\n"
    (found,) = selection(head=head, pythons=("3.11", "3.12", "3.13")).obstacles()
    assert found.pythons == ("3.11",) and "(Python 3.11)" in found.text().en


def test_a_project_that_needs_a_later_patch_release_can_be_packed_and_says_so() -> None:
    found = selection(head=HEAD + 'requires-python = ">=3.12.4"\n')
    assert not found.obstacles()
    assert [note.en for note in found.notes] == ["Python 3.12 has to be a patch release that fits >=3.12.4"]


@given(st.integers(1, 98), st.integers(1, 98))
def test_versions_split_by_patch_release_are_carried_with_their_conditions(low: int, high: int) -> None:
    def entry(version: str, marker: str) -> str:
        file = f'url = "https://x.example/w-{version}-py3-none-any.whl", hashes = {{ sha256 = "{version * 64}" }}'
        return f'name = "w"\nversion = "{version}"\nmarker = "{marker}"\nwheels = [{{ {file} }}]'

    found = selection(
        entry("1", f"python_full_version < '3.12.{low}'"), entry("2", f"python_full_version >= '3.12.{high}'")
    )
    if high < low:
        (clash,) = found.obstacles()
        assert clash.package == "w" and "1" in clash.reason.en and "2" in clash.reason.en
    else:
        assert not found.obstacles()
        assert {item.version: item.limits for item in found.sorted_artifacts()} == {
            "1": (("3.12", f"python_full_version < '3.12.{low}'"),),
            "2": (("3.12", f"python_full_version >= '3.12.{high}'"),),
        }


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        'lock-version = "9.0"\n',
        "created-by = 'uv'\n",
        HEAD + "[[packages]]\nversion = '1'\n",
        HEAD + "packages = 3\n",
        HEAD + "[[packages]]\nname = 'a'\nwheels = [3]\n",
        HEAD + "requires-python = 'three'\n",
        HEAD + "[[packages]]\nname = 'a'\nvcs = { type = 'git' }\n",
    ],
)
def test_a_lock_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match="cannot be understood"):
        read_pylock(text, Path("/app"))
