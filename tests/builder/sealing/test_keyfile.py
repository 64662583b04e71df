"""Files that are given as signing keys: each kind named, nothing guessed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.sealing import keyfile, keys
from bundle.errors import UsageProblem

from .conftest import PASSPHRASE, Make


def test_a_key_tells_who_it_is_without_its_passphrase(ssh_key: Make) -> None:
    plain, locked = ssh_key("plain"), ssh_key("locked", passphrase=PASSPHRASE)
    for path, encrypted in ((plain, False), (locked, True)):
        file = keyfile.read_key_file(path)
        public = keyfile.read_key_file(path.with_suffix(".pub"))
        assert (file.private, file.encrypted, public.private) == (True, encrypted, False)
        assert file.public == public.public
        assert file.comment == public.comment == f"{path.name}@example"
        assert PASSPHRASE not in repr(file)


def write(text: str) -> Callable[[Path], object]:
    def do(path: Path) -> None:
        path.write_text(text)
        path.chmod(0o600)

    return do


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def spoil(path: Path) -> None:
    lines = path.read_text().splitlines()
    lines[2] = "A" * len(lines[2])
    path.write_text("\n".join(lines))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to(path.with_name("real"))


MALFORMED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (os.unlink, "No such file"),
    "folder": (folder, "Is a directory"),
    "pipe": (pipe, "not a regular file"),
    "empty": (write(""), "empty"),
    "blank": (write("\n\n"), "empty"),
    "too large": (write("x" * 70_000), "too large"),
    "truncated": (truncate, "truncated"),
    "garbage inside": (spoil, "cannot be read"),
    "some text": (write("hello"), "not in OpenSSH's format"),
    "PKCS 8": (write("-----BEGIN PRIVATE KEY-----\nMC4=\n"), "not in OpenSSH's format"),
    "locked PKCS 8": (write("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMC4=\n"), "not in OpenSSH's format"),
    "PuTTY": (write("PuTTY-User-Key-File-3: ssh-ed25519\n"), "PuTTY"),
    "old RSA": (write("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n"), "not Ed25519"),
    "old DSA": (write("-----BEGIN DSA PRIVATE KEY-----\nMIIB\n"), "not Ed25519"),
    "readable by the group": (lambda path: path.chmod(0o640), "chmod 600"),
    "readable by others": (lambda path: path.chmod(0o604), "chmod 600"),
    "a link": (link, "symbolic link"),
    "broken public key": (write("ssh-ed25519 AAAA!\n"), "cannot be read"),
    "public key alone": (write("ssh-ed25519 \n"), "cannot be read"),
    "short public key": (write("ssh-ed25519 AAAAIHNz me\n"), "cannot be read"),
    "DSA public key": (write("ssh-dss AAAAB3NzaC1kc3M= me\n"), "not Ed25519"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_key_is_named_in_both_languages(ssh_key: Make, name: str) -> None:
    spoil, message = MALFORMED[name]
    path = ssh_key()
    spoil(path)
    with pytest.raises(UsageProblem) as caught:
        keys.load_signer(path)
    shown = caught.value.render("en")
    assert message in shown and str(path) in shown and caught.value.exit_code == 2
    assert any("가" <= character <= "힣" for character in caught.value.render("ko"))
    assert "BEGIN" not in shown


@pytest.mark.parametrize(("kind", "named"), [("rsa", "ssh-rsa"), ("ecdsa", "ecdsa-sha2-nistp256")])
def test_a_key_of_another_kind_is_named(ssh_key: Make, kind: str, named: str) -> None:
    path = ssh_key("other", kind=kind)
    for file in (path, path.with_suffix(".pub")):
        with pytest.raises(UsageProblem, match="not Ed25519") as caught:
            keys.load_signer(file)
        assert named in caught.value.where


def test_an_rsa_key_in_the_older_format_is_named(ssh_key: Make) -> None:
    with pytest.raises(UsageProblem, match="not Ed25519"):
        keys.load_signer(ssh_key("old", "-m", "PEM", kind="rsa"))


def test_a_key_longer_than_it_says_is_refused(ssh_key: Make) -> None:
    path = ssh_key()
    path.write_text(path.read_text().replace("-----END", "!!!!\n-----END"))
    with pytest.raises(UsageProblem, match="cannot be read"):
        keys.load_signer(path)


@pytest.mark.parametrize(
    "name", ["", "two words", 'a"b', "a,b", "!a", "*@corp", "a?", "#a", "a" * 101, "a\nb"]
)
def test_a_name_that_allowed_signers_would_read_otherwise_is_refused(name: str) -> None:
    assert keyfile.principal_problem(name) is not None


@pytest.mark.parametrize("name", ["builder@example.com", "홍길동", "a", "CI-7"])
def test_a_plain_name_is_a_principal(name: str) -> None:
    assert keyfile.principal_problem(name) is None
