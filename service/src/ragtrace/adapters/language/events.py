"""Events of the chat protocol as the pieces and the usage that the port promises."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from ragtrace.adapters.language.chat_protocol import Event
from ragtrace.adapters.language.measure import Meter
from ragtrace.adapters.language.pieces import StopFilter
from ragtrace.application.ports import Finish, Usage


def as_pieces(
    events: Generator[Event, None, None], meter: Meter, stops: Sequence[str] = ()
) -> Iterator[str | Usage]:
    """Yield texts and one usage; the server's own counts are taken where it says them.

    Events that end without a reason were cut short by the caller: a server that breaks off raises. `stops` are those
    that the server was not told of.
    """
    stop = StopFilter(stops)
    finish: Finish = "cancelled"
    answered: int | None = None
    try:
        for event in events:
            meter.made(int(event.token))
            finish = event.finish or finish
            meter.prompt_tokens = event.prompt_tokens or meter.prompt_tokens
            answered = event.answer_tokens if event.answer_tokens is not None else answered
            text = stop.add(event.text)
            if text:
                yield text
            if stop.stopped:
                finish = "stop"
                break
    finally:
        events.close()
    if finish != "cancelled" and (left := stop.rest()):
        yield left
    if answered is not None:
        meter.answer_tokens = answered
    yield meter.usage(finish)
