"""What HWP and HWPX have in common: lines with outline levels and grids of cells, put into sections in reading order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ragtrace.adapters.outline import Outline
from ragtrace.errors import ParseProblem
from ragtrace.limits import HANGUL_DEPTH, HANGUL_HEADING_CHARS, TABLE_GRID_CELLS, TABLE_MERGED_CHARS
from ragtrace.text import Text

# Hangul draws boxed numbers and bullets with glyphs of its own fonts in the supplementary private planes.
_GLYPHS = re.compile("[\U000f0000-\U000ffffd\U00100000-\U0010fffd]")


@dataclass(frozen=True)
class Line:
    """A paragraph; `level` is its outline level from 1, 0 for text."""

    text: str
    level: int = 0


@dataclass(frozen=True)
class Cell:
    """A cell: where it begins, how many rows it covers, and what it holds."""

    row: int
    column: int
    rows: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Grid:
    """A table by its cells; `header_rows` is how many leading rows the document repeats on every page."""

    cells: tuple[Cell, ...]
    header_rows: int = 0


Block = Line | Grid


def clean(text: str) -> str:
    """Return the text without glyphs that mean something only in Hangul's own fonts."""
    return _GLYPHS.sub(" ", text)


def deeper(depth: int) -> int:
    """Return the next depth of nesting. Raises `ParseProblem` beyond what a person builds."""
    if depth >= HANGUL_DEPTH:
        raise ParseProblem(
            Text(
                f"표와 글상자가 {HANGUL_DEPTH}겹을 넘게 겹쳐 있습니다.",
                f"Tables and boxes are nested more than {HANGUL_DEPTH} deep.",
            )
        )
    return depth + 1


def grid_of(rows: Sequence[Sequence[str]]) -> Grid:
    """Return rows of texts as a table."""
    return Grid(
        tuple(
            Cell(row, column, 1, (Line(text),))
            for row, cells in enumerate(rows)
            for column, text in enumerate(cells)
        )
    )


def fill(outline: Outline, blocks: Sequence[Block]) -> None:
    """Add the blocks to `outline`.

    An outline paragraph becomes a heading only where something lies below it: offices use outline levels for
    lists too, and the last item of such a list is text.
    """
    for at, block in enumerate(blocks):
        if isinstance(block, Grid):
            _fill_grid(outline, block)
        elif _leads(block, blocks[at + 1] if at + 1 < len(blocks) else None):
            outline.heading(block.level, block.text)
        else:
            outline.text(block.text)


def plain(blocks: Iterable[Block]) -> str:
    """Return the blocks as one line, as a cell or a note shows them."""
    return " ".join(" ".join(_words(blocks)).split())


def _words(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Line):
            yield block.text
        else:
            for cell in sorted(block.cells, key=lambda one: (one.row, one.column)):
                yield from _words(cell.blocks)


def _leads(line: Line, following: Block | None) -> bool:
    level = _heading_level(line)
    if not level or following is None:
        return False
    return isinstance(following, Grid) or _heading_level(following) == 0 or following.level > level


def _heading_level(line: Line) -> int:
    """Return the outline level of what may be a heading: a sentence is text, programs give it a level all the same."""
    sentence = line.text.endswith((".", ",")) or len(line.text) > HANGUL_HEADING_CHARS
    return 0 if sentence else line.level


def _fill_grid(outline: Outline, grid: Grid) -> None:
    cells = sorted(grid.cells, key=lambda one: (one.row, one.column))
    if len({cell.column for cell in cells}) <= 1:
        # A box around text, not a table: offices frame titles and whole pages with one cell.
        fill(outline, [block for cell in cells for block in cell.blocks])
        return
    rows: list[list[str]] = []
    header_rows = grid.header_rows
    for row, row_cells in _rows(cells):
        boxes = [cell for cell in row_cells if cell.row == row and _holds_grid(cell)]
        rows.append(["" if cell in boxes else plain(cell.blocks) for cell in row_cells])
        if boxes:
            outline.table(rows, header_rows)
            rows, header_rows = [], 0
            fill(outline, [block for cell in boxes for block in cell.blocks])
    outline.table(rows, header_rows)


def _rows(cells: Sequence[Cell]) -> Iterator[tuple[int, list[Cell]]]:
    """Yield the rows with a cell for every column; a short cell merged over several rows stands in each of them.

    Where addresses are no grid - two cells at one, or few cells far apart - each row has just its own cells.
    """
    columns = sorted({cell.column for cell in cells})
    own: dict[int, list[Cell]] = {}
    for cell in cells:
        own.setdefault(cell.row, []).append(cell)
    distinct = len({(cell.row, cell.column) for cell in cells}) == len(cells)
    if not distinct or len(columns) * len(own) > TABLE_GRID_CELLS:
        yield from sorted(own.items())
        return
    covering: dict[int, Cell] = {}
    for row, starting in sorted(own.items()):
        covering = {column: cell for column, cell in covering.items() if cell.row + cell.rows > row}
        covering |= {cell.column: cell for cell in starting}
        yield row, [covering.get(column, Cell(row, column, 1, ())) for column in columns]
        covering = {column: cell for column, cell in covering.items() if cell.rows > 1 and _is_label(cell)}


def _is_label(cell: Cell) -> bool:
    return not _holds_grid(cell) and len(plain(cell.blocks)) <= TABLE_MERGED_CHARS


def _holds_grid(cell: Cell) -> bool:
    return any(isinstance(block, Grid) for block in cell.blocks)
