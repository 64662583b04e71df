"""HTML that cannot be broken out of: every string is escaped, only what these functions made is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from bundle.text import Text

from ..cleaning import block


class Markup(str):
    """Finished HTML; made by this module alone."""

    __slots__ = ()


def render(child: str | Text | Markup) -> Markup:
    """Return a child as HTML."""
    if isinstance(child, Markup):
        return child
    if isinstance(child, Text):
        return Markup(f'<span lang="ko">{_text(child.ko)}</span><span lang="en">{_text(child.en)}</span>')
    return Markup(_text(child))


def tag(name: str, *children: str | Text | Markup, **attributes: str) -> Markup:
    """Return an element; a trailing underscore of an attribute's name is dropped (``class_``)."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"' for key, value in attributes.items() if value
    )
    return Markup(f"<{name}{words}>{join(*children)}</{name}>")


def void(name: str, **attributes: str) -> Markup:
    """Return an element that has no end."""
    words = "".join(f' {key.rstrip("_")}="{_text(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{words}>")


def join(*children: str | Text | Markup) -> Markup:
    """Return children one after the other."""
    return Markup("".join(render(child) for child in children))


def items(children: Iterable[str | Text | Markup]) -> Markup:
    """Return a list."""
    return tag("ul", *(tag("li", child) for child in children))


def table(
    header: Sequence[str | Text | Markup],
    rows: Iterable[Sequence[str | Text | Markup]],
    class_: str = "",
) -> Markup:
    """Return a table with a line for each row; its head is repeated on every printed page."""
    head = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in header)))
    lines = (tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    body = tag("tbody", Markup("\n".join(lines)))
    return tag("div", tag("table", head, body, class_=class_), class_="wide")


def folded(name: str, title: Text, content: Markup) -> Markup:
    """Return content that a click unfolds; printed, it is always unfolded."""
    box = void("input", type="checkbox", id=f"open-{name}", class_="fold")
    label = tag("label", title, for_=f"open-{name}")
    return tag("div", box, label, tag("div", content, class_="folded"), class_="fold-box")


def number(words: str | Text) -> Markup:
    """Return a figure, or the heading of figures, set to the right of its column."""
    return tag("span", words, class_="number")


def pairs(rows: Iterable[tuple[Text, str | Text | Markup]]) -> Markup:
    """Return a table of names and values."""
    lines = (tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in rows)
    return tag("div", tag("table", tag("tbody", Markup("\n".join(lines))), class_="pairs"), class_="wide")


def _text(text: str) -> str:
    return escape(block(text), quote=True)
