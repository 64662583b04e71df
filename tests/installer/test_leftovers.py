"""`--prune --caches`: what the service left behind goes, what somebody else put there or still needs stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from installer import leftovers
from tests.support.bundles import Bundle

from .site import Site


@pytest.fixture
def used(site: Site, bundle_for: Callable[..., Bundle]) -> Site:
    """A release that has run for a while."""
    assert site.install(bundle_for()).code == 0
    cache = site.prefix.data / "cache" / "pycache" / "deep"
    cache.mkdir(parents=True)
    (cache / "m.pyc").write_bytes(b"x" * 300_000)
    for name in ("service.log.1", "access.log.2.gz", "old.log.old"):
        (site.prefix.logs / name).write_bytes(b"y" * 200_000)
    (site.prefix.data / "cache" / "embeddings.sqlite").write_bytes(b"z" * 1000)
    (site.prefix.data / "documents" / "report.log.1").write_bytes(b"mine")
    return site


def names(site: Site) -> set[str]:
    return {path.relative_to(site.prefix.data).as_posix() for path in site.prefix.data.rglob("*")}


def test_caches_and_rotated_logs_go_only_when_asked_for(used: Site) -> None:
    assert used.run("--prune").code == 0
    assert "logs/service.log.1" in names(used)
    told = used.run("--prune", "--caches", "--dry-run", "--json").document
    assert told["bytes"] >= 900_000
    assert "data/logs/service.log.1" in told["caches"]
    assert "logs/service.log.1" in names(used), "a dry run"
    done = used.run("--prune", "--caches", "--json")
    assert done.code == 0, done.err
    assert done.document["bytes"] == told["bytes"]
    left = names(used)
    assert not {"cache/pycache/deep", "logs/service.log.1", "logs/access.log.2.gz", "logs/old.log.old"} & left
    assert {"cache/pycache", "logs/service.log", "cache/embeddings.sqlite", "documents/report.log.1"} <= left
    assert used.answering() == used.active()
    again = used.run("--prune", "--caches", "--dry-run", "--json").document
    assert [path for path in again["caches"] if "pycache" not in path] == []


def test_a_long_log_keeps_its_end_and_the_service_goes_on_writing_to_it(
    used: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "LONG_BYTES", 5000)
    monkeypatch.setattr(leftovers, "KEPT_BYTES", 1000)
    log = used.prefix.logs / "service.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, b"".join(b"line %05d\n" % number for number in range(2000)))
        leftovers.clear(used.prefix)
        os.write(descriptor, b"after\n")
    finally:
        os.close(descriptor)
    lines = log.read_bytes().splitlines()
    assert lines[-2:] == [b"line 01999", b"after"]
    assert lines[0].startswith(b"line 0")
    assert log.stat().st_size < 1100


def test_links_are_not_followed(used: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "LONG_BYTES", 10)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "precious.log.1").write_bytes(b"p" * 100)
    (used.prefix.logs / "x.log.1").symlink_to(stranger / "precious.log.1")
    (used.prefix.data / "cache" / "pycache" / "link").symlink_to(stranger)
    (used.prefix.logs / "service.log").unlink()
    (used.prefix.logs / "service.log").symlink_to(stranger / "precious.log.1")
    leftovers.clear(used.prefix)
    assert (stranger / "precious.log.1").read_bytes() == b"p" * 100
