"""The build from end to end against a loopback index: what ships is what is verified."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from builder import inputs, planning, uvtool
from builder.cache import Cache
from builder.sealing import keys
from bundle import verify
from bundle.errors import BuildError
from bundle.text import Text
from bundle.trust import Anchors
from tests.builder.conftest import ALPHA, BETA, Run
from tests.support import carried_uv
from tests.support.index import Index
from tests.support.wheels import wheel_bytes


def unpack(archive: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    subprocess.run(["tar", "xzf", str(archive), "-C", str(folder)], check=True)
    (root,) = folder.iterdir()
    return root


def test_a_built_archive_verifies_and_holds_exactly_the_locked_files(run: Run, tmp_path: Path) -> None:
    code, out, err = run("build", "--json")
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    root = unpack(Path(result["archive"]), tmp_path / "unpacked")
    signers = Path(result["allowed_signers"]).read_text()
    bundle = verify.open_bundle(root, Anchors(allowed_signers=signers))
    assert (
        bundle.origin.status == "verified"
        and bundle.origin.key.fingerprint == result["signers"][0]["fingerprint"]
    )
    wheels = sorted(path.name for path in (root / "02_Dependencies/wheels").iterdir())
    assert wheels == [
        ALPHA,
        "beta_pkg-2.0-py3-none-any.whl",
        *(f"gamma-3.0-cp31{n}-cp31{n}-manylinux_2_17_x86_64.whl" for n in (1, 2, 3)),
    ]
    assert (root / "03_Source/sample-1.0.0-py3-none-any.whl").is_file()
    assert (root / "01_Prerequisites" / carried_uv.FILENAME).read_bytes() == carried_uv.data()
    for name in (
        "04_Scripts/install.py",
        "04_Scripts/installer/cli.py",
        "06_Verification/enterprise_validator.py",
    ):
        assert (root / name).is_file()
    subprocess.run(["sha256sum", "-c", "--quiet", "checksums.sha256"], cwd=root, check=True)
    subprocess.run(
        ["sha256sum", "-c", "--quiet", "checksums.sha256"], cwd=root / "02_Dependencies", check=True
    )


def test_a_second_build_downloads_nothing(run: Run, index: Index) -> None:
    assert run("build")[0] == 0
    before = len(index.requests)
    assert run("build")[0] == 0
    assert len(index.requests) == before


def test_a_poisoned_cache_is_noticed_and_healed(run: Run, tmp_path: Path, index: Index) -> None:
    assert run("build")[0] == 0
    cache = Cache(tmp_path / "cache")
    place = cache.path(hashlib.sha256(index.files[ALPHA]).hexdigest())
    data = bytearray(place.read_bytes())
    data[200] ^= 1
    place.write_bytes(bytes(data))
    for archive in (tmp_path / "out").glob("*.tar.gz"):
        archive.unlink()
    code, _, err = run("build", "--lang", "ko")
    assert code == 10 and "캐시의 파일이 변했습니다" in err
    assert not list((tmp_path / "out").glob("*.tar.gz")) and not list((tmp_path / "out").glob(".*"))
    assert run("build")[0] == 0


def test_plan_prints_every_artifact_and_downloads_nothing(run: Run, index: Index) -> None:
    code, out, _ = run("plan", "--json")
    plan = json.loads(out)
    assert code == 0
    by_name = {item["filename"]: item for item in plan["artifacts"]}
    assert by_name[BETA]["kind"] == "sdist" and by_name[BETA]["size"] == len(index.files[BETA])
    assert {"kind", "name", "version", "filename", "source", "sha256", "size"} <= set(by_name[ALPHA])
    assert not [method for method, _, _ in index.requests if method == "GET"]


def test_plan_fails_naming_every_obstacle(run: Run, project: inputs.ProjectSpec, index: Index) -> None:
    text = (project.root / "pyproject.toml").read_text()
    tag = "cp311-cp311-win_amd64"
    index.add(f"epsilon-1.0-{tag}.whl", wheel_bytes("epsilon", "1.0", tag=tag))
    (project.root / "pyproject.toml").write_text(text.replace('"alpha"', '"alpha", "delta", "epsilon"'))
    uvtool.run_uv(["lock", "--no-cache"], project.root, Text("", ""))
    code, out, err = run("plan", "--json")
    assert code == BuildError.exit_code
    assert {item["package"] for item in json.loads(out)["obstacles"]} == {"delta", "epsilon"}
    assert "delta 4.0" in err and "epsilon 1.0" in err
    code, _, err = run("build")
    assert code == BuildError.exit_code and "2 obstacle(s)" in err


def test_a_lock_that_no_longer_fits_the_project_is_refused(run: Run, project: inputs.ProjectSpec) -> None:
    path = project.root / "pyproject.toml"
    path.write_text(path.read_text().replace('"alpha"', '"alpha>=5"'))
    code, _, err = run("build")
    assert code == BuildError.exit_code and "reading uv.lock" in err


def test_a_source_that_builds_a_machine_bound_wheel_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_WHEEL_TAG", "cp311-cp311-linux_x86_64")
    code, _, err = run("build")
    assert code == BuildError.exit_code and "bound to this machine" in err


def test_no_space_for_the_archive_leaves_nothing_half_made(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    code, _, err = run("build")
    assert code == 22 and "cannot be written" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--profile", "startr"], "available: starter"),
        (["--target", "linux-x86-64"], "available: linux-x86_64"),
        (["--python", "3"], "has the form X.Y"),
        (["--profile", "starter"], "another project's"),
        (["--signing-key", "/nonexistent"], "cannot be read"),
        (["--python-archive", "/nonexistent.tar.gz"], "no such Python archive"),
        (["--sequence", "0"], "at least 1"),
    ],
)
def test_wrong_arguments_are_named_with_the_right_ones(run: Run, words: list[str], message: str) -> None:
    code, _, err = run("build", *words)
    assert code == 2 and message in err


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, run: Run) -> None:
    keys.load_or_create_key(tmp_path / "key", "me")
    (tmp_path / "key").chmod(0o644)
    code, _, err = run("build", "--signing-key", str(tmp_path / "key"))
    assert code == 2 and "chmod 600" in err


def test_the_first_run_makes_a_key_for_the_owner_only_and_keeps_it(tmp_path: Path) -> None:
    key, made = keys.load_or_create_key(tmp_path / "a" / "key", "me")
    again, made_again = keys.load_or_create_key(tmp_path / "a" / "key", "me")
    assert (made, made_again) == (True, False) and key.public == again.public
    assert (tmp_path / "a" / "key").stat().st_mode & 0o777 == 0o600
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["key"]


def test_a_killed_download_is_resumed_by_a_new_process(
    run: Run, tmp_path: Path, index: Index, project: inputs.ProjectSpec
) -> None:
    digest = hashlib.sha256(index.files[ALPHA]).hexdigest()
    cache = Cache(tmp_path / "cache")
    cache.partial(digest).write_bytes(index.files[ALPHA][:50])
    environment = {**os.environ, "RAGTRACE_CACHE_DIR": str(cache.root)}
    command = [
        sys.executable,
        "-c",
        carried_uv.BUILDER,
        "build",
        "--quiet",
        "--allow-build",
        "beta-pkg",
        "--project-root",
        str(project.root),
    ]
    done = subprocess.run(
        [*command, "--output-dir", str(tmp_path / "out")],
        cwd=inputs.REPOSITORY, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("GET", ALPHA, "bytes=50-") in index.requests


def test_a_given_interpreter_archive_is_carried(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "python-3.11-linux.tar.gz"
    with tarfile.open(place, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("python/"))
    planned = json.loads(run("plan", "--json", "--python-archive", str(place))[1])["artifacts"]
    (shown,) = [item for item in planned if item["kind"] == "interpreter"]
    assert (shown["filename"], shown["size"]) == (place.name, place.stat().st_size)
    code, out, _ = run("build", "--json", "--python-archive", str(place))
    root = unpack(Path(json.loads(out.splitlines()[-1])["archive"]), tmp_path / "unpacked")
    assert code == 0
    assert (root / "01_Prerequisites" / place.name).read_bytes() == place.read_bytes()


def test_a_fault_of_ours_has_its_own_exit_code_and_no_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(request: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(planning, "make_plans", broken)
    code, _, err = run("plan")
    assert code == 70 and "ZeroDivisionError: planted" in err and "Traceback" not in err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_cache_disk_is_named_and_a_larger_one_finishes_the_build(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], check=True)
    try:
        Cache(small)
        (small / "filler").write_bytes(bytes(shutil.disk_usage(small).free))
        monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(small))
        code, _, err = run("build")
        assert code == 22 and str(small) in err and "Traceback" not in err
    finally:
        subprocess.run(["umount", str(small)], check=True)
    monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(tmp_path / "cache"))
    assert run("build")[0] == 0
