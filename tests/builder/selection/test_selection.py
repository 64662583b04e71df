"""Selection from a lock: for the target, not for this machine, and with every obstacle at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from builder import inputs
from builder.selection.lock import Lock, read_pylock
from builder.selection.select import Selection, select
from builder.wheels.requirements import requirements_text
from bundle.errors import BuildError

TARGET = inputs.load_target("linux-x86_64")
PYTHONS = ("3.11", "3.12", "3.13")
HERE = Path("/project")


def wheel(filename: str, digest: str = "a" * 64) -> str:
    return f'{{ url = "https://index.example/{filename}", hashes = {{ sha256 = "{digest}" }} }}'


def lock(*packages: str, requires: str = ">=3.11") -> Lock:
    head = f'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = "{requires}"\n'
    return read_pylock(head + "".join(f"[[packages]]\n{package}\n" for package in packages), HERE)


def package(name: str, version: str, *wheels: str, more: str = "") -> str:
    listed = f"wheels = [{', '.join(wheels)}]" if wheels else ""
    return f'name = "{name}"\nversion = "{version}"\n{more}\n{listed}'


def selected(*packages: str, pythons: tuple[str, ...] = PYTHONS) -> Selection:
    return select(lock(*packages), TARGET, pythons)


def test_one_abi3_wheel_serves_every_python() -> None:
    found = selected(package("a", "1", wheel("a-1-cp39-abi3-manylinux_2_17_x86_64.whl"))).sorted_artifacts()
    assert [(item.filename, item.pythons) for item in found] == [
        ("a-1-cp39-abi3-manylinux_2_17_x86_64.whl", PYTHONS)
    ]


def test_each_python_gets_its_own_wheel() -> None:
    wheels = [wheel(f"a-1-cp3{n}-cp3{n}-manylinux2014_x86_64.whl", str(n)[-1] * 64) for n in (11, 12, 13)]
    found = selected(package("a", "1", *wheels)).sorted_artifacts()
    assert [item.pythons for item in found] == [("3.11",), ("3.12",), ("3.13",)]


def test_the_glibc_floor_decides_between_wheels() -> None:
    wheels = [
        wheel("a-1-cp311-cp311-manylinux_2_34_x86_64.whl"),
        wheel("a-1-cp311-cp311-manylinux_2_28_x86_64.whl", "b" * 64),
    ]
    (found,) = selected(package("a", "1", *wheels), pythons=("3.11",)).sorted_artifacts()
    assert "2_28" in found.filename


@pytest.mark.parametrize(
    "filename",
    [
        "a-1-cp311-cp311-manylinux_2_34_x86_64.whl",
        "a-1-cp311-cp311-linux_x86_64.whl",
        "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
        "a-1-cp311-cp311-win_amd64.whl",
        "a-1-cp311-cp311-manylinux_2_17_aarch64.whl",
        "a-1-cp310-cp310-manylinux_2_17_x86_64.whl",
    ],
)
def test_a_package_without_a_usable_file_is_an_obstacle_by_name(filename: str) -> None:
    found = selected(package("a", "1", wheel(filename)), pythons=("3.11",))
    (obstacle,) = found.obstacles()
    assert (obstacle.package, obstacle.version) == ("a", "1")
    assert filename in obstacle.reason.en


def test_all_obstacles_are_reported_together() -> None:
    bad = "cp311-cp311-win_amd64.whl"
    found = selected(
        package("a", "1", wheel(f"a-1-{bad}")),
        package("good", "1", wheel("good-1-py3-none-any.whl")),
        package("b", "2", wheel(f"b-2-{bad}")),
        package("c", "3", more='vcs = { type = "git", url = "https://x/c", commit-id = "0" }'),
        pythons=("3.11",),
    )
    assert sorted(item.package for item in found.obstacles()) == ["a", "b", "c"]
    assert [item.name for item in found.sorted_artifacts()] == ["good"]


def test_a_package_that_the_target_does_not_need_is_no_obstacle() -> None:
    found = selected(
        package("a", "1", wheel("a-1-py3-none-win_amd64.whl"), more="marker = \"sys_platform == 'win32'\"")
    )
    assert not found.obstacles() and not found.artifacts


def test_an_sdist_is_taken_only_where_no_wheel_fits() -> None:
    sdist = 'sdist = { url = "https://index.example/a-1.tar.gz", hashes = { sha256 = "' + "c" * 64 + '" } }'
    (found,) = selected(package("a", "1", wheel("a-1-py3-none-any.whl"), more=sdist)).sorted_artifacts()
    assert found.kind == "wheel"
    (found,) = selected(package("a", "1", wheel("a-1-py3-none-win_amd64.whl"), more=sdist)).sorted_artifacts()
    assert (found.kind, found.filename, found.pythons) == ("sdist", "a-1.tar.gz", PYTHONS)


def test_a_file_without_sha256_is_an_obstacle() -> None:
    weak = '{ url = "https://index.example/a-1-py3-none-any.whl", hashes = { md5 = "' + "0" * 32 + '" } }'
    (obstacle,) = selected(package("a", "1", weak)).obstacles()
    assert "SHA-256" in obstacle.reason.en


def test_two_versions_split_by_python_are_both_carried_with_markers() -> None:
    found = selected(
        package("n", "1", wheel("n-1-py3-none-any.whl"), more="marker = \"python_full_version < '3.12'\""),
        package(
            "n",
            "2",
            wheel("n-2-py3-none-any.whl", "b" * 64),
            more="marker = \"python_full_version >= '3.12'\"",
        ),
    )
    assert [(item.version, item.pythons) for item in found.packages()] == [
        ("1", ("3.11",)),
        ("2", ("3.12", "3.13")),
    ]
    text = requirements_text(found.sorted_artifacts(), PYTHONS)
    assert "n==1 ; python_version == '3.11' \\\n    --hash=sha256:" + "a" * 64 in text
    assert "n==2 ; python_version == '3.12' or python_version == '3.13' \\" in text


def test_of_two_versions_split_by_patch_release_each_host_installs_one() -> None:
    low, high = (f"python_full_version {sign} '3.11.5'" for sign in ("<", ">="))
    found = selected(
        package("n", "1", wheel("n-1-py3-none-any.whl"), more=f'marker = "{low}"'),
        package("n", "2", wheel("n-2-py3-none-any.whl", "b" * 64), more=f'marker = "{high}"'),
    )
    limits = {(item.name, item.version): dict(item.limits) for item in found.sorted_artifacts()}
    text = requirements_text(found.sorted_artifacts(), PYTHONS, limits)
    lines = [Requirement(line.rstrip("\\")) for line in text.splitlines() if line.startswith("n==")]
    for full, wanted in (("3.11.0", "==1"), ("3.11.4", "==1"), ("3.11.5", "==2"), ("3.13.1", "==2")):
        host = {"python_full_version": full, "python_version": full.rpartition(".")[0]}
        installed = [line for line in lines if line.marker is None or line.marker.evaluate(host)]
        assert [str(line.specifier) for line in installed] == [wanted], full


def test_a_package_needed_by_only_some_patch_releases_is_carried() -> None:
    found = selected(
        package("t", "1", wheel("t-1-py3-none-any.whl"), more="marker = \"python_full_version < '3.11.3'\""),
        package(
            "u",
            "1",
            wheel("u-1-py3-none-any.whl", "b" * 64),
            more="marker = \"python_full_version >= '3.11.4'\"",
        ),
        pythons=("3.11",),
    )
    assert {item.name for item in found.packages()} == {"t", "u"}


def test_a_python_that_the_project_excludes_is_an_obstacle() -> None:
    found = select(
        lock(package("a", "1", wheel("a-1-py3-none-any.whl")), requires=">=3.12"), TARGET, ("3.11",)
    )
    (obstacle,) = found.obstacles()
    assert obstacle.package == "python" and obstacle.version == "3.11"


def test_local_versions_with_an_escaped_plus_keep_their_file_name() -> None:
    (found,) = selected(package("t", "2.0+cpu", wheel("t-2.0%2Bcpu-py3-none-any.whl"))).sorted_artifacts()
    assert found.filename == "t-2.0+cpu-py3-none-any.whl"


@pytest.mark.parametrize("text", ["not toml [", 'lock-version = "9.0"\ncreated-by = "uv"\npackages = []'])
def test_a_lock_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match="cannot be understood"):
        read_pylock(text, HERE)
