"""Deltas: only new content travels, the whole bundle comes out, and what is needed is named."""

from __future__ import annotations

import os
import random
import shutil
import tarfile
from pathlib import Path

import pytest

from builder.transport.delta import delta_entries, load_base
from bundle import verify
from bundle.errors import IntegrityError, UsageProblem
from bundle.manifest import Target, manifest_digest
from bundle.trust import Anchors
from tests.support.shipments import STEM, Shipment, allowed_signers, shipment, tree, unpack

WEIGHTS = random.Random(7).randbytes(2_000_000)
WHEEL = random.Random(8).randbytes(100_000)
ONE = {
    "02_Dependencies/wheels/a-1-py3-none-any.whl": WHEEL,
    "03_Source/service.py": b"print(1)\n",
    "03_Source/same.py": b"same = True\n",
    "05_Documentation/old.md": b"old\n",
    "07_Models/bge/model.safetensors": WEIGHTS,
}
TWO = {**ONE, "03_Source/service.py": b"print(2)\n", "03_Source/new.py": b"new = 2\n"}
TWO.pop("05_Documentation/old.md")
# A model that moved, and a file that is there twice.
THREE = {**TWO, "03_Source/service.py": b"print(3)\n", "03_Source/again.py": b"same = True\n"}
THREE["07_Models/renamed/model.safetensors"] = THREE.pop("07_Models/bge/model.safetensors")


def releases() -> tuple[Shipment, Shipment, Shipment]:
    return shipment(ONE, sequence=1), shipment(TWO, sequence=2), shipment(THREE, sequence=3)


def whole(load: Shipment, folder: Path) -> Path:
    """Unpack the full bundle and return its tree."""
    load.ship(folder / "full")
    done = unpack(folder / "full/unpack.py", "--to", folder, "--allowed-signers", allowed_signers(folder))
    assert done.returncode == 0, done.stderr
    return folder / STEM


def require_whole(root: Path, load: Shipment) -> None:
    verify.open_bundle(root, Anchors("", (load.key.public.fingerprint,)))
    held = {name: data for name, data in tree(root).items() if "/" in name}
    assert held == load.contents


def test_a_delta_carries_only_content_that_the_base_lacks(tmp_path: Path) -> None:
    one, two, _ = releases()
    packed = two.ship(tmp_path / "d", base=one.base)
    assert packed.path.name == f"{STEM}.delta-from-1.tar.gz"
    with tarfile.open(packed.path) as archive:
        names = [name.removeprefix(f"{STEM}/") for name in archive.getnames()]
    assert names == [
        "MANIFEST.json", "MANIFEST.json.sig", "DELTA.json", "03_Source/new.py", "03_Source/service.py",
    ]  # fmt: skip


def test_a_code_change_costs_its_bytes_and_the_manifest(tmp_path: Path) -> None:
    code = random.Random(3).randbytes(400_000)
    one = shipment({**ONE, "02_Dependencies/wheels/own.whl": code}, sequence=1)
    new = random.Random(4).randbytes(400_000)
    two = shipment({**ONE, "02_Dependencies/wheels/own.whl": new}, sequence=2)
    assert two.ship(tmp_path / "d", base=one.base).size <= 1.05 * len(new)


def test_base_and_delta_make_the_whole_tree(tmp_path: Path) -> None:
    one, two, _ = releases()
    base = whole(one, tmp_path / "one")
    before = tree(base)
    two.ship(tmp_path / "d", base=one.base)
    words = ("--to", tmp_path / "to", "--base", base, "--allowed-signers", allowed_signers(tmp_path))
    done = unpack(tmp_path / "d/unpack.py", *words)
    assert done.returncode == 0, done.stderr
    require_whole(tmp_path / "to" / STEM, two)
    assert tree(base) == before
    assert (tmp_path / "to" / STEM / "07_Models/bge/model.safetensors").stat().st_nlink == 2


def test_a_chain_of_deltas_with_a_renamed_model_comes_out_whole(tmp_path: Path) -> None:
    one, two, three = releases()
    base = whole(one, tmp_path / "one")
    first = two.ship(tmp_path / "d1", base=one.base).path
    second = three.ship(tmp_path / "d2", base=two.base)
    assert second.size < 5000
    signers = allowed_signers(tmp_path)
    words = ("--base", base, "--allowed-signers", signers)
    assert unpack(tmp_path / "d1/unpack.py", first, "--to", tmp_path / "two", *words).returncode == 0
    words = ("--base", tmp_path / "two" / STEM, "--allowed-signers", signers)
    done = unpack(tmp_path / "d2/unpack.py", "--to", tmp_path / "three", *words)
    assert done.returncode == 0, done.stderr
    require_whole(tmp_path / "three" / STEM, three)


def test_a_delta_may_take_from_several_bases(tmp_path: Path) -> None:
    one, two, three = releases()
    old = whole(one, tmp_path / "one")
    second = three.ship(tmp_path / "d2", base=two.base).path
    # The middle release is lost but for its own files: the older one has the rest.
    middle = whole(two, tmp_path / "two")
    words = ("--to", tmp_path / "to", "--allowed-signers", allowed_signers(tmp_path))
    (middle / "07_Models/bge/model.safetensors").unlink()
    done = unpack(tmp_path / "d2/unpack.py", second, "--base", old, "--base", middle, *words)
    assert done.returncode == 0, done.stderr
    require_whole(tmp_path / "to" / STEM, three)


def test_a_lost_delta_is_named_and_replaced_by_the_full_bundle(tmp_path: Path) -> None:
    one, two, three = releases()
    base = whole(one, tmp_path / "one")
    three.ship(tmp_path / "d2", base=two.base)
    words = ("--to", tmp_path / "to", "--allowed-signers", allowed_signers(tmp_path))
    done = unpack(tmp_path / "d2/unpack.py", "--base", base, *words)
    assert done.returncode == 10
    digest = manifest_digest(two.sealed.manifest)[:12]
    assert f"1.0.0 linux-x86_64 sequence 2 (manifest {digest}), or the full bundle" in done.stderr
    assert "sequence 1" in done.stderr and "03_Source/new.py" in done.stderr
    assert list((tmp_path / "to").iterdir() if (tmp_path / "to").exists() else []) == []
    require_whole(whole(three, tmp_path / "three"), three)


def test_a_delta_without_a_base_says_which_one_it_needs(tmp_path: Path) -> None:
    one, two, _ = releases()
    two.ship(tmp_path / "d", base=one.base)
    words = ("--to", tmp_path / "to", "--allowed-signers", allowed_signers(tmp_path), "--lang", "ko")
    done = unpack(tmp_path / "d/unpack.py", *words)
    assert done.returncode == 10 and "순번 1" in done.stderr and "전체 번들" in done.stderr


@pytest.mark.parametrize("link", [True, False])
def test_a_damaged_file_of_the_base_is_named_and_nothing_is_left(tmp_path: Path, link: bool) -> None:
    one, two, _ = releases()
    base = whole(one, tmp_path / "one")
    place = base / "07_Models/bge/model.safetensors"
    data = bytearray(place.read_bytes())
    data[5] ^= 1
    place.write_bytes(data)
    place.chmod(0o644 if link else 0o600)
    two.ship(tmp_path / "d", base=one.base)
    words = ("--to", tmp_path / "to", "--base", base, "--allowed-signers", allowed_signers(tmp_path))
    done = unpack(tmp_path / "d/unpack.py", *words)
    assert done.returncode == 10 and str(place) in done.stderr
    assert list((tmp_path / "to").iterdir()) == []
    place.unlink()
    place.symlink_to("/etc/passwd")
    done = unpack(tmp_path / "d/unpack.py", *words)
    assert done.returncode == 10 and str(place) in done.stderr


def test_a_delta_in_volumes_combines_both(tmp_path: Path) -> None:
    one, two, _ = releases()
    base = whole(one, tmp_path / "one")
    packed = two.ship(tmp_path / "d", base=one.base, volume_size=500)
    assert len(packed.paths) > 3 and packed.path.name == f"{STEM}.delta-from-1.volumes.json"
    words = ("--to", tmp_path / "to", "--base", base, "--allowed-signers", allowed_signers(tmp_path))
    done = unpack(tmp_path / "d/unpack.py", *words)
    assert done.returncode == 0, done.stderr
    require_whole(tmp_path / "to" / STEM, two)


def test_the_base_is_read_from_a_manifest_a_folder_or_an_archive(tmp_path: Path) -> None:
    one, two, _ = releases()
    base = whole(one, tmp_path / "one")
    archive = tmp_path / "one/full" / f"{STEM}.tar.gz"
    for place in (base, base / "MANIFEST.json", archive):
        assert load_base(place) == one.base
    shutil.copyfile(base / "MANIFEST.json", tmp_path / "saved.json")
    assert {entry.path for entry in delta_entries(two.manifest, load_base(tmp_path / "saved.json"))} == {
        "03_Source/service.py",
        "03_Source/new.py",
    }


def test_what_cannot_be_a_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="base manifest"):
        load_base(tmp_path / "missing.json")
    (tmp_path / "bad.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError):
        load_base(tmp_path / "bad.json")
    (tmp_path / "bad.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(IntegrityError):
        load_base(tmp_path / "bad.tar.gz")
    other = shipment(ONE, target=Target("windows-amd64", "windows", "amd64", "", "", ("3.11",)))
    with pytest.raises(UsageProblem, match="another target"):
        delta_entries(releases()[0].manifest, other.base)


def test_a_base_that_is_no_bundle_is_a_wrong_argument(tmp_path: Path) -> None:
    one, two, _ = releases()
    two.ship(tmp_path / "d", base=one.base)
    words = ("--base", tmp_path, "--allowed-signers", allowed_signers(tmp_path))
    done = unpack(tmp_path / "d/unpack.py", *words)
    assert done.returncode == 2 and "not an unpacked bundle" in done.stderr


def test_a_base_on_another_file_system_is_copied(tmp_path: Path) -> None:
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    one, two, _ = releases()
    base = whole(one, tmp_path / "one")
    two.ship(tmp_path / "d", base=one.base)
    place = Path("/dev/shm") / f"ragtrace-delta-{os.getpid()}"
    try:
        words = ("--to", place, "--base", base, "--allowed-signers", allowed_signers(tmp_path))
        done = unpack(tmp_path / "d/unpack.py", *words)
        assert done.returncode == 0, done.stderr
        require_whole(place / STEM, two)
        assert (place / STEM / "07_Models/bge/model.safetensors").stat().st_nlink == 1
    finally:
        shutil.rmtree(place, ignore_errors=True)
