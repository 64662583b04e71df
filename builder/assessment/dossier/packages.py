"""The packages and models of the dossier: what each can do, what it was built from, what it lacks."""

from __future__ import annotations

from bundle.text import Text, human_size

from .. import places
from ..components import Component, Inventory
from .markup import Markup, folded, items, join, number, pairs, table, tag


def packages(inventory: Inventory) -> Markup:
    """Return the wheels with native code, code that runs unasked, and commands; then oddities."""
    wheels = inventory.of_kind("project", "wheel", "uv")
    native = [item for item in wheels if item.facts and item.facts.native]
    starting = [item for item in wheels if item.facts and item.facts.at_start]
    parts = [
        tag(
            "p",
            Text(
                f"휠 {len(wheels)}개를 열어 RECORD의 모든 해시를 확인하고 아래를 읽었습니다. {len(native)}개에 기계어(.so 등)가 있습니다.",
                f"{len(wheels)} wheels were opened, every hash of their RECORD was checked, and the following was read. {len(native)} hold native code (.so and the like).",
            ),
        )
    ]
    if starting:
        parts.append(
            tag(
                "h3",
                Text(
                    "파이썬이 시작할 때 저절로 실행되는 파일",
                    "Files that Python runs by itself when it starts",
                ),
            )
        )
        parts.append(items(f"{item.name} {item.version}: {', '.join(_starts(item))}" for item in starting))
    else:
        parts.append(
            tag(
                "p",
                Text(
                    "파이썬이 시작할 때 저절로 실행되는 파일(.pth, sitecustomize)을 담은 휠은 없습니다.",
                    "No wheel holds a file that Python runs by itself when it starts (.pth, sitecustomize).",
                ),
                class_="good",
            )
        )
    parts += [_missing(inventory), _complaints(inventory)]
    listing = table(
        [
            Text("패키지", "package"), Text("파이썬", "Python"), Text("출처", "origin"), Text("기계어", "native code"),
            Text("명령", "commands"), Text("필요로 하는 것", "needs"),
        ],
        (_row(item, inventory) for item in wheels),
        "packages",
    )  # fmt: skip
    return join(*parts, folded("packages", Text(f"휠 {len(wheels)}개", f"{len(wheels)} wheels"), listing))


def builds(inventory: Inventory) -> Markup:
    """Return what was built here instead of published by an index."""
    built = [item for item in inventory.components if item.build is not None]
    if not built:
        return tag(
            "p",
            Text(
                "모든 휠은 색인이 배포한 그대로입니다 (프로젝트 자신은 제외).",
                "Every wheel is as its index publishes it (save the project's own).",
            ),
        )
    return join(
        tag(
            "p",
            Text(
                "다음은 색인이 휠을 배포하지 않아, 빌드한 컴퓨터에서 격리된 환경으로 만들었습니다. 폐쇄망에서는 아무것도 빌드하지 않습니다.",
                "No index publishes these as wheels; they were built in an isolated environment on the build box. Nothing is built on the isolated side.",
            ),
        ),
        table(
            [Text("휠", "wheel"), Text("소스와 해시", "source and its hash"), Text("빌드 도구", "built with")],
            ([_file_name(item), _origin(item), ", ".join(_requires(item)) or Text("기록 없음", "not recorded")] for item in built),
        ),
    )  # fmt: skip


def models(inventory: Inventory) -> Markup:
    """Return the models with repository, commit, terms, waivers and conversions."""
    found = inventory.of_kind("model")
    if not found:
        return tag("p", Text("모델 가중치를 담지 않은 번들입니다.", "The bundle carries no model weights."))
    return join(*(_model(item) for item in found))


def _model(item: Component) -> Markup:
    carried = item.model
    if carried is None:
        return join()
    model = carried.model
    local = model.source == "local"
    rows: list[tuple[Text, str | Text | Markup]] = [
        (Text("쓰임", "role"), model.role),
        (Text("저장소", "repository"), Text("로컬 폴더", "a local folder") if local else item.source),
        (Text("폴더 목록의 해시", "digest of the folder") if local else Text("커밋", "commit"), tag("span", model.revision, class_="hash")),
        (Text("라이선스", "licence"), join(model.licence, tag("div", carried.licence_url, class_="dim path"))),
        (Text("크기", "size"), Text(f"{human_size(item.size)}, 파일 {len(item.files)}개", f"{human_size(item.size)}, files: {len(item.files)}")),
        (Text("접근 승인", "gated"), Text("필요했음", "yes") if carried.gated else Text("필요 없음", "no")),
        (Text("면제", "waivers"), items(carried.waivers) if carried.waivers else Text("없음", "none")),
        (Text("변환", "conversions"), items(carried.conversions) if carried.conversions else Text("없음, 받은 그대로", "none, as published")),
    ]  # fmt: skip
    files = table(
        [Text("파일", "file"), number(Text("크기", "size")), "SHA-256"],
        (
            [
                tag("span", entry.path, class_="path"),
                number(human_size(entry.size)),
                tag("span", entry.sha256, class_="hash"),
            ]
            for entry in item.files
        ),
        "files",
    )
    return join(tag("h3", f"{model.name}"), pairs(rows), files)


def _row(item: Component, inventory: Inventory) -> list[str | Text | Markup]:
    facts = item.facts
    names = {other.ref: other.name for other in inventory.components}
    needs = sorted({names[ref] for ref in item.requires})
    native = facts.native if facts else ()
    return [
        join(tag("b", f"{item.name} {item.version}"), tag("div", facts.summary if facts else "", class_="dim"), tag("div", _file_name(item), class_="hash")),
        ", ".join(item.pythons),
        _where(item),
        f"{len(native)} ({human_size(facts.native_bytes)})" if facts and native else Text("없음", "none"),
        ", ".join(facts.commands) if facts and facts.commands else "",
        ", ".join(needs),
    ]  # fmt: skip


def _missing(inventory: Inventory) -> Markup:
    lacking = [item for item in inventory.components if item.missing]
    if not lacking:
        return join()
    return join(
        tag("h3", Text("메타데이터가 요구하지만 담지 않은 것", "Asked for by metadata, but not carried")),
        tag(
            "p",
            Text(
                "잠금 파일이 일부러 뺀 것일 수 있습니다 (override).",
                "The lock may have left them out on purpose (an override).",
            ),
        ),
        items(f"{item.name} {item.version}: {', '.join(item.missing)}" for item in lacking),
    )


def _complaints(inventory: Inventory) -> Markup:
    odd = [item for item in inventory.components if item.facts and item.facts.complaints]
    if not odd:
        return join()
    return join(
        tag("h3", Text("읽지 못한 것", "What could not be read")),
        items(
            f"{item.name} {item.version}: {'; '.join(item.facts.complaints)}" for item in odd if item.facts
        ),
    )


def _starts(item: Component) -> tuple[str, ...]:
    return item.facts.at_start if item.facts else ()


def _requires(item: Component) -> tuple[str, ...]:
    return item.build.requires if item.build else ()


def _file_name(item: Component) -> str:
    return item.ref.partition(":")[2]


def _where(item: Component) -> str | Text:
    if item.build is not None:
        return Text("여기서 빌드", "built here")
    if item.kind == "project":
        return Text("이 프로젝트", "this project")
    return places.host(item.source)


def _origin(item: Component) -> Markup:
    if item.build is None:
        return join()
    return join(
        tag("span", places.shown(item.build.source), class_="path"),
        tag("div", f"sha256:{item.build.source_sha256}", class_="hash"),
    )
