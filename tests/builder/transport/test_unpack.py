"""unpack.py, run as an operator runs it: a bundle that verifies, or an error that says what to do."""

from __future__ import annotations

import io
import os
import pty
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.signing import SigningKey
from builder.transport.unpacker import unpack_py
from bundle import verify
from bundle.trust import Anchors
from tests.installer.test_python39 import interpreter
from tests.support.shipments import KEY, STEM, Shipment, allowed_signers, shipment, tree, unpack
from tests.support.tampering import Change, changes, tamper
from tests.support.trees import FILES

ARCHIVE = f"{STEM}.tar.gz"
BIG = {**FILES, "07_Models/m.safetensors": os.urandom(1_500_000)}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with a bundle in 8 volumes and the anchor."""
    load = shipment(BIG)
    load.ship(tmp_path / "out", volume_size=200_000)
    allowed_signers(tmp_path)
    return tmp_path / "out"


def words(out: Path, *more: object) -> tuple[object, ...]:
    return ("--allowed-signers", out.parent / "allowed_signers", "--to", out.parent / "to", *more)


def nothing_left(out: Path) -> bool:
    place = out.parent / "to"
    return not place.exists() or not list(place.iterdir())


def require_whole(out: Path) -> None:
    verify.open_bundle(out.parent / "to" / STEM, Anchors("", (KEY.public.fingerprint,)))


@pytest.mark.parametrize("python", ["3.9", "3.10", "3.12", "3.13"])
def test_volumes_become_a_bundle_on_every_python(out: Path, python: str) -> None:
    found = interpreter(python)
    if found is None:
        pytest.skip(f"no Python {python} on this machine")
    done = unpack(out / "unpack.py", *words(out), python=found)
    assert done.returncode == 0, done.stderr
    require_whole(out)
    assert "every one verified" in done.stdout and "install.py" in done.stdout


def test_an_old_python_is_refused_readably(out: Path) -> None:
    old = next(filter(None, map(interpreter, ("2.7", "3.6", "3.7", "3.8"))), None)
    if old is None:
        pytest.skip("no interpreter older than 3.9 on this machine")
    done = subprocess.run([old, str(out / "unpack.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 12 and "Python 3.9 or newer is needed" in done.stderr


def test_the_file_alone_is_enough_and_writes_nothing_beside_itself(out: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    (alone / "unpack.py").write_bytes((out / "unpack.py").read_bytes())
    done = unpack(alone / "unpack.py", out, *words(out))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in alone.iterdir()] == ["unpack.py"]


def test_the_file_says_in_plain_text_what_it_is_and_holds_only_our_modules() -> None:
    data = unpack_py()
    assert data.startswith(b"#!/usr/bin/env python3\n# RAGTrace unpack.py")
    assert data == unpack_py()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = Path(__file__).resolve().parents[3]
        for member in archive.infolist():
            assert member.compress_type == zipfile.ZIP_STORED
            if member.filename != "__main__.py":
                assert archive.read(member) == (root / member.filename).read_bytes()


def test_a_single_archive_unpacks_too_with_modes_and_times_of_no_one(tmp_path: Path) -> None:
    shipment(BIG).ship(tmp_path / "out")
    allowed_signers(tmp_path)
    previous = os.umask(0o077)
    try:
        done = unpack(tmp_path / "out/unpack.py", *words(tmp_path / "out"))
    finally:
        os.umask(previous)
    assert done.returncode == 0, done.stderr
    require_whole(tmp_path / "out")
    for path in (tmp_path / "to" / STEM).rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_any_volume_is_verified_alone(out: Path) -> None:
    anchor = words(out)[:2]
    third = out / f"{ARCHIVE}.003"
    done = unpack(out / "unpack.py", "--verify", third, *anchor)
    assert done.returncode == 0 and "1 / 8" in done.stdout
    for path in out.glob(f"{ARCHIVE}.00[!3]"):
        path.unlink()
    assert unpack(out / "unpack.py", "--verify", third, *anchor).returncode == 0
    assert unpack(out / "unpack.py", "--verify", *anchor).returncode == 10


def test_a_flipped_byte_in_any_volume_is_named_and_no_volume_is_touched(out: Path) -> None:
    # The first is inside the compressed manifest: without the index it would look like a wrong signature.
    for number, where in ((1, 0.002), (5, 0.5), (8, 1.0)):
        place = out / f"{ARCHIVE}.{number:03d}"
        good = place.read_bytes()
        data = bytearray(good)
        data[int(where * (len(data) - 1))] ^= 1
        place.write_bytes(data)
        before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
        for command in (words(out), ("--verify", *words(out)[:2])):
            done = unpack(out / "unpack.py", *command)
            assert done.returncode == 10, done.stderr
            assert f"{place.name}: damaged" in done.stderr and "no volume was removed" in done.stderr
            assert done.stderr.count("damaged") == 1
        assert before == {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
        assert nothing_left(out)
        place.write_bytes(good)
    assert unpack(out / "unpack.py", *words(out)).returncode == 0


def test_all_missing_volumes_are_named_at_once(out: Path) -> None:
    (out / f"{ARCHIVE}.002").unlink()
    (out / f"{ARCHIVE}.007").unlink()
    done = unpack(out / "unpack.py", *words(out))
    assert done.returncode == 10
    assert "missing volume" in done.stderr and ".002" in done.stderr and ".007" in done.stderr
    assert nothing_left(out)


def test_renamed_volumes_are_recognised(out: Path) -> None:
    two, three = out / f"{ARCHIVE}.002", out / f"{ARCHIVE}.003"
    two.rename(out / "x")
    three.rename(two)
    (out / "x").rename(three)
    done = unpack(out / "unpack.py", "--verify", *words(out)[:2])
    assert done.returncode == 10
    assert f"{two}: this is really {three.name}" in done.stderr
    assert f"{three}: this is really {two.name}" in done.stderr
    assert unpack(out / "unpack.py", *words(out)).returncode == 10 and nothing_left(out)


def test_foreign_and_short_volumes_are_named(out: Path) -> None:
    (out / f"{ARCHIVE}.009").write_bytes(b"foreign")
    done = unpack(out / "unpack.py", "--verify", *words(out)[:2])
    assert done.returncode == 10 and ".009: not a volume of this bundle, which has 8" in done.stderr
    # What is not needed does not keep a good set from being unpacked.
    assert unpack(out / "unpack.py", *words(out)).returncode == 0
    (out / f"{ARCHIVE}.004").write_bytes(b"short")
    done = unpack(out / "unpack.py", "--verify", *words(out)[:2])
    assert done.returncode == 10 and ".004: the size differs" in done.stderr
    done = unpack(out / "unpack.py", "--verify", out / f"{ARCHIVE}.009", *words(out)[:2])
    assert done.returncode == 10 and "not a volume of this bundle" in done.stderr


def test_volumes_in_several_folders_are_found_and_a_good_copy_wins(out: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    for number in (2, 4, 6):
        (out / f"{ARCHIVE}.{number:03d}").rename(second / f"{ARCHIVE}.{number:03d}")
    (out / f"{ARCHIVE}.002").write_bytes(b"half a copy")
    done = unpack(out / "unpack.py", out, second, *words(out))
    assert done.returncode == 0, done.stderr
    require_whole(out)


def test_without_an_index_or_its_signature_nothing_is_believed(out: Path) -> None:
    signature = out / f"{STEM}.volumes.json.sig"
    data = signature.read_bytes()
    signature.unlink()
    done = unpack(out / "unpack.py", *words(out))
    assert done.returncode == 10 and "not signed" in done.stderr
    signature.write_bytes(data)
    (out / f"{STEM}.volumes.json").unlink()
    done = unpack(out / "unpack.py", out / f"{ARCHIVE}.001", *words(out))
    assert done.returncode == 10 and "index of the volumes is missing" in done.stderr


def test_an_origin_that_nobody_vouches_for_is_refused_unless_allowed(out: Path, tmp_path: Path) -> None:
    done = unpack(out / "unpack.py", "--to", tmp_path / "to")
    assert done.returncode == 10 and "origin not verified" in done.stderr and nothing_left(out)
    other = SigningKey(Ed25519PrivateKey.generate(), "mallory")
    place = tmp_path / "other"
    place.mkdir()
    done = unpack(
        out / "unpack.py", "--to", tmp_path / "to", "--allowed-signers", allowed_signers(place, other)
    )
    assert done.returncode == 10 and "not by a signer you trust" in done.stderr and nothing_left(out)
    for anchor in (["--trust-fingerprint", KEY.public.fingerprint], ["--allow-unverified-origin"]):
        target = tmp_path / anchor[0]
        assert unpack(out / "unpack.py", "--to", target, *anchor).returncode == 0


def test_policy_and_usage_have_their_own_codes(tmp_path: Path) -> None:
    old = shipment(FILES, expires="2026-01-01T00:00:00Z")
    for name, load in (("expired", old), ("other", shipment(FILES, product="other"))):
        load.ship(tmp_path / name)
        allowed_signers(tmp_path)
        done = unpack(tmp_path / name / "unpack.py", *words(tmp_path / name))
        assert done.returncode == 11, done.stderr
    script = tmp_path / "other/unpack.py"
    for wrong in (["nothing.zip"], [tmp_path], ["--allowed-signers", tmp_path / "none"], ["no.tar.gz"]):
        done = unpack(script, *wrong)
        assert done.returncode == 2 and "Traceback" not in done.stderr, (wrong, done.stderr)
    assert unpack(script, "--require-signatures", "2", "--allow-unverified-origin").returncode == 11
    assert unpack(script, "--require-signatures", "99").returncode == 2


def test_a_bundle_that_is_there_already_is_verified_and_another_folder_is_left_alone(out: Path) -> None:
    assert unpack(out / "unpack.py", *words(out)).returncode == 0
    assert unpack(out / "unpack.py", *words(out)).returncode == 0
    place = out.parent / "to" / STEM / "04_Scripts/install.py"
    place.write_bytes(b"mine")
    before = tree(out.parent / "to")
    done = unpack(out / "unpack.py", *words(out))
    assert done.returncode == 2 and "is not this bundle" in done.stderr
    assert tree(out.parent / "to") == before


def test_a_folder_with_the_work_folders_name_that_is_not_ours_is_left_alone(out: Path) -> None:
    place = out.parent / "to" / f"{STEM}.partial"
    place.mkdir(parents=True)
    (place / "thesis.doc").write_bytes(b"years of work")
    done = unpack(out / "unpack.py", *words(out))
    assert done.returncode == 2 and (place / "thesis.doc").read_bytes() == b"years of work"


def waiting(out: Path, unpacker: "subprocess.Popen[bytes]") -> None:
    """Wait until something has been unpacked."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and unpacker.poll() is None:
        if list((out.parent / "to").glob("*.partial/07_Models/*")):
            return
        time.sleep(0.01)
    raise AssertionError("nothing was unpacked")


def slow(out: Path) -> "subprocess.Popen[bytes]":
    """Begin to unpack from a pipe that stops in the middle."""
    pipe = out / f"{ARCHIVE}.006"
    data = pipe.read_bytes()
    pipe.unlink()
    # Of the right size, and locked by nobody: unpack.py waits at a prompt for the missing volume.
    (out / "sixth").write_bytes(data)
    leader, follower = pty.openpty()
    command = [sys.executable, "-I", str(out / "unpack.py"), *map(str, words(out))]
    child = subprocess.Popen(command, stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=out)
    os.close(follower)
    child.leader = leader  # type: ignore[attr-defined]
    return child


def test_killed_in_the_middle_the_next_run_begins_anew(out: Path) -> None:
    child = slow(out)
    waiting(out, child)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert [path.name for path in (out.parent / "to").iterdir()] == [f"{STEM}.partial"]
    (out / "sixth").rename(out / f"{ARCHIVE}.006")
    done = unpack(out / "unpack.py", *words(out))
    assert done.returncode == 0, done.stderr
    require_whole(out)
    assert [path.name for path in (out.parent / "to").iterdir()] == [STEM]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_nothing_is_left(out: Path, number: signal.Signals) -> None:
    child = slow(out)
    waiting(out, child)
    child.send_signal(number)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 130 and b"Traceback" not in err
    assert nothing_left(out)


def test_on_a_terminal_the_next_medium_is_asked_for(out: Path, tmp_path: Path) -> None:
    child = slow(out)
    waiting(out, child)
    second = tmp_path / "second medium"
    second.mkdir()
    os.write(child.leader, b"\n")  # type: ignore[attr-defined]
    (out / "sixth").rename(second / f"{ARCHIVE}.006")
    os.write(child.leader, str(second).encode() + b"\n")  # type: ignore[attr-defined]
    _, err = child.communicate(timeout=20)
    assert child.returncode == 0, err
    assert f"{ARCHIVE}.006 is not there".encode() in err or b"Insert" in err
    require_whole(out)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_room_is_asked_for_before_and_a_full_disk_on_the_way_leaves_nothing(
    out: Path, tmp_path: Path
) -> None:
    small = tmp_path / "to"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(small)], check=True)
    try:
        done = unpack(out / "unpack.py", *words(out))
        assert done.returncode == 22 and "not enough room" in done.stderr and nothing_left(out)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,nr_inodes=8", "tmpfs", str(small)], check=True)
    try:
        done = unpack(out / "unpack.py", *words(out))
        assert done.returncode == 22 and "cannot be written" in done.stderr and nothing_left(out)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert unpack(out / "unpack.py", *words(out)).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_read_only_place_is_named(out: Path, tmp_path: Path) -> None:
    place = tmp_path / "to"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], check=True)
    try:
        done = unpack(out / "unpack.py", *words(out))
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert done.returncode == 22 and "Read-only" in done.stderr and "Traceback" not in done.stderr


def tampered(load: Shipment, place: Path, change: Change) -> Path:
    """Write the bundle's archive with its members changed, everything else consistent."""
    load.ship(place)
    tamper(place / ARCHIVE, change)
    return place


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in changes(STEM)])
def test_a_tampered_archive_is_refused_and_leaves_nothing(tmp_path: Path, change: Change) -> None:
    out = tampered(shipment(), tmp_path / "out", change)
    allowed_signers(tmp_path)
    around = {path.name for path in tmp_path.iterdir()}
    done = unpack(out / "unpack.py", *words(out))
    assert done.returncode == 10, done.stderr
    assert "Traceback" not in done.stderr and "next:" in done.stderr
    assert nothing_left(out) and {path.name for path in tmp_path.iterdir()} - {"to"} == around
    assert not Path("/tmp/ragtrace-evil").exists()
    assert unpack(out / "unpack.py", "--verify", *words(out)[:2]).returncode == 10


def test_repacked_without_a_change_it_is_still_good(tmp_path: Path) -> None:
    out = tampered(shipment(), tmp_path / "out", lambda members: None)
    allowed_signers(tmp_path)
    assert unpack(out / "unpack.py", *words(out)).returncode == 0
