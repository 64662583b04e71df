"""The models that a release carries, where they lie once installed, and what running their graphs gives.

A model's files lie in the generation's ``models/`` under the path they have below ``07_Models/`` in the bundle. The
graphs are run by the generation's own interpreter (``validator.probes.encoder``), once for all checks of a run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from bundle import layout
from validator import golden, limits
from validator.golden import Golden
from validator.host import commands, facts
from validator.subject import Subject, Unreadable, read_json_object

if TYPE_CHECKING:
    from bundle.manifest import FileEntry, Model

# Loading BGE-M3 in fp32 (2.3 GB) and a reranker from a slow disk takes two minutes.
PROBE_S = 300.0
# What a check needs that may be the one to start the probe.
CHECK_S = PROBE_S + 20.0
# Five texts of a thousand numbers each; a model's golden vectors take a hundredth of it.
GOLDEN_BYTES = 16 * 1024 * 1024
# ONNX Runtime, numpy and a batch of texts: some 200 MB, and as much again to spare.
_RUNTIME_BYTES = 400_000_000
_MARK = "RAGTRACE-PROBE "
_PROBE = Path(__file__).resolve().parent.parent / "probes" / "encoder.py"
_CACHED = "encoder-probe.json"
_NO_GOLDEN = frozenset(
    ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "PROVENANCE.json")
)


@dataclass(frozen=True)
class Carried:
    """One model of the manifest: its folder in the generation, and its files by their path in that folder."""

    model: Model
    folder: Path
    files: Mapping[str, FileEntry]

    def named(self, ending: str) -> Tuple[str, ...]:
        """Return the files whose name ends so, in order."""
        return tuple(name for name in sorted(self.files) if name.endswith(ending))


@dataclass(frozen=True)
class Graph:
    """One ONNX graph of a model with what belongs to it; ``golden`` says why there is none when it is text."""

    carried: Carried
    name: str
    tokenizer: str
    config: str
    golden_file: str
    golden: Optional[Golden]
    problem: str = ""

    @property
    def label(self) -> str:
        """Return how findings name it."""
        return f"{self.carried.model.name}/{self.name}"

    @property
    def outputs(self) -> Tuple[str, ...]:
        """Return the outputs it must have: those of its golden vectors, else those of its role."""
        if self.golden is not None:
            return self.golden.outputs
        kind = "bge-m3-onnx" if self.carried.model.role == "embedding" else "cross-encoder-onnx"
        return golden.OUTPUTS[kind]


@dataclass(frozen=True)
class Probed:
    """What the probe reported: one entry a graph by label, or why there is none.

    ``missing`` are libraries that the environment does not have, ``broken`` those that cannot be imported; ``short``
    says how much memory was wanting, so nothing was loaded.
    """

    graphs: Mapping[str, Mapping[str, Any]]
    missing: Tuple[str, ...] = ()
    broken: Tuple[str, ...] = ()
    problem: str = ""
    short: str = ""


def models(subject: Subject) -> Tuple[Carried, ...]:
    """Return the models of the manifest; none without a readable one."""
    if subject.manifest is None or subject.generation is None:
        return ()
    entries = subject.manifest.of_kind("model")
    found = []
    for model in subject.manifest.models:
        start = model.folder.rstrip("/") + "/"
        files = {entry.path[len(start) :]: entry for entry in entries if entry.path.startswith(start)}
        found.append(Carried(model, installed(subject.generation, model.folder), files))
    return tuple(found)


def installed(generation: Path, path: str) -> Path:
    """Return where a path below ``07_Models/`` lies in a generation."""
    inner = path[len(layout.MODELS) + 1 :] if path.startswith(layout.MODELS + "/") else path
    return generation / "models" / inner


def graphs(subject: Subject) -> Tuple[Graph, ...]:
    """Return every ONNX graph of every model, with its golden vectors as far as they can be read."""
    if "graphs" not in subject.remembered:
        found: List[Graph] = []
        for carried in models(subject):
            names = carried.named(".onnx")
            goldens = _goldens(carried) if names else {}
            found += [_graph(carried, name, goldens) for name in names]
        subject.remembered["graphs"] = tuple(found)
    known: Tuple[Graph, ...] = subject.remembered["graphs"]
    return known


def _goldens(carried: Carried) -> Dict[str, Tuple[str, Optional[Golden], str]]:
    """Return the golden files of a model by the graph they are of: name, content, and what is wrong with it."""
    found: Dict[str, Tuple[str, Optional[Golden], str]] = {}
    for name in carried.named(".json"):
        folder, _, base = name.rpartition("/")
        if base in _NO_GOLDEN or base.endswith(".index.json"):
            continue
        named = base.startswith("golden")
        try:
            document = read_json_object(carried.folder / name, GOLDEN_BYTES)
            if not named and not {"graph", "cases"} <= set(document):
                continue
            read = golden.parse(document)
            found[f"{folder}/{read.graph}".lstrip("/")] = (name, read, "")
        except (Unreadable, ValueError) as error:
            if named:
                found.setdefault(f"{folder}/".lstrip("/"), (name, None, str(error)[:200]))
    return found


def _graph(carried: Carried, name: str, goldens: Mapping[str, Tuple[str, Optional[Golden], str]]) -> Graph:
    folder = name.rpartition("/")[0]
    file, read, problem = goldens.get(name) or goldens.get(f"{folder}/".lstrip("/")) or ("", None, "")
    return Graph(
        carried, name, _beside(carried, folder, "tokenizer.json"), _beside(carried, folder, "config.json"),
        file, read, problem,
    )  # fmt: skip


def _beside(carried: Carried, folder: str, wanted: str) -> str:
    """Return a file of that name in the graph's folder or in one above it, within the model."""
    while True:
        name = f"{folder}/{wanted}".lstrip("/")
        if name in carried.files or not folder:
            return name if name in carried.files else ""
        folder = folder.rpartition("/")[0]


def probe(subject: Subject) -> Probed:
    """Return what the graphs gave: remembered in this child, else by another child of this run, else run now."""
    if "probe" not in subject.remembered:
        kept = _kept(subject)
        told = _read(kept) if kept is not None else None
        if told is None:
            told = run_probe(subject)
            _keep(kept, told)
        subject.remembered["probe"] = told
    known: Dict[str, Any] = subject.remembered["probe"]
    return _probed(known)


def probe_again(subject: Subject) -> Probed:
    """Load and run the graphs once more, alone: for whoever is about to say that the host is slow."""
    if "probe again" not in subject.remembered:
        subject.remembered["probe again"] = run_probe(subject)
    return _probed(subject.remembered["probe again"])


def run_probe(subject: Subject) -> Dict[str, Any]:
    """Run the probe in the release's environment and return its report, or why there is none."""
    needed, free = memory_needed(subject), facts.memory_bytes()[1]
    if 0 < free < needed:
        return {"short": f"{free / 1e9:.1f} GB available, {needed / 1e9:.1f} GB needed"}
    request = {"graphs": [_request(graph) for graph in graphs(subject)]}
    # Its text, not its path: the user that runs it may not be allowed to read where the validator lies.
    source = _PROBE.read_text(encoding="utf-8")
    done = commands.run_python(subject, ["-B", "-c", source, json.dumps(request)], timeout_s=PROBE_S)
    if done.timed_out:
        return {"problem": f"did not end within {PROBE_S:g} s"}
    for line in reversed(done.output.splitlines()):
        if line.startswith(_MARK):
            try:
                told = json.loads(line[len(_MARK) :])
            except ValueError:
                break
            return told if isinstance(told, dict) else {"problem": "unreadable"}
    return {"problem": f"ended with code {done.code}: {done.complaint}".strip(": ")}


def memory_needed(subject: Subject) -> int:
    """Return the bytes that running the largest graph takes: what is inside it twice (as read, as laid out), weights
    beside it once (they are mapped; a full-size BGE-M3 of 2.3 GB was measured at 1.3 GB resident), and the rest."""
    sizes = [0]
    for graph in graphs(subject):
        beside = graph.carried.files.get(graph.name + ".data")
        sizes.append(2 * graph.carried.files[graph.name].size + (beside.size if beside is not None else 0))
    return max(sizes) + _RUNTIME_BYTES


def _request(graph: Graph) -> Dict[str, Any]:
    folder = graph.carried.folder
    cases = graph.golden.cases if graph.golden is not None else ()
    return {
        "name": graph.label,
        "graph": str(folder / graph.name),
        "tokenizer": str(folder / graph.tokenizer) if graph.tokenizer else "",
        "config": str(folder / graph.config) if graph.config else "",
        "cases": [{"text": case.text, "input_ids": list(case.ids)} for case in cases],
        "colbert_values": graph.golden.colbert_values if graph.golden is not None else 0,
        "speed": graph.carried.model.role == "embedding",
    }


def _probed(told: Mapping[str, Any]) -> Probed:
    entries = told.get("graphs", [])
    return Probed(
        {str(item["name"]): item for item in entries if isinstance(item, dict) and "name" in item},
        tuple(str(name) for name in told.get("missing", ())),
        tuple(str(name) for name in told.get("broken", ())),
        str(told.get("problem", "")),
        str(told.get("short", "")),
    )


def _kept(subject: Subject) -> Optional[Path]:
    return subject.scratch / _CACHED if subject.scratch is not None else None


def _read(place: Path) -> Optional[Dict[str, Any]]:
    try:
        return read_json_object(place, limits.COMMAND_OUTPUT_BYTES)
    except Unreadable:
        return None


def _keep(place: Optional[Path], told: Mapping[str, Any]) -> None:
    if place is None:
        return
    from bundle.atomic import write_atomic

    try:
        write_atomic(place, json.dumps(told).encode(), mode=0o600)
    except OSError:
        # Without it the next child runs the probe itself.
        return
