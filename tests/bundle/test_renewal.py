"""A snapshot that is carried alone: what is believed of it, and what is not."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from builder.sealing.signing import allowed_signers
from bundle import layout, limits, renewal, trustrecords
from bundle.advisories import Advisory, Pinned, Severity, Unknown
from bundle.errors import IntegrityError, PolicyError, RagTraceError, SignatureError
from bundle.manifest import Package
from bundle.renewal import judge, parse_renewal, stored, unstored
from bundle.trust import Anchors
from tests.support import renewals
from tests.support.trust import KeyHouse
from tests.validator.fakes import PYTHON, manifest

DATE = "2026-11-20T12:00:00Z"
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
FLAW = Advisory("PYSEC-1", ("CVE-1",), "toy-index", "2.0", Severity.HIGH, "나쁨", ("2.1",), "https://x/y")


@pytest.fixture
def house() -> KeyHouse:
    return KeyHouse()


def anchors_for(house: KeyHouse, *names: str, **more: Any) -> Anchors:
    return Anchors(pinned=allowed_signers(house.key(name) for name in names), **more)


def test_bytes_say_the_same_when_they_are_read_again() -> None:
    made = renewals.renewal(manifest(), DATE, advisories=(FLAW,))
    again = parse_renewal(made.to_bytes(), "x")
    assert again == made and again.to_bytes() == made.to_bytes() and again.date == DATE


def test_what_a_trusted_key_has_signed_is_believed(house: KeyHouse) -> None:
    carried = renewals.signed(renewals.renewal(manifest(), DATE), house.key("a"))
    found = judge(carried, anchors_for(house, "a"), NOW)
    assert found.renewal.date == DATE and found.origin.principal == "a@example"
    assert judge(unstored(stored(carried), "kept"), anchors_for(house, "a"), NOW).renewal == found.renewal


def test_a_pin_that_names_only_the_bundles_namespace_is_good_for_snapshots_too(house: KeyHouse) -> None:
    line = f'a namespaces="{layout.NAMESPACE}" {house.key("a").public.openssh()}\n'
    carried = renewals.signed(renewals.renewal(manifest(), DATE), house.key("a"))
    assert judge(carried, Anchors(pinned=line), NOW).origin.principal == "a"
    other = line.replace(layout.NAMESPACE, "git")
    with pytest.raises(SignatureError, match="not by a signer you trust"):
        judge(carried, Anchors(pinned=other), NOW)


def test_a_key_for_snapshots_alone_is_possible_and_signs_no_bundle(house: KeyHouse) -> None:
    from bundle.trust import origin_of

    line = f'a namespaces="{layout.ADVISORIES_NAMESPACE}" {house.key("a").public.openssh()}\n'
    carried = renewals.signed(renewals.renewal(manifest(), DATE), house.key("a"))
    assert judge(carried, Anchors(pinned=line), NOW).origin.principal == "a"
    with pytest.raises(SignatureError):
        origin_of([house.key("a").public], Anchors(pinned=line), NOW)


Attack = Callable[[KeyHouse], "tuple[trustrecords.Carried, Anchors]"]


def signed_by(*names: str, **options: Any) -> Attack:
    def make(house: KeyHouse) -> tuple[trustrecords.Carried, Anchors]:
        keys = [house.key(name) for name in names]
        made = renewals.renewal(manifest(), options.get("date", DATE), options.get("product", layout.PRODUCT))
        space = options.get("namespace", layout.ADVISORIES_NAMESPACE)
        required = options.get("required", 1)
        return renewals.signed(made, *keys, namespace=space), anchors_for(house, "a", "b", required=required)

    return make


def changed(house: KeyHouse) -> tuple[trustrecords.Carried, Anchors]:
    carried, anchors = signed_by("a")(house)
    return carried._replace(data=carried.data.replace(b"toy-index", b"toy-indey")), anchors


def of_nobody(house: KeyHouse) -> tuple[trustrecords.Carried, Anchors]:
    return signed_by("a")(house)[0], Anchors()


def revoked(house: KeyHouse) -> tuple[trustrecords.Carried, Anchors]:
    house.record(["a", "b"], by=["a"])
    house.record(["b"], by=["a"], revoked=["a"])
    records = trustrecords.enter(house.records, lambda key: True, 1)
    # Named by the operator himself, and refused all the same.
    named = Anchors(fingerprints=(house.key("a").public.fingerprint,), records=records)
    return signed_by("a")(house)[0], named


def lapsed(house: KeyHouse) -> tuple[trustrecords.Carried, Anchors]:
    line = f'a valid-before="20260101Z" {house.key("a").public.openssh()}\n'
    return signed_by("a")(house)[0], Anchors(pinned=line)


def lapsed_by_its_own_date(house: KeyHouse) -> tuple[trustrecords.Carried, Anchors]:
    """The host's clock was set back to before the signer's line ended."""
    line = f'a valid-before="20261121Z" {house.key("a").public.openssh()}\n'
    return signed_by("a", date="2026-11-21T12:00:00Z")(house)[0], Anchors(pinned=line)


@pytest.mark.parametrize(
    ("attack", "kind", "says"),
    [
        (signed_by(), SignatureError, "not signed"),
        (signed_by("mallory"), SignatureError, "not by a signer you trust"),
        (signed_by("a", namespace=layout.NAMESPACE), SignatureError, "namespace"),
        (signed_by("a", "a"), SignatureError, "by one key"),
        (changed, SignatureError, "does not fit"),
        (of_nobody, SignatureError, "trusts no signer"),
        (revoked, SignatureError, "revoked since"),
        (lapsed, SignatureError, "not in force"),
        (lapsed_by_its_own_date, SignatureError, "not in force"),
        (signed_by("a", required=2), PolicyError, "too few trusted signers"),
        (signed_by("a", "mallory", required=2), PolicyError, "too few trusted signers"),
        (signed_by("a", product="another"), PolicyError, "another product"),
        (signed_by("a", date="2026-11-23T00:00:00Z"), PolicyError, "from the future"),
    ],
)
def test_what_is_wrong_is_refused(
    attack: Attack, kind: type[RagTraceError], says: str, house: KeyHouse
) -> None:
    carried, anchors = attack(house)
    with pytest.raises(kind, match=says) as caught:
        judge(carried, anchors, NOW - timedelta(days="lapsed_by" in getattr(attack, "__name__", "")))
    shown = caught.value.render("ko") + caught.value.render("en")
    assert "MANIFEST" not in shown, "it speaks of the snapshot, not of a bundle"


def test_two_of_two_demanded_signers_are_enough(house: KeyHouse) -> None:
    carried, anchors = signed_by("a", "b", required=2)(house)
    assert len(judge(carried, anchors, NOW).origin.trusted) == 2


def test_a_day_ahead_is_a_time_zone_and_not_the_future(house: KeyHouse) -> None:
    carried, anchors = signed_by("a", date="2026-11-21T23:00:00Z")(house)
    assert judge(carried, anchors, NOW).renewal.date == "2026-11-21T23:00:00Z"


def text(change: Callable[[str], str]) -> bytes:
    return change(renewals.renewal(manifest(), DATE).to_bytes().decode()).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        text(lambda t: t.replace("{", '{"product": "other", ', 1)),
        text(lambda t: t.replace('"format_version": 1', '"format_version": 2', 1)),
        text(lambda t: t.replace('"format_version": 1', '"format_version": NaN', 1)),
        text(lambda t: t.replace(renewal.FORMAT, "ragtrace-advisories")),
        text(lambda t: t.replace('"critical": []', '"critical": ["evil"]')),
        text(lambda t: t.replace('"a test"', '"a \udcff test"')),
        text(lambda t: t.replace('"a test"', '"a \\u202e test"')),
        text(lambda t: t.replace('"a test"', "[" * 5000 + "]" * 5000)),
        text(lambda t: t.replace(DATE, "soon")),
        text(lambda t: t.replace('"packages": [', '"packages": [{"name": "toy-index", "version": "2.0"},')),
        json.dumps({"format": renewal.FORMAT, "format_version": 1, "critical": []}).encode(),
        b" " * (limits.ADVISORIES_BYTES + 1),
        renewals.renewal(manifest(), DATE).snapshot.to_bytes(),
    ],
)
def test_a_document_that_is_none_is_an_integrity_error(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="the advisory snapshot is refused"):
        parse_renewal(data, "x")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"format": "ragtrace-advisories-stored", "format_version": 1, "document": 1, "signatures": []}',
        b'{"format": "ragtrace-advisories-stored", "format_version": 1, "document": "", "signatures": ["\xc3\xa9"]}',
        b'{"format": "ragtrace-advisories-stored", "format_version": 1, "document": "", "signatures": ["","","","","","","","",""]}',
        b" " * (limits.RENEWAL_BYTES + 1),
    ],
)
def test_a_kept_file_that_is_none_is_an_integrity_error(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="the advisory snapshot is refused"):
        unstored(data, "x")


def test_a_release_is_told_which_of_its_packages_are_missing_and_never_itself() -> None:
    made = renewals.renewal(manifest(), DATE)
    assert made.missing(manifest()) == ()
    more = manifest(
        packages=(
            Package("ragtrace", "9", (PYTHON,)),
            Package("Toy.Index", "2.0", (PYTHON,)),
            Package("b", "1", (PYTHON,)),
        )
    )
    assert made.missing(more) == (Pinned("b", "1"),)


def test_unanswered_packages_stay_unanswered(house: KeyHouse) -> None:
    made = renewals.renewal(manifest(), DATE, unknown=(Unknown("toy-index", "2.0", "no answer"),))
    found = judge(renewals.signed(made, house.key("a")), anchors_for(house, "a"), NOW)
    assert found.renewal.snapshot.clean == ()


def test_files_are_read_with_their_signatures_and_pipes_and_links_are_not(
    tmp_path: Path, house: KeyHouse
) -> None:
    carried = renewals.signed(renewals.renewal(manifest(), DATE), house.key("a"), house.key("b"))
    place = renewals.write(tmp_path, carried)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "advisories.json",
        "advisories.json.2.sig",
        "advisories.json.sig",
    ]
    assert renewal.read(place) == carried
    assert renewal.read(tmp_path / "missing.json") is None
    (tmp_path / "link.json").symlink_to(place)
    with pytest.raises(IntegrityError):
        renewal.read(tmp_path / "link.json")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH's ssh-keygen")
def test_stock_ssh_keygen_checks_each_signature(tmp_path: Path, house: KeyHouse) -> None:
    carried = renewals.signed(renewals.renewal(manifest(), DATE), house.key("a"), house.key("b"))
    place = renewals.write(tmp_path, carried)
    signers = tmp_path / "allowed_signers"
    signers.write_text(allowed_signers([house.key("a"), house.key("b")]))
    words = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-n", "ragtrace-advisories@v1"]
    for who, name in (("a@example", "advisories.json.sig"), ("b@example", "advisories.json.2.sig")):
        command = [*words, "-I", who, "-s", str(tmp_path / name)]
        done = subprocess.run(command, input=place.read_bytes(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        spoilt = subprocess.run(command, input=place.read_bytes() + b" ", capture_output=True, check=False)
        assert spoilt.returncode != 0
