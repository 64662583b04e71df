"""RAGTrace: are the models complete, unchanged, loadable, and do they still give their golden vectors?

RAG-012 to RAG-015 look at one run of the graphs in the release's own environment (``validator.host.carried``).
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from bundle.text import Text
from validator import golden
from validator.host import carried, http, modelfiles
from validator.host.carried import CHECK_S, Graph, Probed
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped, unknown
from validator.names import listed
from validator.subject import Subject

RAGTRACE = Category.RAGTRACE
REMEDY = "extract-model"
CHAT = "/v1/chat/completions"
NO_MODELS = Text("이 릴리스에는 모델이 없습니다", "this release carries no model")
NO_GRAPH = Text("이 릴리스에는 ONNX 그래프가 없습니다", "this release carries no ONNX graph")
NO_LANGUAGE_MODEL = Text("이 릴리스에는 언어 모델이 없습니다", "this release carries no language model")
_BROKEN = Text("그래프를 실행하지 못했습니다 (RAG-012 참고)", "the graphs could not be run (see RAG-012)")
_INPUTS = [["input_ids", "tensor(int64)", 2], ["attention_mask", "tensor(int64)", 2]]
_RANKS = {"dense": 2, "sparse": 2, "colbert": 3, "logits": 2}
_DAMAGED = Text("모델 파일이 빠졌거나 바뀌었습니다", "a model's file is missing or was changed")


@check(
    "RAG-010",
    RAGTRACE,
    Text("모델 파일 구성", "Models complete"),
    severity=Severity.HIGH,
    timeout_s=30,
    needs_installation=True,
)
def complete(subject: Subject) -> Outcome:
    """Every model file of the manifest is there with its size, and each model has the parts its role needs."""
    nothing = nothing_carried(subject)
    if nothing is not None:
        return nothing
    models = carried.models(subject)
    files = modelfiles.entries(subject)
    problems = modelfiles.absent(subject) + [
        f"{item.model.name}: {lack}" for item in models for lack in modelfiles.lacking(item)
    ]
    expected = f"{len(files)} files of {len(models)} models"
    if not problems:
        what = Text("모두 있습니다: " + _names(models), "all there: " + _names(models))
        return passed(what, measured=expected, expected=expected)
    told = listed(problems)
    what = Text("모델이 온전하지 않습니다: " + told, "models are not complete: " + told)
    return Outcome(Status.FAIL, what, f"{len(problems)} problems", expected, _DAMAGED, REMEDY)


@check(
    "RAG-011",
    RAGTRACE,
    Text("모델 해시", "Digests of the models"),
    severity=Severity.CRITICAL,
    # 16 GB from a disk of 30 MB/s.
    timeout_s=600,
    needs_installation=True,
    own_process=True,
)
def digests(subject: Subject) -> Outcome:
    """Model files of the generation and their objects in the store are, byte for byte, those of the manifest."""
    nothing = nothing_carried(subject)
    if nothing is not None:
        return nothing
    found = modelfiles.compare(subject)
    measured = f"{found.files} files, {found.bytes / 1e6:.1f} MB read"
    if not found.changed and not found.lost:
        return passed(
            Text("반입한 그대로입니다", "as carried in"), measured=measured, expected="0 differences"
        )
    told = listed(found.changed + tuple(f"{name} (store)" for name in found.lost))
    if found.changed:
        what = Text("모델 파일이 바뀌었습니다: " + told, "model files were changed: " + told)
        status = Status.FAIL
    else:
        what = Text(
            "저장소에 모델이 없어 복구할 때 번들이 필요합니다: " + told,
            "the store lacks models, so a repair would need the bundle: " + told,
        )
        status = Status.WARN
    why = Text("디스크가 손상되었거나 누군가 바꿨습니다", "the disk is damaged, or somebody changed them")
    return Outcome(
        status, what, f"{len(found.changed)} changed, {len(found.lost)} lost", measured, why, REMEDY
    )


@check(
    "RAG-012",
    RAGTRACE,
    Text("모델 불러오기", "Models load"),
    severity=Severity.HIGH,
    timeout_s=CHECK_S,
    needs_installation=True,
)
def load(subject: Subject) -> Outcome:
    """Every ONNX graph loads, has its inputs and outputs, and computes; a reranker gives its golden scores."""
    known = ready(subject)
    if isinstance(known, Outcome):
        return known
    problem = f"{listed(known.broken)}" if known.broken else known.problem
    if problem:
        what = Text(f"모델을 실행할 수 없습니다: {problem}", f"the models cannot be run: {problem}")
        why = Text(
            "패키지나 그래프가 손상되었거나 메모리가 모자랍니다",
            "packages or graphs are damaged, or there is too little memory",
        )
        return Outcome(Status.FAIL, what, problem[:300], "every graph runs", why, REMEDY)
    all_graphs = carried.graphs(subject)
    problems = [line for graph in all_graphs for line in _load_problems(graph, known.graphs.get(graph.label))]
    names = listed(graph.label for graph in all_graphs)
    seconds = sum(float(item.get("load_s", 0.0)) for item in known.graphs.values())
    measured = f"{len(all_graphs) - len({line.split(':')[0] for line in problems})} of {len(all_graphs)} graphs, {seconds:.1f} s"
    if not problems:
        return passed(Text("불러와 실행했습니다: " + names, "loaded and run: " + names), measured=measured)
    told = listed(problems)
    what = Text("모델이 제대로 실행되지 않습니다: " + told, "models do not run as they should: " + told)
    why = Text("그래프가 손상되었거나 다른 모델의 것입니다", "a graph is damaged, or it is another model's")
    return Outcome(Status.FAIL, what, measured, f"{len(all_graphs)} graphs", why, REMEDY)


def _load_problems(graph: Graph, told: Optional[Mapping[str, Any]]) -> List[str]:
    if told is None:
        return [f"{graph.label}: no answer"]
    if told.get("error") and told.get("step") in ("load", "golden"):
        return [f"{graph.label}: {told['error']}"]
    wrong = (
        [] if told.get("inputs") == _INPUTS else [f"{graph.label}: inputs {_interface(told.get('inputs'))}"]
    )
    outputs = {name: (kind, rank) for name, kind, rank in told.get("outputs", ())}
    for name in graph.outputs:
        kind, rank = outputs.get(name, ("", 0))
        if "float" not in kind or rank != _RANKS[name]:
            wrong.append(f"{graph.label}: output {name} {'missing' if not kind else f'{kind}, rank {rank}'}")
    if not wrong and graph.golden is not None and "logits" in graph.outputs:
        found = golden.compare(graph.golden, "logits", told.get("cases", ()))
        wrong = [f"{graph.label}: golden scores: {line}" for line in found.problems]
        wrong += [f"{graph.label}: tokenizer: {line}" for line in _tokenizer(graph, told)]
    return wrong


def _interface(told: object) -> str:
    return ", ".join(" ".join(map(str, one)) for one in told) if isinstance(told, list) else "unknown"


@check(
    "RAG-013",
    RAGTRACE,
    Text("골든 벡터: dense", "Golden vectors: dense"),
    severity=Severity.HIGH,
    timeout_s=CHECK_S,
    needs_installation=True,
)
def golden_dense(subject: Subject) -> Outcome:
    """The dense vectors of the golden texts are those of the published formula, in direction and length."""
    return _golden(subject, "dense")


@check(
    "RAG-014",
    RAGTRACE,
    Text("골든 벡터: sparse", "Golden vectors: sparse"),
    severity=Severity.HIGH,
    timeout_s=CHECK_S,
    needs_installation=True,
)
def golden_sparse(subject: Subject) -> Outcome:
    """The sparse weights of the golden texts are those of the published formula."""
    return _golden(subject, "sparse")


@check(
    "RAG-015",
    RAGTRACE,
    Text("골든 벡터: ColBERT", "Golden vectors: ColBERT"),
    severity=Severity.HIGH,
    timeout_s=CHECK_S,
    needs_installation=True,
)
def golden_colbert(subject: Subject) -> Outcome:
    """The ColBERT vectors of the golden texts are those of the published formula, in direction and length."""
    return _golden(subject, "colbert")


def _golden(subject: Subject, output: str) -> Outcome:
    known = ready(subject)
    if isinstance(known, Outcome):
        return known
    if known.problem or known.broken:
        return skipped(_BROKEN)
    graphs = [graph for graph in carried.graphs(subject) if output in graph.outputs]
    if not graphs:
        return skipped(Text("이 출력을 내는 그래프가 없습니다", "no graph has this output"))
    problems: List[str] = []
    lowest, texts, bound = 1.0, 0, ""
    for graph in graphs:
        told = known.graphs.get(graph.label, {})
        if graph.golden is None:
            lack = graph.problem or "no golden vectors"
            problems.append(f"{graph.label}: {lack} (RAG-010)")
            lowest = 0.0
            continue
        if len(told.get("cases", ())) != len(graph.golden.cases):
            return skipped(_BROKEN)
        found = golden.compare(graph.golden, output, told["cases"])
        problems += [f"{graph.label}: {line}" for line in found.problems]
        problems += [f"{graph.label}: tokenizer: {line}" for line in _tokenizer(graph, told)]
        lowest, texts = min(lowest, found.cosine), texts + len(graph.golden.cases)
        length = golden.NORM_BOUNDS[graph.golden.precision][output]
        bound = f"cosine >= {graph.golden.minimum_cosine:g}, length ±{length:.1%}, same tokens"
    measured = f"cosine {lowest:.5f} over {texts} texts"
    if not problems:
        what = Text("골든 벡터와 같습니다", "as the golden vectors")
        return passed(what, measured=measured, expected=bound)
    told_all = listed(problems)
    what = Text("골든 벡터와 다릅니다: " + told_all, "not as the golden vectors: " + told_all)
    why = Text(
        "모델·토크나이저가 바뀌었거나 손상되었거나, 실행 패키지가 다르게 계산합니다",
        "model or tokenizer were changed or damaged, or the runtime computes something else",
    )
    return Outcome(Status.FAIL, what, measured, bound, why, REMEDY)


def _tokenizer(graph: Graph, told: Mapping[str, Any]) -> Sequence[str]:
    """Return what is wrong with the tokenizer; a golden file without texts has nothing to compare."""
    assert graph.golden is not None
    if told.get("step") == "tokenizer" and told.get("error"):
        return [str(told["error"])]
    if not graph.tokenizer and any(case.text for case in graph.golden.cases):
        return ["tokenizer.json is missing"]
    return golden.wrong_ids(graph.golden, told["cases"])


@check(
    "RAG-016",
    RAGTRACE,
    Text("언어 모델 응답", "A language model answers"),
    severity=Severity.HIGH,
    timeout_s=70,
    needs_service=True,
)
def language_model(subject: Subject) -> Outcome:
    """The service answers a short prompt with text of the carried language model."""
    nothing = nothing_carried(subject)
    if nothing is not None:
        return nothing
    if not any(item.model.role == "llm" for item in carried.models(subject)):
        return skipped(NO_LANGUAGE_MODEL)
    reply = ask_model(subject, "한국의 수도는 어디입니까? 한 문장으로 답하십시오.", 24, 60)
    refused = no_answer(reply)
    if refused is not None:
        return refused
    text, tokens = generated(reply.body)
    measured = f"{tokens} tokens, {reply.seconds:.1f} s"
    if text.strip() and tokens > 0:
        return passed(Text("답했습니다", "it answers"), measured=measured)
    what = Text("빈 답을 했습니다", "its answer is empty")
    why = Text("모델이나 대화 형식이 맞지 않습니다", "the model or its chat template does not fit")
    return Outcome(Status.FAIL, what, measured, ">= 1 token", why, REMEDY)


def ask_model(subject: Subject, prompt: str, tokens: int, timeout_s: float) -> http.Reply:
    """Ask the service's language model as an OpenAI client does, greedily and without retrieval."""
    body = {
        "model": "default",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": False,
        "rag": False,
    }
    return http.ask(subject, "POST", CHAT, body, timeout_s=timeout_s)


def no_answer(reply: http.Reply) -> Optional[Outcome]:
    """Return the outcome for a service that gave no answer of a model, or nothing if it did."""
    if reply.status == 200:
        return None
    measured = reply.problem or f"HTTP {reply.status}"
    if reply.status == 0:
        return skipped(
            Text("서비스가 응답하지 않습니다 (RAG-004 참고)", "the service does not answer (see RAG-004)")
        )
    if reply.status in (404, 405, 501):
        return skipped(
            Text(
                f"이 릴리스의 서비스에는 {CHAT} 호출이 없습니다",
                f"the service of this release has no call {CHAT}",
            )
        )
    if reply.status in (401, 403):
        return skipped(Text("이 호출에는 사용자 토큰이 필요합니다", "this call needs a user's token"))
    if reply.status in (429, 503):
        what = Text("서비스가 바쁘거나 아직 시작 중입니다", "the service is busy, or still starting")
        return unknown(what, measured=measured, remedy="see-log")
    what = Text("언어 모델이 답하지 못했습니다", "the language model did not answer")
    return Outcome(Status.FAIL, what, measured, "HTTP 200", None, "see-log")


def generated(body: Mapping[str, Any]) -> Tuple[str, int]:
    """Return the text of an OpenAI-style answer and its tokens, as told, else its words."""
    try:
        text = str(body["choices"][0]["message"]["content"] or "")
    except (KeyError, IndexError, TypeError):
        return "", 0
    usage = body.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return text, tokens if isinstance(tokens, int) else len(text.split())


def ready(subject: Subject) -> "Probed | Outcome":
    """Return what the probe reported, or the outcome of a check that has nothing to look at."""
    nothing = nothing_carried(subject)
    if nothing is not None:
        return nothing
    if not carried.graphs(subject):
        return skipped(NO_GRAPH)
    if subject.python is None:
        return skipped(
            Text("가상 환경이 없습니다 (PKG-002 참고)", "the virtual environment is missing (see PKG-002)")
        )
    known = carried.probe(subject)
    if known.missing:
        names = listed(line.split(":")[0] for line in known.missing)
        return skipped(
            Text(
                f"이 환경에는 ONNX Runtime이 없습니다 ({names}): extra 'models'를 넣어 번들을 만드십시오",
                f"this environment has no ONNX Runtime ({names}): build the bundle with the extra 'models'",
            )
        )
    if known.short:
        # The service that answers comes before a check that would take its memory.
        what = Text(
            f"메모리가 모자라 모델을 불러 보지 않았습니다 ({known.short})",
            f"too little memory to load the models beside the service ({known.short})",
        )
        return unknown(what, measured=known.short, remedy="more-resources")
    return known


def nothing_carried(subject: Subject) -> Optional[Outcome]:
    """Return the outcome for a release whose models nobody can name, or that has none; nothing where it has some."""
    if subject.manifest is None:
        what = Text("세대의 매니페스트를 읽을 수 없습니다", "the generation's manifest cannot be read")
        return unknown(what, measured=str(subject.manifest_path), remedy="reinstall")
    return None if modelfiles.entries(subject) else skipped(NO_MODELS)


def _names(models: Sequence[carried.Carried]) -> str:
    return listed(f"{item.model.name} ({item.model.role})" for item in models)


CHECKS: Tuple[Check, ...] = (
    complete,
    digests,
    load,
    golden_dense,
    golden_sparse,
    golden_colbert,
    language_model,
)
