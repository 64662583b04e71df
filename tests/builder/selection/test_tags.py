"""Wheel tags of every target, down from its floor, whatever this machine is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder import inputs
from builder.selection import tags
from builder.selection.select import best_wheel
from bundle.errors import UsageProblem
from tests.builder.selection.locks import published

TARGETS = {path.stem: inputs.load_target(path.stem) for path in (inputs.MANIFESTS / "targets").glob("*.toml")}


def fits(target: str, tag: str, python: str = "3.12", plain: bool = False) -> bool:
    package = published("a", "1", f"a-1-{tag}.whl")
    return best_wheel(package, tags.ranks(TARGETS[target], python, plain)) is not None


@pytest.mark.parametrize(
    ("tag", "targets"),
    [
        ("cp312-cp312-manylinux_2_28_x86_64", "linux-x86_64"),
        ("cp312-cp312-manylinux_2_29_x86_64", ""),
        ("cp312-cp312-manylinux1_x86_64", "linux-x86_64"),
        ("cp312-cp312-manylinux2014_aarch64", "linux-aarch64"),
        ("cp312-cp312-manylinux2010_aarch64", ""),
        ("cp312-cp312-musllinux_1_1_x86_64", "linux-x86_64-musl"),
        ("cp312-cp312-musllinux_1_3_x86_64", ""),
        ("cp39-abi3-musllinux_1_2_aarch64", "linux-aarch64-musl"),
        ("cp312-cp312-win_amd64", "windows-amd64"),
        ("py3-none-win32", ""),
        ("cp312-cp312-win_arm64", ""),
        ("cp312-cp312-macosx_14_0_arm64", "macos-arm64"),
        ("cp312-cp312-macosx_15_0_arm64", ""),
        ("cp312-cp312-macosx_10_9_x86_64", "macos-x86_64"),
        ("cp312-cp312-macosx_13_0_x86_64", "macos-x86_64"),
        ("cp312-cp312-macosx_14_0_x86_64", ""),
        ("cp39-abi3-macosx_10_9_universal2", "macos-arm64 macos-x86_64"),
        ("py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64", "linux-x86_64 linux-x86_64-musl"),
        ("py2.py3-none-any", " ".join(TARGETS)),
        ("cp311-cp311-manylinux_2_17_x86_64", ""),
        ("cp313-abi3-manylinux_2_17_x86_64", ""),
        ("cp312-cp312t-manylinux_2_17_x86_64", ""),
        ("pp310-pypy310_pp73-manylinux_2_17_x86_64", ""),
        ("cp312-cp312-linux_x86_64", ""),
    ],
)
def test_a_wheel_fits_exactly_the_targets_that_its_tags_promise(tag: str, targets: str) -> None:
    assert {name for name in TARGETS if fits(name, tag)} == set(targets.split())


def test_a_plain_linux_wheel_fits_only_where_it_was_accepted() -> None:
    for name, target in TARGETS.items():
        accepted = fits(name, f"cp312-cp312-linux_{target.arch}", plain=True)
        assert accepted == (target.os == "linux")


@given(
    target=st.sampled_from(sorted(TARGETS)),
    python=st.sampled_from(["3.11", "3.12", "3.13"]),
    plain=st.booleans(),
)
def test_an_accepted_plain_wheel_is_the_last_choice_of_its_interpreter_and_moves_no_other(
    target: str, python: str, plain: bool
) -> None:
    usual = tags.target_tags(TARGETS[target], python)
    more = tags.target_tags(TARGETS[target], python, plain_linux=plain)
    assert [tag for tag in more if not tag.platform.startswith("linux_")] == usual
    assert len(set(usual)) == len(usual)


@given(st.lists(st.sampled_from(["", "-1", "-2", "-10", "-10b", "-9z"]), min_size=1, unique=True))
def test_the_highest_build_number_wins_in_any_order(builds: list[str]) -> None:
    order = ["", "-1", "-2", "-9z", "-10", "-10b"]
    package = published("a", "1", *(f"a-1{build}-py3-none-any.whl" for build in builds))
    chosen = best_wheel(package, tags.ranks(TARGETS["windows-amd64"], "3.12"))
    assert chosen is not None
    assert chosen.filename == f"a-1{max(builds, key=order.index)}-py3-none-any.whl"


def test_a_better_tag_goes_before_a_higher_build_number() -> None:
    package = published("a", "1", "a-1-9-py3-none-any.whl", "a-1-cp312-cp312-win_amd64.whl")
    chosen = best_wheel(package, tags.ranks(TARGETS["windows-amd64"], "3.12"))
    assert chosen is not None and chosen.filename == "a-1-cp312-cp312-win_amd64.whl"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('libc_min = "2.28"', 'libc_min = "new"'),
        ('libc_min = "2.28"', 'libc_min = ""'),
        ('libc = "glibc"', 'libc = "bionic"'),
        ('os = "linux"', 'os = "windows"'),
        ('os_name = "posix"', 'os_nam = "posix"'),
        ('os_name = "posix"', "os_name = 1"),
    ],
)
def test_a_target_that_contradicts_itself_is_refused(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (inputs.MANIFESTS / "targets/linux-x86_64.toml").read_text(encoding="utf-8")
    folder = tmp_path / "targets"
    folder.mkdir()
    (folder / "mine.toml").write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(inputs, "MANIFESTS", tmp_path)
    with pytest.raises(UsageProblem, match=r"do not agree|wrong keys") as caught:
        inputs.load_target("mine")
    assert "mine.toml" in caught.value.where


def test_the_page_of_targets_names_each_with_its_floor() -> None:
    page = (inputs.REPOSITORY / "docs/reference/targets.md").read_text(encoding="utf-8")
    for name, target in TARGETS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        label = "macOS" if target.libc == "macos" else target.libc
        assert f"{label} {target.libc_min}".strip() in row or (not target.libc and "none" in row)
