"""Whom this installation trusts, as its own files say: for checks that verify a signature themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List

from bundle import limits as bundle_limits
from bundle import trustrecords
from bundle.errors import RagTraceError
from bundle.manifest import parse_time
from bundle.trust import Anchors
from bundle.trustrecords import Chain, SignedRecord
from validator.subject import Subject, Unreadable, checksum_of, read_json_object, read_limited

# A record and its signatures, quoted once more in JSON.
_RECORDS_BYTES = bundle_limits.TRUST_RECORDS * 4 * bundle_limits.TRUST_RECORD_BYTES


def anchors(subject: Subject) -> Anchors:
    """Return the pinned signers, or the chain of trust records in place of them, how many have to sign, and the
    newest time the installation has seen.

    Raises:
        Unreadable: the chain is damaged, so that nobody can say which keys are revoked, or may not be read.
    """
    folder = subject.prefix / "trust"
    records = _chain(folder / "records.json")
    accepted = _accepted(folder / "accepted.json")
    newest = str(accepted.get("newest", ""))
    return Anchors(
        required=int(accepted.get("signatures", 1)),
        pinned="" if records else _pinned(folder / "allowed_signers"),
        records=records,
        newest=parse_time(newest) if newest else None,
    )


def accepted(subject: Subject) -> bool:
    """Return whether the installer has accepted the active release; until then it runs this validator to decide."""
    record = _accepted(subject.prefix / "trust" / "accepted.json")
    return subject.generation is not None and subject.generation.name in record.get("generations", ())


def _pinned(place: Path) -> str:
    if not os.path.lexists(place):
        return ""
    return read_limited(place).decode("utf-8", "replace")


def _accepted(place: Path) -> Dict[str, Any]:
    """Return the record of what was accepted; a damaged one knows nothing, as for the installer."""
    try:
        document = _sealed(place, bundle_limits.ALLOWED_SIGNERS_BYTES)
        int(document.get("signatures", 1))
        parse_time(str(document.get("newest") or "2000-01-01T00:00:00Z"))
    except (Unreadable, ValueError, TypeError):
        return {}
    return document


def _chain(place: Path) -> Chain:
    if not os.path.lexists(place):
        return ()
    document = _sealed(place, _RECORDS_BYTES)
    try:
        return tuple(_record(item) for item in _items(document.get("records")))
    except (RagTraceError, ValueError, TypeError, KeyError) as error:
        raise Unreadable(f"{place}: {str(error)[:200]}") from error


def _sealed(place: Path, limit: int) -> Dict[str, Any]:
    document = read_json_object(place, limit)
    if document.get("checksum") != checksum_of(document):
        raise Unreadable(f"{place}: its checksum does not match its content")
    return document


def _items(value: object) -> List[Dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TypeError("not a list of records")
    return value


def _record(item: Dict[str, Any]) -> SignedRecord:
    data = str(item["record"]).encode("utf-8")
    signatures = tuple(str(signature).encode("ascii") for signature in item["signatures"])
    return SignedRecord(data, signatures, trustrecords.parse_record(data, "records.json"))
