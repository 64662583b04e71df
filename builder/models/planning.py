"""Plan models: from names to the artefacts that are fetched, and everything that stands in the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle.errors import UsageProblem
from bundle.text import Text

from ..plan import Artifact, Obstacle
from .formats import name_findings
from .hub import Place
from .spec import COMMIT, SHA256, ModelSpec, load_model, matches_any

NO_OVERRIDES: Mapping[str, Path] = {}


def plan_models(
    names: Sequence[str], overrides: Mapping[str, Path] = NO_OVERRIDES
) -> tuple[list[Artifact], list[Obstacle]]:
    """Return the files of the named models as artefacts, and all obstacles together.

    Args:
        names: declared models, in any order; each is planned once.
        overrides: folders that files come from instead of the repository, by model; pins hold all the same.

    Raises:
        UsageProblem: an unknown model, a folder for a model that is not asked for, or a wrong declaration.
    """
    wanted = tuple(dict.fromkeys(names))
    strangers = sorted(set(overrides) - set(wanted))
    if strangers:
        raise UsageProblem(
            Text("고르지 않은 모델의 폴더입니다", "a folder is given for a model that is not packed"),
            where=", ".join(f"--model {name}" for name in strangers),
            hint=Text(f"담을 모델: {', '.join(wanted) or '-'}", f"packed are: {', '.join(wanted) or 'none'}"),
        )
    artifacts: list[Artifact] = []
    obstacles: list[Obstacle] = []
    specs = [load_model(name) for name in wanted]
    for spec in specs:
        found = obstacles_of(spec, overrides.get(spec.name))
        obstacles += found
        if spec.pins is not None and not found:
            artifacts += _artifacts(spec, overrides.get(spec.name))
    return artifacts, obstacles + _shared_folders(specs)


def obstacles_of(spec: ModelSpec, folder: Path | None = None) -> list[Obstacle]:
    """Return everything that keeps a model from being packed, as far as names and pins tell."""
    found = _pin_obstacles(spec)
    if found or spec.pins is None:
        return found
    paths = [item.path for item in spec.pins.files]
    found += [
        _obstacle(
            spec,
            item.text(),
            _WAIVE
            if item.waivable
            else Text("저장소와 'files'를 확인하십시오", "look at the repository and at 'files'"),
        )
        for item in name_findings(paths, spec)
    ]
    missing = [pattern for pattern in spec.files if not any(matches_any(path, [pattern]) for path in paths)]
    found += [
        _obstacle(
            spec,
            Text(f"고정된 파일 가운데 {item!r}이 없습니다", f"no pinned file matches {item!r}"),
            _pin(spec),
        )
        for item in missing
    ]
    for conversion in spec.conversions:
        known = {*paths, *spec.outputs()}
        for path in conversion.inputs:
            if path not in known:
                reason = Text(
                    f"변환할 파일 {path!r}이 없습니다", f"the file to convert, {path!r}, is not pinned"
                )
                found.append(_obstacle(spec, reason, _pin(spec)))
    if not found:
        found += _folder_obstacles(spec, folder)
    return found


def _pin_obstacles(spec: ModelSpec) -> list[Obstacle]:
    form = SHA256 if spec.local else COMMIT
    if not spec.commit and spec.pins is None:
        return [_obstacle(spec, Text("고정되지 않은 모델입니다", "the model is not pinned"), _pin(spec))]
    if not form.match(spec.commit):
        return [
            _obstacle(
                spec,
                Text(
                    f"커밋이 아니라 바뀔 수 있는 이름입니다: {spec.commit!r}",
                    f"a revision that may change, not a commit: {spec.commit!r}",
                ),
                _pin(spec),
            )
        ]
    if spec.pins is None:
        return [
            _obstacle(
                spec, Text("파일의 해시가 없습니다", "the digests of its files are missing"), _pin(spec)
            )
        ]
    if (spec.pins.commit, spec.pins.repository) != (spec.commit, spec.repository):
        return [
            _obstacle(
                spec,
                Text(
                    f"고정 해시는 다른 커밋의 것입니다: {spec.pins.repository}@{spec.pins.commit}",
                    f"the digests are of {spec.pins.repository}@{spec.pins.commit}",
                ),
                _pin(spec),
            )
        ]
    return []


def _folder_obstacles(spec: ModelSpec, folder: Path | None) -> list[Obstacle]:
    if folder is None:
        if not spec.local:
            return []
        remedy = Text(f"--model {spec.name}=폴더", f"--model {spec.name}=DIR")
        return [
            _obstacle(spec, Text("폴더로만 전달되는 모델입니다", "the model only comes as a folder"), remedy)
        ]
    pins = spec.pins.files if spec.pins is not None else ()
    if not folder.is_dir():
        reason = Text(f"폴더가 없습니다: {folder}", f"there is no such folder: {folder}")
        return [_obstacle(spec, reason, Text("경로를 확인하십시오", "check the path"))]
    found = []
    for item in pins:
        place = folder / item.path
        if not place.is_file():
            reason = Text(f"폴더에 {item.path!r}이 없습니다", f"the folder does not hold {item.path!r}")
        elif place.stat().st_size != item.size:
            reason = Text(
                f"폴더의 {item.path!r}은 크기가 다릅니다", f"the folder's {item.path!r} has another size"
            )
        else:
            continue
        found.append(_obstacle(spec, reason, Text("올바른 폴더를 지정하십시오", "give the right folder")))
    return found


def _artifacts(spec: ModelSpec, folder: Path | None) -> list[Artifact]:
    assert spec.pins is not None
    reason = f"{spec.role}: {spec.description.en}"
    return [
        Artifact(
            kind="model",
            name=spec.name,
            version=spec.commit,
            filename=item.path,
            source=(
                Place(spec.repository, spec.commit, item.path).url
                if folder is None
                else (folder.absolute() / item.path).as_uri()
            ),
            sha256=item.sha256,
            size=item.size,
            pythons=(),
            reason=reason,
        )
        for item in sorted(spec.pins.files, key=lambda item: item.path)
    ]


def _shared_folders(specs: Sequence[ModelSpec]) -> list[Obstacle]:
    owners: dict[str, str] = {}
    found = []
    for spec in specs:
        owner = owners.setdefault(spec.folder.casefold(), spec.name)
        if owner != spec.name:
            reason = Text(
                f"{owner}와 같은 폴더 {spec.folder!r}를 씁니다",
                f"wants the folder {spec.folder!r}, as {owner} does",
            )
            remedy = Text("역할마다 모델 하나를 고르십시오", "choose one model for each role")
            found.append(_obstacle(spec, reason, remedy))
    return found


def _obstacle(spec: ModelSpec, reason: Text, remedy: Text) -> Obstacle:
    return Obstacle(spec.name, spec.commit[:12], reason, remedy)


_WAIVE = Text(
    "다른 모델을 고르거나, 책임질 사람이 manifests/models에 [[waivers]]로 이유를 적으십시오",
    "choose another model, or let who answers for it write a reason under [[waivers]] in manifests/models",
)


def _pin(spec: ModelSpec) -> Text:
    command = f"create_enterprise_offline.py models pin {spec.name}"
    if spec.local:
        return Text(f"{command} --from 폴더", f"{command} --from DIR")
    return Text(command, command)


def folder_override(word: str) -> tuple[str, Path]:
    """Split ``NAME=DIR`` of ``--model``.

    Raises:
        UsageProblem: it has another form.
    """
    name, sign, folder = word.partition("=")
    if not (name and sign and folder):
        raise UsageProblem(
            Text("--model은 이름=폴더 형식입니다", "--model has the form NAME=DIR"), where=f"--model {word}"
        )
    return name, Path(folder).expanduser()
