"""``keys rotate`` and ``keys revoke``: the next trust record, by which isolated hosts learn of other keys."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import UsageProblem
from bundle.text import Text, wording

if TYPE_CHECKING:
    from bundle.trustrecords import TrustedKey

    from ..console import Console
    from ..sealing.records import Change, Made
    from ..sealing.signing import Signer


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    parents: list[argparse.ArgumentParser],
    lang: str,
) -> None:
    """Add the two commands and their options."""
    text = wording(lang)
    rotate = actions.add_parser(
        "rotate",
        parents=[_common(lang), *parents],
        help=text("키 집합을 바꾸는 기록 만들기", "make the record that changes the set of keys"),
    )
    rotate.add_argument(
        "--remove",
        action="append",
        default=[],
        metavar="WHO",
        help=text(
            "더는 쓰지 않을 키: 지문 또는 서명자 이름 (여러 번 가능)",
            "a key that retires: its fingerprint or principal (repeatable)",
        ),
    )
    revoke = actions.add_parser(
        "revoke",
        parents=[_common(lang), *parents],
        help=text("키를 폐기하는 기록 만들기", "make the record that revokes keys"),
    )
    revoke.add_argument(
        "keys",
        nargs="+",
        metavar="SHA256:…",
        help=text("폐기할 키의 지문 또는 .pub 파일", "fingerprint or .pub file of a key to revoke"),
    )
    revoke.add_argument(
        "--reason",
        required=True,
        metavar="TEXT",
        help=text("이유 (호스트의 오류 메시지에 그대로 나옴)", "why; hosts show it in their error"),
    )
    revoke.add_argument(
        "--since",
        default="",
        metavar="WHEN",
        help=text(
            "언제부터 믿지 않는지: 2026-06-01 또는 2026-06-01T12:00:00Z (기본: 지금)",
            "since when: 2026-06-01 or 2026-06-01T12:00:00Z (default: now)",
        ),
    )


def _common(lang: str) -> argparse.ArgumentParser:
    text = wording(lang)

    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--records",
        type=Path,
        required=True,
        metavar="DIR",
        help=text("키 기록의 폴더 (없으면 만듦)", "the folder of trust records (made if it is not there)"),
    )
    parent.add_argument(
        "--signing-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=text(
            "지금 집합의 키: 개인 키, 보안 키 파일, agent 키의 .pub (여러 번 가능). 새 키도 함께 서명할 수 있음",
            "a key of the set so far: a private key, a token's handle, an agent key's .pub (repeatable); the new key "
            "may sign too",
        ),
    )
    parent.add_argument(
        "--add",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=text(
            "더할 키: .pub 또는 개인 키 (여러 번 가능)", "a key to add: .pub or private key (repeatable)"
        ),
    )
    parent.add_argument(
        "--valid-before",
        default="",
        metavar="WHEN",
        help=text("더하는 키의 기한", "until when the added keys count"),
    )
    parent.add_argument(
        "--threshold",
        type=int,
        metavar="N",
        help=text(
            "다음 기록에 서명해야 하는 키의 수 (기본: 그대로)",
            "how many keys have to sign the record after this one (default: as before)",
        ),
    )
    parent.add_argument(
        "--allowed-signers",
        type=Path,
        metavar="FILE",
        help=text(
            "첫 기록 전의 집합: 호스트가 아는 서명자 파일 (기본: 서명하는 키)",
            "for the first record: the signers that hosts know (default: the keys that sign)",
        ),
    )
    return parent


def run(options: argparse.Namespace, console: Console) -> None:
    """Make, sign and write the record."""
    from bundle.anchors import given

    from ..sealing import keys, passphrase, records

    source = passphrase.from_options(options.passphrase_file, console.lang)
    signers = keys.load_signers(options.signing_key or [keys.default_key_path()], (), source)
    chain = records.read_chain(options.records)
    change = _change(options)
    text = given(options.allowed_signers, ()).allowed_signers
    base = () if chain else records.base_set(signers, change.added, text)
    record = records.next_record(chain, base, change)
    told(options, console, records.write_record(options.records, chain, record, signers), signers)


def _change(options: argparse.Namespace) -> Change:
    from ..sealing.records import Change

    if options.threshold is not None and options.threshold < 1:
        raise UsageProblem(Text("--threshold는 1 이상입니다", "--threshold is at least 1"))
    added = tuple(_added(path, options.valid_before) for path in options.add)
    if options.action == "rotate":
        return Change(added, tuple(options.remove), (), options.threshold)
    from bundle.trustrecords import RevokedKey

    since = _moment(options.since) if options.since else _now()
    revoked = tuple(RevokedKey(_fingerprint(word), since, options.reason) for word in options.keys)
    return Change(added, (), revoked, options.threshold)


def _added(path: Path, valid_before: str) -> TrustedKey:
    from bundle.trustrecords import TrustedKey

    from ..sealing import keyfile, keys

    file = keyfile.read_key_file(path)
    before = _moment(valid_before) if valid_before else None
    return TrustedKey(keys.principal_of(file, ""), file.public, None, before)


def _fingerprint(word: str) -> str:
    from bundle.trustrecords import FINGERPRINT

    from ..sealing import keyfile

    if FINGERPRINT.match(word):
        return word
    if word.startswith("SHA256:"):
        raise UsageProblem(Text("지문이 아닙니다", "not a fingerprint"), where=word)
    return keyfile.read_key_file(Path(word)).public.fingerprint


def _moment(text: str) -> str:
    from bundle.manifest import parse_time

    moment = f"{text}T00:00:00Z" if "T" not in text else text
    try:
        parse_time(moment)
    except ValueError as error:
        raise UsageProblem(
            Text("시각의 형식이 틀립니다", "not a form of a time"),
            where=text,
            hint=Text("2026-06-01 또는 2026-06-01T12:00:00Z", "2026-06-01, or 2026-06-01T12:00:00Z"),
        ) from error
    return moment


def _now() -> str:
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def told(options: argparse.Namespace, console: Console, made: Made, signers: list[Signer]) -> None:
    """Say what was made, and what has to be done with it."""
    record = made.record
    if options.json:
        console.result_json(
            {
                "event": "trust-record",
                "record": str(made.path),
                "version": record.version,
                "signers": [
                    {"principal": item.principal, "fingerprint": item.key.fingerprint}
                    for item in record.signers
                ],
                "revoked": [vars(item) for item in record.revoked],
                "threshold": record.threshold,
                "signed_by": [signer.public.fingerprint for signer in signers],
                "signatures": made.signed,
                "needed": made.needed,
            }
        )
        return
    lang = console.lang
    lines = [
        Text(f"{record.version}번 키 기록: {made.path}", f"Trust record {record.version}: {made.path}").to(
            lang
        )
    ]
    lines += [f"  + {item.principal}  {item.key.fingerprint}" for item in record.signers]
    lines += [f"  - {item.fingerprint}  {item.since}  {item.reason}" for item in record.revoked]
    if not made.complete:
        lines.append(
            Text(
                f"서명 {made.signed}/{made.needed}: 나머지 키로 keys sign {made.path}",
                f"signatures {made.signed} of {made.needed}: with the other keys, keys sign {made.path}",
            ).to(lang)
        )
    else:
        lines.append(
            Text(
                f"번들에 담기: build --trust-records {made.path.parent}. "
                f"호스트에 바로 적용: install.py --trust-update {made.path.name}",
                f"Carry it in bundles: build --trust-records {made.path.parent}. "
                f"Apply it on a host: install.py --trust-update {made.path.name}",
            ).to(lang)
        )
    console.result("\n".join(lines))
