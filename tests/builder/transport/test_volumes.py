"""Volumes: the archive's own bytes, cut anywhere; each verifiable alone, and nothing half-made left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.transport import sizes
from builder.transport.ship import ship
from bundle import layout, sshsig, volumes
from bundle.errors import IntegrityError, SignatureError, SpaceError, UsageProblem
from bundle.hashing import sha256_bytes, sha256_file
from bundle.trust import Anchors
from tests.support.shipments import EPOCH, KEY, STEM, allowed_signers, shipment

ARCHIVE = f"{STEM}.tar.gz"


def index_in(folder: Path) -> volumes.VolumeIndex:
    place = folder / f"{STEM}.volumes.json"
    return volumes.parse_index(place.read_bytes(), str(place))


@pytest.mark.parametrize("size", [13, 1000, 4096, 10**9])
def test_joined_volumes_are_the_archive_whatever_their_size(tmp_path: Path, size: int) -> None:
    whole = shipment().ship(tmp_path / "whole")
    packed = shipment().ship(tmp_path / "out", volume_size=size if size > 13 else whole.size // 900)
    index = index_in(tmp_path / "out")
    joined = b"".join((tmp_path / "out" / item.name).read_bytes() for item in index.volumes)
    assert joined == whole.path.read_bytes()
    assert (packed.size, packed.sha256) == (whole.size, whole.sha256)
    assert index.archive == volumes.Piece(ARCHIVE, whole.size, whole.sha256)
    assert index.manifest == sha256_bytes(shipment().sealed.manifest)
    for item in index.volumes:
        assert sha256_file(tmp_path / "out" / item.name) == (item.size, item.sha256)
    listed = f"{ARCHIVE}.volumes.sha256"
    subprocess.run(["sha256sum", "-c", "--quiet", listed], cwd=tmp_path / "out", check=True)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_last_volume_of_one_byte_and_none_of_nothing(tmp_path: Path, more: int) -> None:
    whole = shipment().ship(tmp_path / "whole").size
    shipment().ship(tmp_path / "out", volume_size=whole - 1 + more)
    found = [item.size for item in index_in(tmp_path / "out").volumes]
    assert found == ([whole - 2, 2], [whole - 1, 1], [whole])[more + 1]


def test_equal_inputs_give_equal_volumes_index_and_unpacker(tmp_path: Path) -> None:
    for name in ("a", "b"):
        shipment().ship(tmp_path / name, volume_size=2000)
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert "unpack.py" in files and f"{STEM}.volumes.json.sig" in files


def test_the_whole_archive_never_lies_beside_its_volumes(tmp_path: Path) -> None:
    # Enough pieces that some are on the disk while others are still read.
    contents = {"07_Models/m.safetensors": os.urandom(30_000_000)}
    output, most = tmp_path / "out", 0

    def watch(count: int) -> None:
        nonlocal most
        most = max(most, sum(path.stat().st_size for path in output.iterdir()))

    load = shipment(contents)
    packed = ship(
        output, STEM, load.files(), load.sealed, EPOCH, Cache(tmp_path / "cache"), watch,
        volume_size=5_000_000, keys=[KEY],
    )  # fmt: skip
    assert 0 < most <= packed.size


def test_stock_ssh_keygen_verifies_the_index_and_the_unpacker(tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen on this machine")
    shipment().ship(tmp_path / "out", volume_size=2000)
    for name in (f"{STEM}.volumes.json", "unpack.py"):
        command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed_signers(tmp_path)), "-I", KEY.principal]
        command += ["-n", layout.VOLUMES_NAMESPACE, "-s", f"{tmp_path}/out/{name}.sig"]
        subprocess.run(command, input=(tmp_path / "out" / name).read_bytes(), check=True, capture_output=True)


def test_an_index_signed_for_another_purpose_or_by_another_key_is_refused(tmp_path: Path) -> None:
    shipment().ship(tmp_path / "out", volume_size=2000)
    place = tmp_path / "out" / f"{STEM}.volumes.json"
    data, anchors = place.read_bytes(), Anchors(allowed_signers(tmp_path).read_text())
    assert volumes.read_index(place, data, anchors)[1].status == "verified"
    with pytest.raises(SignatureError):
        volumes.read_index(place, data, Anchors("", ("SHA256:other",)))
    with pytest.raises(SignatureError):
        volumes.read_index(place, data.replace(b'"size": 2000', b'"size": 2001', 1), anchors)
    place.with_name(place.name + ".sig").write_bytes(KEY.sign(data, layout.NAMESPACE))
    with pytest.raises(SignatureError, match="another purpose"):
        volumes.read_index(place, data, anchors)
    place.with_name(place.name + ".sig").unlink()
    with pytest.raises(SignatureError, match="not signed"):
        volumes.read_index(place, data, anchors)


def test_an_anchor_for_bundles_only_is_good_for_the_index_too(tmp_path: Path) -> None:
    shipment().ship(tmp_path / "out", volume_size=2000)
    place = tmp_path / "out" / f"{STEM}.volumes.json"
    for namespace, good in ((layout.NAMESPACE, True), ("git", False)):
        line = f'me namespaces="{namespace}" {KEY.public.openssh()}\n'
        if good:
            assert volumes.read_index(place, place.read_bytes(), Anchors(line))[1].status == "verified"
        else:
            with pytest.raises(SignatureError):
                volumes.read_index(place, place.read_bytes(), Anchors(line))


def changed(document: dict[str, object], **fields: object) -> bytes:
    return json.dumps({**document, **fields}).encode()


def test_indexes_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    shipment().ship(tmp_path / "out", volume_size=2000)
    document = json.loads((tmp_path / "out" / f"{STEM}.volumes.json").read_bytes())
    cut = document["volumes"]
    archive = document["archive"]
    bad = [
        b"{}",
        b"[]",
        b"\xff",
        changed(document, format="other"),
        changed(document, format_version=2),
        changed(document, volumes=[]),
        changed(document, volumes=cut[:-1]),
        changed(document, volumes=[cut[1], cut[0], *cut[2:]]),
        changed(document, volumes=[*cut[:-1], {**cut[-1], "size": cut[-1]["size"] + 1}]),
        changed(document, volumes=[{**cut[0], "name": "../x.001"}, *cut[1:]]),
        changed(document, archive={**archive, "name": "../../x.tar.gz"}),
        changed(document, archive={**archive, "name": "x.zip"}),
        changed(document, archive={**archive, "size": 0}),
        changed(document, archive={**archive, "sha256": "short"}),
    ]
    for data in bad:
        with pytest.raises(IntegrityError):
            volumes.parse_index(data, "index")


def test_a_source_that_changed_leaves_no_volume(tmp_path: Path) -> None:
    load = shipment({"07_Models/m.safetensors": bytes(100_000)})
    files = load.files()
    (tmp_path / "m").write_bytes(b"1" + bytes(99_999))
    object.__setattr__(files[0], "source", tmp_path / "m")
    with pytest.raises(IntegrityError):
        ship(
            tmp_path / "out", STEM, files, load.sealed, EPOCH, Cache(tmp_path / "c"), lambda n: None,
            keys=[KEY], volume_size=1000,
        )  # fmt: skip
    assert list((tmp_path / "out").iterdir()) == []


def test_more_volumes_than_a_name_can_count_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="more than 999"):
        shipment().ship(tmp_path / "out", volume_size=3)
    assert list((tmp_path / "out").iterdir()) == []


PROGRAM = """
import sys, time
from pathlib import Path
from tests.support import shipments
from builder.cache import Cache
from builder.transport.ship import ship
out = Path(sys.argv[1])
load = shipments.shipment({f"07_Models/{n:02}.safetensors": bytes([n]) * 400_000 for n in range(30)})
ship(out, shipments.STEM, load.files(), load.sealed, shipments.EPOCH, Cache(out.parent / "cache"),
     lambda n: time.sleep(0.05), keys=[shipments.KEY], volume_size=300_000)
"""


def test_a_killed_write_leaves_only_partial_names_and_the_next_one_removes_them(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "out")], cwd=root)
    try:
        # While that run lives, another one leaves its files alone.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = list((tmp_path / "out").iterdir()) if (tmp_path / "out").is_dir() else []
            if len(found) >= 4:
                break
            time.sleep(0.05)
        before = {path.name for path in found}
        shipment().ship(tmp_path / "out", base=shipment().base)
        assert before <= {path.name for path in (tmp_path / "out").iterdir()}
        for path in (tmp_path / "out").iterdir():
            if not path.name.endswith(".partial"):
                path.unlink()
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(left) >= 4 and all(name.startswith(".") and name.endswith(".partial") for name in left)
    shipment().ship(tmp_path / "out", volume_size=5000)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        load = shipment({"07_Models/m.safetensors": os.urandom(3_000_000)})
        for size in (None, 400_000):
            with pytest.raises(SpaceError):
                load.ship(small / "out", volume_size=size)
            assert list((small / "out").iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_output_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SpaceError):
        shipment().ship(tmp_path / "out", volume_size=5000)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4_000_000_000),
        ("4g", 4_000_000_000),
        ("700M", 700_000_000),
        ("1.5GiB", 1_610_612_736),
        ("2000000", 2_000_000),
        ("4.7GB-DVD", sizes.MEDIA["DVD"]),
        ("dvd", sizes.MEDIA["DVD"]),
        ("FAT32", 4_294_967_295),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert sizes.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "4X", "-4GB", "0", "999KB", "1e9", "4 GB GB", "1_000_000", "nan"])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        sizes.parse_size(text)
    assert "4.7GB-DVD" in caught.value.render("ko")


def test_a_second_signer_signs_the_index_too(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from builder.sealing.signing import SigningKey

    other = SigningKey(Ed25519PrivateKey.generate(), "reviewer@example")
    shipment().ship(tmp_path / "out", volume_size=5000, keys=[KEY, other])
    place = tmp_path / "out" / f"{STEM}.volumes.json"
    second = place.with_name(f"{place.name}.2.sig").read_bytes()
    assert sshsig.verify(place.read_bytes(), second, layout.VOLUMES_NAMESPACE) == other.public
    anchors = Anchors(other.allowed_signers())
    assert volumes.read_index(place, place.read_bytes(), anchors)[1].status == "verified"


def test_a_thousand_volumes_do_not_need_a_thousand_open_files(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 30, hard))
    try:
        shipment().ship(tmp_path / "out", volume_size=100)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(index_in(tmp_path / "out").volumes) > 60
