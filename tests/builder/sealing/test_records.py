"""``keys rotate`` and ``keys revoke``, and what a build carries of them, up to what a host makes of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from builder import cli
from builder.sealing import keyfile, records
from builder.sealing.keys import create_key, load_signer
from bundle import layout, trust, trustrecords, verify
from bundle.errors import SignatureError, UsageProblem
from bundle.sshsig import PublicKey
from bundle.trust import Anchors
from bundle.trustrecords import Chain, TrustedKey
from tests.builder.conftest import Run
from tests.support import trust as keeper
from tests.support.shipments import STEM, shipment, unpack
from tests.support.trees import FILES
from tests.support.trust import KeyHouse

from .conftest import Make

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


class Keeper:
    """The person who keeps the keys, at a terminal."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.records = folder / "records"
        self.capsys = capsys

    def key(self, name: str) -> Path:
        """Return the file of a key, made when it is first spoken of."""
        path = self.folder / name
        if not path.exists():
            create_key(path, f"{name}@example", None)
        return path

    def public(self, name: str) -> PublicKey:
        return keyfile.read_key_file(self.key(name)).public

    def run(self, *words: str) -> tuple[int, str, str]:
        code = cli.main(["keys", *words])
        shown = self.capsys.readouterr()
        return code, shown.out, shown.err

    def make(self, action: str, *words: str, by: str) -> dict[str, Any]:
        keys = [word for name in by.split() for word in ("--signing-key", str(self.key(name)))]
        code, out, err = self.run(action, *words, "--records", str(self.records), *keys, "--json")
        assert code == 0, err
        result: dict[str, Any] = json.loads(out)
        return result

    def refused(self, action: str, *words: str, by: str) -> str:
        before = sorted(self.records.glob("*")) if self.records.exists() else []
        keys = [word for name in by.split() for word in ("--signing-key", str(self.key(name)))]
        code, _, err = self.run(action, *words, "--records", str(self.records), *keys)
        assert code in (2, 10), err
        assert (sorted(self.records.glob("*")) if self.records.exists() else []) == before
        return err

    def followed(self, name: str) -> Chain:
        """Return the chain of a host that knows this key."""
        anchors = Anchors(fingerprints=(self.public(name).fingerprint,))
        return trust.informed(anchors, verify.read_records(self.records), NOW).records

    def names(self, chain: Chain) -> list[str]:
        return [signer.principal for signer in chain[-1].record.signers]


@pytest.fixture
def keeper_(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keeper:
    return Keeper(tmp_path, capsys)


def test_a_rotation_is_followed_by_a_host_that_knows_the_first_key(keeper_: Keeper) -> None:
    first = keeper_.make("rotate", "--add", f"{keeper_.key('b')}.pub", by="a")
    assert (first["version"], first["signatures"], first["needed"]) == (1, 1, 1)
    second = keeper_.make("rotate", "--remove", "a@example", by="b")
    assert [item["principal"] for item in second["signers"]] == ["b@example"]
    chain = keeper_.followed("a")
    assert [item.record.version for item in chain] == [1, 2] and keeper_.names(chain) == ["b@example"]
    assert keeper_.followed("stranger") == ()


def test_a_new_key_that_signs_too_is_a_door_for_hosts_that_know_only_it(keeper_: Keeper) -> None:
    keeper_.make("rotate", "--add", str(keeper_.key("b")), by="a b")
    assert keeper_.names(keeper_.followed("b")) == ["a@example", "b@example"]


def test_a_revocation_names_key_time_and_reason(keeper_: Keeper) -> None:
    keeper_.make("rotate", "--add", f"{keeper_.key('b')}.pub", by="a")
    words = ["--reason", "노트북 분실", "--since", "2026-06-01"]
    made = keeper_.make("revoke", f"{keeper_.key('a')}.pub", *words, by="b")
    assert made["revoked"] == [
        {
            "fingerprint": keeper_.public("a").fingerprint,
            "since": "2026-06-01T00:00:00Z",
            "reason": "노트북 분실",
        }
    ]
    chain = keeper_.followed("a")
    with pytest.raises(SignatureError, match="revoked since 2026-06-01"):
        trust.origin_of([keeper_.public("a")], Anchors(records=chain), NOW)
    # For good: the next record still says it, without being told.
    keeper_.make("rotate", "--add", f"{keeper_.key('c')}.pub", by="b")
    assert keeper_.followed("a")[-1].record.revocation(keeper_.public("a")) is not None


def test_the_first_record_can_begin_with_the_signers_file_that_hosts_have(keeper_: Keeper) -> None:
    signers = keeper_.folder / "allowed_signers"
    old = [load_signer(keeper_.key(name)) for name in ("a", "b")]
    from builder.sealing.signing import allowed_signers

    signers.write_text(allowed_signers(old))
    made = keeper_.make("rotate", "--allowed-signers", str(signers), "--threshold", "2", by="a")
    assert [item["principal"] for item in made["signers"]] == ["a@example", "b@example"]
    assert made["threshold"] == 2


def test_two_people_sign_one_after_the_other_and_until_then_nobody_follows(keeper_: Keeper) -> None:
    keys = ["--add", f"{keeper_.key('b')}.pub", "--threshold", "2"]
    keeper_.make("rotate", *keys, by="a")
    half = keeper_.make("rotate", "--add", f"{keeper_.key('c')}.pub", by="a")
    assert (half["signatures"], half["needed"]) == (1, 2)
    with pytest.raises(SignatureError, match="1 of 2"):
        keeper_.followed("a")
    assert "1 of 2" in keeper_.refused("rotate", "--remove", "a@example", by="b")
    record = str(keeper_.records / "000002.json")
    code, out, err = keeper_.run("sign", record, "--signing-key", str(keeper_.key("b")))
    assert code == 0 and "Carry it in bundles" in out, err
    assert keeper_.names(keeper_.followed("a")) == ["a@example", "b@example", "c@example"]
    code, _, err = keeper_.run("sign", record, "--signing-key", str(keeper_.key("b")))
    assert code == 2 and "has signed already" in err
    code, _, err = keeper_.run("sign", record, "--signing-key", str(keeper_.key("x")))
    assert code == 2 and "neither the earlier nor the new set" in err
    earlier = str(keeper_.records / "000001.json")
    code, _, err = keeper_.run("sign", earlier, "--signing-key", str(keeper_.key("b")))
    assert code == 2 and "not the newest" in err


@pytest.mark.parametrize(
    ("action", "words", "by", "expected"),
    [
        ("rotate", [], "a", "nothing would change"),
        ("rotate", ["--remove", "nobody"], "a", "no such signer"),
        ("rotate", ["--remove", "a@example", "--remove", "b@example"], "a", "leaves no signer"),
        ("rotate", ["--threshold", "3"], "a", "nobody could sign the next"),
        ("rotate", ["--threshold", "0"], "a", "at least 1"),
        ("rotate", ["--add", "b.pub"], "a", "the key is there already"),
        ("rotate", ["--add", "c.pub"], "x", "neither the earlier nor the new set"),
        ("rotate", ["--add", "c.pub", "--valid-before", "soon"], "a", "not a form of a time"),
        ("revoke", ["SHA256:short", "--reason", "x"], "a", "not a fingerprint"),
        ("revoke", ["b.pub", "--reason", "a\nb"], "a", "reason is not valid"),
        ("revoke", ["b.pub", "--reason", "x", "--since", "2026-13-01"], "a", "not a form of a time"),
    ],
)
def test_a_record_that_makes_no_sense_is_not_made(
    keeper_: Keeper,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    words: list[str],
    by: str,
    expected: str,
) -> None:
    monkeypatch.chdir(keeper_.folder)
    for name in ("b", "c"):
        keeper_.key(name)
    keeper_.make("rotate", "--add", "b.pub", by="a")
    assert expected in keeper_.refused(action, *words, by=by)


def test_no_record_is_ever_overwritten(keeper_: Keeper) -> None:
    keeper_.make("rotate", "--add", f"{keeper_.key('b')}.pub", by="a")
    chain = records.read_chain(keeper_.records)
    record = records.next_record(chain, (), records.Change(removed=("b@example",)))
    (keeper_.records / "000002.json").write_text("something else")
    with pytest.raises(UsageProblem, match="never overwritten"):
        records.write_record(keeper_.records, chain, record, [load_signer(keeper_.key("a"))])


def test_a_key_in_an_agent_signs_records_and_stock_tools_verify_them(
    ssh_key: Make, agent: Callable[[Path], None], keeper_: Keeper
) -> None:
    path = ssh_key("held")
    agent(path)
    path.unlink()
    public = path.with_name("held.pub")
    words = ["--add", f"{keeper_.key('b')}.pub", "--records", str(keeper_.records)]
    code, _, err = keeper_.run("rotate", *words, "--signing-key", str(public))
    assert code == 0, err
    (carried,) = verify.read_records(keeper_.records)
    record = trustrecords.parse_record(carried.data, carried.name)
    signers = keeper_.folder / "allowed_signers"
    signers.write_text(trustrecords.allowed_signers(record))
    command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "held@example"]
    command += ["-n", layout.TRUST_NAMESPACE, "-s", str(keeper_.records / "000001.json.sig")]
    done = subprocess.run(command, input=carried.data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


# What a build carries.


def chain_of_two(folder: Path) -> KeyHouse:
    house = KeyHouse()
    house.record(["b"], by=["a"])
    house.record(["b", "c"], by=["b"], revoked=["a"])
    keeper.write(folder, house.records)
    return house


def test_a_build_carries_the_chain_only_if_hosts_accept_its_signer_afterwards(tmp_path: Path) -> None:
    house = chain_of_two(tmp_path / "records")
    carried = records.for_bundle(tmp_path / "records", [house.key("c")])
    assert [item.data for item in carried] == [item.data for item in house.records]
    with pytest.raises(UsageProblem, match="the signing key is revoked since 2026-06-01"):
        records.for_bundle(tmp_path / "records", [house.key("c"), house.key("a")])
    with pytest.raises(UsageProblem, match="no signing key is in force after trust record 2"):
        records.for_bundle(tmp_path / "records", [house.key("x")])
    with pytest.raises(UsageProblem, match="there is no trust record"):
        records.for_bundle(tmp_path, [house.key("c")])
    (tmp_path / "records" / "000002.json.sig").unlink()
    with pytest.raises(SignatureError, match="has no signature"):
        records.for_bundle(tmp_path / "records", [house.key("c")])


@pytest.mark.parametrize("form", ["archive", "volumes", "delta"])
def test_every_form_of_a_bundle_leads_from_the_old_key_to_the_new_one(tmp_path: Path, form: str) -> None:
    house = chain_of_two(tmp_path / "records")
    contents = {**FILES, **keeper.files(house.records)}
    load = shipment(contents, house.key("c"), sequence=8)
    wanted: dict[str, Any] = {"volumes": {"volume_size": 4096}}.get(form, {})
    words: list[object] = []
    if form == "delta":
        base = shipment(contents, house.key("b"))
        base.ship(tmp_path / "base")
        known = ("--trust-fingerprint", house.key("b").public.fingerprint)
        assert unpack(tmp_path / "base/unpack.py", "--to", tmp_path / "old", *known).returncode == 0
        wanted, words = {"base": base.base}, ["--base", tmp_path / "old" / STEM]
    load.ship(tmp_path / "out", **wanted)
    old = tmp_path / "old_signers"
    old.write_text(house.key("b").allowed_signers())
    if form == "volumes":
        refused = unpack(tmp_path / "out/unpack.py", "--to", tmp_path, "--allowed-signers", old)
        assert refused.returncode == 10, "the index comes before the records in the archive"
        records.write_beside(tmp_path / "out", house.records)
    done = unpack(tmp_path / "out/unpack.py", "--to", tmp_path, "--allowed-signers", old, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / STEM / layout.TRUST / "000002.json").read_bytes() == house.records[1].data
    shutil.rmtree(tmp_path / STEM)
    late = unpack(
        tmp_path / "out/unpack.py", "--to", tmp_path, "--trust-fingerprint", "SHA256:" + "x" * 43, *words
    )
    assert late.returncode == 10


def test_a_build_with_records_is_a_bundle_that_hosts_of_the_old_key_accept(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        create_key(tmp_path / name, f"{name}@example", None)
    old, new = load_signer(tmp_path / "a"), load_signer(tmp_path / "b")
    change = records.Change((TrustedKey("b@example", new.public),), ("a@example",))
    record = records.next_record((), records.base_set([old], ()), change)
    assert records.write_record(tmp_path / "records", (), record, [old]).complete
    words = ["--trust-records", str(tmp_path / "records"), "--signing-key"]
    code, _, err = run("build", "--audit", "none", *words, str(tmp_path / "a"))
    assert code == 2 and "no signing key is in force after trust record 1" in err
    code, out, err = run("build", "--json", "--audit", "none", *words, str(tmp_path / "b"))
    assert code == 0, err
    archive = Path(json.loads(out.splitlines()[-1])["archive"])
    assert (archive.parent / "trust" / "000001.json").is_file()
    known = ("--trust-fingerprint", old.public.fingerprint)
    done = unpack(archive.parent / "unpack.py", archive, "--to", tmp_path / "x", *known)
    assert done.returncode == 0, done.stderr
    (root,) = (tmp_path / "x").iterdir()
    found = verify.open_bundle(root, Anchors(fingerprints=(old.public.fingerprint,)))
    assert [item.path for item in found.manifest.of_kind("trust")] == [
        f"{layout.TRUST}/000001.json",
        f"{layout.TRUST}/000001.json.sig",
    ]
    assert found.origin.principal == "b@example"
