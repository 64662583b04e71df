"""What the carried language models say to the golden prompts, in the release's own environment (`probes.speaker`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from validator import golden_answer
from validator.golden_answer import Case, GoldenAnswer
from validator.host import carried, commands, facts
from validator.host.carried import Carried
from validator.subject import Subject, Unreadable, read_json_object

NAME = "golden_answer.json"
# Reading 17 GB from a disk of 60 MB/s takes five minutes, and a processor two seconds for each token of such a model.
PROBE_S = 560.0
GOLDEN_BYTES = 1024 * 1024
_MARK = "RAGTRACE-PROBE "
_PROBE = Path(__file__).resolve().parent.parent / "probes" / "speaker.py"
# An engine, a short context, and buffers. A GGUF is mapped, so its weights take no memory of their own.
_ENGINE_BYTES = 800_000_000


@dataclass(frozen=True)
class Speaker:
    """One language model with its golden answer; ``problem`` says why there is none, and is empty where none came."""

    carried: Carried
    golden: Optional[GoldenAnswer]
    problem: str = ""

    @property
    def path(self) -> Path:
        """Return the file or folder that the golden answer is of."""
        assert self.golden is not None
        return self.carried.folder / self.golden.model


@dataclass(frozen=True)
class Spoken:
    """What a model said; or why nothing: an engine that is missing, too little memory, or an error."""

    cases: Tuple[Case, ...] = ()
    missing: str = ""
    short: str = ""
    problem: str = ""


def speakers(subject: Subject) -> Tuple[Speaker, ...]:
    """Return the language models of the release."""
    return tuple(_speaker(item) for item in carried.models(subject) if item.model.role == "llm")


def _speaker(item: Carried) -> Speaker:
    if NAME not in item.files:
        return Speaker(item, None)
    try:
        read = golden_answer.parse(read_json_object(item.folder / NAME, GOLDEN_BYTES))
    except (Unreadable, ValueError) as error:
        return Speaker(item, None, str(error)[:200])
    if read.model not in ("", ".") and read.model not in item.files:
        return Speaker(item, None, f"no {read.model!r}, which {NAME} names")
    return Speaker(item, read)


def listen(subject: Subject, speaker: Speaker) -> Spoken:
    """Run one model on its golden prompts."""
    assert speaker.golden is not None
    needed, free = memory_needed(speaker), facts.memory_bytes()[1]
    if 0 < free < needed:
        return Spoken(short=f"{free / 1e9:.1f} GB available, {needed / 1e9:.1f} GB needed")
    golden = speaker.golden
    request = {
        "models": [
            {
                "name": speaker.carried.model.name,
                "path": str(speaker.path),
                "prompts": [case.prompt for case in golden.cases],
                "tokens": golden.longest,
            }
        ],
        "threads": 0,
    }
    # Its text, not its path: the user that runs it may not be allowed to read where the validator lies.
    source = _PROBE.read_text(encoding="utf-8")
    done = commands.run_python(subject, ["-B", "-c", source, json.dumps(request)], timeout_s=PROBE_S)
    if done.timed_out:
        return Spoken(problem=f"did not end within {PROBE_S:g} s")
    told = _told(done.output)
    if told is None:
        return Spoken(problem=f"ended with code {done.code}: {done.complaint}".strip(": "))
    return _spoken(told)


def memory_needed(speaker: Speaker) -> int:
    """Return the bytes that running the model takes beside the service."""
    weights = sum(
        entry.size for name, entry in speaker.carried.files.items() if name.endswith(".safetensors")
    )
    return _ENGINE_BYTES + weights


def _told(output: str) -> Optional[Dict[str, Any]]:
    for line in reversed(output.splitlines()):
        if line.startswith(_MARK):
            try:
                told = json.loads(line[len(_MARK) :])
            except ValueError:
                return None
            return told if isinstance(told, dict) else None
    return None


def _spoken(told: Dict[str, Any]) -> Spoken:
    missing: List[Any] = told.get("missing") or []
    if missing:
        return Spoken(missing=str(missing[0])[:300])
    try:
        item = told["models"][0]
        if item["error"]:
            return Spoken(problem=str(item["error"])[:300])
        return Spoken(cases=tuple(golden_answer.case(one) for one in item["cases"]))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        return Spoken(problem=f"unreadable: {type(error).__name__}: {error}"[:300])
