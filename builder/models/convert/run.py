"""The door of the conversions: convert once, remember, and say what came from what.

A conversion's result is a function of its inputs' digests, its outputs' names, our converter's version and
the versions of the libraries. It is kept in the content-addressed cache under that key, so a second build
neither converts nor reads the inputs again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bundle.errors import BuildError, IntegrityError
from bundle.hashing import copy_hashed, sha256_bytes, sha256_file
from bundle.text import Text

from ...cache import Cache, open_default
from ..spec import Conversion
from . import child, interpreter
from .job import CONVERTER_VERSION, Job, Report


@dataclass(frozen=True)
class ConvertedFile:
    """One output: its path in the model's folder, and its content as the cache knows it."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Converted:
    """What a conversion made, from what, and with which tools.

    `inputs` are SHA-256 digests by name. `tensors` are type and shape by output and tensor (safetensors);
    `measured` is the lowest cosine to the reference by output of the graph (ONNX).
    """

    files: tuple[ConvertedFile, ...]
    inputs: dict[str, str]
    tools: dict[str, str]
    tensors: dict[str, dict[str, str]]
    measured: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain data."""
        return asdict(self)


def convert(
    conversion: Conversion,
    inputs: Mapping[str, Path],
    output: Path,
    *,
    cache: Cache | None = None,
    python: Path | None = None,
    progress: child.Progress | None = None,
) -> dict[str, Path]:
    """Convert and put the results below `output`; return where each lies, by name.

    Files of these names that are there already are replaced, and only after everything has been made.
    Arguments and errors are those of `convert_cached`.
    """
    cache = cache or open_default()
    converted = convert_cached(cache, conversion, inputs, python=python, progress=progress)
    copies: dict[Path, Path] = {}
    try:
        for item in converted.files:
            place = output / item.name
            place.parent.mkdir(parents=True, exist_ok=True)
            copies[place] = place.with_name(f".{place.name}.{os.getpid()}")
            _copy(cache, item, copies[place])
        for place, copy in copies.items():
            os.replace(copy, place)
    finally:
        for copy in copies.values():
            copy.unlink(missing_ok=True)
    return {item.name: output / item.name for item in converted.files}


def convert_cached(
    cache: Cache,
    conversion: Conversion,
    inputs: Mapping[str, Path],
    *,
    digests: Mapping[str, str] | None = None,
    python: Path | None = None,
    progress: child.Progress | None = None,
) -> Converted:
    """Convert, or find that it has been done; the outputs lie in the cache under their digests.

    Without an interpreter that can convert, what another one has made of the same inputs is still used.

    Args:
        inputs: where each of the conversion's inputs lies, by its path in the model's folder.
        digests: their SHA-256 where it is known, so nothing is read when the result is there already.
        python: an interpreter with the libraries; else ``RAGTRACE_CONVERT_PYTHON``, else the builder's own.
        progress: called with each step.

    Raises:
        BuildError: an input is missing or refused, no interpreter can convert, or the conversion failed.
        IntegrityError: an input is not what `digests` promises.
        SpaceError: the disk is full.
    """
    known = dict(digests) if digests is not None else _digests(conversion, inputs)
    subject = {
        "converter": CONVERTER_VERSION,
        "kind": conversion.kind,
        "precision": conversion.precision,
        "inputs": [[name, known[name]] for name in conversion.inputs],
        "outputs": conversion.outputs,
    }
    try:
        found = interpreter.find(python)
    except BuildError:
        earlier = _remembered(cache, _key(subject))
        if earlier is None:
            raise
        return earlier
    key = _key({**subject, "tools": found.versions})
    with cache.lock(f"convert-{key}"):
        earlier = _remembered(cache, key)
        if earlier is not None:
            return earlier
        if digests is not None:
            _require_promised(known, _digests(conversion, inputs))
        converted = _run(cache, conversion, inputs, known, found, progress)
        record = {"sha256": converted.files[0].sha256, "conversion": json.dumps(converted.as_dict())}
        cache.remember_built(key, record)
        cache.remember_built(_key(subject), record)
    return converted


def _copy(cache: Cache, item: ConvertedFile, place: Path) -> None:
    try:
        copy_hashed(cache.path(item.sha256), place, 0o644, (item.size, item.sha256))
    except IntegrityError as error:
        raise cache.poisoned(item.sha256, error.where) from error


def _run(
    cache: Cache,
    conversion: Conversion,
    inputs: Mapping[str, Path],
    digests: dict[str, str],
    found: interpreter.Interpreter,
    progress: child.Progress | None,
) -> Converted:
    with cache.work_folder() as work:
        made, scratch = work / "made", work / "scratch"
        made.mkdir()
        scratch.mkdir()
        paths = {name: str(inputs[name].resolve()) for name in conversion.inputs}
        job = Job(conversion.kind, conversion.precision, paths, conversion.outputs, str(made))
        report = child.perform(found, job, scratch, progress)
        files = _admit(cache, made, conversion)
    return _converted(files, digests, found, report)


def _admit(cache: Cache, made: Path, conversion: Conversion) -> tuple[ConvertedFile, ...]:
    """Move exactly the promised outputs into the cache."""
    there = {path.relative_to(made).as_posix() for path in made.rglob("*") if not path.is_dir()}
    if there != set(conversion.outputs):
        wrong = ", ".join(sorted(there ^ set(conversion.outputs)))
        raise BuildError(
            Text(
                "변환이 약속한 파일과 다른 것을 만들었습니다",
                "the conversion made other files than it had promised",
            ),
            where=wrong,
        )
    files = []
    for name in conversion.outputs:
        size, digest = sha256_file(made / name)
        cache.admit(made / name, digest)
        files.append(ConvertedFile(name, digest, size))
    return tuple(files)


def _converted(
    files: tuple[ConvertedFile, ...], digests: dict[str, str], found: interpreter.Interpreter, report: Report
) -> Converted:
    return Converted(files, digests, found.versions, report.tensors, report.measured)


def _remembered(cache: Cache, key: str) -> Converted | None:
    record = cache.built(key)
    if record is None:
        return None
    try:
        data = json.loads(record["conversion"])
        files = tuple(ConvertedFile(**item) for item in data.pop("files"))
        earlier = Converted(files, **data)
    except (ValueError, KeyError, TypeError):
        return None
    return earlier if all(cache.has(item.sha256) for item in files) else None


def _digests(conversion: Conversion, inputs: Mapping[str, Path]) -> dict[str, str]:
    missing = [name for name in conversion.inputs if name not in inputs or not inputs[name].is_file()]
    if missing:
        raise BuildError(
            Text("변환할 파일이 없습니다", "files that are to be converted are missing"),
            details=[Text(name, name) for name in missing],
        )
    return {name: sha256_file(inputs[name].resolve())[1] for name in conversion.inputs}


def _require_promised(promised: Mapping[str, str], found: Mapping[str, str]) -> None:
    wrong = [name for name in found if promised[name] != found[name]]
    if wrong:
        raise IntegrityError(
            Text(
                "변환할 파일이 고정된 해시와 다릅니다",
                "a file to be converted differs from its pinned digest",
            ),
            details=[Text(name, name) for name in wrong],
        )


def _key(subject: Mapping[str, object]) -> str:
    return sha256_bytes(json.dumps(subject, sort_keys=True).encode())
