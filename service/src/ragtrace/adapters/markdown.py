"""Parser for Markdown: headings become section paths, markup goes, words stay."""

from __future__ import annotations

import re

from ragtrace.adapters.decode import decode_text
from ragtrace.adapters.outline import Outline
from ragtrace.domain.documents import ParsedDocument, find_date
from ragtrace.limits import TITLE_CHARS

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))?[ \t]*#*[ \t]*$")
_SETEXT = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r"^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_TABLE_RULE = re.compile(r"^[ \t|:-]+$")
_LINK = re.compile(r"!?\[([^\[\]]{0,1000})\]\([^()\s]{0,2000}(?:\s+\"[^\"]{0,500}\")?\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]{1,200}\]:\s+\S+.*$")
_STRONG = re.compile(r"(\*\*|__|~~)(?=\S)(.{1,1000}?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=\S)([^*_\n]{1,500}?)(?<=\S)\1(?![\w*])")
_CODE = re.compile(r"(`+)([^`]{1,1000})\1")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>|<!--.{0,5000}?-->")


class MarkdownParser:
    """Reads CommonMark headings, lists, tables, fences and front matter, as far as search needs them."""

    suffixes = frozenset({".md", ".markdown"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the document. Raises `ParseProblem` for binary data."""
        lines = decode_text(data).splitlines()
        matter, lines = _front_matter(lines)
        outline = Outline()
        fence = ""
        previous = ""
        for line in lines:
            opened = _FENCE.match(line)
            if fence:
                fence = "" if opened and opened[1].startswith(fence) else fence
                if fence:
                    outline.text(line)
                continue
            if opened:
                fence = opened[1]
                previous = ""
                continue
            previous = _line(outline, line, previous)
        name = path.rpartition("/")[2].rpartition(".")[0]
        title = matter.get("title") or outline.first_heading or name
        return ParsedDocument(title[:TITLE_CHARS], outline.sections(), find_date(matter.get("date", "")))


def _line(outline: Outline, line: str, previous: str) -> str:
    """Take one line outside a fence; return it when a setext underline may follow it."""
    heading = _ATX.match(line)
    if heading:
        outline.heading(len(heading[1]), _plain(heading[2] or ""))
        return ""
    under = _SETEXT.match(line)
    if under and previous:
        outline.take_back()
        outline.heading(1 if under[1][0] == "=" else 2, previous)
        return ""
    if _RULE.match(line) or _REFERENCE.match(line) or (line.strip() and _TABLE_RULE.match(line)):
        return ""
    text = _plain(line)
    outline.text(text)
    return text.strip() if text.strip() and not line.startswith((" ", "\t", ">", "-", "*", "|")) else ""


def _plain(line: str) -> str:
    text = _TAG.sub("", line.lstrip(" \t>"))
    text = _LINK.sub(r"\1", text)
    text = _CODE.sub(r"\2", text)
    text = _EMPHASIS.sub(r"\2", _STRONG.sub(r"\2", text))
    if text.startswith("|"):
        text = " | ".join(cell.strip() for cell in text.strip().strip("|").split("|"))
    return re.sub(r"\\([\\`*_{}\[\]()#+.!|>~-])", r"\1", text)


def _front_matter(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """Split off `---` front matter; only its plain `key: value` lines are read."""
    if not lines or lines[0].strip() != "---":
        return {}, lines
    for end, line in enumerate(lines[1:60], start=1):
        if line.strip() in ("---", "..."):
            pairs = (entry.partition(":") for entry in lines[1:end] if entry[:1].strip())
            return {key.strip().lower(): value.strip().strip("\"'") for key, _, value in pairs}, lines[
                end + 1 :
            ]
    return {}, lines
