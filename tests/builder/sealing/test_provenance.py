"""The provenance statement: what it says, who believes it, and what it never gives away."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.inputs import ProjectSpec, load_profile
from builder.plan import Artifact, BundlePlan
from builder.sealing import provenance
from builder.sealing.provenance import Made
from builder.sealing.signing import Signer, SigningKey, allowed_signers
from bundle import sshsig
from bundle.errors import IntegrityError, RagTraceError, SignatureError
from bundle.manifest import Build, Target, manifest_digest
from bundle.trust import Anchors
from tests.support.tokens import token
from tests.support.trees import FILES, manifest_of

ARCHIVE = "a" * 64
KEY = SigningKey(Ed25519PrivateKey.generate(), "builder")
ARTIFACTS = (
    Artifact("wheel", "a", "1", "a-1-py3-none-any.whl", "https://me:secret@index.example/a-1.whl?token=secret#x",
             "b" * 64, 10, ("3.11",), "locked"),
    Artifact("uv", "uv", "0.13.8", "uv-0.13.8.whl", "https://index.example/uv.whl", "c" * 64, 10, (), "tool"),
    Artifact("sdist", "s", "1", "s-1.tar.gz", "https://index.example/s-1.tar.gz", "d" * 64, 10, ("3.11",), ""),
    Artifact("git", "g-g", "2", "", "https://me@git.example/g", "", 0, ("3.11",), "", commit="e" * 40),
    Artifact("directory", "local-lib", "3", "", "file:///home/me/lib", "", 0, ("3.11",), ""),
    Artifact("interpreter", "python", "", "python.tar.gz", "file:///home/me/python.tar.gz", "f" * 64, 9, (), ""),
    Artifact("model", "bge", "0" * 40, "model.onnx", f"hf://owner/name@{'0' * 40}/model.onnx", "1" * 64, 5, (), ""),
)  # fmt: skip


def plan(artifacts: tuple[Artifact, ...] = ARTIFACTS, root: str = "/somewhere") -> BundlePlan:
    return BundlePlan(
        ProjectSpec(Path(root), Path(root), "sample", "1.0.0"),
        load_profile("library"),
        Target("linux-x86_64", "linux", "x86_64", "glibc", "2.28", ("3.12", "3.11")),
        artifacts,
        (),
        (),
    )


def made() -> Made:
    build = Build("local_lib-3-py3-none-any.whl", "2" * 64, "directory", "9" * 64, ())
    files = {**FILES, "03_Source/uv.lock": b"lock"}
    return Made("bundle.tar.gz", ARCHIVE, manifest_of(files, builds=(build,)))


def envelope(*signers: Signer, of: BundlePlan | None = None) -> bytes:
    return provenance.provenance(
        made(), of or plan(), signers or (KEY,), extras=["torch", "okt"], groups=["dev"]
    )


def payload(data: bytes) -> dict[str, object]:
    return json.loads(base64.b64decode(json.loads(data)["payload"]))  # type: ignore[no-any-return]


def test_the_statement_has_the_form_that_in_toto_and_slsa_prescribe() -> None:
    data = envelope()
    assert data.endswith(b"}\n") and data.count(b"\n") == 1
    outer = json.loads(data)
    assert outer["payloadType"] == "application/vnd.in-toto+json"
    inner = payload(data)
    assert inner["_type"] == "https://in-toto.io/Statement/v1"
    assert inner["predicateType"] == "https://slsa.dev/provenance/v1"
    assert inner["subject"] == [
        {"name": "bundle.tar.gz", "digest": {"sha256": ARCHIVE}},
        {"name": "MANIFEST.json", "digest": {"sha256": manifest_digest(made().manifest.to_bytes())}},
    ]
    predicate = inner["predicate"]
    assert isinstance(predicate, dict) and set(predicate) == {"buildDefinition", "runDetails"}
    definition = predicate["buildDefinition"]
    assert definition["externalParameters"] == {
        "project": {"name": "sample", "version": "1.0.0"},
        "profile": "library",
        "target": "linux-x86_64",
        "pythons": ["3.11", "3.12"],
        "extras": ["okt", "torch"],
        "groups": ["dev"],
    }
    assert predicate["runDetails"]["builder"]["id"].startswith("urn:")
    assert all(":" in definition[key] for key in ("buildType",))
    for item in definition["resolvedDependencies"]:
        (digest,) = item["digest"].values()
        assert len(digest) in (40, 64), item


def test_every_artefact_and_the_lock_are_named_with_their_digests() -> None:
    found = {item["name"]: item for item in provenance.verify(envelope(), Anchors(), ARCHIVE).dependencies}
    assert set(found) == {
        "a-1-py3-none-any.whl", "uv-0.13.8.whl", "s-1.tar.gz", "g-g", "local-lib", "python.tar.gz",
        "model.onnx", "uv.lock",
    }  # fmt: skip
    assert found["g-g"]["digest"] == {"gitCommit": "e" * 40}
    assert found["g-g"]["uri"] == f"git+https://git.example/g@{'e' * 40}"
    assert found["local-lib"]["digest"] == {"sha256": "9" * 64}
    assert found["model.onnx"]["uri"].startswith("hf://owner/name@")
    assert found["a-1-py3-none-any.whl"]["uri"] == "https://index.example/a-1.whl"


def test_no_credential_and_no_folder_of_this_machine_travels() -> None:
    text = json.dumps(payload(envelope()))
    assert "secret" not in text and "/home/me" not in text and "/somewhere" not in text and "//me" not in text


def test_the_same_inputs_give_the_same_bytes_wherever_the_project_lies() -> None:
    assert envelope() == envelope(of=plan(tuple(reversed(ARTIFACTS)), "/elsewhere"))


def test_an_anchored_signer_verifies_it_and_a_stranger_does_not() -> None:
    found = provenance.verify(envelope(), Anchors(KEY.allowed_signers()), ARCHIVE)
    assert (found.origin.status, found.origin.principal) == ("verified", "builder")
    assert provenance.verify(envelope(), Anchors(), ARCHIVE).origin.status == "unverified"
    stranger = SigningKey(Ed25519PrivateKey.generate(), "stranger")
    with pytest.raises(SignatureError, match="not by a signer you trust"):
        provenance.verify(envelope(), Anchors(stranger.allowed_signers()), ARCHIVE)


def test_a_key_trusted_for_bundles_only_does_not_speak_of_provenance() -> None:
    line = f'builder namespaces="ragtrace-bundle@v1" {KEY.public.openssh()}\n'
    with pytest.raises(SignatureError, match="not by a signer you trust"):
        provenance.verify(envelope(), Anchors(line), ARCHIVE)


def test_several_signers_of_both_kinds_sign_one_statement() -> None:
    hardware = token()
    data = envelope(KEY, hardware)
    found = provenance.verify(data, Anchors(allowed_signers([KEY, hardware])), ARCHIVE)
    assert [item.principal for item in found.origin.trusted] == ["builder", "token@example"]
    sizes = [len(base64.b64decode(item["sig"])) for item in json.loads(data)["signatures"]]
    assert sizes[0] == 64 < sizes[1]


def test_a_plain_key_signs_what_dsse_prescribes() -> None:
    """The encoding of the DSSE specification, spelt out: any implementation of it can check the signature."""
    outer = json.loads(envelope())
    body = base64.b64decode(outer["payload"])
    encoded = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(body)).encode() + b" " + body
    signature = base64.b64decode(outer["signatures"][0]["sig"])
    KEY.private.public_key().verify(signature, encoded)


def test_another_archive_is_refused() -> None:
    with pytest.raises(IntegrityError, match="another archive"):
        provenance.verify(envelope(), Anchors(), "0" * 64)


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(envelope()), **fields}).encode()


def with_signature(**fields: str) -> bytes:
    return changed(signatures=[{**json.loads(envelope())["signatures"][0], **fields}])


OTHER = SigningKey(Ed25519PrivateKey.generate(), "other")
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"hello",
    "a list": b"[]",
    "nested deeply": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "one field twice": envelope().replace(b'{"payload"', b'{"payload":"","payload"', 1),
    "another type": changed(payloadType="text/plain"),
    "no signature": changed(signatures=[]),
    "a signature twice": changed(signatures=json.loads(envelope())["signatures"] * 2),
    "changed payload": changed(payload=base64.b64encode(b"{}").decode()),
    "payload not base64": changed(payload="!!!"),
    "no payload": changed(payload=None),
    "signatures of another shape": changed(signatures=["x"]),
    "key of another": with_signature(publicKey=OTHER.public.openssh(), keyid=OTHER.public.fingerprint),
    "keyid of another": with_signature(keyid=OTHER.public.fingerprint),
    "short signature": with_signature(sig="AAAA"),
    "no key": with_signature(publicKey=""),
    "a token's key with a plain signature": with_signature(
        publicKey=token().public.openssh(), keyid=token().public.fingerprint
    ),
    "a bundle's signature": with_signature(sig=base64.b64encode(b"SSHSIG").decode()),
    "two lines": envelope() * 2,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_envelope_is_refused_not_crashed_on(name: str) -> None:
    with pytest.raises(SignatureError) as caught:
        provenance.verify(BROKEN[name], Anchors(KEY.allowed_signers()), ARCHIVE)
    assert caught.value.exit_code == 10 and ".intoto.jsonl" in caught.value.where


def test_a_signature_for_a_bundle_does_not_pass_for_one_of_provenance() -> None:
    hardware = token()
    body = base64.b64decode(json.loads(envelope())["payload"])
    signature = sshsig.dearmor(hardware.sign(provenance.encoding(body)))
    entry = {
        "keyid": hardware.public.fingerprint,
        "publicKey": hardware.public.openssh(),
        "sig": base64.b64encode(signature).decode(),
    }
    with pytest.raises(SignatureError, match="another purpose"):
        provenance.verify(changed(signatures=[entry]), Anchors(), ARCHIVE)


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "x"},
        {"predicateType": "x"},
        {"subject": []},
        {"subject": [{}]},
        {"predicate": {}},
        {"predicate": 1},
    ],
)
def test_a_signed_statement_of_another_kind_is_refused(change: dict[str, object]) -> None:
    body = json.dumps({**payload(envelope()), **change}).encode()
    signature = {
        "keyid": KEY.public.fingerprint,
        "publicKey": KEY.public.openssh(),
        "sig": base64.b64encode(KEY.sign_statement(provenance.encoding(body))).decode(),
    }
    data = changed(payload=base64.b64encode(body).decode(), signatures=[signature])
    with pytest.raises(RagTraceError) as caught:
        provenance.verify(data, Anchors(), ARCHIVE)
    assert isinstance(caught.value, IntegrityError)


def test_the_archive_and_the_manifest_are_told_apart_from_others() -> None:
    other = replace(made(), sha256="3" * 64)
    data = provenance.provenance(other, plan(), [KEY], extras=(), groups=())
    assert provenance.verify(data, Anchors(), "3" * 64).statement["subject"][0]["name"] == "bundle.tar.gz"
