"""The models of the release that this process belongs to, and what the configuration makes of them.

An installed release keeps its models in `generations/<release>/models/`, each with the builder's `PROVENANCE.json`,
which says its name and role. A configuration names no release: left empty, `model` means the one that the running
release carries, so that an upgrade brings its own and a rollback finds the earlier one (docs/adr/0037).
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ragtrace.settings import Settings
from ragtrace.text import Text

RECORD = "PROVENANCE.json"
GENERATIONS = "generations"
# What a person writes for no model at all, and before the name of a carried one.
NONE, NAMED = "none", "release:"
# Section of the configuration by the role that a model was declared with.
ROLES: Mapping[str, str] = {"embedding": "embedding", "reranker": "reranker", "llm": "language"}
# The record names every file of a model; the largest published checkpoints have some hundred.
_RECORD_BYTES = 4 << 20


@dataclass(frozen=True)
class CarriedModel:
    """One model of a release: as it was declared, and where its files lie."""

    name: str
    role: str
    folder: Path


class Settled(NamedTuple):
    """The settings with models as paths, the keys that the release gave, and what cannot be followed."""

    settings: Settings
    given: tuple[str, ...]
    problems: tuple[Text, ...]


def release_of(prefix: Path) -> Path | None:
    """Return the release that an interpreter belongs to, whose `sys.prefix` is given; None outside an installation."""
    folder = prefix.resolve().parent
    return folder if folder.parent.name == GENERATIONS and prefix.resolve().name == "venv" else None


def carried_models(release: Path | None) -> tuple[CarriedModel, ...]:
    """Return the models of a release by name. A folder without a readable record is no model of it."""
    if release is None:
        return ()
    found = []
    for record in sorted((release / "models").glob(f"**/{RECORD}")):
        said = _read(record)
        name, role = said.get("name"), said.get("role")
        if isinstance(name, str) and isinstance(role, str):
            found.append(CarriedModel(name, role, record.parent))
    return tuple(sorted(found, key=lambda each: each.name))


def settle(settings: Settings, release: Path | None) -> Settled:
    """Return the settings with the models of the release filled in where the configuration leaves them open."""
    carried = carried_models(release)
    given: list[str] = []
    problems: list[Text] = []
    changed: dict[str, Any] = {}
    for role, name in ROLES.items():
        section = getattr(settings, name)
        if name == "language" and (section.url or section.engine == "server"):
            # The name of a model at a server, which need not be a file here.
            continue
        key, wanted = f"{name}.model", section.model
        mine = [each for each in carried if each.role == role]
        if wanted == NONE:
            model = ""
        elif wanted.startswith(NAMED):
            chosen = _named(mine, wanted.removeprefix(NAMED))
            if chosen is None:
                problems.append(_unknown(key, wanted, mine))
                continue
            model = str(chosen.folder)
            given.append(key)
        elif wanted:
            problem = _bound_to_a_release(settings.home, key, wanted)
            problems += [problem] if problem else []
            continue
        elif mine:
            model = str(mine[0].folder)
            given.append(key)
        else:
            continue
        changed[name] = dataclasses.replace(section, model=model)
    return Settled(dataclasses.replace(settings, **changed), tuple(given), tuple(problems))


def _read(record: Path) -> dict[str, Any]:
    try:
        if record.stat().st_size > _RECORD_BYTES:
            return {}
        said = json.loads(record.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _named(models: Sequence[CarriedModel], name: str) -> CarriedModel | None:
    return next((each for each in models if name in (each.name, each.folder.name)), None)


def _unknown(key: str, wanted: str, models: Sequence[CarriedModel]) -> Text:
    names = [f"{NAMED}{each.name}" for each in models]
    if not names:
        return Text(
            f"'{key}': {wanted!r} - 이 릴리스에는 그 역할의 모델이 없습니다.",
            f"'{key}': {wanted!r} - this release carries no model of that role.",
        )
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.0)[0]
    return Text(
        f"'{key}': 이 릴리스에 {wanted!r} 모델이 없습니다. 가장 가까운 것: '{near}'",
        f"'{key}': this release carries no {wanted!r}. The nearest is '{near}'.",
    )


def _bound_to_a_release(home: Path, key: str, wanted: str) -> Text | None:
    """Refuse a path into one release's folder: it goes when that release goes. What `current` leads to may be named."""
    path = os.path.normpath(home / Path(wanted).expanduser())
    if Path(path).is_relative_to(os.path.normpath(home / GENERATIONS)):
        return Text(
            f"'{key}': 릴리스 하나의 폴더입니다. 업그레이드하면 사라집니다. 비워 두거나 {NAMED}이름으로 적으십시오.",
            f"'{key}': that is the folder of one release, gone after an upgrade. Leave it empty, or say {NAMED}NAME.",
        )
    return None
