"""``advisories``: ask again about the packages of a release that is out, and sign the answer to be carried alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.text import Text, wording

if TYPE_CHECKING:
    from bundle.renewal import Renewal
    from bundle.trustrecords import Carried

    from ..console import Console
    from ..sealing.signing import Signer

NAME = "advisories"
_SHOWN = 40


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    speaking: argparse.ArgumentParser,
    lang: str,
) -> None:
    """Add the command's options."""
    from ..assessment.options import ASKED, asking
    from .signing import signing

    text = wording(lang)

    parser = commands.add_parser(
        NAME,
        parents=[asking(lang, ASKED), signing(lang), speaking],
        help=text(
            "이미 나간 릴리스의 새 취약점 스냅숏 만들기",
            "make a new advisory snapshot for a release that is out",
        ),
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        action="append",
        required=True,
        metavar="MANIFEST.json|BUNDLE",
        help=text(
            "릴리스의 매니페스트 또는 번들. 여러 번 주면 모든 릴리스에 쓸 스냅숏 하나",
            "the release's manifest, or its bundle; repeatable: one snapshot for all of them",
        ),
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=text(
            "결과 파일, 서명은 FILE.sig (기본: advisories-날짜.json)",
            "where it goes, its signature to FILE.sig (default: advisories-DATE.json)",
        ),
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Ask, sign, write; a key whose passphrase is wrong is found out before anybody is asked."""
    from ..assessment import renewing
    from ..assessment.options import asked
    from ..cache import open_default
    from ..sealing import renewals
    from .signing import signers

    found = [renewing.manifest_at(path) for path in options.manifest]
    _require_key(options)
    keys, _ = signers(options, console.lang)
    made = renewing.renew(found, open_default(), asked(options))
    path = options.output or Path(f"advisories-{made.date[:10].replace('-', '')}.json")
    carried = renewals.write(path.absolute(), made, keys)
    if options.json:
        console.result_json(_document(path, made, carried, keys))
    else:
        console.result(_text(path, made, carried, keys, console.lang))
    return 0


def _require_key(options: argparse.Namespace) -> None:
    """Refuse to make a key for this: hosts accept only one that they know."""
    from bundle.errors import UsageProblem

    from ..sealing import keys

    place = keys.default_key_path()
    if not options.signing_key and not place.exists():
        raise UsageProblem(
            Text("서명 키가 없습니다", "there is no signing key"),
            where=str(place),
            hint=Text(
                "번들에 서명한 키를 --signing-key로 주십시오",
                "give the key that signs your bundles as --signing-key",
            ),
        )


def _document(path: Path, made: Renewal, carried: Carried, keys: list[Signer]) -> dict[str, object]:
    from bundle.hashing import sha256_bytes

    snapshot = made.snapshot
    return {
        "event": "advisories",
        "file": str(path),
        "signatures": [str(path.with_name(name)) for name in list(carried.files())[1:]],
        "sha256": sha256_bytes(carried.data),
        "size": len(carried.data),
        "date": made.date,
        "source": snapshot.source,
        "releases": [release._asdict() for release in made.releases],
        "packages": len(snapshot.packages),
        "advisories": [
            {"package": item.package, "version": item.version, "id": item.id, "severity": item.severity.value}
            for item in snapshot.advisories
        ],
        "unanswered": [
            {"package": item.package, "version": item.version, "reason": item.reason}
            for item in snapshot.unknown
        ],
        "signed_by": [
            {"principal": signer.principal, "fingerprint": signer.public.fingerprint} for signer in keys
        ],
    }


def _text(path: Path, made: Renewal, carried: Carried, keys: list[Signer], lang: str) -> str:
    snapshot = made.snapshot
    lines = [
        Text(
            f"취약점 스냅숏: {path} ({made.date}, {snapshot.source})",
            f"Advisory snapshot: {path} ({made.date}, {snapshot.source})",
        ).to(lang),
    ]
    lines += [
        f"  {item.project} {item.version} · {item.target} · sha256:{item.manifest}" for item in made.releases
    ]
    counts = (len(snapshot.packages), len(snapshot.advisories), len(snapshot.unknown))
    lines.append(
        Text(
            "패키지 {}개, 알려진 취약점 {}건, 답 없음 {}개".format(*counts),
            "{} packages, {} advisories, {} unanswered".format(*counts),
        ).to(lang)
    )
    findings = [
        f"  {item.package} {item.version}  {item.id}  {item.severity.value}" for item in snapshot.advisories
    ]
    findings += [f"  {item.package} {item.version}  ?  {item.reason}" for item in snapshot.unknown]
    lines += findings[:_SHOWN]
    if len(findings) > _SHOWN:
        rest = len(findings) - _SHOWN
        lines.append(Text(f"  그 밖에 {rest}건", f"  and {rest} more").to(lang))
    signed = Text("서명", "Signed by").to(lang)
    lines += [f"{signed}: {signer.principal}  {signer.public.fingerprint}" for signer in keys]
    together = ", ".join(carried.files())
    lines.append(
        Text(
            f"함께 반입: {together}. 호스트에서: install.py --advisories {path.name}",
            f"Carry in together: {together}. On the host: install.py --advisories {path.name}",
        ).to(lang)
    )
    return "\n".join(lines)
