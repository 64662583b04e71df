"""Parser for HTML through lxml; broken markup is repaired by it, nothing is run or loaded."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from ragtrace.adapters.decode import decode_html
from ragtrace.adapters.outline import Outline
from ragtrace.domain.documents import ParsedDocument, find_date
from ragtrace.errors import ParseProblem
from ragtrace.limits import HTML_ELEMENTS, TITLE_CHARS
from ragtrace.text import Text

_SILENT = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "head",
        "nav",
        "header",
        "footer",
        "aside",
        "form",
        "button",
        "select",
        "input",
        "textarea",
        "iframe",
        "object",
        "svg",
        "math",
        "canvas",
        "audio",
        "video",
    ]
)
_BLOCK = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "body",
        "br",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "hr",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
        "center",
        "caption",
    ]
)
_CELLS = frozenset({"td", "th"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_DATE_NAMES = frozenset(
    [
        "date",
        "dc.date",
        "dcterms.date",
        "dcterms.created",
        "dcterms.modified",
        "dcterms.issued",
        "last-modified",
        "created",
        "article:published_time",
        "article:modified_time",
        "datepublished",
        "datemodified",
        "pubdate",
    ]
)


class HtmlParser:
    """The title from <title> or the first heading; headings become section paths."""

    suffixes = frozenset({".html", ".htm"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the document. Raises `ParseProblem` for binary data or an absurd number of elements."""
        markup = decode_html(data).strip()
        name = path.rpartition("/")[2].rpartition(".")[0]
        if not markup:
            return ParsedDocument(name[:TITLE_CHARS], ())
        root = _tree(markup)
        if root is None:
            return ParsedDocument(name[:TITLE_CHARS], ())
        outline = Outline()
        _walk(root, outline)
        sections = outline.sections()
        title = _title(root) or outline.first_heading or name
        return ParsedDocument(title[:TITLE_CHARS], sections, _date(root))


def _tree(markup: str) -> etree._Element | None:
    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False
    )
    try:
        root = etree.fromstring(markup.encode("utf-8", "replace"), parser)
    except etree.ParserError:
        return None
    except etree.XMLSyntaxError as error:
        raise ParseProblem(
            Text(f"HTML을 읽을 수 없습니다: {error.msg}", f"The HTML cannot be read: {error.msg}")
        ) from error
    return root


def _walk(root: etree._Element, outline: Outline) -> None:
    """Go through the tree without recursion, so that depth cannot exhaust the stack."""
    line: list[str] = []
    heading: tuple[int, list[str]] | None = None
    for event, value in _events(root):
        if event == "text":
            (heading[1] if heading else line).append(value)
            continue
        if value in _HEADINGS:
            _flush(line, outline)
            if event == "start":
                heading = (_HEADINGS[value], [])
            elif heading:
                outline.heading(heading[0], "".join(heading[1]))
                heading = None
        elif heading is None and event == "end" and value in _CELLS:
            line.append(" | ")
        elif heading is None and value in _BLOCK and value not in _CELLS:
            _flush(line, outline)
        elif heading and value == "br":
            heading[1].append(" ")
    if heading:
        line = heading[1]
    _flush(line, outline)


def _events(root: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield starts, texts and ends of the elements that speak, in reading order."""
    silent: etree._Element | None = None
    for count, (event, element) in enumerate(etree.iterwalk(root, events=("start", "end"))):
        if count > 2 * HTML_ELEMENTS:
            raise ParseProblem(
                Text(
                    f"HTML 요소가 {HTML_ELEMENTS}개를 넘습니다.",
                    f"It holds more than {HTML_ELEMENTS} elements.",
                )
            )
        tag = element.tag if isinstance(element.tag, str) else ""
        if silent is None and event == "start":
            if tag in _SILENT:
                silent = element
            else:
                yield "start", tag
                if element.text:
                    yield "text", element.text
        elif event == "end":
            if silent is None:
                yield "end", tag
            elif silent is element:
                silent = None
            if silent is None and element.tail and element is not root:
                yield "text", element.tail


def _flush(line: list[str], outline: Outline) -> None:
    text = " ".join("".join(line).split()).strip("| ")
    line.clear()
    if text:
        outline.text(text)


def _title(root: etree._Element) -> str:
    return " ".join((root.findtext(".//head/title") or root.findtext(".//title") or "").split())


def _date(root: etree._Element) -> str:
    for meta in root.iter("meta"):
        name = (
            meta.get("name") or meta.get("property") or meta.get("itemprop") or meta.get("http-equiv") or ""
        )
        if name.lower() in _DATE_NAMES:
            day = find_date(meta.get("content") or "")
            if day:
                return day
    return ""
