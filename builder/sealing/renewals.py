"""Advisory snapshots on the connected side: written with their signatures, and signed by one more key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bundle import layout, renewal, trust
from bundle.atomic import write_atomic
from bundle.errors import IntegrityError, UsageProblem
from bundle.renewal import Renewal
from bundle.text import Text
from bundle.trustrecords import Carried, signature_names

from .countersign import require_room
from .signing import Signer


def write(path: Path, made: Renewal, signers: Sequence[Signer]) -> Carried:
    """Sign a snapshot with every key and write it, the document last; an earlier one of that name goes first, so
    that none of its signatures is left beside another document.

    Raises:
        BuildError: a key did not sign; then nothing was written.
    """
    data = made.to_bytes()
    # What hosts would refuse is never signed.
    renewal.parse_renewal(data, path.name)
    signatures = tuple(signer.sign(data, layout.ADVISORIES_NAMESPACE) for signer in signers)
    carried = Carried(path.name, data, signatures)
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in (path.name, *signature_names(path.name)):
        place = path.with_name(name)
        if os.path.lexists(place):
            place.unlink()
    for name, content in reversed(list(carried.files().items())):
        write_atomic(path.with_name(name), content, 0o644)
    return carried


def is_renewal(path: Path) -> bool:
    """Return whether a file is a snapshot that is carried alone."""
    try:
        found = renewal.read(path)
        return found is not None and bool(renewal.parse_renewal(found.data, path.name))
    except IntegrityError:
        return False


def add_signature(path: Path, signer: Signer) -> tuple[Path, list[str]]:
    """Sign a snapshot with one more key, and return the signature's file and the fingerprints of those who signed
    before.

    Raises:
        UsageProblem: the key has signed already, or there is no room for one more.
        IntegrityError: it is no snapshot.
        SignatureError: it is unsigned, or a signature does not hold.
        BuildError: the key did not sign.
    """
    found = renewal.read(path)
    if found is None:
        raise UsageProblem(Text("파일이 없습니다", "there is no such file"), where=str(path))
    renewal.parse_renewal(found.data, path.name)
    names = signature_names(path.name)
    earlier = trust.signing_keys(found.data, found.signatures, layout.ADVISORIES_NAMESPACE, names)
    require_room(earlier, signer.public, str(path))
    place = path.with_name(names[len(earlier)])
    write_atomic(place, signer.sign(found.data, layout.ADVISORIES_NAMESPACE), 0o644)
    return place, [key.fingerprint for key in earlier]
