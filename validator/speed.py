"""Is the host fast enough? What the profile expects, and what this host itself did before; slow is a warning only.

Nothing is called slow after one measurement: a busy moment passes, so it is measured again, and the better one counts.
While others keep every core of the host busy, it is not compared with its own past.
"""

from __future__ import annotations

import os
import time
from typing import Callable, Dict, List, Mapping, Optional

from bundle.expectations import EXPECTATIONS, Expectation, expected
from bundle.text import Text
from validator import history
from validator.model import Outcome, Status
from validator.subject import Subject

# A host with less of its processors idle than this is busy with something else; sampled for so long.
_IDLE = 0.3
_SAMPLE_S = 0.25
Figures = Mapping[str, float]


def judged(
    subject: Subject, figures: Figures, again: Callable[[], Optional[Figures]], note: str = ""
) -> Outcome:
    """Return the outcome of one check's figures.

    Args:
        figures: what was measured, by key of ``bundle.expectations``.
        again: measures the same once more; nothing when that is not possible.
        note: what else belongs to the evidence.
    """
    better: Dict[str, float] = dict(figures)
    if _short_of(subject, better) or _behind(subject, better):
        for key, value in (again() or {}).items():
            choose = max if EXPECTATIONS[key].at_least else min
            better[key] = choose(value, better.get(key, value))
    behind = _behind(subject, better)
    crowded = bool(behind) and busy()
    reasons = _short_of(subject, better) + ([] if crowded else behind)
    measured = ", ".join(shown(key, value, len(better) > 1) for key, value in better.items())
    measured += f" ({note})" if note else ""
    wanted = "; ".join(_expectation(subject, key, len(better) > 1) for key in better)
    wanted += "; host busy, not compared with earlier runs" if crowded else ""
    if not reasons:
        within = Text("기대치 안입니다", "within the expectation")
        return Outcome(Status.PASS, within, measured, wanted, figures=better)
    ko, en = "; ".join(why.ko for why in reasons), "; ".join(why.en for why in reasons)
    why = Text("다른 부하가 있거나 느린 호스트입니다", "other load, or a slow host")
    return Outcome(Status.WARN, Text(ko, en), measured, wanted, why, "more-resources", figures=better)


def shown(key: str, value: float, named: bool = False) -> str:
    """Return a figure with its unit, and its key's first word where several stand side by side."""
    unit = EXPECTATIONS[key].unit
    digits = 0 if unit in ("ms", "MB/s") else 2
    name = _short(key) + " " if named else ""
    return f"{name}{value:.{digits}f} {unit}"


def _short(key: str) -> str:
    return key.replace("disk_", "").split("_", 1)[0]


def _stated(subject: Subject, key: str) -> float:
    return expected(subject.manifest.expectations if subject.manifest is not None else {}, key)


def _expectation(subject: Subject, key: str, named: bool) -> str:
    known, limit = EXPECTATIONS[key], _stated(subject, key)
    text = f"{_short(key) + ' ' if named else ''}{'>=' if known.at_least else '<='} {limit:g} {known.unit}"
    before = history.median(subject, key)
    return text if before is None else f"{text}, median of {before.runs} runs {shown(key, before.value)}"


def _short_of(subject: Subject, figures: Figures) -> List[Text]:
    """Say which figures are not what the profile expects."""
    slow = [k for k, value in figures.items() if _slower(EXPECTATIONS[k], value, _stated(subject, k), 1.0)]
    return [Text("기대치보다 느립니다", "slower than expected")] if slow else []


def _behind(subject: Subject, figures: Figures) -> List[Text]:
    """Say which figures are far from what this host itself reached before, with the same release."""
    found = []
    for key, value in figures.items():
        known, before = EXPECTATIONS[key], history.median(subject, key)
        if (
            before is not None
            and abs(value - before.value) > known.noise
            and _slower(known, value, before.value, known.factor)
        ):
            found.append(
                Text(
                    f"이 호스트의 이전 {before.runs}회 중앙값({shown(key, before.value)})보다"
                    f" {known.factor:g}배 넘게 느려졌습니다",
                    f"more than {known.factor:g} times slower than the median of this host's"
                    f" {before.runs} earlier runs ({shown(key, before.value)})",
                )
            )
    return found


def busy() -> bool:
    """Tell whether others use this host's processors (or wait for its disk) so much that speed says little."""
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1):
        return True
    first = _processor_times()
    if not first:
        return False
    time.sleep(_SAMPLE_S)
    spent = [after - before for before, after in zip(first, _processor_times())]
    return sum(spent) > 0 and spent[3] / sum(spent) < _IDLE


def _processor_times() -> List[int]:
    """Return the jiffies of all processors by kind, idle fourth (proc(5)); nothing where there is no such file."""
    try:
        with open("/proc/stat", encoding="ascii") as stream:
            return [int(word) for word in stream.readline().split()[1:9]]
    except (OSError, ValueError):
        return []


def _slower(known: Expectation, value: float, limit: float, factor: float) -> bool:
    return value * factor < limit if known.at_least else value > limit * factor
