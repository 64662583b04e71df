"""Performance of models and retrieval, against the profile and this host's own earlier runs."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple, Union

from bundle.text import Text
from validator import speed
from validator.checks.models import NO_LANGUAGE_MODEL, ask_model, generated, no_answer, ready
from validator.checks.ragtrace import NOT_RUNNING, probe_questions
from validator.host import carried, stream
from validator.host.carried import CHECK_S, Probed
from validator.model import Category, Check, Outcome, Severity, check, skipped, unknown
from validator.subject import Subject

PERFORMANCE = Category.PERFORMANCE
# Enough tokens for a rate to mean something, few enough for a processor.
TOKENS = 48
_PROMPT = "폐쇄망에서 문서를 검색하는 서비스의 장점을 세 문장으로 설명하십시오."
_SEE_LOAD = Text(
    "그래프를 실행하지 못해 재지 않았습니다 (RAG-012 참고)",
    "the graphs could not be run, so not measured (see RAG-012)",
)
Measured = Union[Dict[str, float], Outcome]


@check(
    "PERF-006",
    PERFORMANCE,
    Text("모델 불러오기 시간", "Time to load the models"),
    severity=Severity.LOW,
    timeout_s=2 * CHECK_S,
    needs_installation=True,
)
def load_time(subject: Subject) -> Outcome:
    """Every carried graph, one after the other, is loaded in time by a fresh interpreter."""
    known = ready(subject)
    if isinstance(known, Outcome):
        return known
    first = _load_seconds(known)
    if first is None:
        return skipped(_SEE_LOAD)
    note = f"{len(known.graphs)} graphs"
    return speed.judged(subject, first, lambda: _load_seconds(carried.probe_again(subject)), note)


def _load_seconds(known: Probed) -> Optional[Dict[str, float]]:
    times = [item.get("load_s") for item in known.graphs.values()]
    found = [float(item) for item in times if isinstance(item, (int, float))]
    # Half the graphs loaded twice as fast is no figure.
    return {"model_load_s": sum(found)} if found and len(found) == len(times) else None


@check(
    "PERF-007",
    PERFORMANCE,
    Text("임베딩 속도", "Embedding speed"),
    severity=Severity.LOW,
    timeout_s=2 * CHECK_S,
    needs_installation=True,
)
def embedding_rate(subject: Subject) -> Outcome:
    """The slowest carried embedding model turns fixed Korean texts into vectors fast enough."""
    known = ready(subject)
    if isinstance(known, Outcome):
        return known
    if not any(graph.carried.model.role == "embedding" for graph in carried.graphs(subject)):
        return skipped(Text("임베딩 모델이 없습니다", "there is no embedding model"))
    first = _rates(known)
    if not first:
        return skipped(_SEE_LOAD)
    _, texts, tokens = min(first)
    note = f"{texts} texts of {tokens} tokens"
    return speed.judged(
        subject, _slowest(first) or {}, lambda: _slowest(_rates(carried.probe_again(subject))), note
    )


def _rates(known: Probed) -> List[Tuple[float, int, int]]:
    """Return texts a second, texts and tokens a text of every graph that was timed."""
    found = []
    for item in known.graphs.values():
        told = item.get("speed")
        if isinstance(told, dict) and float(told.get("seconds", 0)) > 0:
            found.append((told["texts"] / float(told["seconds"]), int(told["texts"]), int(told["tokens"])))
    return found


def _slowest(rates: List[Tuple[float, int, int]]) -> Optional[Dict[str, float]]:
    return {"embedding_texts_per_s": min(rates)[0]} if rates else None


@check(
    "PERF-008",
    PERFORMANCE,
    Text("검색 시간", "Time to retrieve"),
    severity=Severity.LOW,
    timeout_s=80,
    needs_service=True,
)
def retrieval_time(subject: Subject) -> Outcome:
    """The running service finds the sources of a question in time: up to its ``reference`` event (median of 3)."""
    first = _retrieval_ms(subject)
    if isinstance(first, Outcome):
        return first
    return speed.judged(subject, first, lambda: _figures(_retrieval_ms(subject)))


def _retrieval_ms(subject: Subject) -> Measured:
    times = []
    for _ in range(3):
        told = stream.first_event(
            subject, "/query_stream", {"qry_contents": probe_questions(subject)[0]}, timeout_s=12
        )
        if told.status == 0:
            return skipped(NOT_RUNNING)
        if told.status in (404, 405):
            return skipped(
                Text(
                    "이 릴리스의 서비스에는 /query_stream 호출이 없습니다",
                    "the service of this release has no call /query_stream",
                )
            )
        if told.status != 200 or told.event != "reference":
            return skipped(
                Text(
                    "질문이 실패해 재지 않았습니다 (RAG-007 참고)",
                    "the question failed, so not measured (see RAG-007)",
                )
            )
        times.append(told.seconds * 1000)
    return {"retrieval_ms": sorted(times)[1]}


def _figures(found: Measured) -> Optional[Dict[str, float]]:
    return None if isinstance(found, Outcome) else found


@check(
    "PERF-009",
    PERFORMANCE,
    Text("생성 속도", "Generation speed"),
    severity=Severity.LOW,
    timeout_s=260,
    needs_service=True,
)
def generation_rate(subject: Subject) -> Outcome:
    """The carried language model generates text fast enough, as the service answers."""
    if not any(item.model.role == "llm" for item in carried.models(subject)):
        return skipped(NO_LANGUAGE_MODEL)
    first = _generation_rate(subject)
    if isinstance(first, Outcome):
        return first
    return speed.judged(subject, first, lambda: _figures(_generation_rate(subject)), f"<= {TOKENS} tokens")


def _generation_rate(subject: Subject) -> Measured:
    reply = ask_model(subject, _PROMPT, TOKENS, 120)
    refused = no_answer(reply)
    if refused is not None:
        return skipped(refused.details)
    _, tokens = generated(reply.body)
    if tokens < 2 or reply.seconds <= 0:
        what = Text("잴 만큼 생성하지 않았습니다", "too little was generated to measure")
        return unknown(what, measured=f"{tokens} tokens")
    return {"generation_tokens_per_s": tokens / reply.seconds}


CHECKS: Tuple[Check, ...] = (load_time, embedding_rate, retrieval_time, generation_rate)
