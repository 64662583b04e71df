"""``keys``: make a signing key, show one, add a signature, replace and revoke keys. No secret is ever shown."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bundle import layout
from bundle.errors import UsageProblem
from bundle.text import Text, wording

from . import keyrecords

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.sshsig import PublicKey

    from ..console import Console
    from ..sealing.keyfile import KeyFile
    from ..sealing.passphrase import Passphrases

NAME = "keys"


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    speaking: argparse.ArgumentParser,
    lang: str,
) -> None:
    """Add the command's own commands and their options."""
    text = wording(lang)
    parser = commands.add_parser(NAME, help=text("서명 키 만들기와 보기", "make and show signing keys"))
    actions = parser.add_subparsers(dest="action", required=True, metavar="{new,show,sign,rotate,revoke}")
    secret = _passphrase_file(lang)
    new = actions.add_parser(
        "new",
        parents=[secret, speaking],
        help=text("새 Ed25519 키 만들기", "make a new Ed25519 key"),
    )
    new.add_argument(
        "--path",
        type=Path,
        metavar="FILE",
        help=text(
            "키 파일 (기본: 첫 빌드가 쓰는 곳)", "the key's file (default: where a first build puts it)"
        ),
    )
    new.add_argument("--principal", default="", metavar="NAME", help=_principal_help(lang))
    locked = new.add_mutually_exclusive_group()
    locked.add_argument(
        "--passphrase",
        action="store_true",
        help=text(
            "암호로 보호 (터미널에서는 기본)", "protect it by a passphrase (the default on a terminal)"
        ),
    )
    locked.add_argument(
        "--no-passphrase", action="store_true", help=text("암호 없이", "without a passphrase")
    )
    show = actions.add_parser(
        "show",
        parents=[speaking],
        help=text("지문과 allowed_signers 줄 보기", "show fingerprint and allowed_signers line"),
    )
    show.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help=text("개인 키나 .pub (기본: 기본 키)", "a private key or .pub (default: the default key)"),
    )
    show.add_argument("--principal", default="", metavar="NAME", help=_principal_help(lang))
    sign = actions.add_parser(
        "sign",
        parents=[secret, speaking],
        help=text(
            "풀어 둔 번들, 키 기록, 취약점 스냅숏에 서명 더하기",
            "add a signature to an unpacked bundle, a trust record or an advisory snapshot",
        ),
    )
    sign.add_argument(
        "manifest",
        type=Path,
        metavar="MANIFEST.json",
        help=text(
            "번들의 매니페스트, 키 기록 000002.json 또는 취약점 스냅숏 (옆에 서명을 씁니다)",
            "the bundle's manifest, a trust record such as 000002.json, or an advisory snapshot; the signature goes "
            "beside",
        ),
    )
    sign.add_argument(
        "--signing-key",
        type=Path,
        metavar="FILE",
        help=text(
            "개인 키, 보안 키 파일, agent 키의 .pub", "a private key, a token's handle, an agent key's .pub"
        ),
    )
    sign.add_argument("--principal", default="", metavar="NAME", help=_principal_help(lang))
    keyrecords.add(actions, [secret, speaking], lang)


def run(options: argparse.Namespace, console: Console) -> int:
    """Run one of the command's own commands."""
    actions: dict[str, Callable[[argparse.Namespace, Console], None]] = {
        "new": _new,
        "show": _show,
        "sign": _sign,
        "rotate": keyrecords.run,
        "revoke": keyrecords.run,
    }
    actions[options.action](options, console)
    return 0


def _new(options: argparse.Namespace, console: Console) -> None:
    from ..sealing import keyfile, keys, passphrase

    path = options.path or keys.default_key_path()
    source = passphrase.from_options(options.passphrase_file, console.lang)
    secret = None if _unprotected(options, source) else source.new(path)
    principal = options.principal or keys.DEFAULT_PRINCIPAL
    keys.create_key(path, principal, secret)
    _told(options, console, path, principal, keyfile.read_key_file(path))


def _unprotected(options: argparse.Namespace, source: Passphrases) -> bool:
    if options.no_passphrase and options.passphrase_file is not None:
        raise UsageProblem(
            Text("--no-passphrase와 --passphrase-file", "--no-passphrase and --passphrase-file"),
            hint=Text("둘 중 하나만 주십시오", "give one of them"),
        )
    if options.no_passphrase or options.passphrase or source.file is not None or sys.stdin.isatty():
        return bool(options.no_passphrase)
    raise UsageProblem(
        Text("암호를 물을 터미널이 없습니다", "there is no terminal to ask for a passphrase"),
        hint=Text(
            "--passphrase-file FILE, 또는 암호 없이 만들려면 --no-passphrase",
            "--passphrase-file FILE; --no-passphrase makes a key without one",
        ),
    )


def _show(options: argparse.Namespace, console: Console) -> None:
    from ..sealing import keyfile, keys

    path = options.file or keys.default_key_path()
    file = keyfile.read_key_file(path)
    principal = keys.principal_of(file, options.principal)
    _told(options, console, path, principal, file)


def _sign(options: argparse.Namespace, console: Console) -> None:
    from ..sealing import countersign, keys, passphrase, records, renewals
    from ..sealing.signing import allowed_signers_line

    source = passphrase.from_options(options.passphrase_file, console.lang)
    signer = keys.load_signer(options.signing_key or keys.default_key_path(), options.principal, source)
    if renewals.is_renewal(options.manifest):
        place, earlier = renewals.add_signature(options.manifest, signer)
    elif options.manifest.name != layout.MANIFEST:
        _, _, made = records.add_signature(options.manifest, signer)
        keyrecords.told(options, console, made, [signer])
        return
    else:
        place, earlier = countersign.countersign(options.manifest, signer)
    if options.json:
        console.result_json(
            {
                "event": "signed",
                "signature": str(place),
                "principal": signer.principal,
                "fingerprint": signer.public.fingerprint,
                "earlier": earlier,
                "allowed_signers": allowed_signers_line(signer.principal, signer.public),
            }
        )
        return
    label = Text("서명함", "Signed").to(console.lang)
    before = Text("먼저 서명한 키", "Signed before by").to(console.lang)
    lines = [f"{label}: {place}", f"  {signer.principal}  {signer.public.fingerprint}"]
    lines += [f"{before}: {fingerprint}" for fingerprint in earlier]
    console.result("\n".join([*lines, "", *_carry(console.lang, signer.principal, signer.public)]))


def _told(options: argparse.Namespace, console: Console, path: Path, principal: str, file: KeyFile) -> None:
    """Say what everybody may know of a key, and what has to travel apart from the bundle."""
    from ..sealing.signing import allowed_signers_line

    kind = file.public.kind.decode()
    if options.json:
        console.result_json(
            {
                "event": "key",
                "file": str(path),
                "type": kind,
                "private": file.private,
                "encrypted": file.encrypted,
                "principal": principal,
                "fingerprint": file.public.fingerprint,
                "allowed_signers": allowed_signers_line(principal, file.public),
            }
        )
        return
    what = Text("공개 키", "public key")
    if file.token:
        what = Text("보안 키의 키", "key of a hardware token")
    elif file.private and file.encrypted:
        what = Text("개인 키, 암호로 보호됨", "private key, behind a passphrase")
    elif file.private:
        what = Text("개인 키, 암호 없음", "private key, without a passphrase")
    rows = [
        (Text("키", "Key"), f"{path} ({kind}; {what.to(console.lang)})"),
        (Text("서명자", "Principal"), principal),
        (Text("지문", "Fingerprint"), file.public.fingerprint),
    ]
    lines = [f"{label.to(console.lang)}: {value}" for label, value in rows]
    console.result("\n".join([*lines, "", *_carry(console.lang, principal, file.public)]))


def _carry(lang: str, principal: str, public: PublicKey) -> list[str]:
    from ..sealing.signing import allowed_signers_line

    text = Text(
        "번들과 다른 경로로 옮길 것: 지문, 또는 allowed_signers 파일의 이 줄 (개인 키는 이 컴퓨터에 둡니다)",
        "Carry separately from the bundle: the fingerprint, or this line of an allowed_signers file. "
        "The private key stays here.",
    )
    return [text.to(lang), allowed_signers_line(principal, public).rstrip()]


def _principal_help(lang: str) -> str:
    return Text(
        "서명자 이름 (기본: 키의 주석, 없으면 ragtrace-builder)",
        "the signer's name (default: the key's comment, else ragtrace-builder)",
    ).to(lang)


def _passphrase_file(lang: str) -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=Text(
            "암호가 첫 줄에 있는 파일 (기본: RAGTRACE_KEY_PASSPHRASE_FILE, 없으면 물어봄)",
            "a file whose first line is the passphrase (default: RAGTRACE_KEY_PASSPHRASE_FILE, else ask)",
        ).to(lang),
    )
    return parent
