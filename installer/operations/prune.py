"""Remove what is not kept: releases far enough behind the active one, unfinished folders, contents of the store that
no kept release uses, logs of releases that are gone."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from bundle.errors import UsageProblem
from bundle.text import Text

from .. import generations, leftovers, logs, pointer, reserve, snapshot, store, usage
from ..console import Console
from ..filesystem import remove_file
from ..paths import Prefix
from ..pointer import Pointer
from ..signals import shielded
from ..state import generation_names, read_state
from ..transaction import translate
from .session import UNCHANGED, opened, record, require_installation

KEEP = 2


@dataclass(frozen=True)
class Pruning:
    """What goes: releases (unfinished ones too), data snapshots, contents of the store, logs and (where asked for)
    the service's leftovers by name, and the bytes that come free. `keep` are the releases that stay, the active one
    first."""

    keep: Tuple[str, ...]
    releases: Tuple[str, ...]
    snapshots: Tuple[str, ...]
    objects: Tuple[str, ...]
    logs: Tuple[str, ...]
    bytes: int
    files: int
    caches: Tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.releases or self.snapshots or self.objects or self.logs or self.caches)


@dataclass(frozen=True)
class Pruned:
    """What was removed, and how long it took."""

    pruning: Pruning
    seconds: float


def survey(prefix: Prefix, keep: Optional[int], caches: bool = False) -> Pruning:
    """Say what a prune would remove; change nothing. With `caches`, also what the service leaves behind.

    Raises:
        UsageProblem: nothing is installed, or `keep` is no number of releases.
    """
    if keep is not None and keep < 0:
        raise UsageProblem(
            Text("--keep는 0 이상이어야 합니다", "--keep must not be less than 0"), state=UNCHANGED
        )
    require_installation(prefix)
    active = read_state(prefix).pointer
    if active is None:
        raise UsageProblem(
            Text(
                "현재 릴리스가 없어 무엇이 남아야 하는지 알 수 없습니다",
                "there is no active release to count from",
            ),
            where=str(prefix.pointer),
            state=UNCHANGED,
            hint=Text("번들을 다시 설치하거나 --uninstall", "install a bundle again, or --uninstall"),
        )
    short = shortened(active, KEEP if keep is None else keep)
    kept = short.kept
    snapshots = tuple(snapshot.superfluous(prefix, short))
    going = tuple(name for name in generation_names(prefix) if name not in kept)
    used = {digest for name in kept for digest in generations.contents_of(prefix, name)}
    objects = [path for path in store.objects(prefix) if path.name not in used]
    old_logs = _old_logs(prefix, kept)
    left = [*leftovers.removable(prefix), *leftovers.overlong(prefix)] if caches else []
    places = [
        *(prefix.generation(name) for name in going),
        *(snapshot.folder_of(prefix, name) for name in snapshots),
        *objects,
        *old_logs,
    ]
    return Pruning(
        kept,
        going,
        snapshots,
        tuple(path.name for path in objects),
        tuple(path.name for path in old_logs),
        usage.freed(places) + (leftovers.size(prefix) if caches else 0),
        sum(1 for place in [*places, *left] for _ in usage.statuses(place)),
        tuple(path.relative_to(prefix.root).as_posix() for path in left),
    )


def shortened(active: Pointer, keep: int) -> Pointer:
    """Return the pointer with at most `keep` releases before the active one."""
    return replace(active, previous=active.previous[:keep])


def _old_logs(prefix: Prefix, kept: Tuple[str, ...]) -> List[Path]:
    """Return the logs of releases that are not kept; that of the last failure stays, it may still be wanted."""
    if not prefix.logs.is_dir() or prefix.logs.is_symlink():
        return []
    names = {f"{kind}-{name}.log" for kind in logs.KINDS for name in kept}
    old = [
        path
        for kind in logs.KINDS
        for path in sorted(prefix.logs.glob(f"{kind}-*.log"))
        if path.name not in names
    ]
    failures = [path for path in old if path.name.startswith("failed-")]
    newest = max(failures, key=lambda path: path.lstat().st_mtime, default=None)
    return [path for path in old if path != newest]


def prune(prefix: Prefix, keep: Optional[int], console: Console, caches: bool = False) -> Pruned:
    """Remove what `survey` names. The pointer comes first: from then on nobody counts on what goes.

    What has begun is brought to its end, signals or not: removed contents do not come back, and half a release is
    of no use to anybody.

    Raises:
        UsageProblem: as `survey`.
        RagTraceError: something could not be removed; the active release is as it was, the next run goes on.
    """
    before = survey(prefix, keep, caches)
    begun = time.monotonic()
    with opened(prefix, console, action="prune"):
        pruning = survey(prefix, keep, caches)
        # Recovery has cleared unfinished folders away already; they count.
        cleared = tuple(name for name in before.releases if not prefix.generation(name).exists())
        told = replace(
            pruning, releases=(*cleared, *pruning.releases), bytes=max(before.bytes, pruning.bytes)
        )
        with shielded():
            try:
                _carry_out(prefix, pruning)
            except OSError as error:
                raise translate(
                    error,
                    Text(
                        "현재 릴리스는 그대로이며, 다시 실행하면 이어집니다",
                        "the active release is as it was; run again to go on",
                    ),
                ) from error
            if not told.empty:
                record(prefix, console, "prune", "ok", removed=list(told.releases), bytes=told.bytes)
    return Pruned(told, time.monotonic() - begun)


def _carry_out(prefix: Prefix, pruning: Pruning) -> None:
    """Shorten the pointer, then remove; what fails does not keep the rest from going, and is tried once more."""
    found = read_state(prefix).pointer
    if found is None:
        return
    short = shortened(found, len(pruning.keep) - 1)
    if found != short:
        pointer.write(prefix, short)
    removals: List[Callable[[], object]] = [
        *(
            partial(generations.discard, prefix, name)
            for name in generation_names(prefix)
            if name not in short.kept
        ),
        lambda: snapshot.collect(prefix, short),
        lambda: store.collect(prefix, generations.used_digests(prefix)),
        *(partial(remove_file, path) for path in _old_logs(prefix, short.kept)),
        *([partial(leftovers.clear, prefix)] if pruning.caches else []),
        lambda: reserve.ensure(prefix),
    ]
    for remove in [remove for remove in removals if _failed(remove)]:
        remove()


def _failed(remove: Callable[[], object]) -> bool:
    try:
        remove()
    except OSError:
        return True
    return False
