"""Security checks: each passes on a healthy installation and fails on a defect."""

from __future__ import annotations

import base64
import os
import pickle
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from installer import pointer
from installer.paths import Prefix
from tests.validator.fakes import Installation, run, status
from validator.checks import exposure, origin, security
from validator.host import procfs
from validator.model import Status

HARDENED = """[Service]
User=ragtrace
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
IPAddressDeny=any
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def test_private_configuration_passes(installation: Installation) -> None:
    assert status(security.configuration_private, installation.subject()) is Status.PASS


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660])
def test_a_readable_env_file_fails(installation: Installation, mode: int) -> None:
    installation.settings.chmod(mode)
    assert status(security.configuration_private, installation.subject()) is Status.FAIL


def test_a_configuration_folder_that_others_may_write_fails(installation: Installation) -> None:
    (installation.root / "config").chmod(0o777)
    assert status(security.configuration_private, installation.subject()) is Status.FAIL


def test_own_files_pass(installation: Installation) -> None:
    assert status(security.ownership, installation.subject()) is Status.PASS


@needs_root
def test_a_file_of_another_user_fails(installation: Installation) -> None:
    os.chown(installation.site / "toy_index" / "__init__.py", 4242, -1)
    outcome = run(security.ownership, installation.subject())
    assert outcome.status is Status.FAIL
    assert "uid 4242" in outcome.details.en


def test_nothing_world_writable_passes(installation: Installation) -> None:
    assert status(security.world_writable, installation.subject()) is Status.PASS


@pytest.mark.parametrize("where", ["generations", "state", "current.json"])
def test_something_world_writable_fails(installation: Installation, where: str) -> None:
    path = installation.root / where
    path.chmod(path.stat().st_mode | 0o002)
    assert status(security.world_writable, installation.subject()) is Status.FAIL


def test_safe_models_pass(installation: Installation) -> None:
    folder = installation.generation / "models" / "bge"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"\0" * 80)
    (folder / "LICENSE").write_text("text without a suffix")
    assert status(security.model_formats, installation.subject()) is Status.PASS


@pytest.mark.parametrize("name", ["sparse_linear.pt", "pytorch_model.bin", "modeling.py", "A.CKPT", "0a1b2c"])
def test_a_format_that_runs_code_fails(installation: Installation, name: str) -> None:
    folder = installation.generation / "models"
    folder.mkdir()
    (folder / name).write_bytes(pickle.dumps({"a": 1}))
    assert status(security.model_formats, installation.subject()) is Status.FAIL


def test_a_loopback_listener_passes(running: Installation) -> None:
    outcome = run(exposure.listening, running.subject())
    assert outcome.status is Status.PASS
    assert f"127.0.0.1:{running.port}" in outcome.measured


def test_a_listener_on_every_address_fails(installation: Installation) -> None:
    with installation.serving(FAKE_LISTEN="0.0.0.0"):
        assert status(exposure.listening, installation.subject()) is Status.FAIL


@pytest.mark.parametrize(
    ("host", "local", "fits"),
    [
        ("0.0.0.0", "0.0.0.0", True),
        ("::1", "0:0:0:0:0:0:0:2", False),
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "0.0.0.0", False),
        ("rag.house", "10.0.0.5", True),
        ("rag.house", "0.0.0.0", False),
        ("localhost", "10.0.0.5", False),
    ],
)
def test_a_listener_is_compared_with_the_configured_address(
    running: Installation, monkeypatch: pytest.MonkeyPatch, host: str, local: str, fits: bool
) -> None:
    # The listener's: a connection that is being closed has one too, and may be gone when it is looked for.
    inode = next(
        each.inode
        for each in procfs.sockets()
        if each.local_port == running.port and each.state == procfs.LISTEN
    )
    planted = procfs.Socket(local, running.port, "0.0.0.0", 0, procfs.LISTEN, inode)
    monkeypatch.setattr(procfs, "sockets", lambda proc=None: [planted])
    running.settings.write_text(f"RAGTRACE_SERVER_HOST={host}\nRAGTRACE_SERVER_PORT={running.port}\n")
    assert status(exposure.listening, running.subject()) is (Status.PASS if fits else Status.FAIL)


def test_a_file_that_goes_away_while_looking_is_passed_over(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = installation.root / "state" / "tmp.123"
    passing.touch()
    real = os.lstat

    def lstat(path: Path) -> os.stat_result:
        if Path(path) == passing:
            raise FileNotFoundError(path)
        return real(path)

    monkeypatch.setattr(os, "lstat", lstat)
    assert status(security.world_writable, installation.subject()) is Status.PASS


def test_offline_switches_of_the_running_process_pass(running: Installation) -> None:
    assert status(exposure.offline_switches, running.subject()) is Status.PASS


def test_a_switch_missing_in_the_running_process_fails(installation: Installation) -> None:
    with installation.serving(HF_HUB_OFFLINE="0"):
        outcome = run(exposure.offline_switches, installation.subject())
    assert outcome.status is Status.FAIL
    assert "HF_HUB_OFFLINE" in outcome.details.en


def test_without_a_process_there_is_nothing_to_inspect(installation: Installation) -> None:
    assert status(exposure.listening, installation.subject()) is Status.SKIP
    assert status(exposure.offline_switches, installation.subject()) is Status.SKIP


def test_a_process_that_may_not_be_seen_is_unknown(
    running: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "environment", lambda pid: None)
    monkeypatch.setattr(procfs, "socket_inodes", lambda pid: None)
    assert status(exposure.offline_switches, running.subject()) is Status.UNKNOWN
    assert status(exposure.listening, running.subject()) is Status.UNKNOWN


@pytest.mark.parametrize("missing", ["", *exposure.WANTED_UNIT, "User"])
def test_each_hardening_setting_is_missed(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    unit = tmp_path / "ragtrace.service"
    unit.write_text(
        "\n".join(line for line in HARDENED.splitlines() if not missing or not line.startswith(missing))
    )
    monkeypatch.setattr(exposure, "unit_path", lambda subject: unit)
    outcome = run(exposure.unit_hardening, installation.subject())
    assert outcome.status is (Status.WARN if missing else Status.PASS)
    assert missing in outcome.measured


def test_a_drop_in_that_weakens_the_unit_is_seen(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = tmp_path / "ragtrace.service"
    unit.write_text(HARDENED)
    (tmp_path / "ragtrace.service.d").mkdir()
    (tmp_path / "ragtrace.service.d" / "override.conf").write_text("[Service]\nIPAddressDeny=\n")
    monkeypatch.setattr(exposure, "unit_path", lambda subject: unit)
    assert status(exposure.unit_hardening, installation.subject()) is Status.WARN


def sign(installation: Installation, folder: Path) -> str:
    """Sign the generation's manifest and return the allowed_signers line."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    manifest = installation.generation / "tools" / "MANIFEST.json"
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "ragtrace-bundle@v1", str(manifest)],
        check=True,
        capture_output=True,
    )
    return "builder " + " ".join(key.with_suffix(".pub").read_text().split()[:2]) + "\n"


needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen makes the signature"
)


@needs_ssh_keygen
def test_a_signature_by_a_trusted_signer_passes_and_by_an_unknown_one_warns(
    installation: Installation, tmp_path: Path
) -> None:
    assert status(origin.signature, installation.subject()) is Status.SKIP
    line = sign(installation, tmp_path)
    assert status(origin.signature, installation.subject()) is Status.WARN
    (installation.root / "trust" / "allowed_signers").write_text(line)
    assert status(origin.signature, installation.subject()) is Status.PASS


@needs_ssh_keygen
def test_a_release_that_is_not_accepted_yet_has_no_pinned_signer_to_compare(
    installation: Installation, tmp_path: Path
) -> None:
    sign(installation, tmp_path)
    (installation.root / "trust" / "accepted.json").unlink()
    assert status(origin.signature, installation.subject()) is Status.SKIP
    # Long after the switch a missing record is no excuse to look away.
    os.utime(installation.root / "current.json", (1, 1))
    assert status(origin.signature, installation.subject()) is Status.WARN


@needs_ssh_keygen
def test_a_signature_that_was_removed_fails(installation: Installation, tmp_path: Path) -> None:
    sign(installation, tmp_path)
    installation.seal()
    (installation.generation / "tools" / "MANIFEST.json.sig").unlink()
    outcome = run(origin.signature, installation.subject())
    assert outcome.status is Status.FAIL
    assert outcome.remedy == "repair"


@needs_ssh_keygen
def test_a_repaired_rebuild_of_an_accepted_release_is_looked_at(
    installation: Installation, tmp_path: Path
) -> None:
    sign(installation, tmp_path)
    rebuilt = installation.generation.with_name(installation.name + "-r1")
    installation.generation.rename(rebuilt)
    pointer.write(Prefix(installation.root), pointer.Pointer(rebuilt.name, installation.digest, 1))
    assert status(origin.signature, installation.subject()) is Status.WARN


@needs_ssh_keygen
def test_a_changed_manifest_or_signature_fails(installation: Installation, tmp_path: Path) -> None:
    (installation.root / "trust" / "allowed_signers").write_text(sign(installation, tmp_path))
    manifest = installation.generation / "tools" / "MANIFEST.json"
    good = manifest.read_bytes()
    manifest.write_bytes(good.replace(b"starter", b"startes"))
    assert status(origin.signature, installation.subject()) is Status.FAIL
    manifest.write_bytes(good)
    manifest.with_name("MANIFEST.json.sig").write_text("-----BEGIN SSH SIGNATURE-----\n")
    assert status(origin.signature, installation.subject()) is Status.FAIL


@needs_ssh_keygen
def test_a_further_signature_has_to_hold_too(installation: Installation, tmp_path: Path) -> None:
    manifest = installation.generation / "tools" / "MANIFEST.json"
    line = sign(installation, tmp_path)
    manifest.with_name("MANIFEST.json.sig").rename(tmp_path / "first")
    (tmp_path / "other").mkdir()
    sign(installation, tmp_path / "other")
    second = manifest.with_name("MANIFEST.json.2.sig")
    manifest.with_name("MANIFEST.json.sig").rename(second)
    (tmp_path / "first").rename(manifest.with_name("MANIFEST.json.sig"))
    (installation.root / "trust" / "allowed_signers").write_text(line)
    assert status(origin.signature, installation.subject()) is Status.PASS
    second.write_text(second.read_text().replace("A", "B"))
    assert status(origin.signature, installation.subject()) is Status.FAIL


def test_a_signer_outside_the_pinned_ones_fails(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    sign(installation, tmp_path / "one")
    blob = struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 32) + b"\7" * 32
    line = "other ssh-ed25519 " + base64.b64encode(blob).decode() + "\n"
    (installation.root / "trust" / "allowed_signers").write_text(line)
    assert status(origin.signature, installation.subject()) is Status.FAIL


def test_a_signer_who_was_replaced_since_warns(installation: Installation, tmp_path: Path) -> None:
    test_a_signer_outside_the_pinned_ones_fails(installation, tmp_path)
    (installation.root / "trust" / "records.json").write_text("{}")
    assert status(origin.signature, installation.subject()) is Status.WARN
    manifest = installation.generation / "tools" / "MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"starter", b"startes"))
    assert status(origin.signature, installation.subject()) is Status.FAIL


def test_kernel_addresses_are_decoded() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        mine = [s for s in procfs.sockets() if s.local_port == listener.getsockname()[1]]
    assert [(s.local, s.state) for s in mine] == [("127.0.0.1", procfs.LISTEN)]
    assert procfs.address("0000000000000000FFFF00000100007F:0050") == ("127.0.0.1", 80)
    assert procfs.address("00000000000000000000000001000000:0050") == ("::1", 80)
