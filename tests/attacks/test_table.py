"""Every attack of the table is refused, and outside the prefix not one byte was written."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installer.site import Site

from .bench import Bench
from .table import ATTACKS, Attack

_FORBIDDEN = (Path("/tmp/ragtrace-evil"), Path("/etc/cron.d/evil"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The prefix under attack, in a folder of its own."""
    (tmp_path / "host").mkdir()
    made = Site(tmp_path / "host" / "prefix")
    yield made
    if made.prefix.settings.is_symlink():
        made.prefix.settings.unlink()
    made.stop()


@pytest.fixture
def bench(tmp_path: Path, site: Site) -> Bench:
    """Where the attack is made."""
    (tmp_path / "medium").mkdir()
    return Bench(tmp_path / "medium", site)


def surroundings(folder: Path, without: Path) -> dict[str, str]:
    """Return everything below `folder` but `without`, with kind, mode, times and contents."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(place, name) != without]
        for name in [*folders, *files]:
            path = Path(place, name)
            status = path.lstat()
            plain = stat.S_ISREG(status.st_mode) and status.st_size < 1 << 20
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if plain else ""
            # A folder's time changes when something is made and removed in it; the prefix is made in `host`.
            moved = "" if path == without.parent else status.st_mtime_ns
            found[str(path)] = f"{status.st_mode:o} {status.st_size} {moved} {digest}"
    return found


def carried_out(attack: Attack, bench: Bench, site: Site, home: Path) -> tuple[int, str, dict[str, str]]:
    """Run the operator's command with a home and a temporary folder that are watched too."""
    words = attack.prepare(bench)
    around = bench.folder.parent
    for name in ("home", "temporary"):
        (home / name).mkdir(exist_ok=True)
    environment = {"HOME": str(home / "home"), "TMPDIR": str(home / "temporary"), "LANG": "C.UTF-8"}
    before = surroundings(around, site.root)
    done = site.run(*words, "--lang", "en", environment=environment)
    after = surroundings(around, site.root)
    changed = {
        name: after.get(name, "gone") for name in before | after if before.get(name) != after.get(name)
    }
    return done.code, done.err, changed


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if not attack.upon])
def test_an_attack_is_refused_and_writes_nothing_outside_the_prefix(
    name: str, bench: Bench, site: Site, tmp_path: Path
) -> None:
    attack = ATTACKS[name]
    code, error, changed = carried_out(attack, bench, site, tmp_path)
    assert code == attack.code, error
    assert attack.says in error and "Traceback" not in error
    assert changed == {}
    assert not any(place.exists() for place in _FORBIDDEN)
    if attack.early:
        assert not site.root.exists(), "refused before the prefix is made"
    else:
        assert site.active() == "" and os.listdir(site.prefix.generations) == []


@pytest.mark.parametrize(
    "name", [name for name, attack in ATTACKS.items() if attack.upon or not attack.early]
)
def test_an_attack_upon_an_installation_leaves_the_installed_release_running(
    name: str, bench: Bench, site: Site, tmp_path: Path
) -> None:
    bench.good = bench.bundle(version="0.9.0", sequence=2 if ATTACKS[name].upon else 1)
    assert site.install(bench.good).code == 0
    code, error, changed = carried_out(ATTACKS[name], bench, site, tmp_path)
    assert code == ATTACKS[name].code, error
    assert ATTACKS[name].says in error and "Traceback" not in error
    assert changed == {}
    assert (site.active(), site.answering()) == (bench.good.generation, bench.good.generation)
    assert site.undeclared() == []


def test_without_an_attack_the_same_bundle_installs(bench: Bench, site: Site) -> None:
    assert site.run(*bench.words(bench.bundle(models={"m/weights.safetensors": b"weights"}))).code == 0
    assert site.answering()
