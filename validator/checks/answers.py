"""RAGTrace: does the carried language model still say what it said on the build box?"""

from __future__ import annotations

from typing import List, Tuple

from bundle.text import Text
from validator import golden_answer
from validator.checks.models import NO_LANGUAGE_MODEL, REMEDY, nothing_carried
from validator.host import spoken
from validator.host.spoken import PROBE_S
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped
from validator.names import listed
from validator.subject import Subject

NO_GOLDEN = Text(
    "이 번들에는 골든 응답이 없습니다: 빌드한 기계에 언어 모델 엔진이 없었습니다",
    "this bundle has no golden answer: the build box had no engine for the language model",
)


@check(
    "RAG-017",
    Category.RAGTRACE,
    Text("언어 모델의 골든 응답", "Golden answer of the language model"),
    severity=Severity.HIGH,
    timeout_s=PROBE_S + 20.0,
    needs_installation=True,
)
def golden_answers(subject: Subject) -> Outcome:
    """Greedily continued prompts give the golden tokens with their probabilities, up to the first near tie."""
    nothing = nothing_carried(subject)
    if nothing is not None:
        return nothing
    found = spoken.speakers(subject)
    if not found:
        return skipped(NO_LANGUAGE_MODEL)
    problems: List[str] = [f"{item.carried.model.name}: {item.problem}" for item in found if item.problem]
    with_golden = [item for item in found if item.golden is not None]
    if not with_golden and not problems:
        return skipped(NO_GOLDEN)
    if with_golden and subject.python is None:
        return skipped(
            Text("가상 환경이 없습니다 (PKG-002 참고)", "the virtual environment is missing (see PKG-002)")
        )
    same, wanted, shift = 0, 0, 0.0
    for item in with_golden:
        assert item.golden is not None
        said = spoken.listen(subject, item)
        if said.missing:
            named = f"{item.golden.engine}: {said.missing}"
            return skipped(
                Text(f"이 환경에는 엔진이 없습니다: {named}", f"this environment has no engine: {named}")
            )
        if said.short:
            return skipped(
                Text(
                    f"서비스 옆에서 모델을 불러올 메모리가 모자라 비교하지 않았습니다 ({said.short})",
                    f"not compared: too little memory to load the model beside the service ({said.short})",
                )
            )
        if said.problem:
            problems.append(f"{item.carried.model.name}: {said.problem}")
            continue
        result = golden_answer.compare(item.golden, said.cases)
        problems += [f"{item.carried.model.name}: {line}" for line in result.problems]
        same, wanted, shift = same + result.same, wanted + item.golden.followed, max(shift, result.shift)
    measured = f"{same} tokens, log probabilities within {shift:.2f}"
    bound = f">= {wanted} tokens, log probabilities ±{golden_answer.LOGPROB_BOUND:g}"
    if not problems:
        what = Text("골든 응답과 같습니다", "as the golden answer")
        return passed(what, measured=measured, expected=bound)
    told = listed(problems)
    what = Text("골든 응답과 다릅니다: " + told, "not as the golden answer: " + told)
    why = Text(
        "모델이나 토크나이저가 바뀌었거나 손상되었거나, 엔진이 다르게 계산합니다",
        "model or tokenizer were changed or damaged, or the engine computes something else",
    )
    return Outcome(Status.FAIL, what, measured, bound, why, REMEDY)


CHECKS: Tuple[Check, ...] = (golden_answers,)
