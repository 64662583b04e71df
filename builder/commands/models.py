"""``models``: list, pin, fetch, check and convert the models that a bundle may carry."""

from __future__ import annotations

import argparse
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import BuildError, UsageProblem
from bundle.text import Text, human_size, wording

if TYPE_CHECKING:
    from ..console import Console
    from ..models.check import Checked
    from ..models.hub import Hub
    from ..models.spec import ModelSpec
    from ..plan import Artifact

NAME = "models"


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    speaking: argparse.ArgumentParser,
    lang: str,
) -> None:
    """Add the command and its five verbs."""
    text = wording(lang)
    parser = commands.add_parser(
        NAME, help=text("모델: 목록, 고정, 받기, 검사, 변환", "models: list, pin, fetch, check, convert")
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="{list,pin,fetch,check,convert}")

    def verb(name: str, korean: str, english: str, many: str = "+") -> argparse.ArgumentParser:
        made = verbs.add_parser(name, parents=[speaking], help=text(korean, english))
        if many:
            made.add_argument("names", nargs=many, metavar="NAME", help="manifests/models")
        return made

    token = text(
        "접근 토큰 파일 (기본: HF_TOKEN 또는 'hf auth login')",
        "a file with the access token (default: HF_TOKEN, or 'hf auth login')",
    )
    folder = text("저장소 대신 이 폴더에서, 여러 번 가능", "take it from this folder, repeatable")
    verb("list", "선언된 모델 보기", "show the declared models", "")
    pin = verb("pin", "커밋과 파일별 SHA-256을 적기", "write down the commit and each file's SHA-256")
    pin.add_argument(
        "--commit",
        metavar="C",
        help=text("이 커밋 (기본: main의 현재 커밋)", "this commit (default: what main is now)"),
    )
    pin.add_argument(
        "--from",
        dest="folder",
        type=Path,
        metavar="DIR",
        help=text("허브 대신 이 폴더를 읽음", "read this folder instead of asking the hub"),
    )
    pin.add_argument("--token-file", type=Path, metavar="FILE", help=token)
    fetch = verb("fetch", "캐시로 받기", "bring them into the cache")
    fetch.add_argument("--token-file", type=Path, metavar="FILE", help=token)
    fetch.add_argument("--model", action="append", default=[], metavar="NAME=DIR", help=folder)
    check = verb("check", "해시와 형식을 다시 검사", "hash again, look into the formats again", "*")
    places = check.add_mutually_exclusive_group()
    places.add_argument(
        "--bundle", type=Path, metavar="DIR", help=text("푼 번들 안", "in an unpacked bundle")
    )
    places.add_argument("--folder", type=Path, metavar="DIR", help=text("이 폴더", "in this folder"))
    verb(
        "convert",
        "받은 가중치를 변환 (extra 'convert' 필요)",
        "convert what was fetched (needs the extra 'convert')",
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Run one verb."""
    runs = {"list": _list, "pin": _pin, "fetch": _fetch, "check": _check, "convert": _convert}
    runs[options.verb](options, console)
    return 0


def _list(options: argparse.Namespace, console: Console) -> None:
    from ..models.spec import load_model, model_names

    specs = [load_model(name) for name in model_names()]
    if options.json:
        console.result_json([_as_dict(spec) for spec in specs])
        return
    head = (
        Text("이름 역할 라이선스 동의필요 고정 크기", "name role licence gated pinned size")
        .to(console.lang)
        .split()
    )
    yes, no = Text("예", "yes").to(console.lang), Text("아니요", "no").to(console.lang)
    rows = [
        (
            spec.name,
            spec.role,
            spec.licence,
            yes if spec.gated else no,
            spec.commit[:12] if spec.pinned else no,
            human_size(_size(spec)) if spec.pinned else "-",
        )
        for spec in specs
    ]
    table = [tuple(head), *rows]
    widths = [max(_width(row[column]) for row in table) for column in range(len(head))]
    lines = [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]
    console.result("\n".join(line.rstrip() for line in lines))


def _width(cell: str) -> int:
    """Return the columns that a text takes on a terminal: Korean takes two for each letter."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in cell)


def _as_dict(spec: ModelSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "repository": spec.repository,
        "commit": spec.commit,
        "role": spec.role,
        "licence": spec.licence,
        "gated": spec.gated,
        "pinned": spec.pinned,
        "files": len(spec.pins.files) if spec.pins is not None else 0,
        "size": _size(spec),
        "waivers": [item.file for item in spec.waivers],
    }


def _size(spec: ModelSpec) -> int:
    return sum(item.size for item in spec.pins.files) if spec.pins is not None else 0


def _pin(options: argparse.Namespace, console: Console) -> None:
    from ..cache import open_default
    from ..models import pin, spec

    if options.folder is not None and len(options.names) != 1:
        raise UsageProblem(
            Text("--from은 모델 하나에만 씁니다", "--from is for one model"), where=" ".join(options.names)
        )
    specs = [spec.load_model(name) for name in options.names]
    for item in specs:
        console.stage(Text(f"{item.name} 고정", f"pinning {item.name}"), 0)
        if options.folder is not None:
            found = pin.pin_from_folder(item, options.folder, options.commit, console.advance)
        else:
            found = pin.pin_from_hub(item, _hub(options), open_default(), options.commit)
        places = spec.write_pins(item.name, found.pins)
        if options.json:
            console.result_json(
                {
                    "name": item.name,
                    "commit": found.pins.commit,
                    "files": [vars(file) for file in found.pins.files],
                    "written": [str(place) for place in places],
                    "refused": [finding.text().to(console.lang) for finding in found.findings],
                }
            )
            continue
        size = human_size(sum(file.size for file in found.pins.files))
        count = len(found.pins.files)
        lines = [f"{item.name} {found.pins.commit}"]
        lines += [f"  {file.sha256}  {human_size(file.size):>9}  {file.path}" for file in found.pins.files]
        lines.append(
            Text(
                f"  파일 {count}개, {size}. 검토하고 커밋하십시오:",
                f"  {count} files, {size}. Review and commit:",
            ).to(console.lang)
        )
        lines += [f"  {place}" for place in places]
        if found.findings:
            lines.append(
                Text("  이대로는 빌드가 거부합니다:", "  A build refuses it as it is:").to(console.lang)
            )
            lines += [f"  - {finding.text().to(console.lang)}" for finding in found.findings]
        console.result("\n".join(lines))


def _hub(options: argparse.Namespace) -> Hub:
    from ..models.hub import Hub, read_token

    return Hub(read_token(options.token_file) if options.token_file is not None else None)


def planned(names: Sequence[str], folders: Sequence[str]) -> list[Artifact]:
    """Return the artefacts of the named models; `folders` are ``NAME=DIR``.

    Raises:
        BuildError: obstacles, all of them.
    """
    from ..models.planning import folder_override, plan_models

    artifacts, obstacles = plan_models(names, dict(folder_override(word) for word in folders))
    if obstacles:
        raise BuildError(
            Text(
                f"모델을 담을 수 없습니다: {len(obstacles)}건",
                f"the models cannot be packed: {len(obstacles)} obstacle(s)",
            ),
            details=[item.text() for item in obstacles],
        )
    return artifacts


def _fetch(options: argparse.Namespace, console: Console) -> None:
    from ..cache import open_default
    from ..disk import Need, require_room
    from ..models.fetch import fetch_models, missing, room_needed
    from ..models.hub import read_token

    artifacts = planned(options.names, options.model)
    cache = open_default()
    wanted = sum(item.size for item in missing(cache, artifacts))
    token = read_token(options.token_file) if options.token_file is not None else None
    require_room([Need(cache.root, room_needed(cache, artifacts), Text("모델", "models"))])
    console.stage(Text("모델 내려받기", "downloading models"), wanted)
    fetch_models(cache, artifacts, console.advance, token)
    size = sum(item.size for item in artifacts)
    if options.json:
        console.result_json(
            {"models": options.names, "files": len(artifacts), "size": size, "fetched": wanted}
        )
    else:
        console.result(
            Text(
                f"파일 {len(artifacts)}개, {human_size(size)}가 캐시에 있습니다 (이번에 {human_size(wanted)})",
                f"{len(artifacts)} files, {human_size(size)}, are in the cache ({human_size(wanted)} of it new)",
            ).to(console.lang)
        )


def _check(options: argparse.Namespace, console: Console) -> None:
    from ..cache import open_default
    from ..models import check

    console.stage(Text("모델 검사", "checking models"), 0)
    if options.bundle is not None:
        found = check.check_bundle(options.bundle, options.names, console.advance)
    elif options.folder is not None:
        if len(options.names) != 1:
            raise UsageProblem(Text("--folder는 모델 하나에만 씁니다", "--folder is for one model"))
        found = [check.check_folder(_pinned(options.names[0]), options.folder, console.advance)]
    else:
        specs = [_pinned(name) for name in options.names] or check.pinned_models()
        cache = open_default()
        found = [check.check_cached(spec, cache, console.advance) for spec in specs]
    _show_checked(found, options.json, console)
    check.require_sound(found)


def _pinned(name: str) -> ModelSpec:
    """Return a model's declaration, which has to be pinned."""
    from ..models.planning import obstacles_of
    from ..models.spec import load_model

    spec = load_model(name)
    if not spec.pinned:
        raise BuildError(
            Text("모델을 검사할 수 없습니다", "the model cannot be checked"),
            details=[item.text() for item in obstacles_of(spec)],
        )
    return spec


def _show_checked(found: Sequence[Checked], as_json: bool, console: Console) -> None:
    if as_json:
        console.result_json(
            [
                {
                    "name": item.name,
                    "where": item.where,
                    "files": item.files,
                    "size": item.size,
                    "problems": [text.to(console.lang) for text in item.problems],
                    "review": [
                        {"path": r.path, "what": r.what.to(console.lang), "sha256": r.sha256}
                        for r in item.inspection.reviews
                    ],
                    "waived": [f.text().to(console.lang) for f in item.inspection.waived],
                }
                for item in found
            ]
        )
        return
    lines = [] if found else [Text("고정된 모델이 없습니다", "no model is pinned").to(console.lang)]
    for item in found:
        bad = Text(f"문제 {len(item.problems)}건", f"{len(item.problems)} problem(s)")
        verdict = (bad if item.problems else Text("이상 없음", "sound")).to(console.lang)
        lines.append(f"{item.name}: {verdict} ({item.files}, {human_size(item.size)})")
        lines += [f"  {r.path}: {r.what.to(console.lang)} sha256:{r.sha256}" for r in item.inspection.reviews]
        lines += [f"  waiver: {f.text().to(console.lang)}" for f in item.inspection.waived]
    console.result("\n".join(lines))


def _convert(options: argparse.Namespace, console: Console) -> None:
    from ..cache import open_default
    from ..models import carry
    from ..models.fetch import missing
    from ..models.spec import load_model

    artifacts = planned(options.names, ())
    cache = open_default()
    absent = missing(cache, artifacts)
    if absent:
        raise BuildError(
            Text("받지 않은 파일이 있습니다", "some files have not been fetched"),
            details=[Text(f"{item.name}/{item.filename}", f"{item.name}/{item.filename}") for item in absent],
            hint=Text(
                f"create_enterprise_offline.py models fetch {' '.join(options.names)}",
                f"create_enterprise_offline.py models fetch {' '.join(options.names)}",
            ),
        )
    documents = []
    for name in options.names:
        console.stage(Text(f"{name} 변환", f"converting {name}"), 0)
        content = carry.content_of(load_model(name), artifacts, cache, console.note)
        documents.append({"name": name, "conversions": list(content.conversions)})
    if options.json:
        console.result_json(documents)
        return
    lines = []
    for document in documents:
        lines.append(str(document["name"]))
        for made in document["conversions"]:
            lines += [
                f"  {made['kind']} {made['precision']}: {path} sha256:{digest}"
                for path, digest in made["outputs"].items()
            ]
    console.result("\n".join(lines))
