"""Repair: what is damaged is found and made again from what is intact, and nothing else is touched."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.hashing import sha256_bytes
from bundle.manifest import FileEntry
from installer import pointer, receipt, store
from installer.paths import rebuild_name, release_of
from tests.support.bundles import Bundle
from tests.support.carrying import pack

from .site import Run, Site
from .test_sources import snapshot, tamper

Make = Callable[..., Bundle]
WEIGHTS = random.Random(2).randbytes(200_000)
OTHER = random.Random(3).randbytes(150_000)


@pytest.fixture
def installed(site: Site, bundle_for: Make) -> Bundle:
    """A release with two models and its tools, running."""
    bundle = bundle_for(models={"m/w.bin": WEIGHTS, "m/v.bin": OTHER}, tools="full")
    assert site.install(bundle).code == 0
    return bundle


def repair(site: Site, *more: str) -> Run:
    return site.run("--repair", "--json", *more)


def folder(site: Site, bundle: Bundle) -> Path:
    return site.prefix.generation(bundle.generation)


def require_repaired(site: Site, bundle: Bundle, name: str, *, running: bool = True) -> None:
    """Refuse anything but a whole, running rebuild of the release that is accounted for to the last file."""
    assert (site.active(), site.answering()) == (name, name if running else "")
    place = site.prefix.generation(name)
    assert receipt.differences(place, receipt.read(place)) == []
    assert site.undeclared() == []
    assert lacking(site, bundle) == []
    assert not site.prefix.generation(bundle.generation).exists()
    again = repair(site)
    assert (again.code, again.document["action"]) == (0, "none"), again.out


def lacking(site: Site, bundle: Bundle) -> list[str]:
    shelf = store.Shelf(site.prefix)
    return [entry.path for entry in bundle.manifest.files if not shelf.has(entry)]


def entry_of(bundle: Bundle, ending: str) -> FileEntry:
    return next(entry for entry in bundle.manifest.files if entry.path.endswith(ending))


def test_nothing_damaged_is_nothing_to_repair(site: Site, installed: Bundle) -> None:
    before = snapshot(site.prefix.generations)
    done = repair(site)
    assert (done.code, done.document["action"]) == (0, "none"), done.err
    assert snapshot(site.prefix.generations) == before
    assert site.answering() == installed.generation
    assert "nothing to repair" in site.run("--repair").out


def test_names_of_rebuilds_are_never_used_twice() -> None:
    release = "000001-0123456789ab"
    assert rebuild_name(release, [release]) == f"{release}-r1"
    assert rebuild_name(f"{release}-r1", [f"{release}-r9", f"{release}-r10"]) == f"{release}-r11"
    assert release_of(f"{release}-r11") == release


@pytest.mark.parametrize(
    "damage",
    ("package", "tools", "venv", "source", "extra", "mode", "interpreter", "receipt", "python-cache"),
)
def test_a_damaged_release_is_made_again_beside_it(site: Site, installed: Bundle, damage: str) -> None:
    place = folder(site, installed)
    model = store.object_path(site.prefix, sha256_bytes(WEIGHTS))
    before = (model.stat().st_ino, model.stat().st_mtime_ns)
    inflict(place, damage)
    done = repair(site)
    assert done.code == 0, done.err + done.out
    assert done.document["action"] == "repair"
    assert (model.stat().st_ino, model.stat().st_mtime_ns) == before, "intact models are not written again"
    name = f"{installed.generation}-r1"
    assert (site.prefix.generation(name) / "models/m/w.bin").stat().st_ino == model.stat().st_ino
    require_repaired(site, installed, name)


def inflict(place: Path, damage: str) -> None:
    packages = next(place.glob("venv/lib/python3.*/site-packages"))
    if damage == "package":
        with (packages / "ragtrace" / "__init__.py").open("a") as stream:
            stream.write("# changed\n")
    elif damage == "tools":
        shutil.rmtree(place / "tools")
    elif damage == "venv":
        shutil.rmtree(place / "venv")
    elif damage == "source":
        (place / "source" / "README.md").unlink()
    elif damage == "extra":
        (packages / "ragtrace" / "planted.py").write_text("import os\n")
    elif damage == "mode":
        (packages / "ragtrace" / "__init__.py").chmod(0o666)
    elif damage == "interpreter":
        (place / "venv" / "bin" / "python").unlink()
        (place / "venv" / "bin" / "python").symlink_to("/nonexistent/python3")
    elif damage == "receipt":
        with (place / receipt.NAME).open("r+b") as stream:
            stream.write(b"garbage")
    else:
        (packages / "ragtrace" / "__pycache__").mkdir()
        (packages / "ragtrace" / "__pycache__" / "x.pyc").write_bytes(b"\0")


def test_a_release_whose_service_is_down_because_of_the_damage_comes_up_again(
    site: Site, installed: Bundle
) -> None:
    site.stop()
    shutil.rmtree(folder(site, installed) / "venv")
    shutil.rmtree(folder(site, installed) / "tools")
    assert site.run("--start").code != 0
    done = repair(site)
    assert done.code == 0, done.err + done.out
    require_repaired(site, installed, f"{installed.generation}-r1")


def test_a_service_that_was_stopped_on_purpose_stays_stopped(site: Site, installed: Bundle) -> None:
    assert site.run("--stop").code == 0
    inflict(folder(site, installed), "package")
    assert repair(site).code == 0
    require_repaired(site, installed, f"{installed.generation}-r1", running=False)


def test_a_damaged_model_comes_from_the_bundle_and_only_that(
    site: Site, installed: Bundle, tmp_path: Path
) -> None:
    good = store.object_path(site.prefix, sha256_bytes(OTHER))
    before = (good.stat().st_ino, good.stat().st_mtime_ns)
    tamper(site, sha256_bytes(WEIGHTS))
    refused = repair(site)
    assert refused.code == 10, refused.out
    told = "\n".join(refused.document["details"])
    assert "07_Models/m/w.bin" in told
    assert len(refused.document["details"]) == 1, "exactly what is missing"
    assert "--repair --bundle" in refused.document["next"]
    assert site.answering() == installed.generation
    carried = pack(installed, tmp_path / "usb")
    done = repair(site, "--bundle", str(carried.path))
    assert done.code == 0, done.err + done.out
    assert (good.stat().st_ino, good.stat().st_mtime_ns) == before
    name = f"{installed.generation}-r1"
    assert (site.prefix.generation(name) / "models/m/w.bin").read_bytes() == WEIGHTS
    require_repaired(site, installed, name)


def test_an_unpacked_bundle_mends_too_and_only_the_damaged_files_are_read(
    site: Site, installed: Bundle
) -> None:
    tamper(site, sha256_bytes(WEIGHTS))
    # The medium is damaged as well, but not where it matters.
    (installed.root / "07_Models/m/v.bin").write_bytes(b"scratched")
    done = repair(site, "--bundle", str(installed.root))
    assert done.code == 0, done.err + done.out
    require_repaired(site, installed, f"{installed.generation}-r1")


def test_a_bundle_that_is_damaged_where_it_matters_is_refused_and_nothing_changes(
    site: Site, installed: Bundle
) -> None:
    tamper(site, sha256_bytes(WEIGHTS))
    (installed.root / "07_Models/m/w.bin").write_bytes(bytes(len(WEIGHTS)))
    done = repair(site, "--bundle", str(installed.root))
    assert done.code == 10, done.out
    assert (site.active(), site.answering()) == (installed.generation, installed.generation)
    assert site.undeclared() == []


def test_content_lost_from_the_store_comes_back_from_the_release(site: Site, installed: Bundle) -> None:
    """Only the store is damaged: the release that runs is not touched, and not restarted."""
    pid = site.run("--status", "--json").document["service"]["pid"]
    for ending in ("03_Source/README.md", "m/w.bin"):
        store.object_path(site.prefix, entry_of(installed, ending).sha256).unlink()
    done = repair(site)
    assert (done.code, done.document["action"]) == (0, "repair"), done.err + done.out
    assert done.document["lost"] == []
    assert lacking(site, installed) == []
    assert site.run("--status", "--json").document["service"]["pid"] == pid
    model = folder(site, installed) / "models/m/w.bin"
    assert model.stat().st_ino == store.object_path(site.prefix, sha256_bytes(WEIGHTS)).stat().st_ino
    again = repair(site)
    assert again.document["action"] == "none"


def test_a_wheel_lost_from_the_store_is_named_and_comes_back_from_the_bundle(
    site: Site, installed: Bundle
) -> None:
    wheel = entry_of(installed, "ragtrace-1.0.0-py3-none-any.whl")
    tamper(site, wheel.sha256)
    done = repair(site)
    assert done.code == 0, done.err
    assert done.document["lost"] == [wheel.path]
    assert "--repair --bundle" in done.err
    assert site.answering() == installed.generation
    assert not store.object_path(site.prefix, wheel.sha256).exists(), "wrong bytes keep no name"
    inflict(folder(site, installed), "package")
    refused = repair(site)
    assert refused.code == 10, "an environment cannot be made without it"
    assert wheel.path in "\n".join(refused.document["details"])
    assert repair(site, "--bundle", str(installed.root)).code == 0
    require_repaired(site, installed, f"{installed.generation}-r1")


def test_a_release_that_has_lost_its_manifest_too_takes_it_from_the_bundle(
    site: Site, installed: Bundle
) -> None:
    shutil.rmtree(folder(site, installed) / "tools")
    store.object_path(site.prefix, installed.digest).unlink()
    refused = repair(site)
    assert refused.code == 10, refused.out
    assert installed.digest[:12] in refused.document["next"]
    done = repair(site, "--bundle", str(installed.root))
    assert done.code == 0, done.err + done.out
    require_repaired(site, installed, f"{installed.generation}-r1")


def test_a_forged_manifest_is_not_believed(site: Site, installed: Bundle) -> None:
    place = folder(site, installed) / "tools" / "MANIFEST.json"
    place.write_bytes(place.read_bytes().replace(b"1.0.0", b"6.6.6"))
    done = repair(site)
    assert done.code == 0, done.err + done.out
    assert done.document["version"] == "1.0.0"
    require_repaired(site, installed, f"{installed.generation}-r1")


def test_a_signer_who_is_not_trusted_any_more_cannot_be_repaired_from(
    site: Site, installed: Bundle, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from builder.sealing.signing import SigningKey

    inflict(folder(site, installed), "package")
    other = SigningKey(Ed25519PrivateKey.generate(), "other@example")
    anchor = tmp_path / "allowed_signers"
    anchor.write_text(other.allowed_signers())
    site.prefix.allowed_signers.write_text(other.allowed_signers())
    done = repair(site, "--allowed-signers", str(anchor))
    assert done.code == 10, done.out
    assert (site.active(), site.answering()) == (installed.generation, installed.generation)


def test_the_damaged_release_is_not_kept_and_the_ones_before_it_are(site: Site, bundle_for: Make) -> None:
    made = [bundle_for(version=f"{n}.0.0", sequence=n) for n in (1, 2, 3)]
    for bundle in made:
        assert site.install(bundle).code == 0
    inflict(folder(site, made[2]), "package")
    assert repair(site).code == 0
    known = pointer.read(site.prefix)
    assert known is not None
    assert known.previous == (made[1].generation, made[0].generation)
    require_repaired(site, made[2], f"{made[2].generation}-r1")
    assert site.run("--rollback").code == 0
    assert site.answering() == made[1].generation


def test_damaged_releases_behind_an_intact_one_are_let_go(site: Site, bundle_for: Make) -> None:
    first, second = bundle_for(), bundle_for(version="2.0.0", sequence=2)
    site.install(first)
    site.install(second)
    inflict(folder(site, first), "package")
    pid = site.run("--status", "--json").document["service"]["pid"]
    done = repair(site)
    assert (done.code, done.document["dropped"]) == (0, [first.generation]), done.err
    assert os.listdir(site.prefix.generations) == [second.generation]
    assert site.run("--status", "--json").document["service"]["pid"] == pid
    assert site.undeclared() == []
    assert repair(site).document["action"] == "none"


def test_the_same_bundle_over_a_repaired_release_is_already_installed(site: Site, installed: Bundle) -> None:
    for number in (1, 2):
        inflict(folder(site, installed).with_name(site.active()), "package")
        assert repair(site).code == 0
        assert site.active() == f"{installed.generation}-r{number}"
    again = site.install(installed, "--json")
    assert (again.code, again.document["action"]) == (0, "none")
    assert site.answering() == f"{installed.generation}-r2"


def test_a_dry_run_tells_what_is_damaged_and_writes_nothing(site: Site, installed: Bundle) -> None:
    inflict(folder(site, installed), "package")
    before = snapshot(site.root)
    done = repair(site, "--dry-run")
    assert done.code == 0, done.err
    assert any("ragtrace/__init__.py" in line for line in done.document["damaged"][installed.generation])
    assert [step["name"] for step in done.document["steps"]][:2] == ["generation", "contents"]
    assert done.document["generation"] == f"{installed.generation}-r1"
    assert snapshot(site.root) == before
    assert repair(site).code == 0
    nothing = repair(site, "--dry-run")
    assert (nothing.code, nothing.document["action"]) == (0, "none")


def test_a_repair_killed_while_it_builds_or_switches_never_leaves_for_another_release(
    site: Site, bundle_for: Make
) -> None:
    first, second = bundle_for(), bundle_for(version="2.0.0", sequence=2)
    site.install(first)
    site.install(second)
    for moment, number in (("venv", 1), ("RECEIPT.json", 2)):
        inflict(site.prefix.generation(site.active()), "package")
        broken = site.active()
        process = subprocess.Popen(
            site.command("--repair"),
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        name = rebuild_name(broken, [broken])
        while not (site.prefix.generation(name) / moment).exists():
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert repair(site).code == 0
        assert release_of(site.active()) == second.generation, number
        assert site.answering() == site.active()
        assert site.undeclared() == []
        assert repair(site).document["action"] == "none"


def test_a_repair_whose_release_does_not_get_ready_is_undone(site: Site, bundle_for: Make) -> None:
    script = "import os, sys; raise SystemExit(3 if os.path.exists(sys.argv[sys.argv.index('--prefix') + 1] + '/data/late') else 0)"
    bundle = bundle_for(validator=script)
    assert site.install(bundle).code == 0
    (site.prefix.data / "late").touch()
    inflict(folder(site, bundle), "extra")
    done = repair(site)
    assert done.code == 16, done.out
    assert (site.active(), site.answering()) == (bundle.generation, bundle.generation)
    assert os.listdir(site.prefix.generations) == [bundle.generation]
    (site.prefix.data / "late").unlink()
    assert repair(site).code == 0
    require_repaired(site, bundle, f"{bundle.generation}-r1")


def test_an_installation_without_a_verified_origin_is_repaired_by_its_digest(
    site: Site, bundle_for: Make
) -> None:
    bundle = bundle_for()
    given = ("--bundle", str(bundle.root), "--allow-unverified-origin", "--service-manager", "process")
    assert site.run(*given).code == 0
    inflict(folder(site, bundle), "venv")
    assert repair(site).code == 0
    require_repaired(site, bundle, f"{bundle.generation}-r1")


def test_the_installed_copy_repairs_its_own_release(site: Site, installed: Bundle) -> None:
    inflict(folder(site, installed), "package")
    copy = site.prefix.link / "tools" / "04_Scripts" / "install.py"
    done = subprocess.run(
        [sys.executable, str(copy), "--repair"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    require_repaired(site, installed, f"{installed.generation}-r1")


def test_where_nothing_is_installed_there_is_nothing_to_repair(site: Site) -> None:
    done = repair(site)
    assert done.code == 2
    assert not site.root.exists()
