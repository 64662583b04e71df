"""Signatures by ``ssh-keygen -Y sign``: for keys of ssh-agent, of FIDO tokens, and behind a passphrase.

The secret stays where it is. A passphrase reaches ssh-keygen through a pipe and its askpass program, so that
it is in no argument, no environment and no file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bundle import layout, sshsig
from bundle.errors import BuildError, SignatureError, UsageProblem
from bundle.text import Text

# A person has to find the token and touch it; an agent may ask its owner first.
SIGN_TIMEOUT_S = 120.0
_DESCRIPTOR = "RAGTRACE_ASKPASS_FD"
# One line each time it is asked: the shell's `read` takes no byte more than that from a pipe. Opened by name,
# because a plain shell's <&N knows one digit only.
_ASKPASS = f"""#!/bin/sh
IFS= read -r answer <"/dev/fd/${_DESCRIPTOR}" && printf '%s\\n' "$answer"
"""


@dataclass(frozen=True)
class KeygenSigner:
    """A key that ssh-keygen can use: `file` is a private key, a token's handle, or the ``.pub`` of an
    agent's key."""

    file: Path
    principal: str
    public: sshsig.PublicKey
    passphrase: bytes | None = field(default=None, repr=False)
    timeout_s: float = SIGN_TIMEOUT_S

    def sign(self, message: bytes, namespace: str = layout.NAMESPACE) -> bytes:
        """Return the armored SSHSIG over `message`.

        Raises:
            BuildError: the key did not sign, in time or at all, or another key did.
        """
        words = ["-Y", "sign", "-n", namespace, "-f", str(self.file)]
        try:
            # What a token asks of its owner has to reach the terminal.
            done = run(words, self.passphrase, message, self.timeout_s, talk=bool(self.public.application))
        except subprocess.TimeoutExpired as error:
            raise self._failure(f"{self.timeout_s:.0f} s") from error
        if done.returncode != 0:
            raise self._failure(_last_line(done.stderr) or f"exit {done.returncode}")
        try:
            by = sshsig.verify(message, done.stdout, namespace, str(self.file))
        except SignatureError as error:
            raise self._failure(error.summary.en) from error
        if by != self.public:
            raise self._failure(by.fingerprint)
        return done.stdout

    def sign_statement(self, encoded: bytes) -> bytes:
        """Return a binary SSHSIG: ssh-keygen signs nothing that is not one."""
        return sshsig.dearmor(self.sign(encoded, layout.PROVENANCE_NAMESPACE))

    def _failure(self, why: str) -> BuildError:
        return BuildError(
            Text("키가 서명하지 않았습니다", "the key did not sign"),
            where=f"{self.file} ({self.public.fingerprint}): {why}",
            state=Text("서명되지 않은 것은 남지 않습니다", "nothing unsigned is left"),
            hint=Text(
                "보안 키를 꽂고 만지십시오. ssh-agent의 키라면 'ssh-add -L'에 있는지 확인하십시오",
                "plug the token in and touch it; of an agent's key, see whether 'ssh-add -L' lists it",
            ),
        )


def unlocks(file: Path, passphrase: bytes) -> bool:
    """Return whether `passphrase` opens the private key."""
    return run(["-y", "-f", str(file)], passphrase).returncode == 0


def make_encrypted(file: Path, comment: str, passphrase: bytes) -> None:
    """Make a new Ed25519 key at `file`, which must not exist, behind `passphrase`.

    Raises:
        BuildError: ssh-keygen did not make it.
    """
    done = run(["-q", "-t", "ed25519", "-C", comment, "-f", str(file)], passphrase)
    # Without an answer from its askpass program ssh-keygen makes a key without a passphrase.
    if done.returncode != 0 or not file.is_file() or unlocks(file, b""):
        raise BuildError(
            Text("ssh-keygen이 키를 만들지 못했습니다", "ssh-keygen did not make the key"),
            where=_last_line(done.stderr),
        )


def agent_holds(public: sshsig.PublicKey) -> bool:
    """Return whether the ssh-agent of this session lists the key."""
    if not os.environ.get("SSH_AUTH_SOCK"):
        return False
    try:
        done = _child(["ssh-add", "-L"], {}, (), None, 30.0, talk=False)
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return False
    keys = [line.split()[:2] for line in done.stdout.decode("utf-8", "replace").splitlines()]
    return public.openssh().split() in keys


def run(
    arguments: Sequence[str],
    passphrase: bytes | None = None,
    message: bytes | None = None,
    timeout_s: float = 60.0,
    *,
    talk: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen; with `talk`, what it says goes to the terminal.

    Raises:
        UsageProblem: there is no ssh-keygen here, or no way to hand it a passphrase.
    """
    command = ["ssh-keygen", *arguments]
    try:
        if passphrase is None:
            return _child(command, {}, (), message, timeout_s, talk=talk)
        with _answering(passphrase) as (environment, descriptor):
            return _child(command, environment, (descriptor,), message, timeout_s, talk=talk)
    except FileNotFoundError as error:
        raise UsageProblem(
            Text("이 키에는 ssh-keygen이 필요합니다", "this key needs ssh-keygen"),
            hint=Text(
                "OpenSSH 8.9 이상을 설치하거나 (Debian: openssh-client) 암호 없는 파일 키를 쓰십시오",
                "install OpenSSH 8.9 or newer (Debian: openssh-client), or use a file key without a passphrase",
            ),
        ) from error


@contextmanager
def _answering(passphrase: bytes) -> Iterator[tuple[Mapping[str, str], int]]:
    """Yield environment and descriptor through which ssh-keygen gets `passphrase` each time it asks."""
    if os.name != "posix":
        raise UsageProblem(
            Text("암호 키는 ssh-agent를 통해 쓰십시오", "use a key with a passphrase through ssh-agent"),
            hint=Text("ssh-add 후 --signing-key FILE.pub", "ssh-add it, then --signing-key FILE.pub"),
        )
    with tempfile.TemporaryDirectory(prefix="ragtrace-askpass-") as folder:
        program = Path(folder) / "askpass"
        program.write_text(_ASKPASS, encoding="ascii")
        program.chmod(0o700)
        reader, writer = os.pipe()
        try:
            # A new key's passphrase is asked for twice; what nobody reads vanishes with the pipe.
            os.write(writer, (passphrase + b"\n") * 2)
            os.close(writer)
            environment = {
                "SSH_ASKPASS": str(program),
                "SSH_ASKPASS_REQUIRE": "force",
                _DESCRIPTOR: str(reader),
            }
            yield environment, reader
        finally:
            os.close(reader)


def _child(
    command: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Sequence[int],
    message: bytes | None,
    timeout_s: float,
    *,
    talk: bool,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        env={**os.environ, **environment, "LC_ALL": "C"},
        pass_fds=tuple(descriptors),
        input=message or b"",
        stdout=subprocess.PIPE,
        stderr=None if talk and sys.stderr.isatty() else subprocess.PIPE,
        timeout=timeout_s,
        check=False,
    )


def _last_line(said: bytes | None) -> str:
    lines = (said or b"").decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
