"""Which texts go through the model together."""

from __future__ import annotations

from collections.abc import Sequence


def plan(lengths: Sequence[int], most_texts: int, most_tokens: int) -> list[list[int]]:
    """Return batches of positions, every position once, texts of like length together, the longest first.

    A batch costs its longest text times its number of texts, padding included; that is kept at `most_tokens`. A text
    longer than the cap goes alone. Longest first, so that memory is asked for once, and what does not fit fails early.

    Args:
        lengths: tokens of each text.
        most_texts: texts in one batch, at least 1.
        most_tokens: tokens in one batch, padding included.
    """
    batches: list[list[int]] = []
    room = 0
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if not batches or len(batches[-1]) >= room:
            room = max(1, min(most_texts, most_tokens // max(1, lengths[place])))
            batches.append([])
        batches[-1].append(place)
    return batches
