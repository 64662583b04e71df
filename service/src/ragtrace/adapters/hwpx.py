"""Parser for HWPX (KS X 6101, OWPML): the XML format of Hangul in a ZIP container."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from posixpath import normpath
from typing import Final

from lxml import etree

from ragtrace.adapters.chart_text import chart_rows
from ragtrace.adapters.facts import choose_date, choose_title, day_of
from ragtrace.adapters.hangul import Block, fill
from ragtrace.adapters.hangul_numbers import FORMS, PLAIN, Head, ListLevel
from ragtrace.adapters.hwpx_body import SectionReader, local_name, whole_number
from ragtrace.adapters.outline import Outline
from ragtrace.adapters.xml_guard import parse_xml
from ragtrace.adapters.zip_guard import GuardedZip, damaged, encrypted, open_zip
from ragtrace.domain.documents import ParsedDocument, find_date
from ragtrace.errors import ParseProblem
from ragtrace.limits import HWP_TEXT_BYTES
from ragtrace.text import Text

_MANIFEST: Final = "META-INF/manifest.xml"
_CONTAINER: Final = "META-INF/container.xml"
_PACKAGE: Final = "Contents/content.hpf"
_SECTION: Final = re.compile(r"(?:.*/)?section(\d{1,5})\.xml", re.IGNORECASE)


class HwpxParser:
    """Title and day of the package's metadata; outline paragraphs become section paths, tables become rows."""

    suffixes = frozenset({".hwpx"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the document. Raises `ParseProblem` when it is encrypted, damaged, absurdly large or no HWPX."""
        archive = open_zip(data)
        _refuse_encrypted(archive)
        package = _package(archive)
        outline = Outline()
        blocks: list[Block] = []
        left = HWP_TEXT_BYTES

        def chart(name: str) -> list[list[str]]:
            # Charts are the same part as in OOXML.
            return chart_rows(parse_xml(archive.read(name), name)) if name in archive else []

        reader = SectionReader(*_heads_and_lists(archive), chart)
        for name in _sections(archive, package):
            left -= archive.size(name)
            if left < 0:
                raise ParseProblem(
                    Text(
                        f"본문이 {HWP_TEXT_BYTES >> 20} MiB를 넘습니다.",
                        f"Its text is larger than {HWP_TEXT_BYTES >> 20} MiB.",
                    )
                )
            blocks += reader.read(parse_xml(archive.read(name), name))
        fill(outline, blocks)
        found = outline.sections()
        title, day = _metadata(package)
        return ParsedDocument(
            choose_title(path, title, outline.first_heading), found, choose_date(path, day, found)
        )


def _refuse_encrypted(archive: GuardedZip) -> None:
    """Raise `ParseProblem` when the manifest says that a part is encrypted (KS X 6101 §15, as in ODF)."""
    if _MANIFEST not in archive:
        return
    for element in parse_xml(archive.read(_MANIFEST), _MANIFEST).iter():
        if local_name(element) == "encryption-data":
            raise encrypted()


def _package(archive: GuardedZip) -> etree._Element | None:
    """Return the package document that the container names, None where there is none."""
    name = _PACKAGE
    if _CONTAINER in archive:
        for element in parse_xml(archive.read(_CONTAINER), _CONTAINER).iter():
            named = element.get("full-path", "") if local_name(element) == "rootfile" else ""
            if named.endswith(".hpf") and named in archive:
                name = named
                break
    return parse_xml(archive.read(name), name) if name in archive else None


def _sections(archive: GuardedZip, package: etree._Element | None) -> list[str]:
    """Return the parts of the sections in reading order: the package's spine, else by number."""
    numbered = {int(match[1]): name for name in archive.names if (match := _SECTION.fullmatch(name))}
    found = list(_spine(archive, package)) if package is not None else []
    # A spine may be left incomplete by programs that add sections; nothing of the text may be lost by that.
    found += [name for _, name in sorted(numbered.items()) if name not in found]
    if not found:
        raise damaged(_PACKAGE)
    return found


def _spine(archive: GuardedZip, package: etree._Element) -> Iterator[str]:
    items: dict[str, str] = {}
    for element in package.iter():
        if local_name(element) == "item":
            items[element.get("id", "")] = element.get("href", "")
    for element in package.iter():
        href = items.get(element.get("idref", ""), "") if local_name(element) == "itemref" else ""
        if not _SECTION.fullmatch(href):
            continue
        # The standard says relative to the package, Hangul writes relative to the root.
        name = next((one for one in (href, normpath(f"Contents/{href}")) if one in archive), None)
        if name is None:
            raise damaged(href)
        yield name


def _heads_and_lists(archive: GuardedZip) -> tuple[dict[str, Head], dict[str, dict[int, ListLevel]]]:
    """Return what stands before paragraphs, by the id of their properties, and the levels of the lists by id."""
    heads: dict[str, Head] = {}
    lists: dict[str, dict[int, ListLevel]] = {}
    name = next((one for one in archive.names if one.lower().endswith("contents/header.xml")), None)
    if name is None:
        return heads, lists
    for element in parse_xml(archive.read(name), name).iter():
        kind = local_name(element)
        if kind == "paraPr":
            for child in element:
                if local_name(child) == "heading":
                    heads[element.get("id", "")] = _head(child)
        elif kind == "numbering":
            levels = (_level(one) for one in element if local_name(one) == "paraHead")
            lists[element.get("id", "")] = dict(levels)
    return heads, lists


def _head(element: etree._Element) -> Head:
    level = whole_number(element, "level", 0) + 1
    if element.get("type") == "OUTLINE":
        return Head("outline", level)
    return Head("number", level, element.get("idRef", "")) if element.get("type") == "NUMBER" else PLAIN


def _level(element: etree._Element) -> tuple[int, ListLevel]:
    form = dict(FORMS).get(element.get("numFormat", ""), "decimal")
    return whole_number(element, "level", 1), ListLevel(
        whole_number(element, "start", 1), form, element.text or ""
    )


def _metadata(package: etree._Element | None) -> tuple[str, str]:
    """Return title and day: when it was saved, else made."""
    if package is None:
        return "", ""
    title = ""
    days: dict[str, str] = {}
    for element in package.iter():
        kind = local_name(element)
        if kind == "title" and not title:
            title = element.text or ""
        elif kind == "meta":
            days[element.get("name", "")] = _day(element.text or "")
    return title, days.get("ModifiedDate") or days.get("CreatedDate") or days.get("CreateDate") or ""


def _day(moment: str) -> str:
    try:
        return day_of([datetime.fromisoformat(moment.strip())])
    except ValueError:
        return find_date(moment)
