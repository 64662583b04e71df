"""Check models again: every byte against its pin or manifest, and every file by the reader of its format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundle import layout, limits
from bundle.errors import IntegrityError, UsageProblem
from bundle.hashing import hash_files
from bundle.manifest import Manifest, parse_manifest
from bundle.text import Text

from ..cache import Cache
from .carry import is_carried
from .formats import Inspection, inspect
from .hub import OnBytes
from .spec import FORMATS, ModelSpec, load_model, model_names


@dataclass(frozen=True)
class Checked:
    """What checking one model gave: problems (none: sound), what a reviewer reads, files and bytes looked at."""

    name: str
    where: str
    problems: tuple[Text, ...]
    inspection: Inspection
    files: int
    size: int


def check_cached(spec: ModelSpec, cache: Cache, on_bytes: OnBytes) -> Checked:
    """Check what the cache holds of a pinned model; a file that differs is removed from it.

    What a conversion reads and nobody carries is hashed too, but not looked into.
    """
    pins = spec.pins.files if spec.pins is not None else ()
    missing = [item for item in pins if not cache.has(item.sha256)]
    there = {item.path: (cache.path(item.sha256), item.sha256) for item in pins if cache.has(item.sha256)}
    problems = _differing(there, on_bytes)
    for path in problems:
        cache.drop(there.pop(path)[1])
    texts = [Text(f"{item.path}: 받지 않았습니다", f"{item.path}: not fetched") for item in missing] + list(
        problems.values()
    )
    return _looked(spec, str(cache.root), texts, {path: place for path, (place, _) in there.items()})


def check_folder(spec: ModelSpec, folder: Path, on_bytes: OnBytes) -> Checked:
    """Check a folder against a model's pins."""
    texts, there = [], {}
    for item in spec.pins.files if spec.pins is not None else ():
        place = folder / item.path
        if place.is_file():
            there[item.path] = (place.resolve(), item.sha256)
        else:
            texts.append(Text(f"{item.path}: 없습니다", f"{item.path}: missing"))
    problems = _differing(there, on_bytes)
    texts += problems.values()
    sound = {path: place for path, (place, _) in there.items() if path not in problems}
    return _looked(spec, str(folder), texts, sound)


def check_bundle(folder: Path, names: Sequence[str], on_bytes: OnBytes) -> list[Checked]:
    """Check the models in an unpacked bundle against its manifest (whose signature `verify` checks).

    Raises:
        UsageProblem: no bundle there, or it does not carry one of `names`.
        IntegrityError: its manifest is malformed.
    """
    manifest = _manifest(folder)
    carried = {item.name: item for item in manifest.models}
    unknown = [name for name in names if name not in carried]
    if unknown:
        raise UsageProblem(
            Text("번들에 없는 모델입니다", "the bundle does not carry this model"),
            where=", ".join(unknown),
            hint=Text(
                f"있는 모델: {', '.join(carried) or '-'}", f"it carries: {', '.join(carried) or 'none'}"
            ),
        )
    found = []
    for name in names or sorted(carried):
        base = f"{carried[name].folder}/"
        entries = [entry for entry in manifest.files if entry.path.startswith(base)]
        there = {
            entry.path.removeprefix(base): (folder / entry.path, entry.sha256)
            for entry in entries
            if (folder / entry.path).is_file()
        }
        texts = [
            Text(f"{entry.path}: 없습니다", f"{entry.path}: missing")
            for entry in entries
            if entry.path.removeprefix(base) not in there
        ]
        problems = _differing(there, on_bytes)
        sound = {path: place for path, (place, _) in there.items() if path not in problems}
        # The bundle may be older than this declaration, so any format that may be carried at all is accepted.
        spec = replace(load_model(name), formats=FORMATS, carry=("*",))
        found.append(_looked(spec, str(folder), [*texts, *problems.values()], sound))
    return found


def pinned_models() -> list[ModelSpec]:
    """Return the declared models that are pinned."""
    return [spec for spec in map(load_model, model_names()) if spec.pinned]


def require_sound(found: Sequence[Checked]) -> None:
    """Refuse when anything is wrong with any of the models.

    Raises:
        IntegrityError: naming every problem.
    """
    problems = [
        Text(f"{item.name}/{text.ko}", f"{item.name}/{text.en}") for item in found for text in item.problems
    ]
    if problems:
        raise IntegrityError(
            Text(f"모델에 문제가 {len(problems)}건 있습니다", f"{len(problems)} problem(s) with models"),
            details=problems,
            hint=Text(
                "다시 받으십시오: create_enterprise_offline.py models fetch",
                "fetch them again: create_enterprise_offline.py models fetch",
            ),
        )


def _manifest(folder: Path) -> Manifest:
    try:
        with (folder / layout.MANIFEST).open("rb") as stream:
            return parse_manifest(stream.read(limits.MANIFEST_BYTES + 1))
    except OSError as error:
        raise UsageProblem(
            Text("푼 번들이 아닙니다", "this is no unpacked bundle"), where=f"{folder}: {error}"
        ) from error


def _differing(there: Mapping[str, tuple[Path, str]], on_bytes: OnBytes) -> dict[str, Text]:
    """Hash files and return what differs from its digest, by path."""
    by_place: dict[Path, list[str]] = {}
    for path, (place, _) in there.items():
        by_place.setdefault(place, []).append(path)
    found: dict[str, Text] = {}
    for place, _, digest in hash_files(
        sorted(by_place, key=lambda item: -item.stat().st_size), on_bytes=on_bytes
    ):
        for path in by_place[place]:
            if isinstance(digest, OSError):
                found[path] = Text(f"{path}: 읽을 수 없습니다: {digest}", f"{path}: cannot be read: {digest}")
            elif digest != there[path][1]:
                found[path] = Text(f"{path}: 내용이 다릅니다", f"{path}: its bytes differ")
    return found


def _looked(spec: ModelSpec, where: str, problems: Sequence[Text], sound: Mapping[str, Path]) -> Checked:
    carried = {path: place for path, place in sound.items() if is_carried(spec, path)}
    inspection = inspect(spec, carried)
    texts = [*problems, *(item.text() for item in inspection.findings)]
    size = sum(place.stat().st_size for place in sound.values())
    return Checked(spec.name, where, tuple(texts), inspection, len(sound), size)
