"""Rotation, revocation, the clock and downgrades on the isolated side, as an operator meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from builder.sealing.signing import SigningKey
from bundle.errors import IntegrityError
from bundle.trustrecords import Carried
from installer import accepted, sealed, trust_store
from installer.operations import trust_update
from installer.paths import Prefix
from tests.support import trust as keeper
from tests.support.bundles import REPOSITORY, Bundle
from tests.support.trust import KeyHouse

from .site import Run, Site

Make = Callable[..., Bundle]
FUTURE = "2033-01-01T00:00:00Z"


@pytest.fixture
def house(builder_key: SigningKey) -> KeyHouse:
    """The keeper of the keys; `a` is the key that signs the bundles of this session."""
    return KeyHouse({"a": builder_key})


@pytest.fixture
def installed(site: Site, bundle_for: Make) -> Bundle:
    """A release by `a`, which the installation has pinned, without a service."""
    bundle = bundle_for(serve=None)
    done = site.install(bundle)
    assert done.code == 0, done.err
    return bundle


def update(site: Site, path: Path, *words: str) -> Run:
    return site.run("--trust-update", str(path), "--lang", "en", *words)


def install(site: Site, bundle: Bundle, *words: str) -> Run:
    return site.run("--bundle", str(bundle.root), "--lang", "en", *words)


def records_file(site: Site, house: KeyHouse, *names: str) -> Path:
    folder = keeper.write(site.root.parent / "records", house.records)
    return folder.joinpath(*names)


def tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in root.rglob("*")
    }


def audited(site: Site, action: str) -> list[dict[str, Any]]:
    lines = site.prefix.audit.read_text(encoding="utf-8").splitlines()
    return [entry for line in lines if (entry := json.loads(line)).get("action") == action]


def test_a_bundle_of_the_new_key_is_installed_where_the_old_one_was_pinned_and_the_set_moves_on(
    site: Site, bundle_for: Make, installed: Bundle, house: KeyHouse
) -> None:
    house.record(["b"], by=["a"])
    plain = bundle_for(serve=None, version="2.0.0", sequence=2, key=house.key("b"))
    assert install(site, plain).code == 10, "without its records nobody knows the key"
    moved = bundle_for(serve=None, version="2.0.0", sequence=2, key=house.key("b"), records=house.records)
    done = install(site, moved)
    assert done.code == 0, done.err
    assert site.active() == moved.generation and site.undeclared() == []
    assert trust_store.version(trust_store.read_chain(site.prefix)) == 1
    derived = site.prefix.allowed_signers.read_text(encoding="utf-8")
    assert house.key("b").public.openssh() in derived and house.key("a").public.openssh() not in derived
    old = bundle_for(serve=None, version="3.0.0", sequence=3)
    refused = install(site, old)
    assert refused.code == 10 and "not by a signer you trust" in refused.err
    assert install(site, bundle_for(serve=None, version="3.0.0", sequence=3, key=house.key("b"))).code == 0


def test_a_first_installation_adopts_the_chain_that_the_named_key_leads_to(
    site: Site, bundle_for: Make, house: KeyHouse
) -> None:
    house.record(["a", "b"], by=["a"])
    house.record(["b"], by=["b"], revoked=["a"])
    bundle = bundle_for(serve=None, key=house.key("b"), records=house.records)
    words = ("--trust-fingerprint", house.key("b").public.fingerprint)
    assert install(site, bundle, *words).code == 0
    # b signed record 2, so that is where this host enters.
    assert [item.record.version for item in trust_store.read_chain(site.prefix)] == [2]


def test_a_release_that_does_not_become_healthy_moves_nobodys_trust(
    site: Site, bundle_for: Make, house: KeyHouse
) -> None:
    assert site.install(bundle_for()).code == 0
    before = tree(site.prefix.trust)
    house.record(["b"], by=["a"], revoked=["a"])
    sick = bundle_for(version="2.0.0", sequence=2, key=house.key("b"), records=house.records, serve="crash")
    assert install(site, sick).code == 16
    assert tree(site.prefix.trust) == before


def test_a_revoked_key_is_refused_whatever_names_it_and_its_release_keeps_running(
    site: Site, bundle_for: Make, house: KeyHouse
) -> None:
    first = bundle_for()
    assert site.install(first).code == 0
    house.record(["b"], by=["a"], revoked=["a"])
    second = bundle_for(version="2.0.0", sequence=2, key=house.key("b"), records=house.records)
    assert install(site, second).code == 0 and site.answering() == second.generation
    forged = bundle_for(version="9.0.0", sequence=9)
    signers = site.root.parent / "allowed_signers"
    signers.write_text(house.key("a").allowed_signers())
    for words in (
        ("--trust-fingerprint", forged.fingerprint),
        ("--allowed-signers", str(signers)),
        ("--allow-unverified-origin",),
    ):
        refused = install(site, forged, *words)
        assert refused.code == 10 and "revoked since 2026-06-01T00:00:00Z: key a was lost" in refused.err
    assert site.answering() == second.generation
    back = site.run("--rollback", "--lang", "en")
    assert back.code == 0, back.err
    assert site.answering() == first.generation
    told = site.run("--verify", "--lang", "en")
    assert told.code == 0 and f"release {first.generation} was signed by a key that is revoked" in told.err
    said = site.run("--explain-trust", "--json", "--lang", "en").document
    assert any(item["topic"] == "revoked-release" for item in said["statements"])


def test_a_record_brought_by_hand_is_shown_first_and_applied_once(
    site: Site, installed: Bundle, house: KeyHouse
) -> None:
    house.record(["a", "b"], by=["a"])
    house.record(["b"], by=["b"], revoked=["a"])
    path = records_file(site, house, "000002.json")
    before = tree(site.root)
    shown = update(site, path, "--dry-run")
    assert shown.code == 0 and "nothing was written" in shown.out
    assert tree(site.root) == before
    done = update(site, path, "--json")
    assert done.code == 0, done.err
    assert (done.document["record_from"], done.document["record_to"]) == (0, 2)
    assert done.document["added"] == [house.key("b").public.fingerprint]
    assert done.document["removed"] == [house.key("a").public.fingerprint]
    assert installed.generation in done.document["warnings"][0]
    (entry,) = audited(site, "trust-update")
    assert entry["outcome"] == "ok" and entry["record_to"] == 2
    assert entry["revoked"][0]["fingerprint"] == house.key("a").public.fingerprint
    after = tree(site.prefix.trust)
    again = update(site, path.parent)
    assert again.code == 0 and "in force here already" in again.out
    assert tree(site.prefix.trust) == after and len(audited(site, "trust-update")) == 1


@pytest.mark.parametrize(
    ("attack", "code", "words"),
    [
        ("older", 11, "an older trust record: number 1, number 2 is in force"),
        ("fork", 10, "record 2 is not the one that was accepted before"),
        ("gap", 10, "trust records are missing: number 2 is in force here, number 4 was brought"),
        ("stranger", 10, "0 of 1"),
        ("revoked", 10, "a revoked key signed the trust record"),
        ("empty", 2, "there is no trust record"),
        ("garbage", 10, "refused"),
    ],
)
def test_a_record_that_does_not_follow_is_refused_and_changes_nothing(
    site: Site, installed: Bundle, house: KeyHouse, attack: str, code: int, words: str
) -> None:
    house.record(["a", "b"], by=["a"])
    house.record(["b"], by=["b"], revoked=["a"])
    assert update(site, records_file(site, house)).code == 0
    folder = site.root.parent / "attack"
    attacks: dict[str, Callable[[], list[Carried]]] = {
        "older": lambda: [house.records[0]],
        "fork": lambda: [house.make(["b", "x"], ["b"], version=2, revoked=["a"])],
        "gap": lambda: [house.make(["b"], ["b"], version=4, revoked=["a"])],
        "stranger": lambda: [house.make(["x"], ["x"], version=3, revoked=["a"])],
        "revoked": lambda: [house.make(["b"], ["a"], version=3, revoked=["a"])],
        "empty": lambda: [],
        "garbage": lambda: [house.records[1]._replace(data=b"{}")],
    }
    made = attacks[attack]()
    keeper.write(folder, made)
    before = tree(site.prefix.trust)
    done = update(site, folder / made[0].name if made else folder)
    assert done.code == code and words in done.err
    assert tree(site.prefix.trust) == before


def test_records_of_strangers_are_not_applied_where_only_a_file_is_pinned(
    site: Site, installed: Bundle, house: KeyHouse
) -> None:
    house.record(["mallory"], by=["mallory"])
    done = update(site, records_file(site, house))
    assert done.code == 10 and "no trust record is signed by those whom" in done.err
    named = ("--trust-fingerprint", house.key("mallory").public.fingerprint)
    assert update(site, records_file(site, house), *named).code == 0


def test_without_an_installation_there_is_nothing_to_update(site: Site, house: KeyHouse) -> None:
    house.record(["a"], by=["a"])
    assert update(site, records_file(site, house)).code == 2
    assert not site.root.exists()


def test_killed_after_the_truth_was_written_the_rest_is_derived_by_the_next_run(
    site: Site, installed: Bundle, house: KeyHouse
) -> None:
    house.record(["b"], by=["a"])
    anchors = trust_store.anchors(site.prefix, "", ())
    change = trust_update.decide(site.prefix, house.records, anchors)
    trust_store.write_chain(site.prefix, change.after)
    stale = site.prefix.allowed_signers.read_bytes()
    assert update(site, records_file(site, house)).code == 0
    derived = site.prefix.allowed_signers.read_text(encoding="utf-8")
    assert derived.encode() != stale and house.key("b").public.openssh() in derived
    assert site.undeclared() == []


def test_an_edited_copy_of_the_signers_is_not_believed_once_there_are_records(
    site: Site, bundle_for: Make, installed: Bundle, house: KeyHouse
) -> None:
    house.record(["b"], by=["a"])
    assert update(site, records_file(site, house)).code == 0
    with site.prefix.allowed_signers.open("a", encoding="utf-8") as stream:
        stream.write(house.key("mallory").allowed_signers())
    forged = bundle_for(serve=None, version="2.0.0", sequence=2, key=house.key("mallory"))
    assert install(site, forged).code == 10


def test_damaged_records_stop_everything_until_they_are_brought_again(
    site: Site, bundle_for: Make, installed: Bundle, house: KeyHouse
) -> None:
    house.record(["a", "b"], by=["a"])
    assert update(site, records_file(site, house)).code == 0
    torn = site.prefix.records.read_bytes()
    site.prefix.records.write_bytes(torn[: len(torn) // 2])
    bundle = bundle_for(serve=None, version="2.0.0", sequence=2)
    for words in ((), ("--trust-fingerprint", bundle.fingerprint)):
        refused = install(site, bundle, *words)
        assert refused.code == 10 and "nobody can say which keys are revoked" in refused.err
    assert update(site, records_file(site, house)).code == 10
    named = ("--trust-fingerprint", house.key("a").public.fingerprint)
    mended = update(site, records_file(site, house), *named)
    assert mended.code == 0, mended.err
    assert site.prefix.records.read_bytes() == torn
    assert install(site, bundle).code == 0


# The clock.


def seen(site: Site, moment: str) -> None:
    """Make the installation remember that it is at least so late."""
    accepted.write(site.prefix, replace(accepted.read(site.prefix), newest=moment))


def test_a_commit_remembers_the_newest_time_and_when_keys_were_pinned(site: Site, installed: Bundle) -> None:
    known = accepted.read(site.prefix)
    found = known.newest_time()
    assert found is not None
    assert abs(datetime.now(timezone.utc) - found) < timedelta(minutes=10) or found == datetime(
        2026, 11, 20, tzinfo=timezone.utc
    )
    assert [(pin.fingerprint, pin.generation) for pin in known.pins] == [
        (installed.fingerprint, installed.generation)
    ]


def test_a_clock_that_goes_back_two_years_after_an_installation_revives_nothing(
    site: Site, bundle_for: Make
) -> None:
    clock = REPOSITORY / "tests" / "support" / "clock"
    later = {
        "PYTHONPATH": f"{clock}:{REPOSITORY}",
        "RAGTRACE_TEST_CLOCK_SHIFT": str(2 * 366 * 86400),
    }
    first = bundle_for(serve=None)
    assert site.install(first, environment=later).code == 0
    soon = (datetime.now(timezone.utc) + timedelta(days=365)).strftime("%Y-%m-%dT00:00:00Z")
    refused = install(site, bundle_for(serve=None, version="2.0.0", sequence=2, expires=soon))
    assert refused.code == 11 and f"expires = {soon}" in refused.err
    assert "judged at" in refused.err and "set the clock" in refused.err


def test_an_expired_bundle_stays_expired_when_the_clock_is_set_back(
    site: Site, bundle_for: Make, installed: Bundle
) -> None:
    seen(site, FUTURE)
    bundle = bundle_for(serve=None, version="2.0.0", sequence=2, expires="2032-01-01T00:00:00Z")
    refused = install(site, bundle)
    assert refused.code == 11 and "has expired" in refused.err
    assert (
        FUTURE in refused.err and "is earlier than a time this installation has already seen" in refused.err
    )
    timeless = install(site, bundle_for(serve=None, version="2.0.0", sequence=2))
    assert timeless.code == 0 and FUTURE in timeless.err
    assert accepted.read(site.prefix).newest == FUTURE


@pytest.mark.parametrize(
    ("clock", "newest"),
    [
        ("2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2099-01-01T00:00:00Z", "2026-11-20T00:00:00Z"),
    ],
)
def test_a_clock_is_evidence_unless_it_is_behind_or_absurdly_ahead(clock: str, newest: str) -> None:
    moment = datetime.strptime(clock, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert accepted.Accepted().seeing("2026-11-20T00:00:00Z", clock=moment).newest == newest


def test_a_record_of_an_earlier_installer_is_still_read(tmp_path: Path) -> None:
    prefix = Prefix(tmp_path)
    prefix.trust.mkdir()
    document = {"format": 1, "generations": [], "highest_sequence": 7, "transaction": "t"}
    prefix.accepted.write_bytes(sealed.seal(document))
    known = accepted.read(prefix)
    assert (known.known, known.highest_sequence, known.signatures, known.newest) == (True, 7, 1, "")
    accepted.write(prefix, replace(known, newest=FUTURE).pinning(("SHA256:" + "a" * 43,), FUTURE, "g"))
    again = accepted.read(prefix)
    assert again.newest == FUTURE and again.pins[0].generation == "g"
    for broken in ({"newest": "soon"}, {"pins": [{"fingerprint": "x"}]}):
        prefix.accepted.write_bytes(sealed.seal({**document, **broken}))
        assert not accepted.read(prefix).known


def test_a_chain_that_is_damaged_in_any_way_is_an_error_never_an_empty_one(tmp_path: Path) -> None:
    prefix = Prefix(tmp_path)
    prefix.trust.mkdir()
    for content in (b"", b"{}", sealed.seal({"format": 1}), sealed.seal({"format": 1, "records": [{}]})):
        prefix.records.write_bytes(content)
        with pytest.raises(IntegrityError, match="trust records are damaged"):
            trust_store.read_chain(prefix)
        assert trust_store.derive(prefix) is False


# Downgrades.


def test_the_highest_sequence_outlives_pointer_and_record(
    site: Site, bundle_for: Make, installed: Bundle
) -> None:
    newer = bundle_for(serve=None, version="5.0.0", sequence=5)
    assert install(site, newer).code == 0
    older = bundle_for(serve=None, version="3.0.0", sequence=3)
    assert install(site, older).code == 11
    site.prefix.accepted.unlink()
    assert install(site, older).code == 11, "the releases' names still say it"


def test_a_downgrade_that_was_let_pass_is_in_the_audit_log(
    site: Site, bundle_for: Make, installed: Bundle
) -> None:
    assert install(site, bundle_for(serve=None, version="5.0.0", sequence=5)).code == 0
    older = bundle_for(serve=None, version="3.0.0", sequence=3)
    done = install(site, older, "--allow-downgrade")
    assert done.code == 0, done.err
    last = audited(site, "install")[-1]
    assert (last["to"], last["downgrade_from"]) == (older.generation, 5)
    assert all("downgrade_from" not in entry for entry in audited(site, "install")[:-1])
    assert accepted.read(site.prefix).highest_sequence == 5


# --explain-trust.


def explained(site: Site, *words: str) -> tuple[Run, dict[str, list[tuple[str, str]]]]:
    before = tree(site.root) if site.root.exists() else None
    done = site.run("--explain-trust", "--json", "--lang", "en", *words)
    assert (tree(site.root) if site.root.exists() else None) == before, "it writes nothing"
    said: dict[str, list[tuple[str, str]]] = {}
    for item in done.document["statements"]:
        said.setdefault(item["topic"], []).append((item["outcome"], item["text"]))
    return done, said


def test_what_is_known_through_which_anchor_is_said(
    site: Site, bundle_for: Make, installed: Bundle, house: KeyHouse
) -> None:
    bundle = ("--bundle", str(bundle_for(serve=None, version="2.0.0", sequence=2).root))
    pinned, said = explained(site, *bundle)
    assert pinned.code == 0
    (outcome, text) = said["signer"][0]
    assert outcome == "established" and f"when release {installed.generation} was installed" in text
    _, said = explained(site, *bundle, "--trust-fingerprint", installed.fingerprint)
    assert "the fingerprint was given now" in said["signer"][0][1]
    signers = site.root.parent / "allowed_signers"
    signers.write_text(house.key("a").allowed_signers())
    _, said = explained(site, *bundle, "--allowed-signers", str(signers))
    assert "named in the allowed_signers file given now" in said["signer"][0][1]
    house.record(["b"], by=["a"])
    moved = bundle_for(serve=None, version="2.0.0", sequence=2, key=house.key("b"), records=house.records)
    done, said = explained(site, "--bundle", str(moved.root))
    assert done.code == 0 and "trust record 1 of 2026-07-01" in said["signer"][0][1]
    assert "0 -> 1" in said["records"][0][1]
    assert said["sequence"][0][0] == "established" and "1 demanded" in said["signatures"][0][1]
    assert any("build box was clean" in text for _, text in said["limits"])


def test_each_reason_to_refuse_is_said_with_its_exit_code(
    site: Site, bundle_for: Make, installed: Bundle, house: KeyHouse
) -> None:
    stranger = bundle_for(serve=None, version="2.0.0", sequence=2, key=house.key("x"))
    done, said = explained(site, "--bundle", str(stranger.root))
    assert done.code == 10 and said["signature"][0][0] == "established", "intact, but by a stranger"
    assert said["origin"] == [("refused", said["origin"][0][1])]
    old = bundle_for(serve=None, version="0.1.0", sequence=2, expires="2026-11-20T00:00:01Z")
    seen(site, FUTURE)
    done, said = explained(site, "--bundle", str(old.root))
    assert done.code == 11 and said["expiry"][0][0] == "refused"
    assert FUTURE in said["clock"][0][1]
    assert install(site, bundle_for(serve=None, version="5.0.0", sequence=5)).code == 0
    older = ("--bundle", str(bundle_for(serve=None, version="3.0.0", sequence=3).root))
    done, said = explained(site, *older)
    assert done.code == 11 and "5 was accepted here before" in said["sequence"][0][1]
    done, said = explained(site, *older, "--allow-downgrade")
    assert done.code == 0 and said["sequence"][0][0] == "not established"
    torn = bundle_for(serve=None, version="6.0.0", sequence=6)
    manifest = torn.root / "MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"6.0.0", b"6.0.1"))
    done, said = explained(site, "--bundle", str(torn.root))
    assert done.code == 10 and said["signature"][0][0] == "refused"


def test_an_unverified_origin_is_not_called_verified_even_where_it_is_allowed(
    site: Site, bundle_for: Make
) -> None:
    bundle = ("--bundle", str(bundle_for().root))
    done, said = explained(site, *bundle)
    assert done.code == 10 and said["origin"][0][0] == "not established"
    done, said = explained(site, *bundle, "--allow-unverified-origin")
    assert done.code == 0 and said["origin"] == [("not established", "the origin is not verified")]
    assert not site.root.exists()


def test_the_installation_alone_can_be_explained_and_nothing_at_all_cannot(
    site: Site, bundle_for: Make, house: KeyHouse
) -> None:
    assert site.run("--explain-trust").code == 2
    assert site.install(bundle_for(serve=None)).code == 0
    done, said = explained(site)
    assert done.code == 0 and "signature" not in said
    assert "the highest sequence accepted is 1" in said["demanded"][0][1]
    korean = site.run("--explain-trust", "--lang", "ko")
    assert korean.code == 0 and "받아들인 가장 높은 순번은 1입니다" in korean.out
