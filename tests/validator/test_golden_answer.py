"""The golden answer: followed to the first near tie, and every way of not being it is told."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.validator import toy_models, toy_speaker
from tests.validator.fakes import Installation, run
from validator import golden_answer
from validator.checks.answers import NO_GOLDEN, golden_answers
from validator.golden_answer import Case, Token, compare, parse
from validator.host import commands, facts, spoken
from validator.model import Outcome

FAR, CLOSE = 3.0, 0.2
# Prompt, its tokens, and what follows: id, text, log probability, others with how far they are behind.
Answer = dict[str, tuple[int, list[tuple[int, str, float, list[tuple[int, float]]]]]]
SAID: Answer = {
    "대한민국의 수도는": (5, [(n, f"가{n}", -0.1 * n, [(99, FAR)]) for n in range(1, 7)]),
    "자주 묻는 질문": (
        4,
        [(7, "나", -0.2, [(98, FAR)]), (8, "다", -0.3, [(97, FAR)]), (9, "라", -0.7, [(96, CLOSE), (95, 1.0)]),
         (10, "마", -0.1, [(94, FAR)])],
    ),
}  # fmt: skip


def cases(said: Answer) -> list[dict[str, Any]]:
    return [
        {
            "prompt": prompt,
            "prompt_tokens": length,
            "tokens": [
                {"id": n, "text": t, "logprob": p, "beside": [list(each) for each in beside]}
                for n, t, p, beside in tokens
            ],
        }
        for prompt, (length, tokens) in said.items()
    ]


def document(**changes: Any) -> dict[str, Any]:
    head = {"format": 1, "kind": "golden-answer", "model": "tiny.gguf", "engine": "llama.cpp"}
    return {**head, "cases": cases(SAID), **changes}


def changed(prompt: int, place: int, **values: Any) -> list[Case]:
    """Return what was said, with one token changed."""
    found = [golden_answer.case(item) for item in cases(SAID)]
    tokens = list(found[prompt].tokens)
    old = tokens[place]
    tokens[place] = Token(**{**vars(old), **values})
    found[prompt] = Case(found[prompt].prompt, found[prompt].prompt_tokens, tuple(tokens))
    return found


GOLDEN = parse(document())


def test_the_same_answer_is_the_golden_one() -> None:
    found = compare(GOLDEN, [golden_answer.case(item) for item in cases(SAID)])
    assert (found.problems, found.same, found.shift) == ((), 10, 0.0)
    assert (GOLDEN.followed, GOLDEN.longest) == (8, 6)


def test_at_a_near_tie_the_runner_up_is_as_good_and_ends_the_comparison() -> None:
    found = compare(GOLDEN, changed(1, 2, id=96))
    assert (found.problems, found.same) == ((), 8)
    assert "token 3 is '라'" in compare(GOLDEN, changed(1, 2, id=95)).problems[0]


def test_probabilities_may_move_as_far_as_kernels_move_them() -> None:
    assert compare(GOLDEN, changed(0, 3, logprob=-0.45)).problems == ()
    assert "log probability -1.40" in compare(GOLDEN, changed(0, 3, logprob=-1.4)).problems[0]


@pytest.mark.parametrize("number", [math.nan, -math.inf])
def test_what_is_no_number_is_told(number: float) -> None:
    assert compare(GOLDEN, changed(0, 0, logprob=number)).problems


def test_another_token_another_length_another_tokenizer_are_told() -> None:
    assert "token 1 is" in compare(GOLDEN, changed(0, 0, id=50)).problems[0]
    whole = [golden_answer.case(item) for item in cases(SAID)]
    short = [Case(whole[0].prompt, 5, whole[0].tokens[:2]), whole[1]]
    assert "ends after 2 tokens" in compare(GOLDEN, short).problems[0]
    split = [Case(whole[0].prompt, 6, whole[0].tokens), whole[1]]
    assert "6 tokens, golden 5 (tokenizer)" in compare(GOLDEN, split).problems[0]
    assert "1 of 2 prompts" in compare(GOLDEN, whole[:1]).problems[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": 2}, {"kind": "bge-m3-onnx"}, {"cases": []}, {"cases": cases(SAID)[1:]}, {"cases": [{}]}, {"cases": 3},
        {"cases": [{**cases(SAID)[0], "tokens": [{"id": 1, "text": "", "logprob": math.inf, "beside": []}] * 9}]},
    ],
)  # fmt: skip
def test_a_golden_answer_that_proves_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        parse(document(**wrong))


# --- in an installation -----------------------------------------------------------------------------------


def weights(said: Answer) -> bytes:
    return b"GGUF" + json.dumps(said).encode()


def installation(folder: Path, said: Answer = SAID, *, engine: bool = True, **changes: Any) -> Installation:
    files = {"tiny.gguf": weights(said), spoken.NAME: json.dumps(document(**changes)).encode()}
    made = toy_models.install(folder, {"llm": files}, runtime=False)
    if engine:
        made.package("xllamacpp", "0.0", {"__init__.py": Path(toy_speaker.__file__).read_text("utf-8")})
    return made


def found(made: Installation) -> Outcome:
    return run(golden_answers, made.subject())


def test_a_sound_model_says_its_golden_answer(tmp_path: Path) -> None:
    outcome = found(installation(tmp_path / "p"))
    assert outcome.status.value == "pass", outcome.details.en
    assert outcome.measured == "10 tokens, log probabilities within 0.00"


def test_a_model_that_says_something_else_fails(tmp_path: Path) -> None:
    other = {**SAID, "자주 묻는 질문": (4, [(1, "엉", -0.1, [(2, FAR)])] * 4)}
    outcome = found(installation(tmp_path / "p", other))
    assert outcome.status.value == "fail" and outcome.remedy == "extract-model"
    assert "prompt 2: token 1 is '엉', golden '나'" in outcome.details.en


def test_a_model_that_cannot_be_loaded_fails(tmp_path: Path) -> None:
    made = installation(tmp_path / "p")
    place = toy_models.installed(made, "07_Models/llm/tiny.gguf")
    place.unlink()
    place.write_bytes(b"\0" * 80)
    assert "failed to load model" in found(made).details.en and found(made).status.value == "fail"


def test_a_golden_answer_that_cannot_be_read_fails(tmp_path: Path) -> None:
    assert found(installation(tmp_path / "p", format=7)).status.value == "fail"
    assert "names" in found(installation(tmp_path / "q", model="../../etc/passwd")).details.en


def test_a_bundle_without_a_golden_answer_is_a_skip(tmp_path: Path) -> None:
    made = toy_models.install(tmp_path / "p", {"llm": toy_models.language_model()}, runtime=False)
    assert found(made) == run(golden_answers, made.subject())
    assert (found(made).status.value, found(made).details) == ("skip", NO_GOLDEN)


def test_an_environment_without_the_engine_is_a_skip_that_names_it(tmp_path: Path) -> None:
    outcome = found(installation(tmp_path / "p", engine=False))
    assert outcome.status.value == "skip" and "xllamacpp" in outcome.details.en


def test_too_little_memory_is_said_and_nothing_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = installation(tmp_path / "p")
    monkeypatch.setattr(facts, "memory_bytes", lambda: (10**9, 10**8))
    monkeypatch.setattr(commands, "run_python", lambda *a, **k: pytest.fail("it was run"))
    outcome = found(made)
    assert outcome.status.value == "skip" and "0.1 GB available, 0.8 GB needed" in outcome.details.en
