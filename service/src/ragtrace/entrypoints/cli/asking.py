"""`ragtrace ask`: one question, answered as it is over HTTP, with sources and, if wished, how it came about."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from ragtrace.application.ask import Asking, Prepared
from ragtrace.application.retrieve import requested_scope
from ragtrace.bootstrap import Container
from ragtrace.domain.answers import Account, Wishes
from ragtrace.entrypoints.cli.console import Console
from ragtrace.entrypoints.cli.search import hint_where_empty
from ragtrace.errors import InvalidRequest
from ragtrace.text import Text


def ask(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Answer one question; an answer without evidence is an answer, not a failure."""
    for name, value in (("--top", arguments.top), ("--max-tokens", arguments.max_tokens)):
        if value is not None and value < 1:
            raise InvalidRequest(Text(f"{name}은(는) 1 이상이어야 합니다.", f"{name} must be at least 1."))
    groups = frozenset(arguments.group) if arguments.group else None
    asking = Asking(
        arguments.question,
        rag=not arguments.no_rag,
        scope=requested_scope(arguments.since or "", arguments.until or "", groups),
        wishes=Wishes(max_tokens=arguments.max_tokens),
        top_n=arguments.top,
    )
    container.catch_up()
    use_case = container.ask
    prepared = use_case.retrieve(asking)
    if arguments.explain:
        _explain(prepared, console)
    said: list[str] = []
    account = Account(False)
    for piece in use_case.pieces(prepared):
        if isinstance(piece, Account):
            account = piece
        else:
            said.append(piece.text)
            console.write(piece.text)
    console.say("")
    if account.supported and prepared.passages:
        console.say(Text("\n출처", "\nSources"))
        for number, passage in enumerate(prepared.passages, start=1):
            page = f" p.{passage.page}" if passage.page else ""
            day = f" ({passage.date})" if passage.date else ""
            console.say(f"[{number}] {passage.heading} - {passage.path}{page}{day}")
    for notice in account.notices:
        console.talk(notice)
    if not account.supported and not arguments.no_rag:
        hint_where_empty(container, console)
    if arguments.explain and account.usage is not None:
        console.say(_cost(account))
    console.data(_plain(arguments, prepared, account, "".join(said), explain=arguments.explain))
    return 0


def _explain(prepared: Prepared, console: Console) -> None:
    """Say how the question was understood, where was looked, and why each passage is there."""
    analysis, found = prepared.analysis, prepared.found
    looked = f"{found.scope.since}:{found.scope.until}" if found.scope.dated else "-"
    lines = [
        (Text("질문 분석", "analysis"), analysis.by),
        (Text("풀어 쓴 질문", "question"), analysis.question),
        (Text("핵심어", "keywords"), ", ".join(analysis.keywords or found.explain.terms)),
        (Text("표 필요", "table"), str(analysis.table).lower()),
        (Text("질문의 기간", "period"), str(analysis.period) if analysis.period else "-"),
        (Text("찾은 기간", "looked in"), looked),
    ]
    for label, value in lines:
        console.say(f"# {label.to(console.lang)}: {value}")
    for each in found.explain.candidates:
        if each.rank:
            parts = ", ".join(f"{one.leg} {one.share:.3f}" for one in each.contributions)
            again = f", rerank {each.rerank:.3f}" if each.rerank is not None else ""
            console.say(f"# [{each.rank}] {each.fused:.3f} = {parts}{again}")
    console.say("")


def _cost(account: Account) -> str:
    usage = account.usage
    assert usage is not None
    return (
        f"# {usage.prompt_tokens} + {usage.answer_tokens} tokens, first {usage.first_token_s:.2f} s, "
        f"{usage.tokens_per_s:.1f} tokens/s, {usage.finish}"
    )


def _plain(
    arguments: argparse.Namespace, prepared: Prepared, account: Account, answer: str, *, explain: bool
) -> dict[str, Any]:
    """Return the answer for --json."""
    facts: dict[str, Any] = {
        "question": arguments.question,
        "answer": answer,
        "supported": bool(account.supported),
        "sources": [
            {**dataclasses.asdict(passage), "number": number}
            for number, passage in enumerate(prepared.passages, start=1)
        ],
        "notices": [each._asdict() for each in account.notices],
        "usage": dataclasses.asdict(account.usage) if account.usage is not None else None,
    }
    if explain:
        found = prepared.found
        analysis = prepared.analysis
        facts["analysis"] = {**dataclasses.asdict(analysis), "inherited": sorted(analysis.inherited)}
        facts["looked_in"] = {"since": found.scope.since, "until": found.scope.until}
        facts["explain"] = dataclasses.asdict(found.explain)
    return facts
