"""`--list`: what is kept, in which state, how large, and what one can go back to."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.bundles import Bundle

from .site import Site

Make = Callable[..., Bundle]


def rows(site: Site) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in site.run("--list", "--json").document["releases"]}


def test_every_release_is_told_with_role_version_sequence_and_digest(site: Site, bundle_for: Make) -> None:
    first, second = bundle_for(), bundle_for(version="2.0.0", sequence=2)
    site.install(first)
    site.install(second)
    found = rows(site)
    assert list(found) == [second.generation, first.generation], "the active one first"
    active, previous = found[second.generation], found[first.generation]
    assert (active["role"], active["rollback"], previous["role"], previous["rollback"]) == (
        "active",
        False,
        "previous",
        True,
    )
    assert (active["version"], active["sequence"], active["manifest"]) == ("2.0.0", 2, second.digest)
    assert str(active["installed"]).endswith("Z")
    assert {row["state"] for row in found.values()} == {"ok"}
    table = site.run("--list", "--lang", "ko").out
    assert first.generation in table and "2.0.0" in table and "되돌리기" in table


def test_models_that_releases_share_are_counted_once(site: Site, bundle_for: Make) -> None:
    size = 3_000_000
    models = {"m/w.bin": b"w" * size}
    site.install(bundle_for(models=models))
    site.install(bundle_for(version="2.0.0", sequence=2, models=models))
    document = site.run("--list", "--json").document
    active, previous = document["releases"]
    assert active["bytes"] > size > previous["bytes"]
    assert document["store_bytes"] > size
    taken = {
        path.lstat().st_ino: path.lstat().st_blocks * 512
        for folder in (site.prefix.generations, site.root / "store")
        for path in (folder, *folder.rglob("*"))
    }
    assert 0 <= sum(taken.values()) - document["bytes"] <= 4096


def test_damaged_and_unfinished_releases_are_told_apart(site: Site, bundle_for: Make) -> None:
    first, second = bundle_for(), bundle_for(version="2.0.0", sequence=2)
    site.install(first)
    site.install(second)
    (site.prefix.generation(first.generation) / "source" / "README.md").unlink()
    site.prefix.generation("000009-0123456789ab").mkdir()
    found = rows(site)
    assert (found[first.generation]["state"], found[first.generation]["rollback"]) == ("damaged", False)
    assert (found["000009-0123456789ab"]["state"], found["000009-0123456789ab"]["role"]) == (
        "unfinished",
        "not kept",
    )
    assert found[second.generation]["state"] == "ok"


def test_listing_needs_no_lock_and_writes_nothing(site: Site, bundle_for: Make) -> None:
    assert site.run("--list").code == 0
    assert not site.root.exists()
    site.install(bundle_for())
    before = {path: path.lstat().st_mtime_ns for path in site.root.rglob("*")}
    assert site.run("--list").code == 0
    assert {path: path.lstat().st_mtime_ns for path in site.root.rglob("*")} == before
