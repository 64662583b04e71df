"""The model files of an installation against its manifest: present, with the parts each role needs, unchanged."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from bundle.hashing import hash_files
from validator.host.carried import Carried, installed
from validator.subject import Subject, Unreadable, read_json_object, read_limited

if TYPE_CHECKING:
    from bundle.manifest import FileEntry

HEADS = ("sparse_linear.safetensors", "colbert_linear.safetensors")
# A graph whose weights lie elsewhere holds no weights itself: BGE-M3's has 2 MB. Larger ones are not searched.
GRAPH_BYTES = 64 * 1024 * 1024
# Index of a sharded checkpoint; the largest published ones have some hundred kilobytes.
INDEX_BYTES = 16 * 1024 * 1024
# onnx.proto, StringStringEntryProto in TensorProto.external_data: key (field 1) "location", value (field 2).
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])", re.DOTALL)
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "sentencepiece.bpe.model")
_WEIGHTS = (".gguf", ".safetensors", ".onnx")


class Compared(NamedTuple):
    """What hashing gave: files looked at, bytes read, changed paths, and objects that the store has lost."""

    files: int
    bytes: int
    changed: Tuple[str, ...]
    lost: Tuple[str, ...]


def entries(subject: Subject) -> Tuple[FileEntry, ...]:
    """Return the model files of the manifest."""
    return subject.manifest.of_kind("model") if subject.manifest is not None else ()


def absent(subject: Subject) -> List[str]:
    """Return the model files that are not there as plain files with their size."""
    assert subject.generation is not None
    found = []
    for entry in entries(subject):
        try:
            facts = os.lstat(installed(subject.generation, entry.path))
        except (FileNotFoundError, NotADirectoryError):
            found.append(f"{entry.path} missing")
            continue
        if not stat.S_ISREG(facts.st_mode):
            found.append(f"{entry.path} is no plain file")
        elif facts.st_size != entry.size:
            found.append(f"{entry.path} has {facts.st_size} of {entry.size} bytes")
    return found


def lacking(model: Carried) -> List[str]:
    """Return the parts that a model of this role needs and its manifest does not name."""
    names = set(model.files)
    bases = {name.rpartition("/")[2] for name in names}
    if not any(name.endswith(_WEIGHTS) and not name.endswith(HEADS) for name in names):
        return ["no weights"]
    found = _shards(model)
    graphs = model.named(".onnx")
    if graphs:
        found += [
            f"no {location}, which {graph} names" for graph in graphs for location in _external(model, graph)
        ]
        if not any(base.startswith("golden") and base.endswith(".json") for base in bases):
            found.append("no golden vectors (golden*.json)")
    if graphs or model.named(".safetensors"):
        wanted = _TOKENIZERS[:1] if graphs else _TOKENIZERS
        if not bases & set(wanted):
            found.append(f"no tokenizer ({wanted[0]})")
    if model.model.role == "embedding":
        present = [head for head in HEADS if head in bases]
        # FlagEmbedding makes a missing head up at random, and says so at info level only.
        found += [f"no {head}" for head in HEADS if present and head not in present]
    return found


def _shards(model: Carried) -> List[str]:
    """Return the shards that a checkpoint's index names and the manifest does not."""
    found = []
    for name in model.named(".safetensors.index.json"):
        folder = name.rpartition("/")[0]
        try:
            weights = read_json_object(model.folder / name, INDEX_BYTES).get("weight_map", {})
            shards = sorted({str(shard) for shard in dict(weights).values()})
        except (Unreadable, TypeError, ValueError):
            # A missing or damaged index is told as a file already.
            continue
        found += [
            f"no {shard}, which {name} names"
            for shard in shards
            if f"{folder}/{shard}".lstrip("/") not in model.files
        ]
    return found


def _external(model: Carried, graph: str) -> Iterator[str]:
    """Yield the files that a graph keeps its weights in and the manifest does not name."""
    folder = graph.rpartition("/")[0]
    try:
        data = read_limited(model.folder / graph, GRAPH_BYTES)
    except Unreadable:
        return
    names = {data[at.end() : at.end() + at.group(1)[0]] for at in _LOCATION.finditer(data)}
    for name in sorted(text.decode("utf-8", "replace") for text in names):
        if f"{folder}/{name}".lstrip("/") not in model.files:
            yield name


def compare(subject: Subject) -> Compared:
    """Hash every model file of the generation and its object in the store; one that is both, once."""
    assert subject.generation is not None
    wanted: Dict[Path, Tuple[str, FileEntry]] = {}
    inodes: Dict[Tuple[int, int, str], Path] = {}
    changed: List[str] = []
    lost: List[str] = []
    for entry in entries(subject):
        for path, name, in_store in _places(subject, entry):
            try:
                facts = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                (lost if in_store else changed).append(name if in_store else f"{name} missing")
                continue
            if not stat.S_ISREG(facts.st_mode) or facts.st_size != entry.size:
                changed.append(name)
                continue
            key = (facts.st_dev, facts.st_ino, entry.sha256)
            if facts.st_ino and inodes.setdefault(key, path) != path:
                continue
            wanted[path] = (name, entry)
    total = 0
    for path, size, digest in hash_files(_largest_first(wanted)):
        name, entry = wanted[path]
        if isinstance(digest, PermissionError):
            raise digest
        total += size
        if (size, digest) != (entry.size, entry.sha256):
            changed.append(name if isinstance(digest, str) else f"{name} ({digest.strerror})")
    return Compared(len(wanted), total, tuple(sorted(changed)), tuple(sorted(lost)))


def _largest_first(wanted: Dict[Path, Tuple[str, FileEntry]]) -> Sequence[Path]:
    return sorted(wanted, key=lambda path: -wanted[path][1].size)


def _places(subject: Subject, entry: FileEntry) -> Iterator[Tuple[Path, str, bool]]:
    """Yield where a model file's content lies: in the generation, and in the store where there is one."""
    assert subject.generation is not None
    yield installed(subject.generation, entry.path), entry.path, False
    store = subject.prefix / "store" / "sha256"
    yield store / entry.sha256[:2] / entry.sha256, f"store/{entry.sha256[:12]} ({entry.path})", True
