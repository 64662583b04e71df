"""What a model path holds, and whether it may be loaded: weights that are data, and nothing that runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from ragtrace.errors import ModelProblem
from ragtrace.text import Text

Kind = Literal["llama", "openvino", "transformers"]
# The largest published configuration has some hundred kilobytes, the index of shards a few megabytes.
JSON_BYTES = 16 << 20
_PART = re.compile(r"-(\d{5})-of-\d{5}\.gguf$")
_CONFIGURATIONS = ("config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json")


def recognise(path: Path) -> tuple[Kind, Path]:
    """Return the engine for a path and what to give it: the file or the folder.

    Raises `ModelProblem` where nothing known is there, where something would run when loaded, or a part is missing.
    """
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise _problem(path, Text("GGUF 파일이 아닙니다.", "It is no GGUF file."))
        return "llama", path
    if not path.is_dir():
        raise _problem(path, Text("그런 파일이나 폴더가 없습니다.", "There is no such file or folder."))
    names = sorted(each.name for each in path.iterdir() if each.is_file())
    if "openvino_model.xml" in names:
        return "openvino", _openvino(path, names)
    if any(name.endswith(".safetensors") for name in names):
        return "transformers", _transformers(path, names)
    files = [name for name in names if name.lower().endswith(".gguf")]
    first = [name for name in files if (part := _PART.search(name)) is None or part.group(1) == "00001"]
    if len(first) == 1:
        return "llama", path / first[0]
    if first:
        raise _problem(
            path,
            Text(
                "GGUF 파일이 여럿입니다. 파일 하나를 적으십시오: ",
                "There are several GGUF files. Name one of them: ",
            ),
            ", ".join(first),
        )
    if any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in names):
        raise _problem(
            path,
            Text(
                "가중치가 피클입니다. safetensors로 바꾼 폴더가 필요합니다(builder models convert).",
                "The weights are pickles. A folder converted to safetensors is needed (builder models convert).",
            ),
        )
    raise _problem(
        path,
        Text(
            "언어 모델이 없습니다: *.gguf, *.safetensors, openvino_model.xml 가운데 하나가 있어야 합니다.",
            "There is no language model: one of *.gguf, *.safetensors and openvino_model.xml must be there.",
        ),
    )


def _openvino(path: Path, names: list[str]) -> Path:
    wanted = ("openvino_model.bin", "openvino_tokenizer.xml", "openvino_detokenizer.xml")
    missing = [name for name in wanted if name not in names]
    if missing:
        raise _problem(path, Text("파일이 없습니다: ", "Files are missing: "), ", ".join(missing))
    return path


def _transformers(path: Path, names: list[str]) -> Path:
    code = [name for name in names if name.endswith((".py", ".pyc", ".so"))]
    if code:
        raise _problem(
            path, Text("실행되는 파일이 있습니다: ", "There are files that run: "), ", ".join(code)
        )
    if "config.json" not in names:
        raise _problem(path, Text("파일이 없습니다: ", "Files are missing: "), "config.json")
    for name in _CONFIGURATIONS:
        if name in names and "auto_map" in read_json(path / name):
            raise _problem(
                path / name,
                Text(
                    "모델이 자기 코드를 실행하려 합니다(auto_map).",
                    "The model wants its own code to run (auto_map).",
                ),
            )
    if not {"tokenizer.json", "tokenizer.model"} & set(names):
        raise _problem(path, Text("파일이 없습니다: ", "Files are missing: "), "tokenizer.json")
    for name in names:
        if name.endswith(".safetensors.index.json"):
            shards = read_json(path / name).get("weight_map", {})
            missing = sorted({str(each) for each in shards.values()} - set(names))
            if missing:
                raise _problem(
                    path,
                    Text("가중치 파일이 없습니다: ", "Files of weights are missing: "),
                    ", ".join(missing),
                )
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file. Raises `ModelProblem` where it is none."""
    try:
        if path.stat().st_size > JSON_BYTES:
            raise ValueError("too large")
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _problem(path, Text("JSON으로 읽을 수 없습니다.", "It cannot be read as JSON.")) from error
    if not isinstance(found, dict):
        raise _problem(path, Text("JSON 객체가 아닙니다.", "It is no JSON object."))
    return found


def missing_library(name: str, extra: str, error: ImportError) -> ModelProblem:
    """Return the error of an engine that is not installed."""
    return ModelProblem(
        Text(
            f"언어 모델 엔진 '{name}'이(가) 설치되어 있지 않습니다.",
            f"The language model engine '{name}' is not installed.",
        ),
        where=str(error),
        hint=Text(
            f"부가 묶음 '{extra}'가 들어 있는 프로필로 설치하거나 language.engine을 바꾸십시오.",
            f"Install a profile with the extra '{extra}', or change language.engine.",
        ),
    )


def _problem(path: Path, reason: Text, list_of: str = "") -> ModelProblem:
    return ModelProblem(
        Text(
            f"언어 모델을 쓸 수 없습니다: {reason.ko}{list_of}",
            f"The language model cannot be used: {reason.en}{list_of}",
        ),
        where=str(path),
        hint=Text("language.model을 확인하십시오.", "Check language.model."),
    )
