"""What the options of a build do, from the command line to what an isolated host makes of the result."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from builder import inputs
from bundle.manifest import parse_manifest
from tests.builder.conftest import ALPHA, BETA, Run
from tests.support import advisories
from tests.support.index import Index


def built(run: Run, *words: str) -> dict[str, Any]:
    code, out, err = run("build", "--json", "--audit", "none", *words)
    assert code == 0, err
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def unpacked(result: dict[str, Any], to: Path, *words: str) -> Path:
    """Join a result with the unpacker that lies beside it, as an operator does."""
    archive = Path(result["archive"])
    command = [sys.executable, "-I", str(archive.parent / "unpack.py"), str(archive), "--to", str(to)]
    command += ["--allowed-signers", result["allowed_signers"], *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (root,) = to.iterdir()
    return root


def tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_volumes_hold_what_the_archive_would_hold(run: Run, tmp_path: Path) -> None:
    whole = built(run)
    parts = built(run, "--volume-size", "1MB", "--output-dir", str(tmp_path / "volumes"))
    assert parts["sha256"] == whole["sha256"] and parts["size"] == whole["size"]
    assert not list((tmp_path / "volumes").glob("*.tar.gz"))
    assert sum(Path(name).stat().st_size for name in parts["files"][1:]) == whole["size"]
    assert tree(unpacked(parts, tmp_path / "a")) == tree(unpacked(whole, tmp_path / "b"))


def test_a_delta_on_its_base_is_the_whole_new_bundle(
    run: Run, tmp_path: Path, project: inputs.ProjectSpec
) -> None:
    base = unpacked(built(run, "--sequence", "1"), tmp_path / "base")
    (project.root / "src" / "sample" / "more.py").write_text("MORE = 1\n")
    whole = built(run, "--sequence", "2")
    place = str(tmp_path / "delta")
    small = built(run, "--sequence", "2", "--delta-from", str(base / "MANIFEST.json"), "--output-dir", place)
    assert small["size"] < whole["size"] / 2
    assert Path(small["archive"]).name.endswith(".delta-from-1.tar.gz")
    rebuilt = unpacked(small, tmp_path / "rebuilt", "--base", str(base))
    assert tree(rebuilt) == tree(unpacked(whole, tmp_path / "whole"))


def test_an_expiry_is_in_the_manifest_and_a_past_one_is_refused(run: Run, tmp_path: Path) -> None:
    soon = datetime.now(timezone.utc) + timedelta(days=200)
    result = built(run, "--expires", soon.strftime("%Y-%m-%d"), "--sequence", "5")
    assert (result["expires"], result["sequence"]) == (soon.strftime("%Y-%m-%dT23:59:59Z"), 5)
    manifest = parse_manifest((unpacked(result, tmp_path / "x") / "MANIFEST.json").read_bytes())
    assert (manifest.expires, manifest.sequence) == (result["expires"], 5)
    code, _, err = run("build", "--audit", "none", "--expires", "2001-01-01")
    assert code == 2 and "expired already" in err


def test_two_keys_sign_and_both_are_told(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        subprocess.run(
            [
                "ssh-keygen",
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                f"{name}@example",
                "-f",
                str(tmp_path / name),
            ],
            check=True,
        )
    keys = [word for name in ("one", "two") for word in ("--signing-key", str(tmp_path / name))]
    result = built(run, *keys)
    assert [item["principal"] for item in result["signers"]] == ["one@example", "two@example"]
    root = unpacked(result, tmp_path / "x")
    assert (root / "MANIFEST.json.2.sig").is_file()
    assert Path(result["allowed_signers"]).read_text().count("ssh-ed25519") == 2


def test_a_known_vulnerability_stops_the_build_before_anything_is_fetched_unless_it_is_waived(
    run: Run, tmp_path: Path, index: Index
) -> None:
    services = advisories.Services()
    severity = [{"type": "CVSS_V3", "score": advisories.CRITICAL_VECTOR}]
    services.add("1.0", advisories.osv_record("PYSEC-2026-1", "alpha", severity=severity))
    waivers = tmp_path / "waivers.toml"
    waivers.write_text(
        '[[waiver]]\nid = "PYSEC-2026-1"\npackage = "alpha"\nreason = "never called"\nexpires = 2099-01-01\n'
    )
    with advisories.serve(services):
        words = ("build", "--json", "--audit", "osv", "--osv-url", services.osv_url, "--fail-on", "high")
        code, _, err = run(*words)
        assert code == 23 and "PYSEC-2026-1" in err and "uv lock --upgrade-package" in err
        assert index.downloads(ALPHA) == 0
        code, out, err = run(*words, "--waivers", str(waivers))
    assert code == 0 and "never called" in err + out
    result = json.loads(out.splitlines()[-1])
    assert result["advisories"]["found"] == {"critical": 1} and result["advisories"]["unanswered"] == 0
    root = unpacked(result, tmp_path / "x")
    manifest = parse_manifest((root / "MANIFEST.json").read_bytes())
    assert manifest.advisories is not None
    snapshot = root / manifest.advisories.path
    # Without any service, the snapshot of that build gives the same bundle again.
    code, out, err = run(
        "build", "--json", "--advisories", str(snapshot), "--fail-on", "high", "--waivers", str(waivers)
    )
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["sha256"] == result["sha256"]


def test_nothing_is_built_from_source_without_permission_and_nothing_is_fetched(
    run: Run, index: Index
) -> None:
    code, _, err = run("build", "--audit", "none", "--allow-build", "another")
    assert code == 20 and "beta-pkg 2.0" in err and "--allow-build beta-pkg" in err
    assert index.downloads(BETA) == index.downloads(ALPHA) == 0
    code, out, _ = run("plan", "--lang", "en", "--allow-build", "another")
    assert code == 0 and "to be built  beta-pkg 2.0" in out and "disk needed" in out


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_too_little_room_for_the_bundle_is_told_before_anything_is_fetched(
    run: Run, tmp_path: Path, index: Index
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(small)], check=True)
    try:
        (small / "filler").write_bytes(bytes(shutil.disk_usage(small).free))
        code, _, err = run("build", "--audit", "none", "--lang", "en", "--output-dir", str(small))
        assert code == 22 and "needed: bundles" in err and f"({small})" in err
        assert index.downloads(ALPHA) == 0 and [path.name for path in small.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_read_only_output_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    code, _, err = run("build", "--audit", "none", "--output-dir", str(tmp_path / "file"))
    assert code == 22 and str(tmp_path / "file") in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--volume-size", "3 bananas"), "not understood"),
        (("--volume-size", "10K"), "too small"),
        (("--delta-from", "nowhere.json"), "--delta-from nowhere.json"),
        (("--expires", "soon"), "not a form of an expiry"),
        (("--signer", "a", "--signer", "b"), "more --signer than keys"),
        (("--model", "bge-m4"), "bge-m3"),
        (("--model", "bge-m3"), "not pinned"),
        (("--target", "linux-x86_65"), "linux-x86_64"),
        (("--token-file", "nowhere"), "nowhere"),
    ],
)
def test_a_wrong_option_is_named_with_what_would_be_right(
    run: Run, words: tuple[str, ...], message: str
) -> None:
    code, _, err = run("build", "--audit", "none", "--lang", "en", *words)
    assert code in (2, 20) and message in err and "Traceback" not in err
