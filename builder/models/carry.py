"""Carry models: convert what has to be converted, look into every file, and stage the rest with its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bundle import layout
from bundle.errors import BuildError
from bundle.manifest import Model
from bundle.text import Text

from ..cache import Cache
from ..plan import Artifact
from ..stage import StagedFile, from_cache, staged
from . import answers
from .answers import golden_answer
from .formats import Finding, Inspection, format_of, inspect
from .spec import ModelSpec, matches_any

PROVENANCE = "PROVENANCE.json"
Tell = Callable[[Text], None]


@dataclass(frozen=True)
class Content:
    """A model as it goes into the bundle: digest by path, what was converted, and what looking into it gave."""

    digests: dict[str, str]
    conversions: tuple[dict[str, Any], ...]
    inspection: Inspection


def stage_models(
    specs: Sequence[ModelSpec], artifacts: Sequence[Artifact], cache: Cache, tell: Tell | None = None
) -> tuple[list[StagedFile], tuple[Model, ...]]:
    """Stage every model below ``07_Models/``, from files that `fetch_models` has brought into the cache.

    `tell` is called with each step of a conversion, which may take minutes.

    Raises:
        BuildError: files that may not be carried, of all models together; or a conversion failed.
        IntegrityError: a cached file was not what its name says.
    """
    files: list[StagedFile] = []
    models: list[Model] = []
    refused: list[Text] = []
    for spec in sorted(specs, key=lambda item: item.name):
        content = content_of(spec, artifacts, cache, tell)
        refused += [_with_name(spec, item) for item in content.inspection.findings]
        folder = f"{layout.MODELS}/{spec.folder}"
        files += [
            from_cache(f"{folder}/{path}", cache, digest, "model", spec.name)
            for path, digest in sorted(content.digests.items())
        ]
        record = provenance(spec, content)
        files.append(staged(f"{folder}/{PROVENANCE}", record, "model", spec.name))
        models.append(Model(spec.name, spec.role, folder, spec.repository, spec.commit, spec.licence))
    if refused:
        raise refusal(refused)
    return files, tuple(models)


def require_convertible(specs: Sequence[ModelSpec], artifacts: Sequence[Artifact], cache: Cache) -> None:
    """Refuse before gigabytes are fetched that this machine cannot convert; earlier results count.

    Raises:
        BuildError: no interpreter can convert and the cache does not remember the result; told is how to get one.
    """
    wanting = [spec for spec in specs if spec.conversions]
    if not wanting:
        return
    from .convert import interpreter

    try:
        interpreter.find()
    except BuildError:
        for spec in wanting:
            _converted(spec, _fetched(spec, artifacts), cache)


def refusal(details: Sequence[Text]) -> BuildError:
    """Return the error that names every file of a model that may not be carried."""
    return BuildError(
        Text(
            f"반입할 수 없는 모델 파일: {len(details)}건",
            f"{len(details)} problem(s) with files of models that may not be carried",
        ),
        details=details,
        hint=Text(
            "docs/reference/model-formats.md: 변환하거나, 다른 모델을 고르거나, 이유를 적은 waiver를 두십시오",
            "docs/reference/model-formats.md: convert it, choose another model, or write a waiver with its reason",
        ),
    )


def content_of(
    spec: ModelSpec, artifacts: Sequence[Artifact], cache: Cache, tell: Tell | None = None
) -> Content:
    """Return what the bundle gets of one model, converting first; errors as of `stage_models`."""
    digests, conversions = _converted(spec, _fetched(spec, artifacts), cache, tell)
    carried = {path: digest for path, digest in digests.items() if is_carried(spec, path)}
    places: dict[str, Path] = {path: cache.path(digest) for path, digest in carried.items()}
    inspection = inspect(spec, places)
    empty = [pattern for pattern in spec.carry if not any(matches_any(path, [pattern]) for path in carried)]
    lacking = tuple(
        Finding(pattern, Text("carry에 맞는 파일이 없습니다", "'carry' names it, but there is no such file"))
        for pattern in empty
    )
    inspection = replace(inspection, findings=inspection.findings + lacking)
    # What may not be carried is not run either.
    answered = None if inspection.findings else golden_answer(spec, carried, cache, tell)
    if answered is not None:
        carried[answers.NAME] = answered.sha256
        conversions += (answered.record,)
    return Content(carried, conversions, inspection)


def _fetched(spec: ModelSpec, artifacts: Sequence[Artifact]) -> dict[str, str]:
    return {
        item.filename: item.sha256 for item in artifacts if item.kind == "model" and item.name == spec.name
    }


def _converted(
    spec: ModelSpec, fetched: Mapping[str, str], cache: Cache, tell: Tell | None = None
) -> tuple[dict[str, str], tuple[dict[str, Any], ...]]:
    """Return the digests of all files, those that conversions make included, and each conversion's record."""
    digests = dict(fetched)
    conversions = []
    for conversion in spec.conversions:
        from .convert.run import convert_cached

        known = {path: digests[path] for path in conversion.inputs}
        inputs = {path: cache.path(digest) for path, digest in known.items()}
        made = convert_cached(cache, conversion, inputs, digests=known, progress=tell)
        digests |= {item.name: item.sha256 for item in made.files}
        conversions.append(
            {
                "kind": conversion.kind,
                "precision": conversion.precision,
                "inputs": dict(sorted(made.inputs.items())),
                "outputs": {item.name: item.sha256 for item in made.files},
                "tools": made.tools,
                # Rounded, so that the last bit of another processor's arithmetic does not change the bundle.
                "measured": {name: round(value, 3) for name, value in made.measured.items()},
            }
        )
    return digests, tuple(conversions)


def is_carried(spec: ModelSpec, path: str) -> bool:
    """Return whether the bundle gets this file: wanted, and no pickle that is only read by a conversion."""
    if not spec.carries(path):
        return False
    return format_of(path) != "pickle" or path not in spec.converted_inputs() or spec.waived(path)


def provenance(spec: ModelSpec, content: Content) -> bytes:
    """Return the record that lies beside a model: the same bytes for the same model, conversions and tools."""
    document = {
        "name": spec.name,
        "role": spec.role,
        "repository": spec.repository,
        "commit": spec.commit,
        "licence": spec.licence,
        "licence_url": spec.licence_url,
        "fetched": {item.path: item.sha256 for item in spec.pins.files} if spec.pins else {},
        "conversions": list(content.conversions),
        "carried": content.digests,
        "waivers": [asdict(item) for item in spec.waivers],
        "waived": [{"path": i.path, "reason": i.reason.en} for i in content.inspection.waived],
        "review": [
            {"path": i.path, "what": i.what.en, "sha256": i.sha256} for i in content.inspection.reviews
        ],
    }
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _with_name(spec: ModelSpec, finding: Finding) -> Text:
    line = finding.text()
    return Text(f"{spec.name}/{line.ko}", f"{spec.name}/{line.en}")
