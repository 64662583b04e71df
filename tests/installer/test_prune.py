"""Prune: what is not kept goes, the bytes are told, the active release never goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from installer import journal, pointer, store
from tests.support.bundles import Bundle

from .site import Site


@pytest.fixture
def three(site: Site, bundle_for: Callable[..., Bundle]) -> list[Bundle]:
    """Three releases, each with a model of its own and one that all share."""
    made = [
        bundle_for(
            version=f"{number}.0.0",
            sequence=number,
            models={"m/own.bin": b"%d" % number * 300_000, "m/all.bin": b"all" * 1000},
        )
        for number in (1, 2, 3)
    ]
    for bundle in made:
        done = site.install(bundle)
        assert done.code == 0, done.err
    return made


def names(site: Site) -> list[str]:
    return sorted(os.listdir(site.prefix.generations))


def contents(site: Site) -> set[str]:
    return {path.name for path in store.objects(site.prefix)}


def model(bundle: Bundle, name: str) -> str:
    return next(entry.sha256 for entry in bundle.manifest.files if entry.path.endswith(name))


def free(site: Site) -> int:
    return shutil.disk_usage(site.root).free


def test_as_many_as_wanted_before_the_active_one_are_kept(site: Site, three: list[Bundle]) -> None:
    first, second, third = three
    done = site.run("--prune", "--keep", "1", "--json")
    assert done.code == 0, done.err
    assert names(site) == sorted([second.generation, third.generation])
    assert done.document["releases"] == [first.generation]
    found = pointer.read(site.prefix)
    assert found is not None
    assert found.kept == (third.generation, second.generation)
    assert model(first, "own.bin") not in contents(site)
    assert {model(third, "own.bin"), model(second, "own.bin"), model(first, "all.bin")} <= contents(site)
    assert done.document["bytes"] >= 300_000
    assert site.answering() == third.generation
    assert site.undeclared() == []
    assert site.run("--rollback").code == 0
    assert site.answering() == second.generation
    last = [line for line in journal.read_lines(site.prefix.audit) if line["action"] == "prune"][-1]
    assert last["removed"] == [first.generation]


def test_the_active_release_stays_even_where_nothing_is_to_be_kept(site: Site, three: list[Bundle]) -> None:
    assert site.run("--prune", "--keep", "0").code == 0
    assert names(site) == [three[2].generation]
    assert site.answering() == three[2].generation
    assert site.run("--rollback").code == 2
    again = site.run("--prune", "--keep", "0", "--json")
    assert (again.code, again.document["releases"], again.document["bytes"]) == (0, [], 0)


def test_by_default_two_are_kept(site: Site, three: list[Bundle]) -> None:
    assert site.run("--prune").code == 0
    assert len(names(site)) == 3


def test_the_bytes_told_are_the_bytes_freed(site: Site, three: list[Bundle]) -> None:
    def taken() -> int:
        seen = {}
        for path in (*site.prefix.generations.rglob("*"), *site.prefix.store.rglob("*")):
            status = path.lstat()
            seen[status.st_ino] = status.st_blocks * 512
        return sum(seen.values())

    planned = site.run("--prune", "--keep", "0", "--dry-run", "--json").document
    before = taken()
    done = site.run("--prune", "--keep", "0", "--json")
    assert done.document["bytes"] == planned["bytes"]
    # Folders of the store that become empty are not told.
    assert 0 <= before - taken() - done.document["bytes"] < 4096 * 256


def test_a_dry_run_says_the_same_and_removes_nothing(site: Site, three: list[Bundle]) -> None:
    before, kept = names(site), contents(site)
    planned = site.run("--prune", "--keep", "0", "--dry-run", "--json").document
    assert (names(site), contents(site)) == (before, kept)
    done = site.run("--prune", "--keep", "0", "--json").document
    assert planned["releases"] == done["releases"]
    assert set(planned["contents"]) == set(done["contents"]) == kept - contents(site)


def test_unfinished_folders_stray_contents_and_old_logs_go(site: Site, three: list[Bundle]) -> None:
    unfinished = site.prefix.generation("000009-0123456789ab")
    unfinished.mkdir()
    (unfinished / "part").write_bytes(b"x" * 10_000)
    stray = store.object_path(site.prefix, "ab" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"stray")
    for number, name in enumerate(("failed-000007-0123456789ab.log", "failed-000008-0123456789ab.log")):
        path = site.prefix.logs / name
        path.write_text("why")
        os.utime(path, (number, number))
    mine = site.prefix.logs / "mine.log"
    mine.write_text("mine")
    done = site.run("--prune", "--json")
    assert done.code == 0, done.err
    assert done.document["releases"] == [unfinished.name]
    assert not unfinished.exists()
    assert not stray.exists()
    assert done.document["logs"] == ["failed-000007-0123456789ab.log"]
    assert not (site.prefix.logs / "failed-000007-0123456789ab.log").exists()
    assert (site.prefix.logs / "failed-000008-0123456789ab.log").exists(), (
        "the last failure may still be wanted"
    )
    assert mine.exists()


def test_a_number_that_is_none_is_refused(site: Site, three: list[Bundle]) -> None:
    assert site.run("--prune", "--keep", "-1").code == 2
    assert site.run("--prune", "--keep", "many").code == 2
    assert len(names(site)) == 3


def test_with_nothing_installed_there_is_nothing_to_prune(site: Site, tmp_path: Path) -> None:
    assert site.run("--prune").code == 2
    assert not site.root.exists()
