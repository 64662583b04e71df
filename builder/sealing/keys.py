"""Keys: made, found, unlocked - and turned into the signers of a build."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundle import layout
from bundle.errors import UsageProblem
from bundle.sshsig import PublicKey
from bundle.text import Text

from . import sshkeygen
from .keyfile import KeyFile, principal_problem, read_key_file, unreadable
from .passphrase import Passphrases
from .signing import Signer, SigningKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DEFAULT_PRINCIPAL = "ragtrace-builder"


def default_key_path() -> Path:
    """Return where the key made on the first run lies: in the user's configuration, not in the project."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(base) / "ragtrace" / "signing_key"


def load_signers(
    paths: Sequence[Path], names: Sequence[str] = (), passphrases: Passphrases | None = None
) -> list[Signer]:
    """Return the signers of a build, in the order given; `names` are their principals, one for each or none.

    Raises:
        UsageProblem: too many, a key twice, names that do not fit the keys, or a key that cannot be used.
    """
    if len(paths) > len(layout.SIGNATURES):
        most = len(layout.SIGNATURES)
        raise UsageProblem(Text(f"서명 키는 {most}개까지입니다", f"there may be at most {most} signing keys"))
    if names and len(names) != len(paths):
        raise UsageProblem(
            Text(
                f"--signer {len(names)}개가 서명 키 {len(paths)}개와 맞지 않습니다",
                f"{len(names)} --signer for {len(paths)} signing key(s)",
            ),
            hint=Text("--signing-key마다 --signer 하나씩", "give one --signer for each --signing-key"),
        )
    wanted = names or [""] * len(paths)
    signers = [
        load_signer(path, name, passphrases or Passphrases())
        for path, name in zip(paths, wanted, strict=True)
    ]
    for number, signer in enumerate(signers):
        if signer.public in [other.public for other in signers[:number]]:
            raise UsageProblem(
                Text("같은 서명 키를 두 번 주었습니다", "one signing key is given twice"),
                where=f"{paths[number]} ({signer.public.fingerprint})",
            )
    return signers


def load_signer(path: Path, name: str = "", passphrases: Passphrases | None = None) -> Signer:
    """Return the signer for one key file: a private key, a token's handle, or the ``.pub`` of an agent's key.

    Raises:
        UsageProblem: the file cannot be used, its passphrase is wrong, or nothing holds the secret.
    """
    file = read_key_file(path)
    principal = principal_of(file, name)
    if file.token:
        handle = path.with_suffix("") if not file.private and path.suffix == ".pub" else path
        return sshkeygen.KeygenSigner(handle if handle.is_file() else path, principal, file.public)
    if not file.private:
        if not sshkeygen.agent_holds(file.public):
            raise UsageProblem(
                Text("개인 키가 아니라 공개 키입니다", "this is the public half, not the private key"),
                where=f"{path} ({file.public.fingerprint})",
                hint=Text(
                    "개인 키 파일을 지정하거나 ssh-agent에 넣으십시오 (ssh-add)",
                    "name the private key's file, or load the key into ssh-agent (ssh-add)",
                ),
            )
        return sshkeygen.KeygenSigner(path, principal, file.public)
    if file.encrypted:
        return _unlocked(file, principal, passphrases or Passphrases())
    return SigningKey(_private(file, None), principal)


def principal_of(file: KeyFile, name: str) -> str:
    """Return the principal: as named, else the key's comment where it can be one, else ours.

    Raises:
        UsageProblem: the name cannot stand in an ``allowed_signers`` line.
    """
    problem = principal_problem(name) if name else None
    if problem is not None:
        raise problem
    if name or not file.comment or principal_problem(file.comment) is not None:
        return name or DEFAULT_PRINCIPAL
    return file.comment


def load_or_create_key(
    path: Path, principal: str, passphrases: Passphrases | None = None
) -> tuple[Signer, bool]:
    """Return the key at `path` and whether it was made now, without a passphrase."""
    if not path.exists():
        try:
            _write_private(path, _new_private())
            return load_signer(path, principal), True
        except FileExistsError:
            # Of two first runs at once, one made the key; both use it.
            pass
    return load_signer(path, principal, passphrases), False


def create_key(path: Path, principal: str, passphrase: bytes | None) -> PublicKey:
    """Make a key at `path`, owner-only, and its ``.pub`` beside it; nothing is ever overwritten.

    Raises:
        UsageProblem: one of the files exists or cannot be written, or the name cannot be a principal.
    """
    problem = principal_problem(principal)
    if problem is not None:
        raise problem
    public_path = path.with_name(f"{path.name}.pub")
    for place in (path, public_path):
        if os.path.lexists(place):
            raise _exists(place)
    try:
        if passphrase is None:
            _write_private(path, _new_private())
        elif _in_process():
            _write_private(path, _new_private(passphrase))
        else:
            _keygen_private(path, principal, passphrase)
        public = read_key_file(path).public
        _link_new(public_path, f"{public.openssh()} {principal}\n".encode(), 0o644)
    except FileExistsError as error:
        raise _exists(Path(error.filename2 or path)) from error
    except OSError as error:
        raise UsageProblem(
            Text("키를 쓸 수 없습니다", "the key cannot be written"),
            where=f"{path}: {error.strerror or error}",
            hint=Text(
                "권한과 하드 링크가 있는 파일 시스템의 다른 --path를 쓰십시오",
                "give another --path, on a file system with permissions and hard links",
            ),
        ) from error
    return public


def _exists(path: Path) -> UsageProblem:
    return UsageProblem(
        Text("이미 있는 키는 덮어쓰지 않습니다", "an existing key is never overwritten"),
        where=str(path),
        hint=Text("다른 --path를 쓰십시오", "give another --path"),
    )


def _in_process() -> bool:
    """Return whether cryptography can open keys behind a passphrase itself."""
    return importlib.util.find_spec("bcrypt") is not None


def _unlocked(file: KeyFile, principal: str, passphrases: Passphrases) -> Signer:
    for passphrase in passphrases.attempts(file.path):
        if _in_process():
            try:
                return SigningKey(_private(file, passphrase), principal)
            except UsageProblem:
                continue
        if passphrase and sshkeygen.unlocks(file.path, passphrase):
            # ssh-keygen writes a relative path's key nowhere else; but the build may change folders.
            return sshkeygen.KeygenSigner(file.path.absolute(), principal, file.public, passphrase)
    raise UsageProblem(
        Text("서명 키의 암호가 틀립니다", "the signing key's passphrase is wrong"), where=str(file.path)
    )


def _private(file: KeyFile, passphrase: bytes | None) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        private = serialization.load_ssh_private_key(file.data, password=passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise unreadable(file.path, str(error)) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise unreadable(file.path, type(private).__name__)
    return private


def _new_private(passphrase: bytes | None = None) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, locked
    )


def _write_private(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _link_new(path, data, 0o600)


def _keygen_private(path: Path, principal: str, passphrase: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        made = Path(folder) / "key"
        sshkeygen.make_encrypted(made, principal, passphrase)
        os.link(made, path)


def _link_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all, and only where the name is free.

    Raises:
        FileExistsError: it is not.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
