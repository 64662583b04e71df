"""Rotation and revocation: an honest chain is followed, and what attackers make of one is refused."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from builder.sealing.signing import SigningKey, allowed_signers
from bundle import layout, limits, trust, trustrecords, verify, volumes
from bundle.archive import ArchiveWriter
from bundle.errors import IntegrityError, PolicyError, RagTraceError, SignatureError
from bundle.hashing import sha256_bytes
from bundle.reading import BundleReader
from bundle.tarstream import TarReader
from bundle.trust import Anchors
from bundle.trustrecords import Carried, Chain
from tests.support import trust as keeper
from tests.support.trees import FILES, write_tree
from tests.support.trust import KeyHouse

NOW = datetime(2026, 11, 20, tzinfo=timezone.utc)


@pytest.fixture
def house() -> KeyHouse:
    """A chain of three: a; then b beside a; then c in place of a, which is revoked."""
    made = KeyHouse()
    made.record(["a"], by=["a"])
    made.record(["a", "b"], by=["a"])
    made.record(["b", "c"], by=["b"], revoked=["a"])
    return made


def pinned(house: KeyHouse, *names: str, **more: Any) -> Anchors:
    return Anchors(pinned=allowed_signers([house.key(name) for name in names]), **more)


def given(house: KeyHouse, *names: str, **more: Any) -> Anchors:
    return Anchors(allowed_signers([house.key(name) for name in names]), **more)


def chain(house: KeyHouse, count: int = 3) -> Chain:
    return trust.informed(pinned(house, "a"), house.records[:count], NOW).records


def versions(found: Chain) -> list[int]:
    return [item.record.version for item in found]


def test_what_is_written_is_read_back_the_same(house: KeyHouse) -> None:
    for item in house.records:
        assert trustrecords.parse_record(item.data, item.name).to_bytes() == item.data


def test_a_host_that_knows_the_first_key_follows_the_chain_to_the_newest_set(house: KeyHouse) -> None:
    found = trust.informed(pinned(house, "a"), house.records, NOW)
    assert versions(found.records) == [1, 2, 3]
    for name in ("b", "c"):
        assert trust.origin_of([house.key(name).public], found, NOW).signers[0].known == trust.BY_RECORD


def test_a_host_that_knows_a_later_key_enters_where_that_key_signed(house: KeyHouse) -> None:
    assert versions(trust.informed(pinned(house, "b"), house.records, NOW).records) == [3]


def test_records_that_nobody_known_has_signed_add_nothing(house: KeyHouse) -> None:
    anchors = pinned(house, "stranger")
    assert trust.informed(anchors, house.records, NOW).records == ()
    assert trust.informed(Anchors(), house.records, NOW).records == ()


def test_a_host_that_demands_two_signatures_enters_only_where_two_have_signed(house: KeyHouse) -> None:
    assert trust.informed(pinned(house, "a", "b", required=2), house.records, NOW).records == ()
    both = KeyHouse(house.keys)
    both.record(["c"], by=["a", "b"])
    found = trust.informed(pinned(house, "a", "b", required=2), both.records, NOW)
    assert versions(found.records) == [1]


def test_a_retired_key_is_not_trusted_any_more_and_one_given_now_is(house: KeyHouse) -> None:
    retiring = KeyHouse()
    retiring.record(["b"], by=["a"])
    old = [retiring.key("a").public]
    with pytest.raises(SignatureError, match="not by a signer you trust"):
        trust.origin_of(old, trust.informed(pinned(retiring, "a"), retiring.records, NOW), NOW)
    brought = trust.informed(given(retiring, "a"), retiring.records, NOW)
    assert trust.origin_of(old, brought, NOW).signers[0].known == trust.BY_FILE
    assert trust.origin_of([retiring.key("b").public], brought, NOW).status == "verified"


@pytest.mark.parametrize("how", ["pinned", "file", "fingerprint"])
def test_a_revoked_key_is_refused_whoever_names_it(house: KeyHouse, how: str) -> None:
    records = chain(house)
    key = house.key("a")
    anchors = {
        "pinned": Anchors(pinned=key.allowed_signers(), records=records),
        "file": Anchors(key.allowed_signers(), records=records),
        "fingerprint": Anchors(fingerprints=(key.public.fingerprint,), records=records),
    }[how]
    with pytest.raises(SignatureError, match="revoked since 2026-06-01T00:00:00Z: key a was lost") as caught:
        trust.origin_of(trust.signing_keys(b"manifest", [key.sign(b"manifest")]), anchors, NOW)
    assert key.public.fingerprint in caught.value.where


def test_a_revoked_signer_beside_a_trusted_one_counts_for_nothing(house: KeyHouse) -> None:
    anchors = Anchors(records=chain(house))
    found = trust.origin_of([house.key("a").public, house.key("c").public], anchors, NOW)
    assert [bool(signer.principal) for signer in found.signers] == [False, True]
    assert found.signers[0].revoked is not None
    with pytest.raises(PolicyError, match="1 of 2"):
        verify.require_signers(found, 2)


def test_an_index_of_volumes_by_a_revoked_key_is_refused(house: KeyHouse) -> None:
    key, index = house.key("a"), b"index"
    signature = key.sign(index, layout.VOLUMES_NAMESPACE)
    anchors = replace(given(house, "a"), records=chain(house))
    with pytest.raises(SignatureError, match="revoked since"):
        volumes.verify_index(index, [signature], anchors, "x.volumes.json", NOW)


def test_what_the_operator_names_restricts_the_records_unless_it_leads_to_them(house: KeyHouse) -> None:
    records = chain(house)
    with pytest.raises(SignatureError, match="not by a signer you trust"):
        trust.origin_of([house.key("b").public], replace(given(house, "c"), records=records), NOW)
    # b signed record 3: whoever names b is led to the set of record 3.
    found = trust.origin_of([house.key("c").public], replace(given(house, "b"), records=records), NOW)
    assert found.status == "verified"


def refused(
    house: KeyHouse, carried: list[Carried], expected: type[RagTraceError], words: str, held: int = 3
) -> None:
    """Assert that a host which has the first `held` records refuses what is carried, and a new host as well."""
    records = chain(house, held)
    with pytest.raises(expected, match=words):
        trust.informed(Anchors(records=records), carried, NOW)


def next_record(house: KeyHouse, *signers: str, by: str, **more: Any) -> Carried:
    return house.make(list(signers), by.split(), **{"revoked": ["a"], **more})


ATTACKS: dict[str, tuple[Callable[[KeyHouse], Carried], type[RagTraceError], str]] = {
    "signed by a stranger": (
        lambda house: next_record(house, "mallory", by="mallory"),
        SignatureError,
        "0 of 1",
    ),
    "signed by the key that it introduces": (
        lambda house: next_record(house, "b", "new", by="new"),
        SignatureError,
        "0 of 1",
    ),
    "signed by a revoked key": (
        lambda house: next_record(house, "b", by="a"),
        SignatureError,
        "a revoked key signed the trust record",
    ),
    "signed by a revoked key beside a good one": (
        lambda house: next_record(house, "b", by="b a"),
        SignatureError,
        "a revoked key signed the trust record",
    ),
    "a gap in the numbers": (
        lambda house: next_record(house, "b", by="b", version=5),
        IntegrityError,
        "record 5 does not follow record 3",
    ),
    "another record of the newest number": (
        lambda house: next_record(house, "b", by="b", version=3),
        SignatureError,
        "record 3 is not the one that was accepted before",
    ),
    "another record of an old number": (
        lambda house: house.make(["a", "mallory"], ["a"], version=2),
        SignatureError,
        "record 2 is not the one that was accepted before",
    ),
    "a revocation taken back": (
        lambda house: next_record(house, "b", by="b", revoked=[]),
        IntegrityError,
        "takes back or changes the revocation",
    ),
    "a revoked key among the signers": (
        lambda house: next_record(house, "a", "b", by="b"),
        IntegrityError,
        "a signer's key is revoked",
    ),
    "no signer left": (lambda house: next_record(house, by="b"), IntegrityError, "leaves no signer"),
    "a threshold that nobody can reach": (
        lambda house: next_record(house, "b", "c", by="b", threshold=3),
        IntegrityError,
        "3 signatures are demanded of 2 usable signers",
    ),
    "a threshold of signers whose time has ended": (
        lambda house: next_record(
            house, "b", "c", by="b", threshold=2, times={"c": (None, "2020-01-01T00:00:00Z")}
        ),
        IntegrityError,
        "2 signatures are demanded of 1 usable signers",
    ),
    "a threshold of nothing": (
        lambda house: next_record(house, "b", by="b", threshold=0),
        IntegrityError,
        "threshold is not an integer in range",
    ),
    "one key under two names": (
        lambda house: next_record(house, "b", "b", by="b", threshold=2),
        IntegrityError,
        "one key is listed twice",
    ),
    "dated before the record it follows": (
        lambda house: next_record(house, "b", by="b", created="2020-01-01T00:00:00Z"),
        IntegrityError,
        "before the record it follows",
    ),
    "one signature given twice": (
        lambda house: next_record(house, "b", by="b b"),
        SignatureError,
        "two signatures are by one key",
    ),
    "no signature": (
        lambda house: next_record(house, "b", by="")._replace(signatures=()),
        SignatureError,
        "has no signature",
    ),
    "a signature made for a bundle": (
        lambda house: (item := next_record(house, "b", by="b"))._replace(
            signatures=(house.key("b").sign(item.data),)
        ),
        SignatureError,
        "another purpose",
    ),
    "a byte changed after signing": (
        lambda house: (item := next_record(house, "b", by="b"))._replace(
            data=item.data.replace(b"b@exa", b"x@exa")
        ),
        SignatureError,
        "does not fit",
    ),
    "another number in the file's name": (
        lambda house: next_record(house, "b", by="b")._replace(name="000009.json"),
        IntegrityError,
        "says that it is record 4",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_record_is_refused(house: KeyHouse, name: str) -> None:
    make, expected, words = ATTACKS[name]
    refused(house, [make(house)], expected, words)


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - {"another record of an old number"}))
def test_a_host_that_meets_the_whole_chain_for_the_first_time_refuses_it_too(
    house: KeyHouse, name: str
) -> None:
    make, expected, _ = ATTACKS[name]
    with pytest.raises(expected):
        trust.informed(pinned(house, "a"), [*house.records, make(house)], NOW)


def test_a_threshold_of_two_is_kept_when_one_key_is_stolen() -> None:
    house = KeyHouse()
    house.record(["a", "b", "c"], by=["a"], threshold=2)
    anchors = pinned(house, "a")
    alone = [*house.records, house.make(["a"], ["a"])]
    with pytest.raises(SignatureError, match="1 of 2"):
        trust.informed(anchors, alone, NOW)
    two = [*house.records, house.make(["b", "c"], ["b", "c"], revoked=["a"])]
    assert versions(trust.informed(anchors, two, NOW).records) == [1, 2]


def test_a_record_cannot_lower_the_bar_for_itself() -> None:
    house = KeyHouse()
    house.record(["a", "b"], by=["a"], threshold=2)
    with pytest.raises(SignatureError, match="1 of 2"):
        trust.informed(pinned(house, "a"), [*house.records, house.make(["a"], ["a"], threshold=1)], NOW)


def test_an_older_chain_changes_nothing_where_a_newer_one_is_known(house: KeyHouse) -> None:
    anchors = Anchors(records=chain(house))
    assert trust.informed(anchors, house.records[:1], NOW).records == anchors.records
    with pytest.raises(SignatureError, match="revoked"):
        trust.origin_of([house.key("a").public], trust.informed(anchors, house.records[:1], NOW), NOW)


def test_a_host_that_entered_late_passes_over_what_was_before(house: KeyHouse) -> None:
    anchors = trust.informed(pinned(house, "b"), house.records, NOW)
    house.record(["c"], by=["c"], revoked=["a"])
    assert versions(trust.informed(anchors, house.records, NOW).records) == [3, 4]


def test_a_keys_time_is_that_of_the_record_when_it_signs_one_and_the_hosts_when_it_signs_a_bundle() -> None:
    house = KeyHouse()
    house.record(["a"], by=["a"], times={"a": (None, "2026-08-01T00:00:00Z")})
    house.record(["b"], by=["a"], created="2026-07-20T00:00:00Z")
    found = trust.informed(Anchors(records=chain(house, 1)), house.records, NOW)
    assert versions(found.records) == [1, 2]
    late = house.make(["b"], ["a"], version=2, created="2026-09-01T00:00:00Z")
    with pytest.raises(SignatureError, match="0 of 1"):
        trust.informed(Anchors(records=chain(house, 1)), [house.records[0], late], NOW)
    with pytest.raises(SignatureError, match="not in force now"):
        trust.origin_of([house.key("a").public], Anchors(records=chain(house, 1)), NOW)


def test_a_lapsed_line_of_the_operator_lets_nobody_in() -> None:
    house = KeyHouse()
    house.record(["b"], by=["a"])
    line = f'a valid-before="20260801Z" {house.key("a").public.openssh()}\n'
    assert trust.informed(Anchors(pinned=line), house.records, NOW).records == ()


DOCUMENT = KeyHouse().make(["a"], ["a"], revoked=["b"]).data


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(DOCUMENT), **fields}).encode()


def signer(**fields: Any) -> list[dict[str, Any]]:
    return [{**json.loads(DOCUMENT)["signers"][0], **fields}]


def revoked(**fields: Any) -> list[dict[str, Any]]:
    return [{**json.loads(DOCUMENT)["revoked"][0], **fields}]


HOSTILE = {
    "not JSON": b"{",
    "not UTF-8": b'{"a": "\xff"}',
    "duplicate key": DOCUMENT.replace(b'"threshold"', b'"version"'),
    "NaN": DOCUMENT.replace(b'"version": 1', b'"version": NaN'),
    "a fraction": DOCUMENT.replace(b'"version": 1', b'"version": 1.5'),
    "nested": b'{"a":' * 40 + b"1" + b"}" * 40,
    "another format": changed(format="ragtrace-bundle"),
    "a later format": changed(format_version=2),
    "critical": changed(critical=["quorum"], quorum=2),
    "number zero": changed(version=0),
    "a huge number": changed(version=2**53),
    "a time that is none": changed(created="yesterday"),
    "Arabic digits": changed(created="٢٠٢٦-07-01T00:00:00Z"),
    "signers that are a map": changed(signers={}),
    "a principal that is a pattern": changed(signers=signer(principal="*")),
    "a principal with a line break": changed(signers=signer(principal="a\nb")),
    "a principal that writes backwards": changed(signers=signer(principal="a\u202eb")),
    "half a character": changed(signers=signer(principal="a\ud800")),
    "a key of another type": changed(signers=signer(key="ssh-rsa AAAA")),
    "a key under another type's name": changed(
        signers=signer(key=signer()[0]["key"].replace("ssh-ed25519 ", "sk-ssh-ed25519@openssh.com ", 1))
    ),
    "a time that ends before it begins": changed(
        signers=signer(valid_after="2026-02-01T00:00:00Z", valid_before="2026-01-01T00:00:00Z")
    ),
    "a fingerprint that is none": changed(revoked=revoked(fingerprint="SHA256:x")),
    "an empty reason": changed(revoked=revoked(reason="")),
    "a reason with an escape": changed(revoked=revoked(reason="\x1b[2J")),
    "revoked twice": changed(revoked=revoked() * 2),
    "too many signers": changed(signers=signer() * 33),
    "over the limit": DOCUMENT + b" " * limits.TRUST_RECORD_BYTES,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused(name: str) -> None:
    with pytest.raises(IntegrityError, match="the trust record is refused"):
        trustrecords.parse_record(HOSTILE[name], "record")


def test_unknown_fields_are_ignored() -> None:
    assert trustrecords.parse_record(changed(comment="x"), "record").version == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files.pop("000001.json"), "without a gap"),
        (lambda files: files.pop("000002.json"), "without a gap"),
        (lambda files: files.pop("000003.json.sig"), "has no signature"),
        (lambda files: files.update({"000001.json.3.sig": b"x"}), "without a gap"),
        (lambda files: files.update({"notes.txt": b"x"}), "neither a record nor a signature"),
        (lambda files: files.update({"000004.json.sig": b"x"}), "neither a record nor a signature"),
        (lambda files: files.update({"1.json": b"x"}), "neither a record nor a signature"),
    ],
)
def test_files_that_are_no_chain_are_refused(
    house: KeyHouse, change: Callable[[dict[str, bytes]], object], words: str
) -> None:
    files = {name: data for item in house.records for name, data in item.files().items()}
    change(files)
    with pytest.raises(RagTraceError, match=words):
        trust.informed(pinned(house, "a"), trustrecords.gather(files), NOW)


def test_more_records_than_the_limit_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRUST_RECORDS", 2)
    house = KeyHouse()
    for _ in range(3):
        house.record(["a"], by=["a"])
    with pytest.raises(IntegrityError, match="more than 2 records"):
        trustrecords.gather({name: data for item in house.records for name, data in item.files().items()})


# In a bundle.


def tree(root: Path, house: KeyHouse, signer: str, **changes: Any) -> Path:
    write_tree(root, {**FILES, **keeper.files(house.records)}, house.key(signer), **changes)
    return root


def archive(root: Path, *, late: bool = False) -> bytes:
    """Pack a tree as the builder does; `late`: with the records at the end."""
    buffer = io.BytesIO()
    writer = ArchiveWriter(buffer, "top", 1_700_000_000)
    heads = [layout.MANIFEST, layout.SIGNATURE, layout.CHECKSUMS]
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    names = [path.relative_to(root).as_posix() for path in paths]
    others = [name for name in names if name not in heads]
    others.sort(key=lambda name: name.startswith(layout.TRUST) is late)
    for name in [*heads, *others]:
        data = (root / name).read_bytes()
        writer.add(name, data, len(data), sha256_bytes(data), 0o644, store=False)
    writer.close()
    return buffer.getvalue()


def read_archive(data: bytes, anchors: Anchors) -> BundleReader:
    return BundleReader(TarReader(io.BytesIO(data).read, "x.tar.gz"), anchors, NOW)


def test_a_bundle_by_the_new_key_verifies_on_a_host_that_pinned_the_old_one(
    house: KeyHouse, tmp_path: Path
) -> None:
    root = tree(tmp_path / "b", house, "c")
    found = verify.open_bundle(root, pinned(house, "a"), now=NOW)
    assert found.origin.principal == "c@example" and versions(found.origin.records) == [1, 2, 3]
    reader = read_archive(archive(root), pinned(house, "a"))
    assert reader.signed.origin.principal == "c@example"
    assert reader.verify_files(lambda count: None) == len(found.manifest.files)


def test_the_same_bundle_without_its_records_is_refused_there(house: KeyHouse, tmp_path: Path) -> None:
    write_tree(tmp_path, FILES, house.key("c"))
    with pytest.raises(SignatureError, match="not by a signer you trust"):
        verify.open_bundle(tmp_path, pinned(house, "a"), now=NOW)


def test_a_bundle_that_revokes_its_own_signer_is_refused(house: KeyHouse, tmp_path: Path) -> None:
    root = tree(tmp_path / "b", house, "a")
    for anchors in (pinned(house, "a"), given(house, "a")):
        with pytest.raises(SignatureError, match="revoked since"):
            verify.open_bundle(root, anchors, allow_unverified_origin=True, now=NOW)
        with pytest.raises(SignatureError, match="revoked since"):
            read_archive(archive(root), anchors)


def test_records_that_the_manifest_does_not_declare_are_refused(house: KeyHouse, tmp_path: Path) -> None:
    write_tree(tmp_path, FILES, house.key("a"))
    keeper.write(tmp_path / layout.TRUST, house.records[:1])
    with pytest.raises(IntegrityError, match="not those of the signed manifest"):
        verify.open_bundle(tmp_path, pinned(house, "a"), now=NOW)
    with pytest.raises(IntegrityError, match="not those of the signed manifest"):
        read_archive(archive(tmp_path), pinned(house, "a"))


def test_records_that_the_manifest_declares_cannot_be_left_out(house: KeyHouse, tmp_path: Path) -> None:
    root = tree(tmp_path / "b", house, "b")
    for name in house.records[2].files():
        (root / layout.TRUST / name).unlink()
    with pytest.raises(IntegrityError, match="not those of the signed manifest"):
        verify.open_bundle(root, pinned(house, "a"), now=NOW)


def test_an_archive_whose_records_come_late_is_refused(house: KeyHouse, tmp_path: Path) -> None:
    root = tree(tmp_path / "b", house, "c")
    with pytest.raises(SignatureError, match="not by a signer you trust"):
        read_archive(archive(root, late=True), pinned(house, "a"))
    with pytest.raises(IntegrityError, match="not those of the signed manifest"):
        read_archive(archive(root, late=True), pinned(house, "c"))


def test_a_signature_added_to_a_carried_record_is_noticed(house: KeyHouse, tmp_path: Path) -> None:
    root = tree(tmp_path / "b", house, "c")
    last = house.records[2]
    (root / layout.TRUST / "000003.json.2.sig").write_bytes(
        house.key("c").sign(last.data, layout.TRUST_NAMESPACE)
    )
    with pytest.raises(IntegrityError, match="not those of the signed manifest"):
        verify.open_bundle(root, pinned(house, "a"), now=NOW)


def test_a_record_over_its_cap_is_refused_before_it_is_held_in_memory(
    house: KeyHouse, tmp_path: Path
) -> None:
    house.records[2] = house.records[2]._replace(data=b" " * (limits.TRUST_RECORD_BYTES + 1))
    root = tree(tmp_path / "b", house, "c")
    with pytest.raises(IntegrityError, match="size limit"):
        verify.open_bundle(root, pinned(house, "a"), now=NOW)
    with pytest.raises(IntegrityError, match="size limit"):
        read_archive(archive(root), pinned(house, "a"))


# The clock.


def expiring(tmp_path: Path, house: KeyHouse) -> Path:
    write_tree(tmp_path, FILES, house.key("a"), expires="2026-12-31T00:00:00Z")
    return tmp_path


def test_a_clock_that_was_set_back_does_not_revive_an_expired_bundle(house: KeyHouse, tmp_path: Path) -> None:
    root = expiring(tmp_path, house)
    anchors = pinned(house, "a", newest=datetime(2027, 1, 1, tzinfo=timezone.utc))
    with pytest.raises(PolicyError, match="has expired") as caught:
        verify.open_bundle(root, anchors, now=NOW)
    told = " ".join(detail.en for detail in caught.value.details)
    assert "2027-01-01T00:00:00Z" in told and "2026-11-20T00:00:00Z" in told
    assert verify.open_bundle(root, pinned(house, "a"), now=NOW).origin.status == "verified"


def test_a_clock_that_was_set_back_does_not_revive_a_lapsed_signer(house: KeyHouse, tmp_path: Path) -> None:
    write_tree(tmp_path, FILES, house.key("a"))
    line = f'a valid-before="20261001Z" {house.key("a").public.openssh()}\n'
    back = datetime(2026, 9, 1, tzinfo=timezone.utc)
    for anchors in (Anchors(line), Anchors(line, newest=NOW)):
        # Without any memory the bundle's own date, of November, is evidence.
        with pytest.raises(SignatureError, match="not in force now"):
            verify.open_bundle(tmp_path, anchors, now=back)


def test_a_clock_far_ahead_is_blamed_where_it_ends_a_bundle(house: KeyHouse, tmp_path: Path) -> None:
    root = expiring(tmp_path, house)
    with pytest.raises(PolicyError) as caught:
        verify.open_bundle(root, pinned(house, "a"), now=datetime(2099, 1, 1, tzinfo=timezone.utc))
    assert "more than ten years ahead" in " ".join(detail.en for detail in caught.value.details)


@pytest.mark.parametrize(
    ("clock", "newest", "words"),
    [
        (NOW, None, ""),
        (datetime(2020, 1, 1, tzinfo=timezone.utc), None, "earlier than the bundle"),
        (NOW, datetime(2026, 12, 1, tzinfo=timezone.utc), "already seen (2026-12-01T00:00:00Z)"),
        (datetime(2036, 11, 1, tzinfo=timezone.utc), None, ""),
        (datetime(2037, 1, 1, tzinfo=timezone.utc), None, "ten years ahead"),
    ],
)
def test_a_clock_that_cannot_be_right_is_warned_about_with_both_times(
    tmp_path: Path, clock: datetime, newest: datetime | None, words: str
) -> None:
    write_tree(tmp_path)
    manifest = verify.read_signed_manifest(tmp_path, Anchors()).manifest
    told = [text.en for text in verify.clock_warnings(manifest, Anchors(newest=newest), clock)]
    assert len(told) == bool(words)
    if words:
        assert words in told[0] and clock.strftime("%Y-%m-%d") in told[0]


# Stock tools.


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_ssh_keygen_verifies_a_record_with_the_derived_signers_file(house: KeyHouse, tmp_path: Path) -> None:
    times = {"b": ("2026-01-01T00:00:00Z", "2036-06-30T12:00:00Z")}
    house.record(["b", "c"], by=["c"], revoked=["a"], times=times)
    folder = keeper.write(tmp_path / "records", house.records)
    signers = tmp_path / "allowed_signers"
    latest = trustrecords.parse_record(house.records[3].data, "x")
    signers.write_text(trustrecords.allowed_signers(latest))
    house.record(["c"], by=["b", "c"], revoked=["a"])
    keeper.write(folder, house.records)
    for name, who in (("000005.json.sig", "b@example"), ("000005.json.2.sig", "c@example")):
        words = ["-Y", "verify", "-f", str(signers), "-I", who, "-n", "ragtrace-trust@v1"]
        with open(folder / "000005.json", "rb") as stream:
            done = subprocess.run(
                ["ssh-keygen", *words, "-s", str(folder / name)],
                stdin=stream,
                capture_output=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr
    parsed = trust.parse_allowed_signers(signers.read_text())
    assert parsed[0].valid_before == datetime(2036, 6, 30, 12, tzinfo=timezone.utc)


def test_the_key_of_a_tree_can_be_named(tmp_path: Path) -> None:
    key: SigningKey = keeper.new_key("named")
    assert write_tree(tmp_path, FILES, key) is key
