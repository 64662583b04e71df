"""The options by which a command is told with which keys to sign, and the signers they name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import UsageProblem
from bundle.text import Text, wording

if TYPE_CHECKING:
    from ..sealing.signing import Signer


def signing(lang: str) -> argparse.ArgumentParser:
    """Return the parent parser with the keys' options."""
    text = wording(lang)
    parent = argparse.ArgumentParser(add_help=False)
    add_option = parent.add_argument
    add_option(
        "--signing-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=text(
            "OpenSSH Ed25519 개인 키, 토큰(sk-) 또는 ssh-agent 키의 .pub, 여러 번 가능 (기본: 처음 실행할 때 만든 키)",
            "an OpenSSH Ed25519 private key, a token's (sk-), or the .pub of an agent's; repeatable (default: one "
            "made on the first run)",
        ),
    )
    add_option(
        "--signer",
        action="append",
        default=[],
        metavar="NAME",
        help=text(
            "allowed_signers에 적을 서명자 이름, 키마다 하나",
            "the principal written to allowed_signers, one for each key",
        ),
    )
    add_option(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=text(
            "서명 키의 암호가 든 파일 (0600; 기본: 터미널에서 물음)",
            "a file with the signing key's passphrase (0600; default: asked on the terminal)",
        ),
    )
    return parent


def signers(options: argparse.Namespace, lang: str) -> tuple[list[Signer], Path | None]:
    """Return the signers, and the file of a key that was made for this first run.

    Raises:
        UsageProblem: more names than keys, or a key that cannot be used.
    """
    from ..sealing import keys
    from ..sealing.passphrase import from_options

    passphrases = from_options(options.passphrase_file, lang)
    if options.signing_key:
        return keys.load_signers(options.signing_key, options.signer, passphrases), None
    if len(options.signer) > 1:
        raise UsageProblem(
            Text("서명자 이름이 키보다 많습니다", "there are more --signer than keys"),
            hint=Text("--signing-key를 함께 주십시오", "give a --signing-key for each"),
        )
    path = keys.default_key_path()
    name = options.signer[0] if options.signer else ""
    signer, made = keys.load_or_create_key(path, name, passphrases)
    return [signer], path if made else None
