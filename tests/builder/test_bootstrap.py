"""Setting up with an interpreter and an index only: fetching uv, refusing what the lock does not say."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from builder import bootstrap
from bundle.errors import BuildError, DownloadError
from tests.support.index import Index

UV = "uv-0.13.8-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


def test_the_locks_own_address_is_used_first(index: Index) -> None:
    digest = index.add(UV, b"uv wheel")
    assert bootstrap._download(f"{index.url}/files/{UV}", digest) == b"uv wheel"


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_a_mirror_named_by_the_environment_serves_the_same_file(
    index: Index, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    digest = index.add(UV, b"uv wheel")
    monkeypatch.setenv(variable, f"{index.url}/simple/")
    assert bootstrap._download(f"http://127.0.0.1:9/{UV}", digest) == b"uv wheel"


def test_other_bytes_than_the_locks_are_never_used(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add(UV, b"not uv")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
    with pytest.raises(DownloadError) as caught:
        bootstrap._download(f"{index.url}/files/{UV}", hashlib.sha256(b"uv wheel").hexdigest())
    assert caught.value.render("en").count("differs from uv.lock") == 2


def test_an_unreachable_index_says_how_to_name_another(index: Index) -> None:
    with pytest.raises(DownloadError) as caught:
        bootstrap._download(f"http://127.0.0.1:9/{UV}", "0" * 64)
    assert "UV_DEFAULT_INDEX" in caught.value.render("ko")


@pytest.mark.parametrize(
    ("system", "machine", "libc", "expected"),
    [
        ("linux", "x86_64", "glibc", "manylinux_2_17_x86_64"),
        ("linux", "aarch64", "glibc", "manylinux_2_17_aarch64"),
        ("linux", "x86_64", "", "musllinux_1_1_x86_64"),
        ("darwin", "arm64", "", "macosx_11_0_arm64"),
    ],
)
def test_the_wheel_of_this_machine_is_chosen(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, libc: str, expected: str
) -> None:
    names = ["linux_armv6l", "win_amd64", "macosx_10_12_x86_64", "macosx_11_0_arm64", "musllinux_1_1_x86_64"]
    names += ["manylinux_2_17_aarch64.manylinux2014_aarch64", "manylinux_2_17_x86_64.manylinux2014_x86_64"]
    wheels = [{"url": f"https://x/uv-1-py3-none-{name}.whl"} for name in names]
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    assert expected in bootstrap._fitting_wheel(wheels)["url"]


def test_a_machine_without_a_uv_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390q")
    with pytest.raises(BuildError) as caught:
        bootstrap._fitting_wheel([{"url": "https://x/uv-1-py3-none-manylinux_2_17_x86_64.whl"}])
    assert "s390q" in caught.value.where


def test_an_old_interpreter_is_refused_in_both_languages(repository: Path) -> None:
    code = "import sys, runpy; sys.version_info = (3, 9, 2); runpy.run_path('create_enterprise_offline.py', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr and "3.11 이상" in done.stderr
