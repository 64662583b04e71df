"""What a chart says: its cached categories and values as a table; ECMA-376 part 1 §21.2 (charts)."""

from __future__ import annotations

from lxml import etree

_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"


def chart_rows(root: etree._Element) -> list[list[str]]:
    """Return a header of series names, then a row for each category; nothing where the chart holds no values."""
    series = list(root.iter(f"{_C}ser"))
    names = [" ".join(_points(one.find(f"{_C}tx")).values()) for one in series]
    categories: dict[int, str] = {}
    for one in series:
        for kind in ("cat", "xVal"):
            categories = categories or _points(one.find(f"{_C}{kind}"))
    values = [_points(one.find(f"{_C}val")) or _points(one.find(f"{_C}yVal")) for one in series]
    places = sorted({*categories, *(at for one in values for at in one)})
    if not places:
        return []
    return [["", *names], *([categories.get(at, ""), *(one.get(at, "") for one in values)] for at in places)]


def _points(element: etree._Element | None) -> dict[int, str]:
    """Return the cached points by their index."""
    if element is None:
        return {}
    found: dict[int, str] = {}
    for point in element.iter(f"{_C}pt"):
        at = point.get("idx") or ""
        if at.isdecimal() and len(at) < 8:
            found[int(at)] = (point.findtext(f"{_C}v") or "").strip()
    if not found and element.find(f"{_C}v") is not None:
        found[0] = (element.findtext(f"{_C}v") or "").strip()
    return found
