"""What of a model may be carried: decided by name first, then by looking inside; all problems together.

Weights as safetensors, ONNX or GGUF, tokenizers, JSON and text. Nothing that runs when it is loaded: no
pickles, whatever they are called, no Python, no configuration that names Python. A waiver in the model's
declaration lets a named file through, with its reason and who gave it, which the bundle records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from bundle import names
from bundle.text import Text

from .readers import documents, gguf, onnx, pickles, safetensors, sentencepiece
from .readers.errors import Malformed
from .spec import ModelSpec

_CODE = (
    ".py",
    ".pyc",
    ".pyd",
    ".pyx",
    ".so",
    ".dll",
    ".dylib",
    ".exe",
    ".sh",
    ".bat",
    ".cmd",
    ".ps1",
    ".ipynb",
)
_SUFFIXES = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".onnx_data": "onnx",
    ".data": "onnx",
    ".gguf": "gguf",
    ".json": "json",
    ".txt": "text",
    ".md": "text",
    ".jinja": "text",
    ".model": "sentencepiece",
}
_PLAIN = frozenset({"license", "licence", "notice", "readme", "copying", "use_policy", ".gitattributes"})


@dataclass(frozen=True)
class Finding:
    """One reason why a file is refused; a waiver for it may let the file through."""

    path: str
    reason: Text
    waivable: bool = False

    def text(self) -> Text:
        """Return the finding as one line."""
        return Text(f"{self.path}: {self.reason.ko}", f"{self.path}: {self.reason.en}")


@dataclass(frozen=True)
class Review:
    """Something that is carried and that a reviewer has to read: what it is, and its SHA-256."""

    path: str
    what: Text
    sha256: str


@dataclass(frozen=True)
class Inspection:
    """What looking at a model's files gave: refusals, what a reviewer has to read, waivers that were used."""

    findings: tuple[Finding, ...]
    reviews: tuple[Review, ...]
    waived: tuple[Finding, ...]


def format_of(path: str) -> str:
    """Return the format that a name promises: one of `spec.FORMATS`, ``pickle``, ``code``, or empty."""
    pure = PurePosixPath(path)
    suffix = pure.suffix.lower()
    if suffix in pickles.SUFFIXES:
        return "pickle"
    if suffix in _CODE:
        return "code"
    if pure.name.lower() in _PLAIN:
        return "text"
    return _SUFFIXES.get(suffix, "")


def name_findings(paths: Iterable[str], spec: ModelSpec) -> list[Finding]:
    """Return what is wrong with the names alone: tricks, collisions, and formats that are not carried.

    Pickles that a conversion reads are allowed here: they are fetched and verified, but not carried.
    """
    listed = list(paths)
    found = []
    for path in listed:
        problem = names.problem_with(path)
        if problem is not None:
            found.append(Finding(path, problem))
    found += [
        Finding(path, Text("다른 이름과 충돌합니다", "collides with another name"))
        for path in names.colliding(listed)
    ]
    return found + [item for path in listed if (item := _format_finding(path, spec)) is not None]


def _format_finding(path: str, spec: ModelSpec) -> Finding | None:
    kind = format_of(path)
    if kind == "pickle":
        if path in spec.converted_inputs() or spec.waived(path) or not spec.carries(path):
            return None
        return Finding(
            path, Text("피클 형식입니다 (읽으면 코드가 실행됨)", "a pickle: reading it runs code"), True
        )
    if kind == "code":
        if spec.waived(path):
            return None
        return Finding(path, Text("실행되는 코드입니다", "code that would be run"), True)
    if not kind:
        return Finding(path, Text("알 수 없는 형식입니다", "of no known format"))
    if kind not in spec.formats:
        return Finding(
            path,
            Text(f"선언에 없는 형식 {kind}입니다", f"of format {kind}, which the declaration does not list"),
        )
    return None


def inspect(spec: ModelSpec, files: Mapping[str, Path]) -> Inspection:
    """Look into the files that are to be carried, given by their path in the model's folder.

    Every file is opened and walked in bounded memory; none is loaded.
    """
    found = name_findings(files, spec)
    reviews: list[Review] = []
    waived: list[Finding] = []
    seen = {item.path for item in found}
    for path, place in sorted(files.items()):
        if path in seen:
            continue
        problems: list[Finding] = []
        with place.open("rb") as stream:
            size = place.stat().st_size
            _look(path, stream, size, files, problems, reviews)
        for item in problems:
            (waived if item.waivable and spec.waived(item.path) else found).append(item)
    return Inspection(tuple(found), tuple(reviews), tuple(waived))


def code_findings(spec: ModelSpec, files: Mapping[str, Path]) -> list[Finding]:
    """Return the code that configurations name, unless waived: what pinning can already tell of small files."""
    found = []
    for path, place in sorted(files.items()):
        if format_of(path) != "json" or spec.waived(path):
            continue
        with place.open("rb") as stream:
            try:
                facts = documents.check_json(stream, place.stat().st_size, path)
            except Malformed as error:
                found.append(Finding(path, error.text))
                continue
        found += [Finding(path, reason, True) for reason in facts.code]
    return found


def _look(
    path: str,
    stream: BinaryIO,
    size: int,
    files: Mapping[str, Path],
    problems: list[Finding],
    reviews: list[Review],
) -> None:
    """Check one file by the reader of its format and note what it finds."""
    kind = format_of(path)
    pickled = pickles.recognise(stream)
    if pickled is not None or kind == "pickle":
        problems.append(Finding(path, pickled or Text("피클 형식입니다", "a pickle by its name"), True))
        return
    if kind == "code":
        problems.append(Finding(path, Text("실행되는 코드입니다", "code that would be run"), True))
        return
    try:
        if kind == "safetensors":
            safetensors.check(stream, size)
        elif kind == "gguf":
            _review_template(path, gguf.check(stream, size).chat_template, reviews)
        elif kind == "sentencepiece":
            sentencepiece.check(stream, size)
        elif kind == "json":
            _look_json(path, documents.check_json(stream, size, path), files, problems, reviews)
        elif kind == "text":
            documents.check_text(stream, size)
            if path.endswith(".jinja"):
                stream.seek(0)
                _review_template(path, stream.read().decode("utf-8"), reviews)
        elif path.endswith(".onnx"):
            _look_onnx(path, onnx.check(stream, size), files, problems, reviews)
        else:
            problems += _unnamed_data(path, files)
    except Malformed as error:
        problems.append(Finding(path, error.text))


def _look_json(
    path: str,
    facts: documents.Facts,
    files: Mapping[str, Path],
    problems: list[Finding],
    reviews: list[Review],
) -> None:
    problems += [Finding(path, reason, True) for reason in facts.code]
    _review_template(path, facts.chat_template, reviews)
    for shard in sorted(facts.shards):
        if _beside(path, shard) not in files:
            problems.append(
                Finding(
                    path, Text(f"조각 {shard!r}이 없습니다", f"names the shard {shard!r}, which is missing")
                )
            )


def _look_onnx(
    path: str, facts: onnx.Facts, files: Mapping[str, Path], problems: list[Finding], reviews: list[Review]
) -> None:
    for location in sorted({item.location for item in facts.external}):
        place = files.get(_beside(path, location)) if names.problem_with(location) is None else None
        if place is None:
            problems.append(
                Finding(
                    path,
                    Text(
                        f"외부 데이터 {location!r}가 폴더 밖이거나 없습니다",
                        f"its external data {location!r} is missing or outside the folder",
                    ),
                )
            )
            continue
        size = place.stat().st_size
        if any(i.offset + i.length > size for i in facts.external if i.location == location):
            problems.append(
                Finding(
                    path,
                    Text(
                        f"외부 데이터 {location!r}가 짧습니다", f"its external data {location!r} is too short"
                    ),
                )
            )
    if facts.foreign:
        listed = ", ".join(facts.foreign)
        reviews.append(
            Review(path, Text(f"사용자 정의 연산자 {listed}", f"operators of the domain {listed}"), "")
        )


def _unnamed_data(path: str, files: Mapping[str, Path]) -> list[Finding]:
    """Refuse external data beside which no graph lies: nothing could have checked its use."""
    folder = PurePosixPath(path).parent
    if any(item.endswith(".onnx") and PurePosixPath(item).parent == folder for item in files):
        return []
    return [
        Finding(path, Text("이 데이터를 쓰는 ONNX 그래프가 없습니다", "no ONNX graph lies beside this data"))
    ]


def _review_template(path: str, template: str, reviews: list[Review]) -> None:
    if template:
        digest = hashlib.sha256(template.encode("utf-8")).hexdigest()
        reviews.append(Review(path, Text("채팅 템플릿 (Jinja)", "chat template (Jinja)"), digest))


def _beside(path: str, name: str) -> str:
    folder = PurePosixPath(path).parent.as_posix()
    return name if folder == "." else f"{folder}/{name}"
