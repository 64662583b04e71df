"""A model as a person declares it: `manifests/models/NAME.toml`, and its pins in `checksums/models/NAME.json`.

The declaration says what is wanted and why it may be carried; the pins say which bytes. `models pin` writes
them. A model whose commit or digests are not written down is *unpinned*, and nothing is built from it.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import names
from bundle.atomic import write_atomic
from bundle.errors import UsageProblem
from bundle.text import Text

from ..inputs import MANIFESTS, REPOSITORY, check_keys, read_table

DECLARATIONS = MANIFESTS / "models"
PINS = REPOSITORY / "checksums" / "models"
ROLES = ("embedding", "reranker", "llm")
FORMATS = ("safetensors", "onnx", "gguf", "sentencepiece", "json", "text")
CONVERSIONS = ("safetensors", "bge-m3-onnx", "cross-encoder-onnx")
PRECISIONS = ("fp32", "int8")
# The repository of a model that only ever comes as a folder, as delivered weights do.
LOCAL = "local"
COMMIT = re.compile(r"[0-9a-f]{40}\Z")
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}\Z")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_COMMIT_LINE = re.compile(r'^commit = "[^"\n]*"$', re.MULTILINE)
_PIN_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Waiver:
    """Why a file may be carried that would otherwise be refused, and who decided so."""

    file: str
    reason: str
    by: str


@dataclass(frozen=True)
class Conversion:
    """One change of format, made on the build box before anything is carried.

    `kind` is one of `CONVERSIONS`:

    - ``safetensors``: each input is a pickle of tensors; the output at the same position holds the same
      tensors as safetensors. Nothing else happens to them.
    - ``bge-m3-onnx``: inputs are ``config.json``, ``tokenizer.json``, the encoder's weights and both head
      files; the first output is one ONNX graph with all three results, the others its external data
      (``.onnx.data``, fp32) and its golden vectors (``.json``).
    - ``cross-encoder-onnx``: inputs are ``config.json``, ``tokenizer.json`` and the weights of a sequence
      classifier; outputs as above.

    `inputs` are paths in the model's folder: pinned files, or outputs of an earlier conversion of the same
    model. `outputs` are the paths that the converter makes in the model's folder. `precision` is one of
    `PRECISIONS` and means something for the ONNX kinds only. A pickle that is an input needs no waiver: it
    is fetched and verified, but never carried.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    precision: str = "fp32"


@dataclass(frozen=True)
class PinnedFile:
    """One file of the repository at the pinned commit: path there, size in bytes, hexadecimal SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Pins:
    """What `models pin` wrote down: the commit (of a folder: the digest of its list) and every file."""

    repository: str
    commit: str
    files: tuple[PinnedFile, ...]


@dataclass(frozen=True)
class ModelSpec:
    """A declared model; `pins` is None while nobody has written its digests down.

    `files` are the paths to take from the repository, or patterns of them (``*`` crosses folders); each has to
    match something. `carry` are patterns of what goes into the bundle of these and of the conversions'
    outputs. `folder` is where that lies below ``07_Models``; `commit` is empty while unpinned.
    """

    name: str
    repository: str
    commit: str
    role: str
    licence: str
    licence_url: str
    gated: bool
    folder: str
    description: Text
    formats: tuple[str, ...]
    files: tuple[str, ...]
    carry: tuple[str, ...]
    waivers: tuple[Waiver, ...]
    conversions: tuple[Conversion, ...]
    pins: Pins | None

    @property
    def local(self) -> bool:
        """Return whether the model has no repository and comes as a folder."""
        return self.repository == LOCAL

    @property
    def pinned(self) -> bool:
        """Return whether commit and digests are written down and belong together."""
        return self.pins is not None and bool(self.commit) and self.pins.commit == self.commit

    @property
    def source(self) -> str:
        """Return where a person finds it: the repository's page, or ``local``."""
        return LOCAL if self.local else f"https://huggingface.co/{self.repository}"

    def waived(self, path: str) -> bool:
        """Return whether somebody took responsibility for carrying this file."""
        return any(item.file == path for item in self.waivers)

    def converted_inputs(self) -> frozenset[str]:
        """Return the files that some conversion reads."""
        return frozenset(path for item in self.conversions for path in item.inputs)

    def outputs(self) -> tuple[str, ...]:
        """Return every file that the conversions make, in their order."""
        return tuple(path for item in self.conversions for path in item.outputs)

    def carries(self, path: str) -> bool:
        """Return whether the bundle gets this file."""
        return matches_any(path, self.carry)


def matches_any(path: str, patterns: Iterable[str]) -> bool:
    """Return whether a path fits one of the patterns; case matters on every system."""
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def model_names() -> tuple[str, ...]:
    """Return the names of all declared models."""
    return tuple(sorted(path.stem for path in DECLARATIONS.glob("*.toml")))


def load_model(name: str) -> ModelSpec:
    """Read a model's declaration and its pins.

    Raises:
        UsageProblem: unknown model (the nearest name is told), a wrong key or value, or malformed pins.
    """
    data = read_table(DECLARATIONS, name, Text("모델", "model"))
    where = f"manifests/models/{name}.toml"
    waivers = _tables(data, "waivers", where)
    conversions = _tables(data, "conversions", where)
    required = {
        "name": str,
        "repository": str,
        "commit": str,
        "role": str,
        "licence": str,
        "licence_url": str,
        "gated": bool,
        "folder": str,
        "description_ko": str,
        "description_en": str,
        "formats": list,
        "files": list,
    }
    check_keys(data, required, {"carry": list}, where)
    for table in waivers:
        check_keys(table, {"file": str, "reason": str, "by": str}, {}, f"{where} [[waivers]]")
    for table in conversions:
        known = {"kind": str, "inputs": list, "outputs": list}
        check_keys(table, known, {"precision": str}, f"{where} [[conversions]]")
    spec = ModelSpec(
        name=data["name"],
        repository=data["repository"],
        commit=data["commit"],
        role=data["role"],
        licence=data["licence"],
        licence_url=data["licence_url"],
        gated=data["gated"],
        folder=data["folder"],
        description=Text(data["description_ko"], data["description_en"]),
        formats=tuple(data["formats"]),
        files=tuple(data["files"]),
        carry=tuple(data.get("carry", ("*",))),
        waivers=tuple(Waiver(**table) for table in waivers),
        conversions=tuple(_conversion(table) for table in conversions),
        pins=load_pins(name),
    )
    _check_values(spec, name, where)
    return spec


def load_pins(name: str) -> Pins | None:
    """Read ``checksums/models/NAME.json``; None when there is none.

    Raises:
        UsageProblem: it is not what `write_pins` writes.
    """
    path = PINS / f"{name}.json"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        if len(data) > _PIN_BYTES:
            raise ValueError("larger than the limit")
        document = json.loads(data.decode("utf-8"))
        files = tuple(
            PinnedFile(str(item["path"]), int(item["size"]), str(item["sha256"]))
            for item in document["files"]
        )
        wrong = [item.path for item in files if item.size < 0 or not SHA256.match(item.sha256)]
        if wrong or not files:
            raise ValueError(f"size or digest of {', '.join(wrong) or 'every file'}")
        return Pins(str(document["repository"]), str(document["commit"]), files)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageProblem(
            Text("모델의 고정 해시 파일을 읽을 수 없습니다", "the pinned digests of a model cannot be read"),
            where=f"checksums/models/{name}.json: {type(error).__name__}: {error}",
            hint=_pin_again(name),
        ) from error


def write_pins(name: str, pins: Pins) -> tuple[Path, Path]:
    """Write a model's digests and put its commit into its declaration; return both files.

    The digests go first: a crash in between leaves pins of another commit than the declaration's, which is
    refused, never a commit without digests.
    """
    PINS.mkdir(parents=True, exist_ok=True)
    place = PINS / f"{name}.json"
    files = [
        {"path": item.path, "size": item.size, "sha256": item.sha256}
        for item in sorted(pins.files, key=lambda item: item.path)
    ]
    lines = ",\n".join(f"  {json.dumps(item, ensure_ascii=False)}" for item in files)
    head = f' "repository": {json.dumps(pins.repository)},\n "commit": {json.dumps(pins.commit)},\n'
    write_atomic(place, f'{{\n{head} "files": [\n{lines}\n ]\n}}\n'.encode())
    declaration = DECLARATIONS / f"{name}.toml"
    text = declaration.read_text(encoding="utf-8")
    write_atomic(declaration, _COMMIT_LINE.sub(f'commit = "{pins.commit}"', text, count=1).encode())
    return declaration, place


def _pin_again(name: str) -> Text:
    command = f"create_enterprise_offline.py models pin {name}"
    return Text(f"다시 고정하십시오: {command}", f"pin it again: {command}")


def _tables(data: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """Take an array of tables out of `data`."""
    found = data.pop(key, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise _wrong(where, [Text(f"{key}: [[{key}]] 표가 아닙니다", f"{key}: not [[{key}]] tables")])
    return found


def _conversion(table: Mapping[str, Any]) -> Conversion:
    return Conversion(
        table["kind"], tuple(table["inputs"]), tuple(table["outputs"]), table.get("precision", "fp32")
    )


def _check_values(spec: ModelSpec, name: str, where: str) -> None:
    """Refuse values that no later step could make sense of; all of them at once."""
    details = []

    def refuse(key: str, value: object, known: Iterable[str] = ()) -> None:
        choice = f": {', '.join(known)}" if known else ""
        details.append(
            Text(f"{key}: 쓸 수 없는 값 {value!r}{choice}", f"{key}: not a usable value {value!r}{choice}")
        )

    if spec.name != name or not _NAME.match(spec.name):
        refuse("name", spec.name)
    if not spec.local and not _REPOSITORY.match(spec.repository):
        refuse("repository", spec.repository)
    if spec.role not in ROLES:
        refuse("role", spec.role, ROLES)
    if names.problem_with(spec.folder) is not None:
        refuse("folder", spec.folder)
    for item in spec.formats:
        if item not in FORMATS:
            refuse("formats", item, FORMATS)
    if not spec.files:
        refuse("files", [])
    known = [*spec.files]
    for conversion in spec.conversions:
        if conversion.kind not in CONVERSIONS:
            refuse("conversions.kind", conversion.kind, CONVERSIONS)
        if conversion.precision not in PRECISIONS:
            refuse("conversions.precision", conversion.precision, PRECISIONS)
        if not conversion.outputs or (
            conversion.kind == "safetensors" and len(conversion.outputs) != len(conversion.inputs)
        ):
            refuse("conversions.outputs", list(conversion.outputs))
        for path in conversion.inputs:
            if not matches_any(path, known):
                refuse("conversions.inputs", path, known)
        known += conversion.outputs
        for path in conversion.outputs:
            if names.problem_with(path) is not None:
                refuse("conversions.outputs", path)
    if details:
        raise _wrong(where, details)


def _wrong(where: str, details: list[Text]) -> UsageProblem:
    return UsageProblem(
        Text("모델 선언이 잘못되었습니다", "a model's declaration is wrong"), where=where, details=details
    )
