"""Read the XML of office formats: no entities, no document type, nothing loaded, bounded."""

from __future__ import annotations

import re

from lxml import etree

from ragtrace.errors import ParseProblem
from ragtrace.limits import XML_ELEMENTS
from ragtrace.text import Text

_START = re.compile(rb"<[A-Za-z_:\x80-\xff]")


def parse_xml(data: bytes, part: str = "") -> etree._Element:
    """Return the root of an XML part.

    Raises `ParseProblem` when it is not well formed, declares a document type (no office format has one; entities begin
    there), holds more than `XML_ELEMENTS` elements, or deeper ones than 256 (libxml2's own cap).
    """
    refuse_doctype(data, part)
    if len(data) > XML_ELEMENTS and sum(1 for _ in _START.finditer(data)) > XML_ELEMENTS:
        raise ParseProblem(
            Text(
                f"XML 요소가 {XML_ELEMENTS}개를 넘습니다.", f"It holds more than {XML_ELEMENTS} XML elements."
            ),
            where=part,
        )
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True, remove_pis=True,
        huge_tree=False, collect_ids=False,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise _unreadable(part, str(error)) from error
    if root.getroottree().docinfo.doctype:
        raise _doctype(part)
    return root


def refuse_doctype(data: bytes, part: str = "") -> None:
    """Raise `ParseProblem` for a document type in any encoding: for parts that a library parses itself."""
    # UTF-16 and UTF-32 spell it with zero bytes between.
    plain = data.replace(b"\0", b"") if b"\0" in data[:64] else data
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise _doctype(part)


def _doctype(part: str) -> ParseProblem:
    return ParseProblem(
        Text(
            "문서 안 XML에 DTD나 엔터티 선언이 있어 읽지 않았습니다.",
            "Its XML declares a document type or entities, so it was not read.",
        ),
        where=part,
    )


def _unreadable(part: str, reason: str) -> ParseProblem:
    return ParseProblem(
        Text("문서 안 XML을 읽을 수 없습니다.", "The XML inside cannot be read."),
        where=f"{part}: {reason}" if part else reason,
        hint=Text("원본 프로그램에서 다시 저장해 주십시오.", "Save it again with its program."),
    )
