"""From a source to a member: fields first, then known secrets and what looks like one, then names of people and hosts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

from recovery.support import configuration, fields
from recovery.support.content import Quiet
from recovery.support.identity import Identity, Names
from recovery.support.sources import Source
from validator.secrets import Scrubber, Tokens
from validator.secrets.encodings import Known

# Checks whose evidence quotes what the service answered, and what of it stays; checks of plugins say what they like.
_ANSWERS = ("RAG-006", "RAG-007", "RAG-016")
_REMEMBERED = 20_000
_HTTP = re.compile(r"HTTP \d{1,3}(?:, \d+ items)?(?:, [\d.]+ ms)?")
_OURS = re.compile(r"(?:SYS|TOOL|PKG|RAG|PERF|SEC|PLUG|RTS)-\d{3}\Z")


@dataclass(frozen=True)
class Member:
    """One file of the bundle: its name, its text, and how much was taken out, by kind."""

    name: str
    text: str
    removed: Mapping[str, int] = field(default_factory=dict)
    is_log: bool = False
    note: str = ""

    @property
    def data(self) -> bytes:
        """Return the bytes of the member."""
        return self.text.encode("utf-8", "backslashreplace")


class Pipeline:
    """Turns sources into members, with one set of tokens for the whole bundle."""

    def __init__(self, prefix: Path, known: Sequence[str], names: Names, tokens: Tokens) -> None:
        self._tokens = tokens
        self._known = Known(known)
        self._identity = Identity(names, tokens)
        self._quiet = Quiet(tokens, str(prefix / "data"))
        self._harmless: Set[Tuple[str, str]] = set()

    def member(self, source: Source) -> Member:
        """Return what of *source* may leave."""
        before = dict(self._tokens.counts)
        text, dropped = self._text(source)
        counts = {kind: count - before.get(kind, 0) for kind, count in self._tokens.counts.items()}
        counts["fields"] = dropped
        name = self.clean(source.name)
        return Member(
            name, text, {kind: count for kind, count in sorted(counts.items()) if count}, source.is_log
        )

    def clean(self, text: str) -> str:
        """Return text without secrets and names."""
        scrubber = Scrubber(self._known, self._tokens)
        return self._identity.text(scrubber.feed(text) + scrubber.finish())

    def _text(self, source: Source) -> Tuple[str, int]:
        if source.rule == "json":
            return self._document(source)
        if source.rule in ("lines", "service-log"):
            return self._lines(source)
        if source.rule == "settings":
            text, left = configuration.keys_of(source.name, source.text)
            return self.clean(text), left
        if source.rule == "unit":
            text, left = configuration.unit_of(source.text)
            return self.clean(text), left
        if source.rule == "listing":
            return self._quiet.text(self.clean(source.text)), 0
        return self.clean(source.text), 0

    def _document(self, source: Source) -> Tuple[str, int]:
        try:
            document = json.loads(source.text)
        except (ValueError, RecursionError):
            return "# damaged: not JSON, so nothing of it is included\n", 1
        if "validation_results" in source.allowed and isinstance(document, dict):
            document["validation_results"] = [
                _reduced(item) for item in _items(document.get("validation_results"))
            ]
        chosen = fields.Filter(self._treat)
        made = chosen.apply(document, source.allowed)
        return json.dumps(made, ensure_ascii=False, indent=1) + "\n", chosen.dropped

    def _lines(self, source: Source) -> Tuple[str, int]:
        """Treat each JSON line by its fields; lines of another kind as one text, since a key may cover several."""
        parts: List[str] = []
        plain: List[str] = []
        chosen = fields.Filter(self._treat)
        for line in source.text.split("\n"):
            record = _record(line)
            if record is None:
                plain.append(line)
                continue
            parts += self._spoken(plain, source)
            parts.append(json.dumps(chosen.apply(record, source.allowed), ensure_ascii=False))
        parts += self._spoken(plain, source)
        return "\n".join(parts) + "\n" if parts else "", chosen.dropped

    def _spoken(self, lines: List[str], source: Source) -> List[str]:
        """Return lines that are no records, without secrets and content; the records' own files have none."""
        text = "\n".join(lines)
        lines.clear()
        if not text.strip():
            return []
        if source.rule == "lines":
            return ["# a line that is not JSON was left out"]
        return [self._identity.text(self._quiet.text(self._scrubbed(text))).rstrip("\n")]

    def _scrubbed(self, text: str) -> str:
        scrubber = Scrubber(self._known, self._tokens)
        return scrubber.feed(text) + scrubber.finish()

    def _treat(self, value: str, leaf: str, record: Mapping[str, Any]) -> str:
        if leaf == fields.USER:
            return self._identity.user(value)
        if leaf == fields.HOST:
            return self._identity.host(value)
        # Logs say the same words again and again; what nothing had to be taken from is not looked at twice.
        if (leaf, value) in self._harmless:
            return value
        told = self._text_of(value, leaf, record)
        if told == value and leaf != "message" and len(self._harmless) < _REMEMBERED:
            self._harmless.add((leaf, value))
        return told

    def _text_of(self, value: str, leaf: str, record: Mapping[str, Any]) -> str:
        # A secret is named as one also where the whole text around it becomes a token.
        value = self._scrubbed(value)
        if leaf == "path":
            value = self._quiet.path(value)
        elif leaf == "message":
            value = self._quiet.message(value, record)
        elif leaf == fields.QUIET:
            value = self._quiet.text(value)
        return self._identity.text(value)


def _record(line: str) -> "Dict[str, Any] | None":
    if not line.lstrip().startswith("{"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _items(value: object) -> List[Dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _reduced(item: Dict[str, Any]) -> Dict[str, Any]:
    """Return a result without words that are not the validator's own: a plugin's, or an answer's."""
    identity = str(item.get("id", ""))
    if not _OURS.match(identity):
        return {
            key: item[key]
            for key in ("id", "category", "status", "raw_status", "severity", "duration_s")
            if key in item
        }
    if identity in _ANSWERS:
        evidence = item.get("evidence")
        measured = str(evidence.get("measured", "")) if isinstance(evidence, dict) else ""
        match = _HTTP.match(measured)
        return {**item, "evidence": {"measured": match.group() if match else "", "expected": ""}}
    return item
