"""A small PDF writer (ISO 32000-1): Korean text in a font without outlines, whose ToUnicode map says what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_CMAP = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /T def /CMapType 2 def
1 begincodespacerange <0000> <FFFF> endcodespacerange %s
endcmap CMapName currentdict /CMap defineresource pop end end"""


@dataclass(frozen=True)
class At:
    """A text at a place: points from the lower left corner, size of the letters in points."""

    text: str
    x: float = 72
    y: float = 700
    size: float = 10


@dataclass
class Pdf:
    """A document to be written. `marks` are (level, title, page, y); a page may also be a list of At."""

    pages: Sequence[str | Sequence[At]]
    title: str = ""
    changed: str = ""
    created: str = ""
    marks: Sequence[tuple[int, str, int, float]] = ()
    mapped: bool = True
    picture: bool = False
    protected: bool = False
    _objects: list[bytes] = field(default_factory=list)

    def write(self) -> bytes:
        """Return the file."""
        self._objects = []
        catalog, tree, font = self._reserve(), self._reserve(), self._font()
        picture = self._stream(
            b"\x00",
            b"/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8",
        )
        pages = [self._page(page, tree, font, picture) for page in self.pages]
        kids = b" ".join(b"%d 0 R" % page for page in pages)
        self._set(tree, b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)))
        outlines = self._marks(pages)
        self._set(catalog, b"<< /Type /Catalog /Pages %d 0 R %s >>" % (tree, outlines))
        info = self._add(
            b"<< /Title %s /ModDate %s /CreationDate %s >>"
            % (_text(self.title), _text(self.changed), _text(self.created))
        )
        return self._file(catalog, info)

    def _file(self, catalog: int, info: int) -> bytes:
        written = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        places = []
        for number, body in enumerate(self._objects, start=1):
            places.append(len(written))
            written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
        start = len(written)
        written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
        written += b"".join(b"%010d 00000 n \n" % place for place in places)
        # Keys that belong to no password anybody knows.
        lock = b"/Encrypt << /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >> /ID [<00> <00>]" % (
            b"41" * 32,
            b"42" * 32,
        )
        written += b"trailer << /Size %d /Root %d 0 R /Info %d 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (
            len(places) + 1, catalog, info, lock if self.protected else b"", start,
        )  # fmt: skip
        return bytes(written)

    def _font(self) -> int:
        descriptor = self._add(
            b"<< /Type /FontDescriptor /FontName /Test /Flags 4 /FontBBox [0 -200 1000 800] /ItalicAngle 0 /Ascent 800 "
            b"/Descent -200 /CapHeight 700 /StemV 80 >>"
        )
        below = self._add(
            b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Test /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) "
            b"/Supplement 0 >> /FontDescriptor %d 0 R /DW 1000 /W [32 [500]] /CIDToGIDMap /Identity >>"
            % descriptor
        )
        mapping = b"/ToUnicode %d 0 R" % self._stream(self._map(), b"") if self.mapped else b""
        return self._add(
            b"<< /Type /Font /Subtype /Type0 /BaseFont /Test /Encoding /Identity-H /DescendantFonts [%d 0 R] %s >>"
            % (below, mapping)
        )

    def _map(self) -> bytes:
        """Say of every code in use that it is the UTF-16 unit of that number, a hundred at a time."""
        shown = [one if isinstance(one, str) else one.text for page in self.pages for one in page]
        codes = sorted({ord(sign) for text in shown for sign in text if sign != "\n"})
        blocks = [codes[at : at + 100] for at in range(0, len(codes), 100)]
        return _CMAP % b" ".join(
            b"%d beginbfchar %s endbfchar"
            % (len(block), b" ".join(b"<%04X> <%04X>" % (code, code) for code in block))
            for block in blocks
        )

    def _page(self, page: str | Sequence[At], tree: int, font: int, picture: int) -> int:
        if isinstance(page, str):
            page = [At(line, y=750 - 14 * at) for at, line in enumerate(page.split("\n"))]
        commands = [b"q 100 0 0 100 0 0 cm /P Do Q"] if self.picture else []
        for one in page:
            shown = one.text.encode("utf-16-be").hex().encode()
            commands.append(b"BT /F %g Tf 1 0 0 1 %g %g Tm <%s> Tj ET" % (one.size, one.x, one.y, shown))
        content = self._stream(b"\n".join(commands), b"")
        return self._add(
            b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F %d 0 R >> "
            b"/XObject << /P %d 0 R >> >> >>" % (tree, content, font, picture)
        )

    def _marks(self, pages: list[int]) -> bytes:
        """Write the bookmarks as a list of siblings with children below them."""
        if not self.marks:
            return b""
        root = self._reserve()
        numbers = [self._reserve() for _ in self.marks]
        parents = [0] * len(self.marks)
        for at, (level, *_) in enumerate(self.marks):
            above = [other for other in range(at) if self.marks[other][0] < level]
            parents[at] = numbers[above[-1]] if above else root
        for at, (_, title, page, y) in enumerate(self.marks):
            siblings = [
                number for number, parent in zip(numbers, parents, strict=True) if parent == parents[at]
            ]
            children = [
                number for number, parent in zip(numbers, parents, strict=True) if parent == numbers[at]
            ]
            after = siblings[siblings.index(numbers[at]) + 1 :]
            links = b"/Next %d 0 R" % after[0] if after else b""
            if children:
                links += b" /First %d 0 R /Last %d 0 R" % (children[0], children[-1])
            self._set(
                numbers[at],
                b"<< /Title %s /Parent %d 0 R /Dest [%d 0 R /XYZ 0 %g 0] %s >>"
                % (_text(title), parents[at], pages[page], y, links),
            )
        top = [number for number, parent in zip(numbers, parents, strict=True) if parent == root]
        self._set(root, b"<< /Type /Outlines /First %d 0 R /Last %d 0 R >>" % (top[0], top[-1]))
        return b"/Outlines %d 0 R" % root

    def _reserve(self) -> int:
        return self._add(b"null")

    def _set(self, number: int, body: bytes) -> None:
        self._objects[number - 1] = body

    def _add(self, body: bytes) -> int:
        self._objects.append(body)
        return len(self._objects)

    def _stream(self, content: bytes, keys: bytes) -> int:
        return self._add(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), keys, content))


def _text(text: str) -> bytes:
    return b"<feff%s>" % text.encode("utf-16-be").hex().encode()
