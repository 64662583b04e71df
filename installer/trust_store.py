"""What this installation trusts: the operator's anchors, else what an earlier installation pinned.

Where there is a chain of trust records, `trust/records.json` is the one truth about whom the installation
knows: `trust/allowed_signers` is then derived from its newest record, for people and ``ssh-keygen``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence

from bundle import layout, limits, sshsig, trustrecords
from bundle.anchors import given
from bundle.atomic import write_atomic
from bundle.errors import IntegrityError, RagTraceError
from bundle.text import Text
from bundle.trust import Anchors, Origin, SignedBy
from bundle.trustrecords import Chain, RevokedKey, SignedRecord
from bundle.verify import read_capped

from . import accepted, sealed
from .filesystem import make_directory, read_plain
from .paths import Prefix
from .state import complete_generations


def anchors(
    prefix: Prefix, signers_file: str, fingerprints: Sequence[str], required: Optional[int] = None
) -> Anchors:
    """Return the anchors to verify with, of which `required` have to have signed.

    What the operator brings counts instead of what an earlier installation has pinned; a revocation counts
    always, and so does the newest time that the installation has seen.

    Raises:
        UsageProblem: the named file cannot be read, or `required` is not a number of signatures.
        IntegrityError: the chain of trust records is damaged: nobody can say which keys are revoked.
    """
    known = accepted.read(prefix)
    brought = given(
        Path(signers_file) if signers_file else None,
        fingerprints,
        known.signatures if required is None else required,
    )
    records = read_chain(prefix)
    return Anchors(
        brought.allowed_signers,
        brought.fingerprints,
        brought.required,
        "" if records else _pinned(prefix),
        records,
        known.newest_time(),
    )


def repairing_anchors(
    prefix: Prefix, signers_file: str, fingerprints: Sequence[str], required: Optional[int] = None
) -> Anchors:
    """Return the anchors as `anchors` does, but for a damaged chain: then what the operator brings is where a new
    one begins."""
    try:
        return anchors(prefix, signers_file, fingerprints, required)
    except IntegrityError:
        known = accepted.read(prefix)
        demanded = known.signatures if required is None else required
        return given(Path(signers_file) if signers_file else None, fingerprints, demanded)


def _pinned(prefix: Prefix) -> str:
    try:
        return prefix.allowed_signers.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def read_chain(prefix: Prefix) -> Chain:
    """Return the chain of trust records that this installation has; nothing where it never met one.

    Raises:
        IntegrityError: the file is damaged.
    """
    try:
        data = prefix.records.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    try:
        return tuple(_record(item) for item in sealed.unseal(data)["records"])
    except (sealed.Damaged, KeyError, TypeError, AttributeError, ValueError, RagTraceError) as error:
        raise IntegrityError(
            Text(
                "받아들인 키 기록이 손상되어 어느 키가 폐기되었는지 알 수 없습니다",
                "the accepted trust records are damaged: nobody can say which keys are revoked",
            ),
            where=f"{prefix.records}: {error}",
            hint=Text(
                "키 기록 폴더를 다시 적용하십시오: --trust-update 폴더 --allowed-signers 파일",
                "apply the folder of records again: --trust-update FOLDER --allowed-signers FILE",
            ),
        ) from error


def _record(item: dict[str, object]) -> SignedRecord:
    data, signatures = item["record"], item["signatures"]
    if not isinstance(data, str) or not isinstance(signatures, list):
        raise TypeError("not a record")
    content = data.encode("utf-8")
    signed = tuple(str(signature).encode("ascii") for signature in signatures)
    return SignedRecord(content, signed, trustrecords.parse_record(content, "records.json"))


def version(chain: Chain) -> int:
    """Return the number of the newest record; 0 where there is none."""
    return chain[-1].record.version if chain else 0


def write_chain(prefix: Prefix, chain: Chain) -> None:
    """Replace the chain; this one file is the truth. `derive` follows."""
    records = [
        {
            "record": item.data.decode("utf-8"),
            "signatures": [signature.decode("ascii") for signature in item.signatures],
        }
        for item in chain
    ]
    make_directory(prefix.trust)
    write_atomic(prefix.records, sealed.seal({"format": 1, "records": records}), 0o644)


def derive(prefix: Prefix) -> bool:
    """Make `allowed_signers` say what the newest record says; return whether it had to be written.

    Where there is no chain, the file is the operator's and left alone; a damaged chain is left to whoever
    has to rely on it.
    """
    try:
        chain = read_chain(prefix)
    except IntegrityError:
        return False
    if not chain:
        return False
    wanted = trustrecords.allowed_signers(chain[-1].record).encode("utf-8")
    if read_plain(prefix.allowed_signers) == wanted:
        return False
    write_atomic(prefix.allowed_signers, wanted, 0o644)
    return True


def pinned_with(origin: Origin, earlier: Optional[bytes]) -> Optional[bytes]:
    """Return the pinned file once `origin` has been accepted: keys verified through an anchor are added
    where they are not there yet. An unverified origin pins nothing; with a chain of records, its newest one is
    what is pinned."""
    if origin.records:
        return trustrecords.allowed_signers(origin.records[-1].record).encode("utf-8")
    known = (earlier or b"").decode("utf-8")
    added = "".join(_line(signer) for signer in origin.trusted if signer.key.openssh() not in known)
    if not added:
        return earlier
    separator = "" if not known or known.endswith("\n") else "\n"
    return f"{known}{separator}{added}".encode()


def _line(signer: SignedBy) -> str:
    blank = any(character.isspace() for character in signer.principal)
    name = f'"{signer.principal}"' if blank else signer.principal
    return f'{name} namespaces="{layout.NAMESPACE}" {signer.key.openssh()}\n'


def revoked_releases(prefix: Prefix) -> list[tuple[str, RevokedKey]]:
    """Return the installed releases that a key has signed which is revoked now, with the revocation.

    They keep running, and one can go back to them: their bytes were verified when they came. Whoever reads
    this decides whether to replace them.
    """
    try:
        chain = read_chain(prefix)
    except IntegrityError:
        return []
    return releases_signed_by(prefix, chain[-1].record.revoked) if chain else []


def releases_signed_by(prefix: Prefix, keys: Sequence[RevokedKey]) -> list[tuple[str, RevokedKey]]:
    """Return the installed releases that carry a signature of one of these keys."""
    known = {item.fingerprint: item for item in keys}
    if not known:
        return []
    return [
        (name, known[key.fingerprint])
        for name in complete_generations(prefix)
        for key in release_keys(prefix, name)
        if key.fingerprint in known
    ]


def release_keys(prefix: Prefix, generation: str) -> tuple[sshsig.PublicKey, ...]:
    """Return the keys whose signatures an installed release carries and that hold; none where it carries none."""
    tools = prefix.generation(generation) / "tools"
    keys = []
    try:
        manifest = read_capped(tools / layout.MANIFEST, limits.MANIFEST_BYTES)
        for name in layout.SIGNATURES:
            signature = read_capped(tools / name, limits.SIGNATURE_BYTES)
            if manifest is None or signature is None:
                break
            keys.append(sshsig.verify(manifest, signature, where=name))
    except RagTraceError:
        # What lies there is compared with the receipt elsewhere, and complained about there.
        pass
    return tuple(keys)


def revocation_warnings(prefix: Prefix) -> list[Text]:
    """Return what to say about releases whose signer has been revoked since they were installed."""
    return [revocation_warning(name, revoked) for name, revoked in revoked_releases(prefix)]


def revocation_warning(name: str, revoked: RevokedKey) -> Text:
    """Return what to say about one release."""
    return Text(
        f"릴리스 {name}은 {revoked.since}부터 폐기된 키로 서명되었습니다 ({revoked.reason}). "
        "계속 실행되고 되돌릴 수도 있지만, 지금의 키로 서명된 번들로 바꾸십시오",
        f"release {name} was signed by a key that is revoked since {revoked.since} ({revoked.reason}): it keeps "
        "running and can be gone back to, but replace it by a bundle that a key of today has signed",
    )
