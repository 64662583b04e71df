"""A writer of small HWPX documents (KS X 6101)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

HEAD = "http://www.hancom.co.kr/hwpml/2011/head"
SECTION = "http://www.hancom.co.kr/hwpml/2011/section"
PARAGRAPH = "http://www.hancom.co.kr/hwpml/2011/paragraph"


def archive(members: Mapping[str, bytes | str]) -> bytes:
    """Return a ZIP archive."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return target.getvalue()


def p(content: str = "", *, shape: int = 0) -> str:
    """Return a paragraph; plain text is wrapped into a run."""
    if not content.startswith("<hp:run"):
        content = run(t(content) if not content.startswith("<") else content)
    return f'<hp:p id="1" paraPrIDRef="{shape}" styleIDRef="0">{content}<hp:linesegarray/></hp:p>'


def run(*elements: str) -> str:
    """Return a run."""
    return f'<hp:run charPrIDRef="0">{"".join(elements)}</hp:run>'


def t(text: str) -> str:
    """Return a piece of text; markup in it is kept."""
    return f"<hp:t>{text}</hp:t>"


def listed(*paragraphs: str) -> str:
    """Return a list of paragraphs."""
    return f'<hp:subList id="" textDirection="HORIZONTAL">{"".join(paragraphs)}</hp:subList>'


def ctrl(kind: str, *paragraphs: str) -> str:
    """Return a control that holds paragraphs."""
    return f"<hp:ctrl><hp:{kind} number='1'>{listed(*paragraphs)}</hp:{kind}></hp:ctrl>"


def tbl(
    rows: Sequence[Sequence[str | None]],
    *,
    spans: Mapping[tuple[int, int], int] | None = None,
    titles: int = 0,
    caption: str = "",
) -> str:
    """Return a table; a cell is a text or markup of paragraphs, None a place that another cell covers."""
    found = ""
    for row, cells in enumerate(rows):
        inner = ""
        for column, cell in enumerate(cells):
            if cell is None:
                continue
            covered = (spans or {}).get((row, column), 1)
            content = cell if cell.startswith("<hp:p") else p(cell)
            inner += (
                f'<hp:tc name="" header="{int(row < titles)}">{listed(content)}<hp:cellAddr colAddr="{column}" rowAddr="{row}"/>'
                f'<hp:cellSpan colSpan="1" rowSpan="{covered}"/></hp:tc>'
            )
        found += f"<hp:tr>{inner}</hp:tr>"
    head = f"<hp:caption>{listed(p(caption))}</hp:caption>" if caption else ""
    return f'<hp:tbl id="1" rowCnt="{len(rows)}" repeatHeader="1">{head}{found}</hp:tbl>'


def section(*paragraphs: str, year: str = "2011") -> str:
    """Return a section; each year's standard has namespaces of its own."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><hs:sec xmlns:hs="{SECTION}" xmlns:hp="{PARAGRAPH}">{"".join(paragraphs)}</hs:sec>'
    ).replace("/2011/", f"/{year}/")


def parts(
    *sections: str,
    outline: Sequence[int] = (0,),
    lists: str = "",
    title: str = "",
    meta: Mapping[str, str] | None = None,
    spine: Sequence[int] | None = None,
) -> dict[str, bytes | str]:
    """Return the members of a document.

    `outline` gives the outline level of each paragraph property, 0 for text, below 0 for a level of the list 1.
    """
    shapes = "".join(
        f'<hh:paraPr id="{number}"><hh:heading type="{"OUTLINE" if level > 0 else "NUMBER" if level else "NONE"}" '
        f'idRef="{int(level < 0)}" level="{max(abs(level) - 1, 0)}"/></hh:paraPr>'
        for number, level in enumerate(outline)
    )
    items = "".join(
        f'<opf:item id="section{at}" href="Contents/section{at}.xml" media-type="application/xml"/>'
        for at in range(len(sections))
    )
    order = "".join(
        f'<opf:itemref idref="section{at}" linear="yes"/>' for at in (spine or range(len(sections)))
    )
    metas = "".join(
        f'<opf:meta name="{name}" content="text">{value}</opf:meta>' for name, value in (meta or {}).items()
    )
    return {
        "mimetype": "application/hwp+zip",
        "version.xml": "<v/>",
        "META-INF/container.xml": '<c><rootfile full-path="Contents/content.hpf"/><rootfile full-path="Preview/PrvText.txt"/></c>',
        "META-INF/manifest.xml": '<m xmlns="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        "Contents/content.hpf": f'<opf:package xmlns:opf="http://www.idpf.org/2007/opf/"><opf:metadata><opf:title>{title}</opf:title>{metas}'
        f'</opf:metadata><opf:manifest><opf:item id="header" href="Contents/header.xml"/>{items}</opf:manifest>'
        f'<opf:spine><opf:itemref idref="header"/>{order}</opf:spine></opf:package>',
        "Contents/header.xml": f'<hh:head xmlns:hh="{HEAD}"><hh:refList>{lists}{shapes}</hh:refList></hh:head>',
        **{f"Contents/section{at}.xml": one for at, one in enumerate(sections)},
        "Preview/PrvText.txt": "미리보기 글",
    }


def numbering(number: int, *levels: tuple[str, str], start: int = 1) -> str:
    """Return a list by the texts and forms of its levels; the first one counts from `start`."""
    heads = "".join(
        f'<hh:paraHead start="{start if at == 1 else 1}" level="{at}" numFormat="{form}">{text}</hh:paraHead>'
        for at, (text, form) in enumerate(levels, 1)
    )
    return f'<hh:numbering id="{number}" start="0">{heads}</hh:numbering>'
