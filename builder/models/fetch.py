"""Bring the files of models into the cache: from the hub or from a folder, in parallel, resumed, hashed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .. import fetch, network
from ..cache import Cache
from ..plan import Artifact, local_path
from . import local
from .hub import Hub, OnBytes, place_of

# Files of models are large: a few connections fill any line, and each keeps a piece in memory.
CONNECTIONS = 4


def missing(cache: Cache, artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Return the files of models that the cache does not hold, each content once."""
    wanted = {item.sha256: item for item in artifacts if item.kind == "model" and not cache.has(item.sha256)}
    return list(wanted.values())


def room_needed(cache: Cache, artifacts: Iterable[Artifact]) -> int:
    """Return how many bytes the cache's disk has to hold yet; what lies in a folder usually gets a link."""
    return sum(
        max(
            0,
            item.size - partial.stat().st_size
            if (partial := cache.partial(item.sha256)).exists()
            else item.size,
        )
        for item in missing(cache, artifacts)
        if place_of(item.source) is not None
    )


def fetch_models(
    cache: Cache, artifacts: Iterable[Artifact], on_bytes: OnBytes, token: str | None = None
) -> None:
    """Bring every file of a model into the cache; other kinds are left alone.

    Largest first; what an earlier run had of a file is not asked for again. `token` None means the user's own.

    Raises:
        DownloadError: some could not be had; every one is named with its reason and remedy. The others are kept.
        SpaceError: the cache's disk is full.
    """
    wanted = missing(cache, artifacts)
    if not wanted:
        return
    hub = Hub(token)
    with network.client() as client:

        def bring(item: Artifact, partial: Path, counted: OnBytes) -> None:
            place = place_of(item.source)
            if place is None:
                local.take(local_path(item.source), item.size, item.sha256, partial, counted)
            else:
                hub.download(client, place, item.size, item.sha256, partial, counted)

        fetch.in_parallel(cache, wanted, bring, on_bytes, CONNECTIONS)
