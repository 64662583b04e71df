"""Tokens to text: whole characters, stop strings, templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragtrace.adapters.language.pieces import StopFilter, WholeCharacters
from ragtrace.adapters.language.prompt_templates import alternating, apply, chatml
from ragtrace.application.ports import Message
from ragtrace.errors import ModelProblem


def decode(ids: list[int]) -> str:
    """A byte-level tokenizer: each token is a byte."""
    return bytes(ids).decode("utf-8", "replace")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufffd"), max_size=80))
def test_bytes_one_by_one_give_whole_characters_in_order(text: str) -> None:
    characters = WholeCharacters(decode)
    pieces = [characters.add([byte]) for byte in text.encode()]
    assert "".join(pieces) + characters.rest() == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert not characters.rest().strip("\ufffd")


def test_a_character_that_never_becomes_whole_is_told_at_the_end() -> None:
    characters = WholeCharacters(decode)
    assert characters.add("가".encode()[:2]) == ""
    assert characters.rest() == "\ufffd"


def test_a_long_answer_is_not_decoded_again_and_again() -> None:
    lengths = []

    def counted(ids: list[int]) -> str:
        lengths.append(len(ids))
        return decode(ids)

    characters = WholeCharacters(counted)
    text = "".join(characters.add([byte]) for byte in ("가나다 " * 500).encode())
    assert text == "가나다 " * 500
    assert max(lengths) < 64


def test_a_decoder_that_changes_its_mind_loses_nothing_that_comes_later() -> None:
    # Some tokenizers take the space before a full stop away when the stop comes.
    texts = {1: "a ", 2: "a.", 3: "a. b"}
    characters = WholeCharacters(lambda ids: texts[len(ids)])
    assert [characters.add([0]) for _ in range(3)] == ["a ", ".", " b"]


@given(st.text("ab|", max_size=40), st.lists(st.text("ab|", min_size=1, max_size=4), max_size=3), st.data())
def test_a_stop_string_cuts_wherever_the_pieces_are_parted(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    filtered = StopFilter(stops)
    shown, rest = "", text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        shown += filtered.add(rest[:size])
        rest = rest[size:]
    shown += filtered.rest()
    assert filtered.stopped == bool(found)
    # Fed piece by piece, the stop string that is whole first wins; it may begin after a longer one's beginning.
    if not found:
        assert shown == text
    else:
        assert text.startswith(shown) and len(shown) >= min(found)
        assert any(text[len(shown) :].startswith(stop) for stop in stops)


def test_text_is_held_back_no_longer_than_it_may_be_a_stop_string() -> None:
    filtered = StopFilter(["<|end|>"])
    assert filtered.add("답 <|e") == "답 "
    assert filtered.add("x") == "<|ex"
    assert filtered.add("<|end|>뒤") == ""
    assert filtered.stopped and filtered.rest() == "" and filtered.add("더") == ""


def test_a_template_that_knows_no_system_gets_its_text_before_the_users() -> None:
    def template(messages: list[dict[str, str]]) -> str:
        roles = [each["role"] for each in messages]
        if "system" in roles or any(a == b for a, b in zip(roles, roles[1:], strict=False)):
            raise ValueError("System role not supported")
        return "|".join(each["content"] for each in messages)

    said = [
        Message("system", "규칙"),
        Message("user", "하나"),
        Message("user", "둘"),
        Message("assistant", "답"),
    ]
    assert apply(said, template, (ValueError,), "x") == "규칙\n\n하나\n\n둘|답"
    with pytest.raises(ModelProblem):
        apply(said, lambda messages: template([{"role": "system", "content": ""}]), (ValueError,), "x")


@given(
    st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text("가나", max_size=3)), max_size=8
    )
)
def test_alternating_loses_no_text_and_begins_with_the_user(turns: list[tuple[str, str]]) -> None:
    messages = [Message(role, text) for role, text in turns]  # type: ignore[arg-type]
    made = alternating(messages)
    assert made[0].role == "user"
    assert all(a.role != b.role for a, b in zip(made, made[1:], strict=False))
    joined = "".join(each.content for each in made).replace("\n", "")
    assert sorted(joined) == sorted("".join(text for _, text in turns))


def test_chatml_ends_where_the_assistant_begins() -> None:
    assert chatml([Message("user", "안녕")]) == "<|im_start|>user\n안녕<|im_end|>\n<|im_start|>assistant\n"
