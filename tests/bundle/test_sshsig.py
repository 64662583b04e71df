"""SSHSIG: our verification and OpenSSH's agree in both directions."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from builder.sealing.keys import load_or_create_key
from builder.sealing.signing import SigningKey, allowed_signers
from bundle import layout, sshsig
from bundle.errors import SignatureError
from tests.support.tokens import Token, token

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


def openssh_verifies(folder: Path, signer: SigningKey | Token) -> subprocess.CompletedProcess[bytes]:
    (folder / "allowed_signers").write_text(allowed_signers([signer]))
    (folder / "sig").write_bytes(signer.sign(MESSAGE))
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", signer.principal]
    return subprocess.run(
        [*command, "-n", layout.NAMESPACE, "-s", "sig"],
        cwd=folder,
        input=MESSAGE,
        capture_output=True,
        check=False,
    )


@ssh_keygen
def test_openssh_accepts_our_signature(tmp_path: Path, key: SigningKey) -> None:
    done = openssh_verifies(tmp_path, key)
    assert done.returncode == 0, done.stderr
    assert key.public.fingerprint.encode() in done.stdout


@ssh_keygen
def test_openssh_signs_the_very_bytes_that_we_do(tmp_path: Path) -> None:
    key, _ = load_or_create_key(tmp_path / "key", "builder")
    (tmp_path / "message").write_bytes(MESSAGE)
    command = ["ssh-keygen", "-Y", "sign", "-f", "key", "-n", layout.NAMESPACE, "message"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "message.sig").read_bytes() == key.sign(MESSAGE)


def test_a_tokens_signature_gives_back_its_key() -> None:
    made = token()
    found = sshsig.verify(MESSAGE, made.sign(MESSAGE))
    assert found == made.public and found.openssh().startswith("sk-ssh-ed25519@openssh.com ")
    assert sshsig.parse_public_key(found.openssh().split()[1]) == found


@ssh_keygen
def test_openssh_accepts_the_signatures_that_we_take_for_a_tokens(tmp_path: Path) -> None:
    """Ours is a twin made of software: that OpenSSH believes it too makes it worth testing with."""
    made = token()
    done = openssh_verifies(tmp_path, made)
    assert done.returncode == 0, done.stderr
    assert b"ED25519-SK" in done.stdout and made.public.fingerprint.encode() in done.stdout


def test_a_tokens_signature_without_a_touch_is_refused() -> None:
    with pytest.raises(SignatureError, match="without touching"):
        sshsig.verify(MESSAGE, token(flags=0x04).sign(MESSAGE))


def spoiled(armored: bytes, change: Callable[[bytes], bytes]) -> bytes:
    return sshsig.enarmor(change(sshsig.dearmor(armored)))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:-5] + bytes([data[-5] ^ 4]) + data[-4:],
        lambda data: data[:-69] + bytes([data[-69] ^ 1]) + data[-68:],
    ],
    ids=["counter", "flags", "signature"],
)
def test_what_a_token_signed_cannot_be_changed(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SignatureError, match="does not fit"):
        sshsig.verify(MESSAGE, spoiled(token().sign(MESSAGE), change))


def test_a_tokens_key_does_not_pass_for_a_plain_one(key: SigningKey) -> None:
    """The same 32 bytes in a plain key: what a token signed is no plain signature, and the other way round."""
    made = Token(key.private)
    for signer, other in ((made, key), (key, made)):
        data = sshsig.dearmor(signer.sign(MESSAGE))
        swapped = data.replace(sshsig.ssh_string(signer.public.blob), sshsig.ssh_string(other.public.blob), 1)
        with pytest.raises(SignatureError):
            sshsig.verify(MESSAGE, sshsig.enarmor(swapped))


def test_a_website_credential_is_no_signing_key() -> None:
    with pytest.raises(SignatureError, match="not for ssh"):
        sshsig.verify(MESSAGE, token(application="https://example.com").sign(MESSAGE))


def test_every_truncation_of_a_tokens_signature_is_refused() -> None:
    data = sshsig.dearmor(token().sign(MESSAGE))
    for length in range(len(data)):
        with pytest.raises(SignatureError):
            sshsig.verify(MESSAGE, sshsig.enarmor(data[:length]))


PIECES = st.lists(
    st.sampled_from(
        [b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com", b"sha512", b"ssh:", b"", b"k" * 32, b"s" * 64]
    )
    | st.binary(max_size=12)
)


@given(PIECES, st.binary(max_size=8))
def test_whatever_a_signature_holds_it_is_refused_and_never_crashed_on(
    pieces: list[bytes], rest: bytes
) -> None:
    data = b"SSHSIG\0\0\0\1" + b"".join(sshsig.ssh_string(piece) for piece in pieces) + rest
    with pytest.raises(SignatureError):
        sshsig.verify(MESSAGE, sshsig.enarmor(data))
