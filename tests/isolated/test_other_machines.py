"""Machines that differ from this one: a build box with an interpreter only, and a host with an old Python.

They run in a changed root, not booted: nothing here needs a service manager.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .host_root import HostKind, fresh_root
from .tools import run_here

pytestmark = pytest.mark.isolated
REPOSITORY = Path(__file__).resolve().parents[2]
TOP = "RAGTrace-Enterprise-0.1.0-linux-x86_64"


def in_root(root: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script inside `root` with an environment of its own."""
    return subprocess.run(
        ["chroot", str(root), "sh", "-c", script],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def test_a_machine_with_nothing_but_python_builds_the_bundle(able: None, run_folder: Path) -> None:
    """No pip, no venv of its own, no uv, no git: Debian 12's python3 and a package index."""
    root = fresh_root(HostKind(), run_folder / "build-box")
    for module in ("pip", "ensurepip", "uv"):
        assert in_root(root, f"python3 -c 'import {module}'").returncode != 0
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, names.split("\0")):
        place = root / "srv/project" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, place)
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    environment = {}
    authority = os.environ.get("SSL_CERT_FILE")
    if authority:
        shutil.copyfile(authority, root / "srv/authority.pem")
        environment["SSL_CERT_FILE"] = "/srv/authority.pem"
    done = in_root(root, "cd /srv/project && python3 create_enterprise_offline.py --lang ko", **environment)
    assert done.returncode == 0, done.stderr
    assert f"{TOP}.tar.gz" in done.stdout and "폐쇄망 호스트에서" in done.stdout
    check = in_root(root, f"cd /srv/project/dist && sha256sum -c {TOP}.tar.gz.sha256 && tar xzf {TOP}.tar.gz")
    assert check.returncode == 0, check.stderr
    _verify_on_the_oldest_python(root / "srv/project/dist", run_folder)


def _verify_on_the_oldest_python(dist: Path, run_folder: Path) -> None:
    """Debian 11's Python 3.9 verifies the bundle, diagnoses the host and refuses with what is missing."""
    root = fresh_root(HostKind(suite="bullseye", packages=("python3",)), run_folder / "old-host")
    assert in_root(root, "python3 -c 'import sys; print(sys.version_info[:2])'").stdout == "(3, 9)\n"
    run_here(["cp", "-a", str(dist), str(root / "srv/dist")], timeout=300).expect()
    install = f"cd /srv/dist/{TOP} && python3 04_Scripts/install.py --allowed-signers ../allowed_signers"
    verified = in_root(root, f"{install} --verify-only")
    assert verified.returncode == 0, verified.stderr
    refused = in_root(root, f"{install} --lang ko")
    assert refused.returncode == 12 and "CPython 3.11" in refused.stderr
    assert not (root / "opt/ragtrace").exists()
    report = in_root(
        root,
        f"cd /srv/dist/{TOP} && python3 06_Verification/enterprise_validator.py --quiet --output /r.json",
    )
    assert report.returncode == 3 and (root / "r.json").stat().st_size > 1000
    advice = in_root(
        root, f"cd /srv/dist/{TOP} && python3 06_Verification/recovery_assistant.py --diagnosis /r.json"
    )
    assert "SYS-001" in advice.stdout, advice.stderr
