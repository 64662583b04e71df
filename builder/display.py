"""The live progress lines of a terminal, by rich; imported only where a terminal shows them."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text


class _Sized(ProgressColumn):
    """Another column, left empty for stages that are not measured in bytes."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> Text:
        """Return the other column's text, or nothing."""
        shown = self._column(task) if task.fields["sized"] else Text("")
        return shown if isinstance(shown, Text) else Text(str(shown))


def make_display() -> Progress:
    """Return a display on standard error: stage, bar, bytes, rate, time left, time taken."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        _Sized(DownloadColumn()),
        _Sized(TransferSpeedColumn()),
        _Sized(TimeRemainingColumn(compact=True)),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
