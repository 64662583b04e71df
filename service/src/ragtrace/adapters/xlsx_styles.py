"""The number formats of an XLSX alone: without them a day is a number, and the rest is of no use and often wrong."""

from __future__ import annotations

from lxml import etree

from ragtrace.adapters.xml_guard import parse_xml
from ragtrace.adapters.zip_guard import GuardedZip

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_PLAIN = {
    "fonts": "<font/>",
    "fills": "<fill><patternFill/></fill>",
    "borders": "<border/>",
    "cellStyleXfs": "<xf/>",
}


class NumbersOnly:
    """Stands for the archive where openpyxl applies the styles of a workbook."""

    def __init__(self, parts: GuardedZip) -> None:
        self._parts = parts

    def read(self, name: str) -> bytes:
        """Return the reduced styles part. Raises `KeyError`, as an archive does, when there is none."""
        if name not in self._parts:
            raise KeyError(name)
        return numbers_only(self._parts.read(name))


def numbers_only(styles: bytes) -> bytes:
    """Return a styles part with the number format of every cell format and nothing else.

    Order of the elements after ECMA-376 part 1 §18.8.39 (CT_Stylesheet). Raises `ParseProblem` when it is no XML.
    """
    old = parse_xml(styles, "xl/styles.xml")
    new = etree.Element(f"{_S}styleSheet", nsmap={None: _S[1:-1]})
    formats = etree.SubElement(new, f"{_S}numFmts")
    for one in old.iterfind(f"{_S}numFmts/{_S}numFmt"):
        if (one.get("numFmtId") or "").isdecimal() and one.get("formatCode"):
            etree.SubElement(
                formats, f"{_S}numFmt", numFmtId=one.get("numFmtId"), formatCode=one.get("formatCode")
            )
    for name, inside in _PLAIN.items():
        new.append(etree.fromstring(f'<{name} xmlns="{_S[1:-1]}">{inside}</{name}>'))
    cells = etree.SubElement(new, f"{_S}cellXfs")
    for one in old.iterfind(f"{_S}cellXfs/{_S}xf"):
        number = one.get("numFmtId") or "0"
        etree.SubElement(
            cells,
            f"{_S}xf",
            numFmtId=number if number.isdecimal() else "0",
            fontId="0",
            fillId="0",
            borderId="0",
        )
    written: bytes = etree.tostring(new, encoding="utf-8", xml_declaration=True)
    return written
