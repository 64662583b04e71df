"""Our selection against uv's own, for the same lock and host: every difference is one that we chose."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from builder import inputs
from builder.selection.lock import Lock, LockedPackage
from builder.selection.select import Selection, select
from tests.builder.selection.locks import locked, published
from tests.support.uv_selection import PLATFORMS, Oracle

# Tags as the wheels of PyPI have them; a random handful makes a package.
TAGS = [
    "py3-none-any",
    "py2.py3-none-any",
    "py312-none-any",
    "cp312-none-any",
    "cp3-none-any",
    "py3-abi3-any",
    "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp312-cp312-manylinux_2_28_x86_64",
    "cp312-cp312-manylinux_2_34_x86_64",
    "cp312-cp312-manylinux2010_x86_64",
    "cp312-cp312-manylinux1_x86_64",
    "cp39-abi3-manylinux_2_17_x86_64",
    "cp310-abi3-manylinux_2_28_aarch64",
    "cp312-abi3-manylinux_2_17_aarch64",
    "cp313-cp313-manylinux_2_28_aarch64.manylinux_2_17_aarch64",
    "cp313-cp313t-manylinux_2_28_x86_64",
    "py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    "py3-none-manylinux2014_aarch64",
    "cp311-cp311-musllinux_1_1_x86_64",
    "cp312-cp312-musllinux_1_2_x86_64",
    "cp39-abi3-musllinux_1_2_aarch64",
    "cp312-cp312-musllinux_1_3_aarch64",
    "cp312-none-win_amd64",
    "cp311-cp311-win_amd64",
    "cp312-cp312-win32",
    "cp38-abi3-win_amd64",
    "py3-none-win_amd64",
    "cp313-cp313-win_arm64",
    "cp312-cp312-macosx_11_0_arm64",
    "cp312-cp312-macosx_14_0_arm64",
    "cp312-cp312-macosx_15_0_arm64",
    "cp312-cp312-macosx_10_13_universal2",
    "cp311-cp311-macosx_10_9_x86_64",
    "cp312-cp312-macosx_10_12_intel",
    "cp39-abi3-macosx_10_9_x86_64.macosx_11_0_arm64.macosx_10_9_universal2",
    "py3-none-macosx_11_0_universal2",
    "cp36.cp37.cp38-abi3-macosx_13_0_x86_64",
    "cp312-cp312-macosx_13_0_x86_64",
    "cp311.cp312-none-macosx_12_0_arm64",
]
PACKAGES = 80
# Every target once; other interpreters where their rules differ most.
HOSTS = [
    *((target, "3.12") for target in PLATFORMS),
    ("linux-x86_64", "3.11"),
    ("linux-x86_64", "3.13"),
    ("macos-arm64", "3.13"),
]
BUILDS = ("", "-1", "-2", "-10", "-10a")


@pytest.fixture(scope="module")
def lock() -> Lock:
    dice = random.Random(20261120)
    packages = []
    for number in range(PACKAGES):
        tags = dice.sample(TAGS, dice.randint(2, 12))
        names = [
            f"pack{number}-1.0{build}-{tag}.whl"
            for tag in tags
            for build in dice.sample(BUILDS, dice.choice((1, 1, 2, 3)))
        ]
        packages.append(published(f"pack{number}", "1.0", *names))
    return locked(*packages)


@pytest.fixture(scope="module")
def oracle(lock: Lock, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(lock, tmp_path_factory.mktemp("oracle"))


def files(selection: Selection) -> set[str]:
    return {item.filename for item in selection.artifacts.values()}


@pytest.mark.parametrize(("target", "python"), HOSTS)
def test_the_same_wheels_as_uv_of_every_kind_of_tag(
    target: str, python: str, lock: Lock, oracle: Oracle
) -> None:
    selection = select(lock, inputs.load_target(target), (python,))
    refused = {item.package for item in selection.obstacles()}
    answer = oracle.choose(inputs.load_target(target), f"{python}.0", refused)
    assert not answer.refusal
    assert answer.files == files(selection) and len(answer.files) > PACKAGES / 4
    # What we refuse uv refuses too; it stops at the first, so one stands for all.
    for name in sorted(refused)[:1]:
        others = {package.name for package in lock.packages} - {name}
        assert oracle.choose(inputs.load_target(target), f"{python}.0", others).refusal


PLAIN = published(
    "plain", "1.0", "plain-1.0-cp312-cp312-linux_x86_64.whl", "plain-1.0-cp312-cp312-linux_aarch64.whl"
)
BETTER = published(
    "better", "1.0", *(f"better-1.0-cp312-cp312-{tag}_x86_64.whl" for tag in ("linux", "manylinux_2_17"))
)


@pytest.mark.parametrize("target", ["linux-x86_64", "linux-x86_64-musl", "linux-aarch64"])
def test_plain_linux_wheels_are_the_one_difference_and_accepting_them_removes_it(
    target: str, tmp_path: Path
) -> None:
    spec, lock = inputs.load_target(target), locked(PLAIN)
    theirs = Oracle(lock, tmp_path).choose(spec, "3.12.0").files
    assert len(theirs) == 1
    (obstacle,) = select(lock, spec, ("3.12",)).obstacles()
    assert "--accept-plain-linux plain" in obstacle.remedy.en
    assert files(select(lock, spec, ("3.12",), ("plain",))) == theirs


def test_a_manylinux_wheel_goes_before_an_accepted_plain_one(tmp_path: Path) -> None:
    spec, lock = inputs.load_target("linux-x86_64"), locked(BETTER)
    ours = files(select(lock, spec, ("3.12",), ("better",)))
    assert ours == Oracle(lock, tmp_path).choose(spec, "3.12.0").files == {BETTER.wheels[1].filename}


def test_uv_chooses_by_marker_and_version_as_we_do(tmp_path: Path) -> None:
    def forked(version: str, marker: str) -> LockedPackage:
        return published("fork", version, f"fork-{version}-py3-none-any.whl", marker=marker)

    lock = locked(
        forked("1.0", "sys_platform == 'win32'"),
        forked("2.0+cpu", "sys_platform == 'linux' and python_full_version < '3.12.4'"),
        forked("3.0", "sys_platform == 'linux' and python_full_version >= '3.12.4'"),
        forked("4.0", "sys_platform == 'darwin' and platform_machine == 'arm64'"),
    )
    oracle = Oracle(lock, tmp_path)
    for target in PLATFORMS:
        spec = inputs.load_target(target)
        both = {name for patch in ("0", "99") for name in oracle.choose(spec, f"3.12.{patch}").files}
        assert both == files(select(lock, spec, ("3.12",))), target
