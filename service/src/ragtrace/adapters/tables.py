"""Tables as text: a line `a | b` for each row, the header again at the head of every piece of a long table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ragtrace.limits import TABLE_BLOCK_CHARS, TABLE_HEAD_CELL, TABLE_HEAD_ROWS

_SEPARATOR = " | "
# What is a value rather than the name of a column: numbers, amounts, percentages, days; but years and months are names.
_VALUE = re.compile(r"[-+−△▲(]?[₩$€]?\s?\d[\d,.:/\s-]*(?:[%원)]|년|월|일)?\Z")
_PERIOD = re.compile(r"(?:19|20)\d\d년?\Z|\d{1,2}월\Z")

Row = tuple[str, ...]


def table_blocks(rows: Iterable[Sequence[str]], header_rows: int = 0) -> Iterator[str]:
    """Yield the table in pieces of about `TABLE_BLOCK_CHARS` characters.

    Rows without text are left out, and so are columns that are empty throughout a piece. `header_rows` is how many
    leading rows the format declares as header. With 0 the first row of names, not values, is taken for it, and after
    an empty row a table of other columns may begin; rows of one cell before a table are its title.
    Where the header would fill more than half of a piece, each value is written as `name: value` instead.
    """
    pieces = _Pieces()
    cleaned = map(_clean, rows)
    if header_rows:
        header = [row for _, row in zip(range(header_rows), cleaned, strict=False) if any(row)]
        yield from pieces.begin(header, [])
    held: list[Row] = []
    gap = not header_rows
    begun = False
    for row in cleaned:
        if begun and pieces.goes_on(row):
            pieces.widen(row)
            begun = False
            continue
        begun = False
        if not any(row):
            gap = gap or not header_rows
        elif not gap:
            yield from pieces.add(row)
        elif sum(map(bool, row)) < 2 and len(held) < TABLE_HEAD_ROWS:
            held.append(row)
        else:
            if pieces.would_begin(row):
                yield from pieces.begin([row], held)
                begun = True
            else:
                for one in (*held, row):
                    yield from pieces.add(one)
            held, gap = [], False
    for one in held:
        yield from pieces.add(one)
    yield from pieces.flush()


class _Pieces:
    """Gathers rows until a piece is full."""

    def __init__(self) -> None:
        self._header: list[Row] = []
        self._named = False
        self._repeated: list[Row] = []
        self._piece: list[Row] = []
        self._size = 0
        self._fresh = False
        self._valued: set[int] = set()

    def would_begin(self, row: Row) -> bool:
        """Say whether a row is the header of a table: all names, and other columns than the open one has."""
        if not _are_names(row):
            return False
        return not self._header or _used(row) != _used(self._header[0]) or bool(_used(row) & self._valued)

    def goes_on(self, row: Row) -> bool:
        """Say whether a row is the second of the header: it names the columns below a name that spans several."""
        spanned = set(range(len(self._header[0]))) - _used(self._header[0])
        return _are_names(row) and bool(_used(row) & spanned)

    def widen(self, row: Row) -> None:
        """Add a second row to the header that was just begun."""
        self._open([*self._header, row], self._piece[: -len(self._header)])

    def begin(self, header: list[Row], titles: list[Row]) -> Iterator[str]:
        """Open a table with its header and the lines above it."""
        yield from self.flush()
        self._open(header, titles)

    def _open(self, header: list[Row], titles: list[Row]) -> None:
        length = sum(map(_length, header))
        self._header = header
        self._named = length > TABLE_BLOCK_CHARS // 2 and len(header) == 1
        self._repeated = header if length <= TABLE_BLOCK_CHARS // 2 else []
        self._piece = [*titles, *header]
        self._size = sum(map(_length, self._piece))
        self._valued = set()

    def add(self, row: Row) -> Iterator[str]:
        """Add a row; yield the piece before it where that is full."""
        self._valued |= {at for at, cell in enumerate(row) if cell and not _is_name(cell)}
        if self._named:
            row = _named(self._header[0], row)
        if self._fresh and self._size + _length(row) > TABLE_BLOCK_CHARS:
            yield _lines(self._piece)
            self._piece = list(self._repeated)
            self._size = sum(map(_length, self._piece))
        self._piece.append(row)
        self._size += _length(row)
        self._fresh = True

    def flush(self) -> Iterator[str]:
        """Yield the open piece."""
        if self._piece:
            yield _lines(self._piece)
        self._piece = []
        self._size = 0
        self._fresh = False


def _used(row: Row) -> set[int]:
    return {at for at, cell in enumerate(row) if cell}


def _are_names(row: Row) -> bool:
    cells = [cell for cell in row if cell]
    return len(cells) > 1 and all(len(cell) <= TABLE_HEAD_CELL and _is_name(cell) for cell in cells)


def _is_name(cell: str) -> bool:
    return not _VALUE.match(cell) or bool(_PERIOD.match(cell))


def _clean(cells: Sequence[str]) -> Row:
    row = [" ".join(cell.split()) for cell in cells]
    while row and not row[-1]:
        row.pop()
    return tuple(row)


def _length(row: Row) -> int:
    return sum(len(cell) + len(_SEPARATOR) for cell in row if cell)


def _named(header: Row, row: Row) -> Row:
    names = (*header, *[""] * (len(row) - len(header)))
    return tuple(f"{name}: {cell}" if name and cell else cell for name, cell in zip(names, row, strict=False))


def _lines(rows: list[Row]) -> str:
    """Write the rows; a row of one cell, which may be a title, has no part in which columns are used."""
    several = [row for row in rows if sum(map(bool, row)) > 1]
    used = sorted({at for row in several for at, cell in enumerate(row) if cell})
    lines: list[str] = []
    for row in rows:
        if sum(map(bool, row)) < 2:
            lines.append("".join(row))
        else:
            lines.append(_SEPARATOR.join(_clean([row[at] if at < len(row) else "" for at in used])))
    return "\n".join(lines)
