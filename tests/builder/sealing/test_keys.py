"""Signers from keys: plain, behind a passphrase, in an agent, of a token; and new keys."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.sealing import keyfile, keys, sshkeygen
from builder.sealing.passphrase import Passphrases
from builder.sealing.signing import Signer, SigningKey
from bundle import sshsig
from bundle.errors import BuildError, UsageProblem
from tests.support.tokens import token

from .conftest import PASSPHRASE, Make, secret_file

MESSAGE = b"manifest"


def signs(signer: Signer) -> bool:
    return sshsig.verify(MESSAGE, signer.sign(MESSAGE)) == signer.public


def test_a_plain_key_signs(ssh_key: Make) -> None:
    signer = keys.load_signer(ssh_key())
    assert signs(signer) and signer.principal == "key@example"


def test_a_key_behind_a_passphrase_signs_the_same_bytes_as_without(
    ssh_key: Make, passphrases: Passphrases
) -> None:
    path = ssh_key(passphrase=PASSPHRASE)
    locked = keys.load_signer(path, "me", passphrases)
    signature = locked.sign(MESSAGE)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", PASSPHRASE, "-N", "", "-f", str(path)],
        check=True,
        capture_output=True,
    )
    assert keys.load_signer(path, "me").sign(MESSAGE) == signature
    assert PASSPHRASE not in repr(locked)


def test_the_passphrase_is_in_no_argument_and_no_environment(
    ssh_key: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrases: Passphrases
) -> None:
    """A stand-in for ssh-keygen writes down all that it was given, then lets the real one work."""
    path = ssh_key(passphrase=PASSPHRASE)
    real = subprocess.run(["which", "ssh-keygen"], capture_output=True, text=True, check=True).stdout.strip()
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh-keygen").write_text(
        f'#!/bin/sh\n{{ echo "$@"; env; }} >> {tmp_path}/seen\nexec {real} "$@"\n', encoding="utf-8"
    )
    (folder / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(keys, "_in_process", lambda: False)
    assert signs(keys.load_signer(path, "me", passphrases))
    seen = (tmp_path / "seen").read_text()
    assert "-Y sign" in seen and "SSH_ASKPASS" in seen and "horse" not in seen


def test_a_wrong_passphrase_is_one_clear_error(ssh_key: Make, tmp_path: Path) -> None:
    path = ssh_key(passphrase=PASSPHRASE)
    wrong = Passphrases(secret_file(tmp_path / "wrong", "incorrect"))
    with pytest.raises(UsageProblem, match="passphrase is wrong") as caught:
        keys.load_signer(path, "", wrong)
    assert "incorrect" not in caught.value.render("en")


def test_without_a_terminal_or_a_file_the_passphrase_is_asked_for_by_name(
    ssh_key: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(UsageProblem, match="needs its passphrase") as caught:
            keys.load_signer(ssh_key(passphrase=PASSPHRASE))
    assert "--passphrase-file" in caught.value.render("ko")


def test_without_ssh_keygen_that_is_what_is_said(
    ssh_key: Make, passphrases: Passphrases, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ssh_key(passphrase=PASSPHRASE)
    monkeypatch.setattr(keys, "_in_process", lambda: False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageProblem, match="needs ssh-keygen"):
        keys.load_signer(path, "", passphrases)


def test_a_public_key_alone_is_refused_and_one_of_an_agent_signs(
    ssh_key: Make, agent: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ssh_key()
    public = path.with_suffix(".pub")
    with pytest.raises(UsageProblem, match="public half"):
        keys.load_signer(public)
    agent(path)
    plain = keys.load_signer(path).sign(MESSAGE)
    path.unlink()
    held = keys.load_signer(public)
    assert held.principal == "key@example" and held.sign(MESSAGE) == plain
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent")
    with pytest.raises(BuildError, match="did not sign"):
        held.sign(MESSAGE)


def test_a_tokens_key_is_known_by_its_public_half(tmp_path: Path) -> None:
    made = token()
    public = tmp_path / "token.pub"
    public.write_text(f"{made.public.openssh()} officer@example\n")
    signer = keys.load_signer(public)
    assert (signer.principal, signer.public) == ("officer@example", made.public)


def test_of_a_token_the_handle_beside_the_public_half_is_used(tmp_path: Path) -> None:
    public = tmp_path / "token.pub"
    public.write_text(f"{token().public.openssh()}\n")
    (tmp_path / "token").write_text("handle")
    signer = keys.load_signer(public)
    assert isinstance(signer, sshkeygen.KeygenSigner) and signer.file == tmp_path / "token"


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "ssh-keygen").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_what_ssh_keygen_returns_for_a_token_is_verified_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hardware here: a stand-in for ssh-keygen hands back what a token's twin has signed."""
    made = token()
    (tmp_path / "signature").write_bytes(made.sign(MESSAGE))
    signer = sshkeygen.KeygenSigner(tmp_path / "token", "officer", made.public)
    stand_in(tmp_path, monkeypatch, f"cat >/dev/null; cat {tmp_path}/signature")
    assert signer.sign(MESSAGE) == made.sign(MESSAGE)
    with pytest.raises(BuildError, match="did not sign"):
        signer.sign(b"another message")
    with pytest.raises(BuildError) as caught:
        sshkeygen.KeygenSigner(tmp_path / "token", "officer", token().public).sign(MESSAGE)
    assert made.public.fingerprint in caught.value.where


def test_a_token_that_nobody_touches_is_waited_for_so_long_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "exec sleep 60")
    signer = sshkeygen.KeygenSigner(tmp_path / "token", "officer", token().public, timeout_s=0.2)
    with pytest.raises(BuildError) as caught:
        signer.sign(MESSAGE)
    assert caught.value.hint is not None and "touch" in caught.value.hint.en


def test_what_ssh_keygen_complains_of_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "echo 'device not found' >&2; exit 255")
    with pytest.raises(BuildError) as caught:
        sshkeygen.KeygenSigner(tmp_path / "token", "officer", token().public).sign(MESSAGE)
    assert "device not found" in caught.value.where


def test_signers_come_in_the_order_of_their_keys_with_their_names(ssh_key: Make) -> None:
    paths = [ssh_key("one"), ssh_key("two")]
    assert [signer.principal for signer in keys.load_signers(paths)] == ["one@example", "two@example"]
    assert [signer.principal for signer in keys.load_signers(paths, ["a", "b"])] == ["a", "b"]


def test_signers_that_do_not_fit_are_refused(ssh_key: Make) -> None:
    path = ssh_key()
    for paths, names, message in (
        ([path] * 9, [], "at most 8"),
        ([path], ["a", "b"], "2 --signer for 1"),
        ([path, path], [], "given twice"),
        ([path], ["two words"], "not usable"),
    ):
        with pytest.raises(UsageProblem, match=message):
            keys.load_signers(paths, names)


def test_a_comment_that_cannot_be_a_principal_is_passed_over(ssh_key: Make) -> None:
    path = ssh_key()
    path.with_suffix(".pub").write_text(f"{keyfile.read_key_file(path).public.openssh()} two words\n")
    assert keys.load_signer(path).principal == keys.DEFAULT_PRINCIPAL


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE.encode()])
def test_a_new_key_is_its_owners_alone_and_openssh_reads_it(
    ssh_key: Make, tmp_path: Path, passphrase: bytes | None
) -> None:
    path = tmp_path / "keys" / "new"
    previous = os.umask(0)
    try:
        public = keys.create_key(path, "me@example", passphrase)
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(item.name for item in path.parent.iterdir()) == ["new", "new.pub"]
    secret = (passphrase or b"").decode()
    told = subprocess.run(["ssh-keygen", "-y", "-P", secret, "-f", str(path)], capture_output=True, text=True)
    assert told.stdout.split()[:2] == public.openssh().split()
    assert path.with_suffix(".pub").read_text() == f"{public.openssh()} me@example\n"
    assert keyfile.read_key_file(path).encrypted == (passphrase is not None)


@pytest.mark.parametrize("taken", ["new", "new.pub"])
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE.encode()])
def test_nothing_is_ever_overwritten(
    ssh_key: Make, tmp_path: Path, taken: str, passphrase: bytes | None
) -> None:
    (tmp_path / taken).symlink_to("nowhere")
    with pytest.raises(UsageProblem, match="never overwritten"):
        keys.create_key(tmp_path / "new", "me", passphrase)
    assert [item.name for item in tmp_path.iterdir()] == [taken]


def test_two_first_runs_at_once_agree_on_one_key(tmp_path: Path) -> None:
    found: list[tuple[Signer, bool]] = []
    path = tmp_path / "key"
    threads = [
        threading.Thread(target=lambda: found.append(keys.load_or_create_key(path, "me"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({signer.public for signer, _ in found}) == 1 and len(found) == 4
    assert sum(made for _, made in found) == 1
    assert signs(keys.load_signer(path))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageProblem, match="cannot be written") as caught:
        keys.create_key(tmp_path / "file" / "below" / "key", "me", None)
    assert str(tmp_path) in caught.value.where


@pytest.mark.skipif(
    importlib.util.find_spec("bcrypt") is None, reason="needs bcrypt: then no ssh-keygen is asked"
)
def test_with_bcrypt_a_key_behind_a_passphrase_needs_no_ssh_keygen(
    tmp_path: Path, passphrases: Passphrases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    keys.create_key(tmp_path / "new", "me", PASSPHRASE.encode())
    assert isinstance(keys.load_signer(tmp_path / "new", "", passphrases), SigningKey)
