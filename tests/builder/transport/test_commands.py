"""inspect, verify and diff: the same answers for every form of a bundle, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder import cli
from bundle.manifest import Model, Package
from tests.support.shipments import KEY, STEM, allowed_signers, shipment, unpack
from tests.support.trees import FILES

MODEL = Model("bge-m3", "embedding", "07_Models/bge-m3", "BAAI/bge-m3", "a" * 40, "MIT")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def forms(tmp_path: Path) -> dict[str, Path]:
    """One bundle as archive, volumes and folder, and a delta to it."""
    load = shipment(FILES, models=(MODEL,))
    base = shipment({**FILES, "04_Scripts/install.py": b"older"}, sequence=6)
    load.ship(tmp_path / "a")
    load.ship(tmp_path / "v", volume_size=3000)
    load.ship(tmp_path / "d", base=base.base)
    signers = allowed_signers(tmp_path)
    done = unpack(tmp_path / "a/unpack.py", "--to", tmp_path / "t", "--allowed-signers", signers)
    assert done.returncode == 0
    return {
        "archive": tmp_path / "a" / f"{STEM}.tar.gz",
        "volumes": tmp_path / "v" / f"{STEM}.volumes.json",
        "volume": tmp_path / "v" / f"{STEM}.tar.gz.003",
        "folder": tmp_path / "t" / STEM,
        "delta": tmp_path / "d" / f"{STEM}.delta-from-6.tar.gz",
    }


def run(capfd: Capture, *words: object) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in words])
    captured = capfd.readouterr()
    return code, captured.out, captured.err


def test_inspect_says_the_same_of_every_form(forms: dict[str, Path], capfd: Capture) -> None:
    said = {}
    for name, place in forms.items():
        code, out, err = run(capfd, "inspect", "--json", place)
        assert code == 0, err
        said[name] = json.loads(out)
    for field in ("manifest", "version", "target", "packages", "models", "kinds", "signers"):
        assert len({json.dumps(document[field]) for document in said.values()}) == 1
    assert [said[name]["form"] for name in forms] == ["archive", "volumes", "volumes", "folder", "archive"]
    assert len(said["volumes"]["volumes"]) > 3
    assert said["delta"]["delta"]["base"]["sequence"] == 6 and said["archive"]["delta"] is None
    assert said["archive"]["origin"] == "unverified"


def test_inspect_reads_well_in_both_languages(forms: dict[str, Path], capfd: Capture, tmp_path: Path) -> None:
    anchor = ("--allowed-signers", allowed_signers(tmp_path))
    english = run(capfd, "inspect", forms["delta"], "--lang", "en", *anchor)[1]
    korean = run(capfd, "inspect", forms["delta"], "--lang", "ko", *anchor)[1]
    for word in ("Sequence", "bge-m3 (embedding)", "builder@example", "sequence 6", "(delta)"):
        assert word in english
    for word in ("순번", "기준 번들", "모델 1개", "builder@example"):
        assert word in korean


def test_verify_reads_every_form_whole(forms: dict[str, Path], capfd: Capture, tmp_path: Path) -> None:
    anchor = ("--allowed-signers", allowed_signers(tmp_path))
    for name, place in forms.items():
        code, out, err = run(capfd, "verify", "--json", place, *anchor)
        assert code == 0, err
        document = json.loads(out.splitlines()[-1])
        assert document["ok"] and document["origin"] == "verified"
        assert document["files"] == (1 if name == "delta" else len(FILES))
    assert run(capfd, "verify", forms["archive"])[0] == 10
    assert run(capfd, "verify", forms["archive"], "--allow-unverified-origin")[0] == 0
    assert run(capfd, "verify", forms["archive"], *anchor, "--require-signatures", "2")[0] == 11


def flip(place: Path) -> None:
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)


def test_verify_names_every_damaged_volume(forms: dict[str, Path], capfd: Capture) -> None:
    folder = forms["volumes"].parent
    for number in (2, 4):
        flip(folder / f"{STEM}.tar.gz.{number:03d}")
    code, _, err = run(capfd, "verify", forms["volumes"], "--trust-fingerprint", KEY.public.fingerprint)
    assert code == 10 and ".002: damaged" in err and ".004: damaged" in err


@pytest.mark.parametrize("form", ["archive", "delta", "folder"])
def test_verify_refuses_a_changed_byte(forms: dict[str, Path], capfd: Capture, form: str) -> None:
    place = forms[form]
    flip(place if place.is_file() else place / "04_Scripts/install.py")
    code, _, err = run(capfd, "verify", place, "--trust-fingerprint", KEY.public.fingerprint)
    assert code == 10 and "Traceback" not in err


def test_the_provenance_beside_an_archive_has_to_be_about_it(forms: dict[str, Path], capfd: Capture) -> None:
    place = forms["archive"]
    place.with_name(place.name + ".intoto.jsonl").write_text("{}\n")
    code, _, _ = run(capfd, "verify", place, "--trust-fingerprint", KEY.public.fingerprint)
    assert code == 10


def test_what_is_no_bundle_is_a_wrong_argument(tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "x.zip").write_bytes(b"")
    for command in ("inspect", "verify"):
        for wrong in ("x.zip", "missing.tar.gz", "missing.volumes.json", "missing.tar.gz.001", "."):
            code, _, err = run(capfd, command, tmp_path / wrong, "--lang", "en")
            assert code == 2 and "not a bundle" in err, (command, wrong, err)


def test_diff_names_what_changed_and_what_a_delta_would_carry(tmp_path: Path, capfd: Capture) -> None:
    def package(name: str, version: str) -> Package:
        return Package(name, version, ("3.11",))

    old = shipment(
        {**FILES, "03_Source/gone.py": b"gone"},
        packages=(package("a", "1"), package("b", "1"), package("c", "1")),
        sequence=1,
    )
    new = shipment(
        {**FILES, "04_Scripts/install.py": b"newer", "03_Source/copy.py": FILES["04_Scripts/install.py"]},
        packages=(package("a", "1"), package("b", "2"), package("d", "1")),
        models=(MODEL,),
        sequence=2,
    )
    old.ship(tmp_path / "old")
    new.ship(tmp_path / "new")
    pair = (tmp_path / "old" / f"{STEM}.tar.gz", tmp_path / "new" / f"{STEM}.tar.gz")
    document = json.loads(run(capfd, "diff", "--json", *pair)[1])
    assert document["packages"] == {
        "added": [["d", "1"]],
        "removed": [["c", "1"]],
        "changed": [["b", "1", "2"]],
    }
    assert [item[0] for item in document["models"]["added"]] == ["bge-m3"]
    assert [item[0] for item in document["files"]["changed"]] == ["04_Scripts/install.py"]
    # The copied file's bytes are in the base already.
    assert (document["delta_files"], document["delta_bytes"]) == (1, len(b"newer"))
    lines = run(capfd, "diff", *pair, "--lang", "ko")[1]
    assert (
        "~ b 1 → 2" in lines and "+ d 1" in lines and "- c 1" in lines and "델타에 담길 것: 파일 1개" in lines
    )
    same = json.loads(run(capfd, "diff", "--json", pair[0], pair[0])[1])
    assert same["delta_files"] == 0 and not any(same["files"].values())
