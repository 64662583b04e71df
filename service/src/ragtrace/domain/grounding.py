"""What counts as grounded in sources: coverage of an answer's terms, and answers that say there is nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ragtrace.domain.answers import NO_EVIDENCE
from ragtrace.domain.citations import without_marks

# A refusal is short; a long answer that ends with "more was not to be found" is an answer.
_REFUSAL_CHARS = 160
_NOTHING = re.compile(
    r"찾(?:을 수(?:가)? 없|지 못)|(?:포함|언급|기재|명시|기술|제공|제시|수록)(?:되어|돼) 있지 않|(?:포함|언급|명시|제공)되지 않|나와 있지 않|적혀 있지 않|"
    r"(?:정보|내용|근거|언급|자료|답)(?:이|가|은|는)?\s*(?:전혀\s*)?없(?:습니다|어요|음|다)|확인(?:할|될) 수(?:가)? 없|알 수(?:가)? 없|"
    r"답(?:변)?(?:을|할)? ?(?:드릴 )?수(?:가)? 없|(?:not|no) (?:found|mentioned|information|evidence)|(?:cannot|can't) (?:find|answer)",
    re.IGNORECASE,
)
_FIGURE = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_LIST_MARK = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)
_KOREAN_SHARE = 0.3


def denies(text: str) -> bool:
    """Say whether an answer is nothing but the sentence that there is none, whatever number stands beside it."""
    return " ".join(without_marks(text).split()).rstrip(". ") == NO_EVIDENCE.rstrip(".")


def refuses(text: str) -> bool:
    """Say whether an answer says that the sources hold none."""
    said = " ".join(text.split())
    if said.startswith(NO_EVIDENCE.rstrip(".")):
        return True
    return len(said) <= _REFUSAL_CHARS and bool(_NOTHING.search(said))


def coverage(terms: Collection[str], sources: Sequence[Collection[str]]) -> float:
    """Return the share of `terms` that stands in any of the sources, 0 to 1; 0 where there are no terms."""
    wanted = set(terms)
    if not wanted:
        return 0.0
    return len(wanted & {term for source in sources for term in source}) / len(wanted)


def best_source(terms: Collection[str], sources: Sequence[Collection[str]]) -> int:
    """Return the number (from 1) of the source that covers most of `terms`, the earlier of equals; 0 for none."""
    wanted = set(terms)
    shares = [len(wanted.intersection(source)) for source in sources]
    most = max(shares, default=0)
    return shares.index(most) + 1 if most else 0


def unseen_numbers(answer: str, sources: Sequence[str]) -> tuple[str, ...]:
    """Return the numbers of an answer that stand in no source, in order; list marks and single digits do not count.

    "1,500" and "1500" are the same number.
    """
    known = {_digits(match[0]) for source in sources for match in _FIGURE.finditer(source)}
    said = [match[0] for match in _FIGURE.finditer(_LIST_MARK.sub("", without_marks(answer)))]
    return tuple(
        dict.fromkeys(each for each in said if len(_digits(each)) > 1 and _digits(each) not in known)
    )


def korean(sources: Sequence[str]) -> bool:
    """Say whether sources are written in Korean, so that a Korean answer should use their words."""
    text = "".join(sources)
    letters = sum(letter.isalpha() for letter in text)
    return letters > 0 and sum("가" <= letter <= "힣" for letter in text) >= _KOREAN_SHARE * letters


def _digits(number: str) -> str:
    whole, _, part = number.replace(",", "").partition(".")
    # "03" of a date is the 3 of another way to write it.
    return f"{whole.lstrip('0') or '0'}{'.' + part if part.strip('0') else ''}"
