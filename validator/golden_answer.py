"""Does a language model go on from fixed prompts as it did on the build box? Plain data in and out.

A greedy answer is followed token by token up to the first near tie: kernels of other processors add in another order,
and where two tokens are nearly as good, either may win. Before that, tokens and probabilities have to be the golden
ones; at the tie, one of the tokens that were near. See docs/adr/0037.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, List, Mapping, Sequence, Tuple

FORMAT = 1
KIND = "golden-answer"
# In nats: a token that is no further behind the best one may win on another processor.
NEAR_TIE = 0.5
# How far the logarithm of a token's probability may move. Kernels of another processor move it by some hundredths.
LOGPROB_BOUND = 0.5
# Fewer tokens that can be followed prove nothing.
LEAST_TOKENS = 8
_MOST = 64


@dataclass(frozen=True)
class Token:
    """One token: its id, text, logarithm of its probability, and the others with how far they are behind it."""

    id: int
    text: str
    logprob: float
    beside: Tuple[Tuple[int, float], ...]

    @property
    def near(self) -> Tuple[int, ...]:
        """Return the other tokens that might as well have been said."""
        return tuple(number for number, behind in self.beside if behind <= NEAR_TIE)


@dataclass(frozen=True)
class Case:
    """One prompt with what follows it; ``prompt_tokens`` is what the tokenizer made of it."""

    prompt: str
    prompt_tokens: int
    tokens: Tuple[Token, ...]

    @property
    def followed(self) -> int:
        """Return how many tokens there are before the first near tie."""
        return next((place for place, token in enumerate(self.tokens) if token.near), len(self.tokens))


@dataclass(frozen=True)
class GoldenAnswer:
    """A golden answer: of which file or folder of the model, by which engine, and the prompts."""

    model: str
    engine: str
    cases: Tuple[Case, ...]

    @property
    def followed(self) -> int:
        """Return how many tokens of all prompts can be followed."""
        return sum(case.followed for case in self.cases)

    @property
    def longest(self) -> int:
        """Return the most tokens after one prompt."""
        return max(len(case.tokens) for case in self.cases)


@dataclass(frozen=True)
class Comparison:
    """What came of it: what is wrong, how many tokens were the same, and the largest shift of a probability."""

    problems: Tuple[str, ...]
    same: int
    shift: float


def parse(document: Mapping[str, Any]) -> GoldenAnswer:
    """Read a golden document.

    Raises:
        ValueError: it is none, of another format, or says too little to prove anything.
    """
    try:
        if document["format"] != FORMAT or document["kind"] != KIND:
            raise ValueError(f"format {document['format']!r}, kind {document['kind']!r}")
        found = GoldenAnswer(
            str(document["model"]), str(document["engine"]), tuple(case(item) for item in document["cases"])
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    numbers = [token.logprob for item in found.cases for token in item.tokens]
    if not all(math.isfinite(number) for number in numbers) or len(found.cases) > _MOST:
        raise ValueError("golden numbers that are not finite, or too many prompts")
    if found.followed < LEAST_TOKENS:
        raise ValueError(f"only {found.followed} tokens before near ties")
    return found


def case(item: Mapping[str, Any]) -> Case:
    """Read one prompt with its tokens, golden or as the probe reports them; raises as `parse`, less politely."""
    tokens = tuple(
        Token(
            int(one["id"]),
            str(one["text"]),
            float(one["logprob"]),
            tuple((int(number), float(behind)) for number, behind in one["beside"]),
        )
        for one in item["tokens"]
    )
    return Case(str(item["prompt"]), int(item["prompt_tokens"]), tokens)


def compare(golden: GoldenAnswer, said: Sequence[Case]) -> Comparison:
    """Compare what was said with every golden prompt, in the same order."""
    if len(said) != len(golden.cases):
        return Comparison((f"{len(said)} of {len(golden.cases)} prompts were answered",), 0, math.inf)
    problems: List[str] = []
    same, shift = 0, 0.0
    for number, (wanted, got) in enumerate(zip(golden.cases, said), start=1):
        if got.prompt_tokens != wanted.prompt_tokens:
            problems.append(
                f"prompt {number}: {got.prompt_tokens} tokens, golden {wanted.prompt_tokens} (tokenizer)"
            )
            continue
        wrong, agreed, moved = _follow(wanted.tokens, got.tokens)
        same, shift = same + agreed, max(shift, moved)
        if wrong:
            problems.append(f"prompt {number}: {wrong}")
    return Comparison(tuple(problems), same, shift)


def _follow(wanted: Sequence[Token], got: Sequence[Token]) -> Tuple[str, int, float]:
    """Return what is wrong, or nothing; how many tokens were the same before it, and how far probabilities moved."""
    shift = 0.0
    for place, token in enumerate(wanted):
        if place >= len(got):
            return (
                (f"ends after {place} tokens, golden {len(wanted)}", place, shift)
                if not token.near
                else ("", place, shift)
            )
        own = got[place]
        if not math.isfinite(own.logprob):
            return f"token {place + 1}: probability {own.logprob}", place, math.inf
        if own.id != token.id:
            if own.id in token.near:
                return "", place, shift
            return f"token {place + 1} is {own.text!r}, golden {token.text!r}", place, shift
        moved = abs(own.logprob - token.logprob)
        shift = max(shift, moved)
        if moved > LOGPROB_BOUND:
            return (
                f"token {place + 1}: log probability {own.logprob:.2f}, golden {token.logprob:.2f}",
                place,
                shift,
            )
    return "", len(wanted), shift
