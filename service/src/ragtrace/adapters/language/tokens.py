"""Token ids of an engine as the pieces and the usage that the port promises."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from ragtrace.adapters.language.measure import Meter
from ragtrace.adapters.language.pieces import StopFilter, WholeCharacters
from ragtrace.application.ports import Finish, Usage


@dataclass(frozen=True)
class Tokens:
    """Some tokens that were made, and why they are the last ones, if they are."""

    ids: Sequence[int] = ()
    finish: Finish | None = None


def as_pieces(
    flow: Generator[Tokens, None, None],
    decode: Callable[[list[int]], str],
    stops: Sequence[str],
    meter: Meter,
) -> Iterator[str | Usage]:
    """Yield texts and one usage. The engine is told to stop when a stop string came, or nobody reads."""
    characters, stop = WholeCharacters(decode), StopFilter(stops)
    finish: Finish = "cancelled"
    try:
        for tokens in flow:
            meter.made(len(tokens.ids))
            text = stop.add(characters.add(tokens.ids)) if tokens.ids else ""
            if text:
                yield text
            finish = "stop" if stop.stopped else tokens.finish or finish
            if stop.stopped:
                break
    finally:
        flow.close()
    if finish != "cancelled":
        # Something may have waited for the rest of a character or of a stop string; neither comes now.
        left = stop.add(characters.rest()) + stop.rest()
        if left:
            yield left
    yield meter.usage(finish)
