"""How a bundle was made: an in-toto statement with SLSA provenance, in a DSSE envelope, beside the archive.

Specifications: in-toto Attestation Framework v1 (Statement), SLSA v1.0 (Provenance), DSSE v1. The statement is
a pure function of plan, manifest and archive: no clock, no path of this machine, no name of it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bundle import ed25519, layout, sshsig, strictjson, trust
from bundle.errors import IntegrityError, SignatureError
from bundle.manifest import Manifest, manifest_digest
from bundle.sshsig import PublicKey
from bundle.text import Text

from .signing import Signer

if TYPE_CHECKING:
    from ..plan import Artifact, BundlePlan

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUILD_TYPE = "urn:ragtrace:offline-bundle:v1"
BUILDER_ID = "urn:ragtrace:builder"
SUFFIX = ".intoto.jsonl"
# Some 300 bytes for each artefact; a bundle has thousands at the most.
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Made:
    """What a build came to: the archive's file name and SHA-256, and the manifest inside."""

    archive: str
    sha256: str
    manifest: Manifest


@dataclass(frozen=True)
class Provenance:
    """A statement whose signatures hold and which is about the archive at hand."""

    statement: dict[str, Any]
    origin: trust.Origin

    @property
    def dependencies(self) -> list[dict[str, Any]]:
        """What the bundle was made from: name, URI, digests."""
        definition = self.statement["predicate"]["buildDefinition"]
        return list(definition.get("resolvedDependencies", []))


def provenance(
    made: Made, plan: BundlePlan, signers: Sequence[Signer], *, extras: Iterable[str], groups: Iterable[str]
) -> bytes:
    """Return the signed envelope, one line of JSON; `extras` and `groups` are those that were asked for."""
    body = _json(statement(made, plan, extras=extras, groups=groups))
    signatures = [
        {
            "keyid": signer.public.fingerprint,
            "publicKey": signer.public.openssh(),
            "sig": _base64(signer.sign_statement(encoding(body))),
        }
        for signer in signers
    ]
    return _json({"payload": _base64(body), "payloadType": PAYLOAD_TYPE, "signatures": signatures}) + b"\n"


def statement(
    made: Made, plan: BundlePlan, *, extras: Iterable[str], groups: Iterable[str]
) -> dict[str, object]:
    """Return the statement: these two subjects came from that plan."""
    manifest = made.manifest
    parameters = {
        "project": {"name": plan.project.name, "version": plan.project.version},
        "profile": plan.profile.name,
        "target": plan.target.name,
        "pythons": sorted(plan.target.pythons),
        "extras": sorted(set(extras)),
        "groups": sorted(set(groups)),
    }
    tools = [{"name": "uv", "version": item.version} for item in plan.of_kind("uv")]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": made.archive, "digest": {"sha256": made.sha256}},
            {"name": layout.MANIFEST, "digest": {"sha256": manifest_digest(manifest.to_bytes())}},
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters,
                "internalParameters": {"created": manifest.created, "sequence": manifest.sequence},
                "resolvedDependencies": _dependencies(plan, manifest),
            },
            "runDetails": {"builder": {"id": BUILDER_ID, "builderDependencies": tools}},
        },
    }


def encoding(body: bytes) -> bytes:
    """Return what a DSSE signature is made over: the pre-authentication encoding of payload and its type."""
    kind = PAYLOAD_TYPE.encode("ascii")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def verify(
    data: bytes, anchors: trust.Anchors, archive_sha256: str, now: datetime | None = None
) -> Provenance:
    """Check every signature of an envelope and that it speaks of the archive with this digest.

    Raises:
        SignatureError: malformed, unsigned, a signature does not hold, or no signer is among the anchors.
        IntegrityError: the statement is of another kind, or about another archive.
    """
    body, keys = _opened(data)
    origin = trust.origin_of(keys, anchors, now, layout.PROVENANCE_NAMESPACE)
    document = _loaded(body)
    if document.get("_type") != STATEMENT_TYPE or document.get("predicateType") != PREDICATE_TYPE:
        raise IntegrityError(
            Text("SLSA 출처 증명이 아닙니다", "not an SLSA provenance statement"), where=SUFFIX
        )
    try:
        subjects = [item["digest"]["sha256"] for item in document["subject"]]
        list(document["predicate"]["buildDefinition"]["resolvedDependencies"])
    except (KeyError, TypeError) as error:
        raise IntegrityError(
            Text("출처 증명에 빠진 것이 있습니다", "the provenance statement lacks something"),
            where=f"{SUFFIX}: {error}",
        ) from error
    if archive_sha256 not in subjects:
        raise IntegrityError(
            Text("다른 아카이브의 출처 증명입니다", "the provenance is of another archive"),
            where=f"sha256:{archive_sha256}",
        )
    return Provenance(document, origin)


def _dependencies(plan: BundlePlan, manifest: Manifest) -> list[dict[str, object]]:
    found = [_dependency(item, manifest) for item in plan.artifacts]
    lock = f"{layout.SOURCE}/uv.lock"
    found += [
        {"name": "uv.lock", "digest": {"sha256": entry.sha256}}
        for entry in manifest.files
        if entry.path == lock
    ]
    return sorted(found, key=lambda item: _json(item))


def _dependency(item: Artifact, manifest: Manifest) -> dict[str, object]:
    described: dict[str, object] = {"name": item.filename or item.name, "annotations": {"kind": item.kind}}
    if item.sha256:
        described["digest"] = {"sha256": item.sha256}
    elif item.commit:
        described["digest"] = {"gitCommit": item.commit}
    else:
        described["digest"] = {"sha256": _built_from(item, manifest)}
    uri = _public_uri(item)
    return {**described, "uri": uri} if uri else described


def _built_from(item: Artifact, manifest: Manifest) -> str:
    """Return the digest of a source tree: it is known once the wheel has been built."""
    start = f"{item.name.replace('-', '_')}-{item.version}-".lower()
    return next(
        (build.source_sha256 for build in manifest.builds if build.wheel.lower().startswith(start)), ""
    )


def _public_uri(item: Artifact) -> str:
    """Return the source without what must not travel: credentials, and folders of this machine."""
    parts = urlsplit(item.source)
    if parts.scheme in ("", "file"):
        return ""
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    if parts.scheme == "hf":
        # hf://owner/name@commit/file: the @ is no credential's.
        return item.source
    uri = place.geturl()
    return f"git+{uri}@{item.commit}" if item.commit and not uri.startswith("git+") else uri


def _opened(data: bytes) -> tuple[bytes, list[PublicKey]]:
    if len(data) > _MOST_BYTES:
        raise _broken("too large")
    envelope = _loaded(data)
    try:
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise _broken(f"payloadType {envelope['payloadType']!r}")
        body = base64.b64decode(envelope["payload"], validate=True)
        keys = [_signed_by(entry, encoding(body)) for entry in envelope["signatures"]]
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(repr(error)) from error
    if not keys or len(set(keys)) != len(keys):
        raise _broken("no signature, or one key twice")
    return body, keys


def _signed_by(entry: dict[str, str], signed: bytes) -> PublicKey:
    """Return the key of one signature: raw Ed25519, or a binary SSHSIG of a key that ssh-keygen holds."""
    key = sshsig.parse_public_key(entry["publicKey"].partition(" ")[2])
    signature = base64.b64decode(entry["sig"], validate=True)
    if key.fingerprint != entry["keyid"]:
        raise ValueError("keyid and publicKey differ")
    if signature.startswith(sshsig.MAGIC):
        by = sshsig.verify(signed, sshsig.enarmor(signature), layout.PROVENANCE_NAMESPACE, SUFFIX)
        if by != key:
            raise ValueError("signed by another key")
    elif key.application or not ed25519.verify(key.raw, signed, signature):
        raise SignatureError(
            Text("출처 증명의 서명이 맞지 않습니다", "a signature of the provenance does not hold"),
            where=f"{SUFFIX}: {key.fingerprint}",
        )
    return key


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        return dict(strictjson.parse(data, SUFFIX).value)
    except ValueError as error:
        raise _broken(str(error)) from error


def _broken(why: str) -> SignatureError:
    return SignatureError(
        Text("출처 증명을 읽을 수 없습니다", "the provenance cannot be read"), where=f"{SUFFIX}: {why}"
    )


def _json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
