"""The page: head, overview and eleven sections, filled into its template.

It loads nothing, runs nothing, and is the same bytes from the same bundle. Every word of strangers goes
through `markup`, which escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from bundle.manifest import FileEntry
from bundle.text import Text, human_size

from .. import tables
from ..components import Inventory
from ..subject import Subject
from . import checks, packages, risks
from .markup import Markup, folded, items, join, number, table, tag

_HERE = Path(__file__).resolve().parent
_KINDS = {
    "wheel": Text("파이썬 패키지", "Python packages"),
    "model": Text("모델 가중치", "model weights"),
    "uv": Text("설치 도구 uv", "the installing tool uv"),
    "interpreter": Text("파이썬 인터프리터", "Python interpreter"),
    "source": Text("프로젝트 소스", "the project's source"),
    "config": Text("기본 설정", "default configuration"),
    "installer": Text("설치 프로그램", "installer"),
    "validator": Text("검증·복구 프로그램", "validator and recovery"),
    "document": Text("문서", "documents"),
    "requirements": Text("고정 버전 목록", "pinned requirements"),
    "checksums": Text("체크섬", "checksums"),
    "advisories": Text("취약점 자료", "advisory snapshot"),
    "trust": Text("서명 키 기록", "trust records"),
}
_PLACES = {
    "local": Text("빌드한 곳에서 준 파일", "a file given on the build box"),
    "this project": Text("이 프로젝트", "this project"),
    "this builder": Text("이 빌더", "this builder"),
}


def to_bytes(subject: Subject, inventory: Inventory, files: Sequence[FileEntry]) -> bytes:
    """Return the dossier; `files` are all files of the bundle but the dossier itself."""
    sections: list[tuple[str, Text, Callable[[], Markup]]] = [
        ("contents", Text("무엇이 들어 있나", "What is inside"), lambda: _contents(files)),
        ("origins", Text("어디에서 왔나", "Where it came from"), lambda: _origins(subject, inventory)),
        ("vulnerabilities", Text("알려진 취약점", "Known vulnerabilities"), lambda: risks.advisories(subject)),
        ("licences", Text("라이선스", "Licences"), lambda: risks.licences(inventory)),
        ("packages", Text("패키지와 그 성질", "Packages and what they can do"), lambda: packages.packages(inventory)),
        ("builds", Text("소스에서 빌드한 것", "Built from sources"), lambda: packages.builds(inventory)),
        ("models", Text("모델", "Models"), lambda: packages.models(inventory)),
        ("signature", Text("서명과 유효 기간", "Signature and validity"), lambda: checks.signature(subject)),
        ("checking", Text("직접 확인하는 방법", "How to check it yourself"), lambda: checks.commands(subject)),
        ("limits", Text("이 문서가 말하지 못하는 것", "What this dossier cannot say"), lambda: checks.limits(subject)),
        ("files", Text("모든 파일의 해시", "Every file and its hash"), lambda: _files(files)),
    ]  # fmt: skip
    body = [_head(subject), _overview(subject, inventory, files), _index([item[:2] for item in sections])]
    for place, (name, title, make) in enumerate(sections, start=1):
        body.append(tag("section", tag("h2", f"{place}. ", title), make(), id=name))
    page = (_HERE / "page.html").read_text(encoding="utf-8")
    parts = {
        "title": join(f"{subject.plan.project.name} {subject.plan.project.version} - review"),
        "style": (_HERE / "page.css").read_text(encoding="utf-8").strip(),
        "body": Markup("\n".join(body)),
    }
    # Split, not replaced one after the other: contents may hold the name of a place.
    pieces = page.replace("{{", "\0{{").replace("}}", "}}\0").split("\0")
    filled = "".join(parts[piece[2:-2]] if piece.startswith("{{") else piece for piece in pieces)
    return filled.encode("utf-8", "replace")


def _head(subject: Subject) -> Markup:
    plan = subject.plan
    created = datetime.fromtimestamp(subject.epoch, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return join(
        tag("h1", Text("반입 심사 자료", "Review dossier"), f": {plan.project.name} {plan.project.version}"),
        tag(
            "p",
            Text("폐쇄망 반입 번들", "bundle for a closed network"),
            f" · {plan.target.name} · Python {', '.join(plan.target.pythons)} · ",
            Text("프로파일", "profile"),
            f" {plan.profile.name} · ",
            Text("소스 시각", "sources of"),
            f" {created}",
            class_="sub",
        ),
    )


def _overview(subject: Subject, inventory: Inventory, files: Sequence[FileEntry]) -> Markup:
    wheels = inventory.of_kind("wheel", "project")
    cards = [
        (human_size(sum(entry.size for entry in files)), Text("전체 크기", "in all")),
        (str(len(files)), Text("파일", "files")),
        (str(len({(item.name, item.version) for item in wheels})), Text("파이썬 패키지", "Python packages")),
        (str(len(inventory.of_kind("model"))), Text("모델", "models")),
        (str(inventory.flagged_count), Text("살펴볼 라이선스", "licences to look at")),
        (str(sum(1 for item in wheels if item.build)), Text("여기서 빌드한 휠", "wheels built from sources")),
        (str(sum(1 for item in wheels if item.facts and item.facts.native)), Text("기계어를 담은 휠", "wheels with native code")),
        (str(subject.sequence), Text("순번", "sequence")),
    ]  # fmt: skip
    return join(
        risks.verdict(subject),
        tag("div", *(tag("div", tag("b", value), label) for value, label in cards), class_="cards"),
    )


def _index(sections: Sequence[tuple[str, Text]]) -> Markup:
    return tag("nav", tag("ol", *(tag("li", tag("a", title, href=f"#{name}")) for name, title in sections)))


def _contents(files: Sequence[FileEntry]) -> Markup:
    folders = _grouped([(entry.path.split("/")[0], entry.size) for entry in files])
    kinds = _grouped([(entry.kind, entry.size) for entry in files])
    return join(
        _bars(Text("폴더", "folder"), [(tag("code", name), *figures) for name, figures in folders.items()]),
        _bars(Text("종류", "kind"), [(_KINDS.get(name, name), *figures) for name, figures in kinds.items()]),
    )


def _grouped(pairs: Sequence[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for name, size in pairs:
        count, total = found.get(name, (0, 0))
        found[name] = (count + 1, total + size)
    return dict(sorted(found.items()))


def _bars(label: Text, rows: Sequence[tuple[str | Text | Markup, int, int]]) -> Markup:
    most = max([size for _, _, size in rows], default=0) or 1
    return table(
        [label, number(Text("개수", "count")), number(Text("크기", "size")), ""],
        (
            [
                name,
                number(str(count)),
                number(human_size(size)),
                tag("span", tag("i", style=f"width:{max(size * 100 / most, 0.5):.1f}%"), class_="bar"),
            ]
            for name, count, size in rows
        ),
    )


def _origins(subject: Subject, inventory: Inventory) -> Markup:
    found = tables.origins(inventory)
    return join(
        tag(
            "p",
            Text(
                "모든 파일은 잠금 파일이나 모델 고정 목록에 적힌 SHA-256과 맞는지 확인한 뒤에만 담았습니다. 출처의 자격 증명과 빌드한 컴퓨터의 폴더 이름은 적지 않습니다.",
                "Every file was compared with the SHA-256 that the lock or the model's pins name before it was packed. Credentials and folders of the build box are not written down.",
            ),
        ),
        items(subject.plan.notes) if subject.plan.notes else "",
        _bars(
            Text("출처", "origin"), [(_PLACES.get(name, name), *figures) for name, figures in found.items()]
        ),
    )


def _files(files: Sequence[FileEntry]) -> Markup:
    rows = (
        [
            tag("span", entry.path, class_="path"),
            number(f"{entry.size:,}"),
            tag("span", entry.sha256, class_="hash"),
        ]
        for entry in files
    )
    listing = table([Text("파일", "file"), number(Text("바이트", "bytes")), "SHA-256"], rows, "files")
    title = Text(f"파일 {len(files)}개", f"{len(files)} files")
    note = Text(
        "이 문서 자신과 MANIFEST.json은 아래에 없습니다: 그 해시는 checksums.sha256에 있습니다.",
        "This page itself and MANIFEST.json are not below: their hashes stand in checksums.sha256.",
    )
    return join(tag("p", note), folded("files", title, listing))
