"""JSON and text beside the weights: well-formed, and naming no code that a library would then run."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from bundle.text import Text

from .errors import Malformed

# The largest tokenizers of today are 35 MB.
JSON_BYTES = 256 << 20
TEXT_BYTES = 64 << 20
_PIECE = 1 << 20
_LARGE = 4 << 20
_VOCABULARY = 10_000
# Keys by which transformers and diffusers find Python in the model's own folder.
_CODE_KEYS = ("auto_map", "custom_pipelines")


@dataclass
class Facts:
    """What a JSON file says: code it names, the chat template, and the shards of an index."""

    code: list[Text] = field(default_factory=list)
    chat_template: str = ""
    shards: frozenset[str] = frozenset()


def check_json(stream: BinaryIO, size: int, path: str) -> Facts:
    """Parse a JSON file.

    Raises:
        Malformed: too large, not UTF-8, not JSON, or a key twice in one object.
    """
    if size > JSON_BYTES:
        raise Malformed("JSON으로는 너무 큽니다", "too large for JSON")
    facts = Facts()
    name = PurePosixPath(path).name
    indexed = name.endswith(".index.json")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            raise ValueError("duplicate key")
        for key in _CODE_KEYS:
            # A vocabulary may hold the word as a token, with its number.
            if key in found and not isinstance(found[key], int):
                facts.code.append(
                    Text(f"{key!r}가 파이썬 코드를 지정합니다", f"{key!r} names Python code to run")
                )
        # A vocabulary has been looked at; kept, it would only take memory.
        return found if indexed or len(found) < _VOCABULARY else {}

    try:
        document = json.loads(_characters(stream, size), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"JSON이 아닙니다: {error}", f"no JSON: {error}") from error
    if isinstance(document, dict):
        template = document.get("chat_template", "")
        if template:
            facts.chat_template = template if isinstance(template, str) else json.dumps(template)
        weights = document.get("weight_map")
        if indexed and isinstance(weights, dict):
            facts.shards = frozenset(str(item) for item in weights.values())
    if name == "modules.json":
        facts.code += _module_types(document)
    return facts


def _characters(stream: BinaryIO, size: int) -> str:
    """Return a JSON file's text; of a large one in a form that takes one byte of memory for each of the file's.

    Every byte of a large file becomes one character (Latin-1), after the whole was found to be UTF-8. JSON's
    own signs are ASCII and different strings stay different, so structure and keys are judged the same.

    Raises:
        Malformed: a large file is not UTF-8, or holds zero bytes.
        UnicodeDecodeError: a small file is not UTF-8.
    """
    if size <= _LARGE:
        return stream.read().decode("utf-8")
    check_text(stream, 0)
    stream.seek(0)
    return stream.read().decode("latin-1")


def _module_types(document: object) -> list[Text]:
    """Refuse classes that sentence-transformers would import from elsewhere than its own package."""
    listed = document if isinstance(document, list) else []
    types = [str(item.get("type", "")) for item in listed if isinstance(item, dict)]
    return [
        Text(f"모듈 형식 {item!r}은 다른 코드입니다", f"the module type {item!r} is somebody else's code")
        for item in types
        if not item.startswith("sentence_transformers.")
    ]


def check_text(stream: BinaryIO, size: int) -> None:
    """Check that a file is UTF-8 text, piece by piece.

    Raises:
        Malformed: too large, not UTF-8, or with zero bytes.
    """
    if size > TEXT_BYTES:
        raise Malformed("텍스트로는 너무 큽니다", "too large for text")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := stream.read(_PIECE):
            if b"\0" in piece:
                raise Malformed("텍스트가 아닙니다: 0 바이트", "no text: it holds zero bytes")
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Malformed(f"UTF-8이 아닙니다: {error.reason}", f"not UTF-8: {error.reason}") from error
