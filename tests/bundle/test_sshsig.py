"""SSHSIG: our verification and OpenSSH's agree in both directions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.keys import load_or_create_key
from builder.sealing.signing import SigningKey
from bundle import layout, sshsig
from bundle.errors import SignatureError

MESSAGE = b'{"format": "ragtrace-bundle"}\n'
ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH's ssh-keygen")


@pytest.fixture
def key() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate(), "builder")


def test_a_signature_gives_back_the_key_that_made_it(key: SigningKey) -> None:
    assert sshsig.verify(MESSAGE, key.sign(MESSAGE)) == key.public


def test_a_changed_message_is_refused(key: SigningKey) -> None:
    with pytest.raises(SignatureError, match="does not fit"):
        sshsig.verify(MESSAGE + b" ", key.sign(MESSAGE))


def test_a_signature_for_another_purpose_is_refused(key: SigningKey) -> None:
    with pytest.raises(SignatureError, match="another purpose"):
        sshsig.verify(MESSAGE, key.sign(MESSAGE, "git"))


@pytest.mark.parametrize(
    "armored",
    [
        b"",
        b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----",
        b"-----BEGIN SSH SIGNATURE-----\n!!!\n-----END SSH SIGNATURE-----",
        b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----",
        b"-----BEGIN SSH SIGNATURE-----\n" + b"A" * 40000 + b"\n-----END SSH SIGNATURE-----",
    ],
)
def test_malformed_signatures_are_refused_not_crashed_on(armored: bytes) -> None:
    with pytest.raises(SignatureError):
        sshsig.verify(MESSAGE, armored)


def test_every_truncation_is_refused(key: SigningKey) -> None:
    armored = key.sign(MESSAGE)
    for length in range(0, len(armored) - 2, 7):
        with pytest.raises(SignatureError):
            sshsig.verify(MESSAGE, armored[:length])


@ssh_keygen
def test_openssh_accepts_our_signature(tmp_path: Path, key: SigningKey) -> None:
    (tmp_path / "allowed_signers").write_text(key.allowed_signers())
    (tmp_path / "sig").write_bytes(key.sign(MESSAGE))
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", "builder"]
    done = subprocess.run(
        [*command, "-n", layout.NAMESPACE, "-s", "sig"],
        cwd=tmp_path,
        input=MESSAGE,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert key.public.fingerprint.encode() in done.stdout


@ssh_keygen
def test_we_accept_a_signature_by_openssh(tmp_path: Path) -> None:
    key, _ = load_or_create_key(tmp_path / "key", "builder")
    (tmp_path / "message").write_bytes(MESSAGE)
    command = ["ssh-keygen", "-Y", "sign", "-f", "key", "-n", layout.NAMESPACE, "message"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert sshsig.verify(MESSAGE, (tmp_path / "message.sig").read_bytes()) == key.public
