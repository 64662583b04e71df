"""Conversations: what was said before a question, and whether a question leans on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Speaker = Literal["user", "assistant"]
# A question stands on the questions before it, back to one that stands alone; further back is another subject.
_CHAIN = 3
# Words at the head that point at, or go on from, what was said.
_LEANING_HEAD = re.compile(
    r"^(?:아+|네|예|음|오|좋아요?|알겠(?:어요|습니다))?[\s,.!]*"
    r"(?:그럼|그러면|그렇다면|그렇게|그래서|그런데|근데|그리고|그\s?외(?:에)?|(?:그건|그게|그걸|이건|이게|이걸|저건)(?=[\s,?？]|$)|그것|그거|그때|그곳|그\s?중|"
    r"그\s?(?:규정|문서|제도|절차|경우|내용|항목|날짜|금액|사람|부서|방법|기준)|이것|이거|이\s?중|"
    r"이\s?(?:경우|규정|문서|내용|항목)|저것|거기|여기서?|위(?:의|에)|앞(?:의|에서)|방금|아까|또\s|또한\s|"
    r"더\s|다시\s|예를\s?들(?:어|면)|반대로|대신에?|왜\s?(?:요|그)?\s*[?？]?$|"
    r"(?:and|what about|how about|then|it|that|those|these|they)\b)",
    re.IGNORECASE,
)
_LEANING_INSIDE = re.compile(
    r"(?:^|\s)(?:(?:그것|그거|그건|그걸|이것|위에서|앞에서|방금|아까)(?:[은는이가을를도의]|\s|$)|같은\s?(?:기간|방식|조건|이유))"
)
# A topic and nothing said about it: "반차는?", "해외 출장도요?"
_TOPIC_ONLY = re.compile(r"^\s*\S+(?:\s\S+)?(?:은|는|도|이나|라면|일\s?때는)(?:요)?\s*[?？]*\s*$")


@dataclass(frozen=True)
class Turn:
    """Something that was said."""

    speaker: Speaker
    text: str


def leans(question: str) -> bool:
    """Say whether a question cannot be understood without what was said before, as far as its words show."""
    return bool(
        _LEANING_HEAD.search(question.strip())
        or _LEANING_INSIDE.search(question)
        or _TOPIC_ONLY.match(question)
    )


def joined(question: str, history: Sequence[Turn], leaning: Callable[[str], bool] = leans) -> str:
    """Return `question` with the questions that it leans on before it; alone where it leans on none.

    `leaning` says of one question whether it leans.
    """
    chain = [question]
    for turn in reversed(history):
        if turn.speaker != "user":
            continue
        if len(chain) > _CHAIN or not leaning(chain[-1]):
            break
        if turn.text.strip() not in chain:
            chain.append(turn.text.strip())
    return " ".join(reversed(chain))


def recent(
    history: Sequence[Turn], budget: int, cost: Callable[[Sequence[Turn]], int], most: int
) -> tuple[Turn, ...]:
    """Return the newest turns, `most` at most, that cost no more than `budget` tokens; a question comes first.

    `cost` gives the tokens of turns as they would stand in a prompt.
    """
    if budget <= 0:
        return ()
    kept: tuple[Turn, ...] = ()
    for start in range(len(history) - 1, max(-1, len(history) - 1 - most), -1):
        if history[start].speaker != "user":
            continue
        wider = tuple(history[start:])
        if cost(wider) > budget:
            break
        kept = wider
    return kept


def alternating(history: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return turns as chat templates take them: a question first, an answer last, no two of one speaker in a row."""
    made: list[Turn] = []
    for turn in history:
        if not turn.text.strip() or (not made and turn.speaker != "user"):
            continue
        if made and made[-1].speaker == turn.speaker:
            made[-1] = Turn(turn.speaker, f"{made[-1].text}\n{turn.text}")
        else:
            made.append(turn)
    return tuple(made[:-1] if made and made[-1].speaker == "user" else made)
