"""Tables as text: a line `a | b` for each row, the header again at the head of every piece of a long table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from ragtrace.limits import TABLE_BLOCK_CHARS, TABLE_HEAD_CELL, TABLE_HEAD_ROWS

_SEPARATOR = " | "
# What is a value rather than the name of a column: numbers, amounts, percentages, days.
_VALUE = re.compile(r"[-+−△▲(]?[₩$€]?\s?\d[\d,.:/\s-]*(?:[%원)]|년|월|일)?\Z")

Row = tuple[str, ...]


def table_blocks(rows: Iterable[Sequence[str]], header_rows: int = 0) -> Iterator[str]:
    """Yield the table in pieces of about `TABLE_BLOCK_CHARS` characters.

    Rows without text are left out, and so are columns that are empty throughout a piece. `header_rows` is how many
    leading rows the format declares as header; with 0 the first row of names, not values, is taken for it.
    Where the header would fill more than half of a piece, each value is written as `name: value` instead.
    """
    cleaned = (row for row in (_clean(cells) for cells in rows) if any(row))
    first = list(islice(cleaned, max(TABLE_HEAD_ROWS, header_rows)))
    start, end = (0, min(header_rows, len(first))) if header_rows else _header(first)
    for row in first[:start]:
        yield _SEPARATOR.join(cell for cell in row if cell)
    header = first[start:end]
    named = len(header) == 1 and sum(map(_length, header)) > TABLE_BLOCK_CHARS // 2
    repeated = [] if named or sum(map(_length, header)) > TABLE_BLOCK_CHARS // 2 else header
    piece: list[Row] = list(header)
    size = sum(map(_length, piece))
    fresh = False
    for row in _chain(first[end:], cleaned):
        if named:
            row = _named(header[0], row)
        if fresh and size + _length(row) > TABLE_BLOCK_CHARS:
            yield _lines(piece)
            piece = list(repeated)
            size = sum(map(_length, piece))
        piece.append(row)
        size += _length(row)
        fresh = True
    if piece:
        yield _lines(piece)


def _chain(first: list[Row], rest: Iterator[Row]) -> Iterator[Row]:
    yield from first
    yield from rest


def _clean(cells: Sequence[str]) -> Row:
    row = [" ".join(cell.split()) for cell in cells]
    while row and not row[-1]:
        row.pop()
    return tuple(row)


def _length(row: Row) -> int:
    return sum(len(cell) + len(_SEPARATOR) for cell in row if cell)


def _header(rows: list[Row]) -> tuple[int, int]:
    """Return where the header begins and ends: the first row with several cells, if all of them are names."""
    for at, row in enumerate(rows):
        cells = [cell for cell in row if cell]
        if len(cells) < 2:
            continue
        if all(len(cell) <= TABLE_HEAD_CELL and not _VALUE.match(cell) for cell in cells):
            return at, at + 1
        break
    return 0, 0


def _named(header: Row, row: Row) -> Row:
    names = (*header, *[""] * (len(row) - len(header)))
    return tuple(f"{name}: {cell}" if name and cell else cell for name, cell in zip(names, row, strict=False))


def _lines(rows: list[Row]) -> str:
    width = max(map(len, rows))
    used = [at for at in range(width) if any(at < len(row) and row[at] for row in rows)]
    lines = (_SEPARATOR.join(row[at] if at < len(row) else "" for at in used) for row in rows)
    return "\n".join(line.rstrip(" |") for line in lines)
