"""The numbers that Word writes before paragraphs (제1조, 가., 1.1) and keeps nowhere in the text; ECMA-376 part 1 §17.9."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lxml import etree

from ragtrace.adapters.numerals import written

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PLACE = re.compile(r"%([1-9])")


@dataclass(frozen=True)
class _Level:
    start: int
    form: str
    text: str
    style: str


@dataclass
class _Instance:
    abstract: str
    starts: dict[int, int] = field(default_factory=dict)


class Numbering:
    """Counts the numbered paragraphs of one document in reading order."""

    def __init__(self, root: etree._Element | None) -> None:
        """Read the numbering part; None stands for a document without."""
        self._abstracts: dict[str, dict[int, _Level]] = {}
        self._instances: dict[str, _Instance] = {}
        self._counters: dict[str, dict[int, int]] = {}
        self._begun: set[str] = set()
        if root is None:
            return
        for abstract in root.iter(f"{W}abstractNum"):
            levels = {_number(one, f"{W}ilvl"): _level(one) for one in abstract.iter(f"{W}lvl")}
            self._abstracts[abstract.get(f"{W}abstractNumId", "")] = levels
        for number in root.iter(f"{W}num"):
            instance = _Instance(_value(number, "abstractNumId"))
            for override in number.iter(f"{W}lvlOverride"):
                start = override.find(f"{W}startOverride")
                if start is not None:
                    instance.starts[_number(override, f"{W}ilvl")] = _number(start, f"{W}val")
            self._instances[number.get(f"{W}numId", "")] = instance

    def level_of_style(self, number: str, style: str) -> int:
        """Return the level that a paragraph style is tied to, 0 when none."""
        instance = self._instances.get(number)
        levels = self._abstracts.get(instance.abstract, {}) if instance else {}
        return next((at for at, level in levels.items() if level.style == style), 0)

    def label(self, number: str, level: int) -> str:
        """Count a paragraph of the list `number` at `level` (from 0) and return what stands before it, "" for bullets."""
        instance = self._instances.get(number)
        levels = self._abstracts.get(instance.abstract) if instance else None
        if instance is None or not levels or level not in levels:
            return ""
        counters = self._counters.setdefault(instance.abstract, {})
        if number not in self._begun:
            self._begun.add(number)
            for at, start in instance.starts.items():
                counters[at] = start - 1
        for at in [at for at in counters if at > level]:
            del counters[at]
        for at in range(level):
            counters.setdefault(at, levels[at].start if at in levels else 1)
        counters[level] = counters.get(level, levels[level].start - 1) + 1
        if levels[level].form in ("bullet", "none"):
            return ""

        def put(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            form = levels[at].form if at in levels else "decimal"
            return written(counters.get(at, 1), form)

        return " ".join(_PLACE.sub(put, levels[level].text).split())


def _level(element: etree._Element) -> _Level:
    start = element.find(f"{W}start")
    return _Level(
        1 if start is None else _number(start, f"{W}val"),
        _value(element, "numFmt") or "decimal",
        _value(element, "lvlText"),
        _value(element, "pStyle"),
    )


def _value(element: etree._Element, name: str) -> str:
    child = element.find(f"{W}{name}")
    return "" if child is None else child.get(f"{W}val") or ""


def _number(element: etree._Element, attribute: str) -> int:
    text = element.get(attribute) or ""
    return int(text) if re.fullmatch(r"\d{1,9}", text) else 0
