"""``keys`` as a person runs it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from builder import cli, inputs
from builder.sealing import keyfile
from bundle import sshsig
from tests.support.tokens import token
from tests.support.trees import write_tree

from .conftest import PASSPHRASE, Make, secret_file


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["keys", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_new_key_is_shown_with_what_to_carry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key"
    code, out, _ = run(capsys, "new", "--path", str(path), "--no-passphrase", "--principal", "me@example")
    file = keyfile.read_key_file(path)
    assert code == 0 and file.public.fingerprint in out and "without a passphrase" in out
    assert "Carry separately" in out and "me@example namespaces=" in out
    assert path.read_text().splitlines()[1] not in out
    code, out, _ = run(capsys, "show", str(path), "--json")
    shown = json.loads(out)
    assert (shown["principal"], shown["fingerprint"]) == ("me@example", file.public.fingerprint)
    assert shown["allowed_signers"].endswith(file.public.openssh() + "\n")


def test_the_default_place_is_where_a_build_looks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run(capsys, "new", "--no-passphrase")[0] == 0
    code, out, _ = run(capsys, "show", "--lang", "ko")
    assert code == 0 and str(tmp_path / "ragtrace" / "signing_key") in out and "지문" in out
    code, _, err = run(capsys, "new", "--no-passphrase")
    assert code == 2 and "never overwritten" in err


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_passphrase_comes_from_a_file(
    ssh_key: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    secret = secret_file(tmp_path / "secret", PASSPHRASE)
    words = ["--passphrase-file", str(secret)]
    if by == "variable":
        monkeypatch.setenv("RAGTRACE_KEY_PASSPHRASE_FILE", words.pop())
        words.clear()
    path = tmp_path / "new"
    code, out, err = run(capsys, "new", "--path", str(path), *words)
    assert code == 0 and keyfile.read_key_file(path).encrypted and PASSPHRASE not in out + err
    code, out, _ = run(capsys, "show", str(path))
    assert code == 0 and "behind a passphrase" in out
    write_tree(tmp_path / "bundle")
    manifest = tmp_path / "bundle" / "MANIFEST.json"
    code, out, _ = run(capsys, "sign", str(manifest), "--signing-key", str(path), *words)
    signature = manifest.with_name("MANIFEST.json.2.sig").read_bytes()
    assert code == 0 and sshsig.verify(manifest.read_bytes(), signature).fingerprint in out


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [("", 0o600, "cannot be used"), ("x" * 2000, 0o600, "cannot be used"), ("fine", 0o644, "chmod 600")],
)
def test_a_passphrase_file_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, mode: int, message: str
) -> None:
    secret = secret_file(tmp_path / "secret", text)
    secret.chmod(mode)
    code, _, err = run(capsys, "new", "--path", str(tmp_path / "key"), "--passphrase-file", str(secret))
    assert code == 2 and message in err and not (tmp_path / "key").exists()
    assert "x" * 100 not in err


def test_without_a_terminal_one_has_to_say_what_one_wants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        for words in ([], ["--passphrase"]):
            code, _, err = run(capsys, "new", "--path", str(tmp_path / "key"), *words)
            assert code == 2 and "--passphrase-file" in err
    assert not (tmp_path / "key").exists()


def test_both_wishes_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = secret_file(tmp_path / "secret", "x")
    code, _, err = run(capsys, "new", "--no-passphrase", "--passphrase-file", str(secret))
    assert code == 2 and "give one of them" in err


def test_a_tokens_key_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = token()
    (tmp_path / "token.pub").write_text(f"{made.public.openssh()} officer\n")
    code, out, _ = run(capsys, "show", str(tmp_path / "token.pub"))
    assert code == 0 and "hardware token" in out and made.public.fingerprint in out


def on_terminal(words: Sequence[str], answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Run the builder on a terminal of its own and answer what it asks, in order."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(inputs.REPOSITORY)
        os.execv(sys.executable, [sys.executable, "-m", "builder", *words])
    shown, answered = b"", 0
    deadline = time.monotonic() + 60
    for question, answer in answers:
        while question.encode() not in shown[answered:]:
            assert time.monotonic() < deadline, shown.decode()
            shown += os.read(terminal, 4096)
        answered = len(shown)
        os.write(terminal, f"{answer}\n".encode())
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode()


def test_a_terminal_is_asked_twice_and_shows_nothing(ssh_key: Make, tmp_path: Path) -> None:
    path = tmp_path / "key"
    words = ["keys", "new", "--path", str(path), "--lang", "en"]
    code, shown = on_terminal(words, [("Passphrase of the new key", PASSPHRASE), ("Once more", PASSPHRASE)])
    assert code == 0 and PASSPHRASE not in shown
    told = subprocess.run(
        ["ssh-keygen", "-y", "-P", PASSPHRASE, "-f", str(path)], capture_output=True, check=False
    )
    assert told.returncode == 0


def test_two_different_answers_make_no_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    words = ["keys", "new", "--path", str(path), "--lang", "ko"]
    code, shown = on_terminal(words, [("새 키의 암호", "one"), ("다시 한번", "other")])
    assert code == 2 and "서로 다릅니다" in shown and not path.exists()


def test_a_wrong_passphrase_is_asked_for_again_three_times(ssh_key: Make, tmp_path: Path) -> None:
    path = ssh_key("locked", passphrase=PASSPHRASE)
    write_tree(tmp_path / "bundle")
    manifest = tmp_path / "bundle" / "MANIFEST.json"
    words = ["keys", "sign", str(manifest), "--signing-key", str(path), "--lang", "en"]
    question = "Passphrase for"
    code, shown = on_terminal(words, [(question, "a"), (question, "b"), (question, "c")])
    assert code == 2 and "passphrase is wrong" in shown
    code, shown = on_terminal(words, [(question, "a"), (question, PASSPHRASE)])
    assert code == 0 and "Signed" in shown
