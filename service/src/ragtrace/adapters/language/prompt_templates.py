"""Conversations as prompts: what to do where a model's own template is missing or refuses a conversation's shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ragtrace.application.ports import Message
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

# Marks that end a turn. Some published folders name only the end of the whole text as `eos_token_id`; without these
# the model would go on and speak for the user as well.
TURN_ENDS = (
    "<|im_end|>",  # ChatML: Qwen and others
    "<|eot_id|>",  # Llama 3, Bllossom
    "<|eom_id|>",
    "<|endofturn|>",  # HyperCLOVA X
    "<|stop|>",
    "[|endofturn|]",  # EXAONE
    "<end_of_turn>",  # Gemma
    "<|end|>",  # Phi
    "<|return|>",
)


def chatml(messages: Sequence[Message]) -> str:
    """Return a prompt in ChatML, for a model that brings no template: what llama.cpp takes then as well."""
    turns = "".join(f"<|im_start|>{each.role}\n{each.content}<|im_end|>\n" for each in messages)
    return f"{turns}<|im_start|>assistant\n"


def apply(
    messages: Sequence[Message],
    template: Callable[[list[dict[str, str]]], str],
    refusals: tuple[type[Exception], ...],
    where: str,
) -> str:
    """Return the prompt of the model's own template.

    Some templates know no system role, or want user and assistant in turn: a template that refuses is asked once more
    with the system's text put before the user's, and neighbours of one role joined.

    Raises:
        ModelProblem: the template refuses that too.
    """
    try:
        return template(as_dictionaries(messages))
    except refusals:
        plain = alternating(messages)
    try:
        return template(as_dictionaries(plain))
    except refusals as error:
        raise ModelProblem(
            Text("모델의 대화 틀을 쓸 수 없습니다.", "The model's chat template cannot be used."),
            where=f"{where}: {str(error)[:300]}",
        ) from error


def as_dictionaries(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return messages as templates take them."""
    return [{"role": each.role, "content": each.content} for each in messages]


def alternating(messages: Sequence[Message]) -> list[Message]:
    """Return the conversation as user and assistant in turn, the user first; nothing that was said is lost."""
    system = "\n\n".join(each.content for each in messages if each.role == "system")
    turns: list[Message] = []
    for each in messages:
        if each.role == "system":
            continue
        if turns and turns[-1].role == each.role:
            turns[-1] = Message(each.role, f"{turns[-1].content}\n\n{each.content}")
        else:
            turns.append(each)
    if not turns or turns[0].role != "user":
        return [Message("user", system), *turns]
    if system:
        turns[0] = Message("user", f"{system}\n\n{turns[0].content}")
    return turns
