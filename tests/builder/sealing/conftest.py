"""Keys made by ssh-keygen, as people have them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.sealing.passphrase import Passphrases

Make = Callable[..., Path]
PASSPHRASE = "correct horse 배터리"


@pytest.fixture
def ssh_key(tmp_path: Path) -> Make:
    """Make a key with ssh-keygen and return its file; skipped where there is no OpenSSH."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs OpenSSH's ssh-keygen")

    def make(name: str = "key", *words: str, passphrase: str = "", kind: str = "ed25519") -> Path:
        path = tmp_path / name
        command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", f"{name}@example", "-f", str(path)]
        subprocess.run([*command, *words], check=True, capture_output=True)
        return path

    return make


@pytest.fixture
def passphrases(tmp_path: Path) -> Passphrases:
    """Return the right passphrase, from a file."""
    return Passphrases(secret_file(tmp_path / "passphrase", PASSPHRASE))


def secret_file(path: Path, text: str) -> Path:
    """Write a file that only its owner reads."""
    path.write_text(text + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Run an ssh-agent and return what puts a key into it; skipped where there is none."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("needs OpenSSH's ssh-agent")
    socket = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))

    def add(key: Path) -> None:
        subprocess.run(["ssh-add", "-q", str(key)], check=True)

    try:
        yield add
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
