"""Bodies of the HTTP interface: what comes in, what goes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ragtrace.domain.answers import Account, Passage, Usage
from ragtrace.limits import IDENTIFIER_CHARS


def _encodable(text: str) -> str:
    """Refuse half surrogates, which JSON can carry and nothing behind it can write."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("not valid Unicode")
    return text


Sound = Annotated[str, AfterValidator(_encodable)]
Identifier = Annotated[Sound, Field(max_length=IDENTIFIER_CHARS)]


class QueryBody(BaseModel):
    """A question as existing clients send it; only `qry_contents` is needed, unknown fields are ignored.

    `period` narrows the search to days, YYYY-MM-DD:YYYY-MM-DD.
    """

    model_config = ConfigDict(extra="ignore")

    qry_contents: Sound
    qry_id: Identifier = ""
    user_id: Identifier = ""
    page_id: Identifier = ""
    qry_time: Identifier = ""
    image_data: str | None = None
    rag: bool = True
    period: Identifier = ""


def references(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """Return the retrieved pieces, in the order of their numbers in the answer."""
    return [
        {
            "rsp_type": "R",
            "rsp_tit": passage.heading,
            "rsp_data": passage.text,
            "chunk_id": passage.chunk_id,
            "file_name": passage.path,
            "date": passage.date,
        }
        for passage in passages
    ]


def answer_item(text: str) -> dict[str, Any]:
    """Return the item of an answer, or of a piece of one."""
    return {"rsp_type": "A", "rsp_tit": "", "rsp_data": text}


def closing(qry_id: str, account: Account, now: datetime) -> dict[str, Any]:
    """Return the fields around the data: a question without evidence is answered, and says so in `detail`."""
    return {
        "status_code": 200,
        "result": "success",
        "detail": "answered" if account.supported else "no_evidence",
        "continue": "E",
        "qry_id": qry_id,
        "rsp_time": now.strftime("%Y-%m-%d %H:%M:%S"),
    }


def told(account: Account, lang: str) -> dict[str, Any]:
    """Return what is said of an answer besides: `notices` for the reader and what it cost; nothing where there is none."""
    more: dict[str, Any] = {}
    if account.notices:
        more["notices"] = [each.to(lang) for each in account.notices]
    if account.usage is not None:
        more["usage"] = {
            "prompt_tokens": account.usage.prompt_tokens,
            "answer_tokens": account.usage.answer_tokens,
            **timings(account.usage),
        }
    return more


def timings(usage: Usage) -> dict[str, Any]:
    """Return how long a generation took, and why it ended."""
    return {
        "first_token_s": round(usage.first_token_s, 4),
        "seconds": round(usage.seconds, 4),
        "tokens_per_s": round(usage.tokens_per_s, 2),
        "finish": usage.finish,
    }
