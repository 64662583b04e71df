"""`ragtrace search`: the passages for a question, and on request why each stands where it stands."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import Any

from ragtrace.application.retrieve import requested_scope
from ragtrace.bootstrap import Container
from ragtrace.domain.answers import Passage
from ragtrace.domain.retrieval import Candidate, Fate, Found
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import InvalidRequest
from ragtrace.text import Text

_SHOWN_CHARS = 160
_FATES: dict[Fate, Text] = {
    "kept": Text("채택", "kept"),
    "below": Text("순위 밖", "below"),
    "duplicate": Text("같은 글", "same text"),
    "gone": Text("사라짐", "gone"),
    "outside": Text("범위 밖", "outside"),
}


def search(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Show the passages for a question; none found is a result, not a failure."""
    if arguments.top is not None and arguments.top < 1:
        raise InvalidRequest(Text("--top은 1 이상이어야 합니다.", "--top must be at least 1."))
    if not arguments.question.strip():
        raise InvalidRequest(Text("질문이 비어 있습니다.", "The question is empty."))
    groups = frozenset(arguments.group) if arguments.group else None
    scope = requested_scope(arguments.since or "", arguments.until or "", groups)
    container.catch_up()
    found = container.retrieve.find(arguments.question, scope, top_n=arguments.top)
    for notice in found.notices:
        console.talk(notice)
    candidates = {each.chunk_id: each for each in found.explain.candidates}
    for number, passage in enumerate(found.passages, start=1):
        for line in _passage(number, passage):
            console.say(line)
        if arguments.explain:
            console.say(f"    {_scores(candidates[passage.chunk_id])}")
    if not found.passages:
        console.say(Text("찾은 조각이 없습니다.", "Nothing was found."))
        hint_where_empty(container, console)
    if arguments.explain:
        for line in _explanation(found, console.lang):
            console.say(line)
    console.data(_document(found, explain=arguments.explain))
    return 0


def hint_where_empty(container: Container, console: Console) -> None:
    """Say where there are no documents at all: none were taken in, or this is another home than that of the service."""
    if not container.records.counts()[0]:
        folder = container.settings.data_folder
        console.talk(
            Text(
                f"받아들인 문서가 아직 없습니다({folder}). 먼저: ragtrace ingest 폴더",
                f"No documents have been taken in yet ({folder}). First: ragtrace ingest DIR",
            )
        )


def _passage(number: int, passage: Passage) -> Iterator[str]:
    facts = [passage.path, f"p. {passage.page}" if passage.page else "", passage.date, passage.group]
    yield f"[{number}] {passage.score:.4f}  {passage.heading} - {', '.join(fact for fact in facts if fact)}"
    text = " ".join(passage.text.split())
    yield f"    {text[:_SHOWN_CHARS]}{'…' if len(text) > _SHOWN_CHARS else ''}"


def _scores(candidate: Candidate) -> str:
    """Return every score of a chunk in one line: of each leg rank, own score and share; then the sum and the reranker's."""
    legs = [
        f"{part.leg} #{part.rank} {part.score:.4f} -> {part.share:.4f}" for part in candidate.contributions
    ]
    fused = f"fused #{candidate.fused_rank} {candidate.fused:.4f}"
    reranked = [] if candidate.rerank is None else [f"rerank {candidate.rerank:.4f}"]
    return " | ".join([*legs, fused, *reranked])


def _explanation(found: Found, lang: str) -> Iterator[str]:
    explain = found.explain
    yield ""
    yield Text("검색어", "terms").to(lang) + ": " + ", ".join(explain.terms)
    legs = [f"{leg} {explain.weights[leg]:g} ({count})" for leg, count in explain.found.items()]
    ways = Text("방법: 가중치(후보 수)", "legs: weight (candidates)").to(lang)
    yield f"{ways}: {', '.join(legs)}; {explain.method}"
    if found.widened is not None:
        days = f"{found.scope.since or '…'}:{found.scope.until or '…'}" if found.scope.dated else "*"
        yield Text("기간", "range").to(lang) + f": {days} ({found.widened.held})"
    spent = ", ".join(f"{part} {value:.1f}" for part, value in explain.milliseconds.items())
    yield f"ms: {spent}"
    others = [each for each in explain.candidates if not each.rank]
    if others:
        yield Text("다른 후보", "other candidates").to(lang) + ":"
    for each in others:
        yield f"  {each.chunk_id[:12]}  {_FATES[each.fate].to(lang)}  {_scores(each)}"


def _document(found: Found, *, explain: bool) -> dict[str, Any]:
    scope = found.scope
    document: dict[str, Any] = {
        "question": found.question.text,
        "range": {
            "since": scope.since,
            "until": scope.until,
            "widened_months": found.widened.months if found.widened else 0,
            "chunks": found.widened.held if found.widened else None,
        },
        "groups": None if scope.groups is None else sorted(scope.groups),
        "notices": [{"ko": notice.ko, "en": notice.en} for notice in found.notices],
        "passages": [
            {**dataclasses.asdict(passage), "number": number}
            for number, passage in enumerate(found.passages, start=1)
        ],
    }
    if explain:
        trace = found.explain
        document["explain"] = {
            "terms": list(trace.terms),
            "method": trace.method,
            "legs": {
                leg: {"weight": trace.weights[leg], "found": count} for leg, count in trace.found.items()
            },
            "milliseconds": dict(trace.milliseconds),
            "candidates": [_candidate(each) for each in trace.candidates],
        }
    return document


def _candidate(candidate: Candidate) -> dict[str, Any]:
    legs = {
        part.leg: {
            "rank": part.rank,
            "score": part.score,
            "normalised": part.normal,
            "weight": part.weight,
            "share": part.share,
        }
        for part in candidate.contributions
    }
    return {
        "chunk_id": candidate.chunk_id,
        "rank": candidate.rank,
        "fate": candidate.fate,
        "fused_rank": candidate.fused_rank,
        "fused": candidate.fused,
        "rerank": candidate.rerank,
        "legs": legs,
    }
