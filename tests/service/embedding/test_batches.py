"""Batches: every text once, like lengths together, caps kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragtrace.adapters.embedding.batches import plan


@given(
    lengths=st.lists(st.integers(1, 9000), max_size=60),
    texts=st.integers(1, 20),
    tokens=st.integers(64, 20_000),
)
def test_every_text_goes_once_and_the_caps_hold(lengths: list[int], texts: int, tokens: int) -> None:
    batches = plan(lengths, texts, tokens)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= texts
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= tokens
    # Sorted, so no batch pads more than the order forces it to.
    assert [lengths[place] for batch in batches for place in batch] == sorted(lengths, reverse=True)


def test_no_batch_is_smaller_than_it_has_to_be() -> None:
    assert plan([10] * 7, 3, 1000) == [[0, 1, 2], [3, 4, 5], [6]]
    assert plan([400, 10, 500, 10], 12, 1000) == [[2, 0], [1, 3]]
    assert plan([8192, 8192, 5], 12, 8192) == [[0], [1], [2]]
    assert plan([], 12, 8192) == []
