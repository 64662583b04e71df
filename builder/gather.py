"""Gather: bring everything that the plans name into the cache, each file once, after asking for room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bundle.text import Text

from . import fetch, network
from .cache import Cache
from .disk import Need, require_room
from .plan import Artifact, BundlePlan


class Progress(Protocol):
    """Where gathering tells how far it is."""

    def work(self, total_bytes: int) -> None:
        """Say how many bytes the whole run will move."""

    def stage(self, title: Text, total_bytes: int) -> None:
        """Begin a stage of so many bytes (0: unknown)."""

    def advance(self, count: int) -> None:
        """Note `count` more bytes of the stage."""


def gather(
    plans: Sequence[BundlePlan], cache: Cache, output: Path | None, progress: Progress, token: str | None
) -> int:
    """Fetch what the cache lacks and return the bytes that came.

    Args:
        output: where whole bundles will be written, whose room is asked for too; None for deltas, whose
            size is not known yet.
        token: the model hub's; None means the user's own.

    Raises:
        BuildError: a model needs a conversion that this machine cannot do.
        DownloadError: files could not be had; every one is named.
        SpaceError: there is not enough room for what is to be fetched and written.
    """
    artifacts = [item for plan in plans for item in plan.artifacts]
    models = [item for item in artifacts if item.kind == "model"]
    _require_convertible(models, cache)
    wanted = fetch.missing(cache, artifacts)
    logins = network.logins_of(plans[0].project) if wanted else None
    if wanted:
        sizes = fetch.remote_sizes(wanted, cache, logins)
        wanted = [replace(item, size=size) for item, size in zip(wanted, sizes, strict=True)]
    weights = {item.sha256: item.size for item in models if not cache.has(item.sha256)}
    files = sum(item.size for item in wanted)
    known = {item.sha256: item.size for item in (*wanted, *models)}
    bundles = sum(known.get(item.sha256) or fetch.cached_size(cache, item.sha256) for item in artifacts)
    needs = [Need(cache.root, files + _room_for(models, cache), Text("내려받기", "downloads"))]
    if output is not None:
        needs.append(Need(output, bundles, Text("번들", "bundles")))
    require_room(needs)
    total = files + sum(weights.values())
    progress.work(total + bundles)
    progress.stage(Text("내려받기", "downloading"), total)
    fetch.fetch(cache, wanted, progress.advance, logins)
    if weights:
        from .models.fetch import fetch_models

        fetch_models(cache, models, progress.advance, token)
    return total


def _room_for(models: Sequence[Artifact], cache: Cache) -> int:
    if not models:
        return 0
    from .models.fetch import room_needed

    return room_needed(cache, models)


def _require_convertible(models: Sequence[Artifact], cache: Cache) -> None:
    """Refuse, before gigabytes are fetched, models that this machine cannot convert."""
    if models:
        from .models.carry import require_convertible
        from .models.spec import load_model

        names = sorted({item.name for item in models})
        require_convertible([load_model(name) for name in names], models, cache)
