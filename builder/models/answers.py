"""The golden answer of a language model: what it says on the build box, for the validator to compare with on the host.

Made of what is carried, by the program that the validator runs too (`validator/probes/speaker.py`), on the interpreter
for conversions where that has the model's engine. Where it has not, the model travels without one. See docs/adr/0037.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.errors import BuildError
from bundle.hashing import sha256_bytes, sha256_file
from bundle.text import Text

from ..cache import Cache
from ..inputs import REPOSITORY
from .convert.interpreter import VARIABLE, environment
from .spec import ModelSpec

NAME = "golden_answer.json"
# Raised whenever the same model would get another golden answer.
VERSION = 1
# Numbers, a fact, and the beginning of a text: short, so that a processor goes through them in seconds.
PROMPTS = ("다음 수를 이어서 쓰십시오: 1, 2, 3, 4, 5,", "대한민국의 수도는", "자주 묻는 질문")
TOKENS = 16
# As validator/golden_answer.py has them: a token no further behind may win elsewhere, and how many have to be before it.
NEAR_TIE, LEAST_TOKENS = 0.5, 8
SPEAKER = REPOSITORY / "validator" / "probes" / "speaker.py"
_MARK = "RAGTRACE-PROBE "
# 48 tokens of a model with 27 billion weights on a processor.
_TIMEOUT_S = 3600
_ENGINE_BYTES = 800_000_000
_VERSIONS = "import sys,json;from importlib import metadata as m;print(json.dumps({d.name:d.version for d in m.distributions() if d.name in sys.argv[1:]}))"
_LIBRARIES = {"llama.cpp": ("xllamacpp",), "transformers": ("torch", "transformers")}
Tell = Callable[[Text], None]


@dataclass(frozen=True)
class Answered:
    """A golden answer in the cache, and its record for the model's provenance."""

    sha256: str
    record: dict[str, Any]


def golden_answer(
    spec: ModelSpec, carried: Mapping[str, str], cache: Cache, tell: Tell | None = None
) -> Answered | None:
    """Return the golden answer of a model of the role ``llm``; None, and `tell` why, where none can be made.

    Args:
        carried: digests by path of all files that the bundle gets of the model.

    Raises:
        BuildError: the engine is there and cannot run the model; a host could not either.
    """
    subject = _subject(carried) if spec.role == "llm" else None
    if subject is None:
        return None
    model, engine = subject
    about = {"version": VERSION, "model": model, "engine": engine, "files": sorted(carried.items())}
    about |= {"prompts": PROMPTS, "tokens": TOKENS}
    with cache.work_folder() as work:
        versions = _versions(engine, work)
        key = _key({**about, "tools": versions}) if versions is not None else _key(about)
        with cache.lock(f"answer-{key}"):
            earlier = _remembered(cache, key)
            if earlier is not None:
                return earlier
            reason = _hindrance(engine, versions, carried, cache)
            if reason is not None or versions is None:
                _say(tell, spec, reason or Text("", ""))
                return None
            document = _document(model, engine, _spoken(spec, model, carried, cache, work))
            if _followed(document) < LEAST_TOKENS:
                few = Text("갈림길 전의 토큰이 너무 적습니다", "too few tokens before near ties")
                _say(tell, spec, few)
                return None
            made = _keep(cache, work, document, model, carried, versions)
            record = {"sha256": made.sha256, "answer": json.dumps(made.record)}
            cache.remember_built(key, record)
            cache.remember_built(_key(about), record)
            return made


def _subject(carried: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the file or folder that an engine is given, and the engine."""
    files = sorted(name for name in carried if name.lower().endswith(".gguf"))
    if files:
        # Of a model in several parts, the first.
        return files[0], "llama.cpp"
    if "config.json" in carried and any(name.endswith(".safetensors") for name in carried):
        return ".", "transformers"
    return None


def _hindrance(
    engine: str, versions: Mapping[str, str] | None, carried: Mapping[str, str], cache: Cache
) -> Text | None:
    if versions is None:
        names = ", ".join(_LIBRARIES[engine])
        return Text(
            f"{_python()}에 {names}가 없습니다 ({VARIABLE})", f"{_python()} has no {names} ({VARIABLE})"
        )
    needed = _ENGINE_BYTES + sum(
        cache.path(digest).stat().st_size for name, digest in carried.items() if name.endswith(".safetensors")
    )
    free = _available()
    if 0 < free < needed:
        short = f"{free / 1e9:.1f} / {needed / 1e9:.1f} GB"
        return Text(f"메모리가 모자랍니다: {short}", f"too little memory: {short}")
    return None


def _spoken(
    spec: ModelSpec, model: str, carried: Mapping[str, str], cache: Cache, work: Path
) -> list[dict[str, Any]]:
    """Run the engine on the model's files, under their own names."""
    folder, scratch = work / "model", work / "scratch"
    scratch.mkdir()
    for name, digest in carried.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(cache.path(digest).resolve())
    item = {"name": spec.name, "path": str(folder / model), "prompts": PROMPTS, "tokens": TOKENS}
    source = SPEAKER.read_text(encoding="utf-8")
    command = [str(_python()), "-B", "-c", source, json.dumps({"models": [item], "threads": 0})]
    try:
        done = subprocess.run(
            command, env=environment(scratch), cwd=scratch, capture_output=True, timeout=_TIMEOUT_S, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _failure(spec, f"> {_TIMEOUT_S} s") from error
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    line = next((each for each in reversed(lines) if each.startswith(_MARK)), "")
    if not line:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise _failure(spec, f"{done.returncode} {' '.join(tail)}"[:500])
    report = json.loads(line[len(_MARK) :])
    found = report["models"][0]
    problem = found["error"] or ", ".join(report["missing"])
    if problem:
        raise _failure(spec, problem)
    cases: list[dict[str, Any]] = found["cases"]
    return cases


def _failure(spec: ModelSpec, reason: str) -> BuildError:
    return BuildError(
        Text("언어 모델을 실행할 수 없습니다", "the language model cannot be run"),
        where=f"{spec.name}: {reason}",
        hint=Text(
            "엔진이 이 모델의 구조를 아는지, 파일이 온전한지 확인하십시오",
            "check that the engine knows the model's architecture and that its files are whole",
        ),
    )


def _document(model: str, engine: str, cases: list[dict[str, Any]]) -> dict[str, Any]:
    head = {"format": 1, "kind": "golden-answer", "model": model, "engine": engine}
    # What is far behind says nothing, and its last digits are this processor's.
    for case in cases:
        for token in case["tokens"]:
            token["beside"] = [each for each in token["beside"] if each[1] <= 2 * NEAR_TIE]
    return {**head, "cases": cases}


def _followed(document: Mapping[str, Any]) -> int:
    """Return how many tokens come before the first near tie, of all prompts together."""
    total = 0
    for case in document["cases"]:
        for token in case["tokens"]:
            if any(behind <= NEAR_TIE for _, behind in token["beside"]):
                break
            total += 1
    return total


def _keep(
    cache: Cache,
    work: Path,
    document: Mapping[str, Any],
    model: str,
    carried: Mapping[str, str],
    versions: Mapping[str, str],
) -> Answered:
    place = work / NAME
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    place.write_text(text + "\n", encoding="utf-8")
    _, digest = sha256_file(place)
    cache.admit(place, digest)
    kept = {name: digest for name, digest in carried.items() if model in (name, ".")}
    record = {
        "kind": "golden-answer",
        "precision": "",
        "inputs": dict(sorted(kept.items())),
        "outputs": {NAME: digest},
        "tools": dict(sorted(versions.items())),
        "measured": {"tokens": float(_followed(document))},
    }
    return Answered(digest, record)


def _remembered(cache: Cache, key: str) -> Answered | None:
    record = cache.built(key)
    try:
        found = Answered(record["sha256"], json.loads(record["answer"])) if record else None
    except (KeyError, ValueError):
        return None
    return found if found is not None and cache.has(found.sha256) else None


def _python() -> Path:
    named = os.environ.get(VARIABLE, "")
    return Path(named).expanduser().absolute() if named else Path(sys.executable)


def _versions(engine: str, work: Path) -> dict[str, str] | None:
    """Return the versions of the engine's libraries on the interpreter, None where one is missing."""
    names = _LIBRARIES[engine]
    try:
        done = subprocess.run(
            [str(_python()), "-c", _VERSIONS, *names], env=environment(work), capture_output=True, timeout=60, check=False
        )  # fmt: skip
        found = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return dict(sorted(found.items())) if set(found) == set(names) else None


def _available() -> int:
    """Return the bytes of memory that are free, 0 where nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


def _say(tell: Tell | None, spec: ModelSpec, reason: Text) -> None:
    if tell is not None:
        tell(
            Text(
                f"{spec.name}: 골든 응답 없이 담습니다: {reason.ko}",
                f"{spec.name}: carried without a golden answer: {reason.en}",
            )
        )


def _key(subject: Mapping[str, object]) -> str:
    return sha256_bytes(json.dumps(subject, sort_keys=True).encode())
