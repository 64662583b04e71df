"""Load carried ONNX graphs, run golden cases and a few texts, and report plain JSON; judges nothing.

Run as ``python -c SOURCE REQUEST`` by the generation's interpreter, which knows nothing of the validator: this file
may only use the standard library, onnxruntime, tokenizers and numpy. The request is JSON:
``{"graphs": [{"name", "graph", "tokenizer", "config", "cases": [{"text", "input_ids"}], "colbert_values", "speed"}]}``.
The last line of the answer is `MARK` and a JSON object.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
import time
from typing import Any, Dict, List, Sequence

MARK = "RAGTRACE-PROBE "
# Long enough for the encoder to dominate, short enough for a processor; every text is cut to it.
SPEED_TOKENS = 48
SPEED_BATCH = 4
SPEED_SECONDS = 0.5
SPEED_MOST = 4000
# A tokenizer's padding where the configuration says nothing: XLM-RoBERTa's.
DEFAULT_PAD = 1
TEXTS = (
    "폐쇄망에 설치한 검색 서비스는 인터넷에 연결하지 않고 회사 문서를 읽어 질문에 답합니다. 답에는 근거가 된 문서의 이름과 쪽 번호가 붙고, 근거가 없으면 없다고 말합니다.",
    "연차 휴가는 입사일을 기준으로 발생하며, 사용하지 않은 휴가는 다음 해로 넘길 수 없습니다. 다만 회사의 요청으로 쓰지 못한 휴가는 수당으로 지급하고 그 기준은 취업 규칙에 따릅니다.",
    "장비를 교체하기 전에 전원을 내리고 접지를 확인한 다음 점검표의 모든 항목에 서명하십시오. 교체가 끝나면 시험 운전을 세 번 하고 결과를 기록한 뒤 담당 부서에 알려야 합니다.",
    "이번 분기의 매출은 지난해 같은 기간보다 십이 퍼센트 늘었으나 원자재 가격이 올라 영업 이익은 조금 줄었습니다. 다음 분기에는 새 공장의 가동으로 생산량이 늘어날 것으로 봅니다.",
    "개인 정보를 다루는 직원은 해마다 교육을 받아야 하고, 자료를 밖으로 보낼 때에는 책임자의 승인을 받아야 합니다. 승인 없이 보낸 자료가 발견되면 곧바로 보안 부서에 신고하십시오.",
    "계약이 끝나기 삼십 일 전까지 어느 쪽도 서면으로 알리지 않으면 계약은 같은 조건으로 일 년 동안 연장됩니다. 연장된 계약을 끝내려는 쪽은 이유를 적어 상대방에게 보내야 합니다.",
    "새로운 버전을 설치하다가 실패하면 설치 프로그램은 이전 버전으로 스스로 되돌립니다. 되돌린 뒤에도 서비스가 시작되지 않으면 복구 도우미를 실행하고 보고서를 담당자에게 전달하십시오.",
    "회의는 매주 월요일 오전 열 시에 시작하며 안건은 금요일까지 제출해야 합니다. 제출하지 않은 안건은 다음 회의로 넘어가고, 급한 안건은 의장의 허락을 받아 그 자리에서 다룰 수 있습니다.",
)


def be_first_to_go() -> None:
    """Let the kernel, should memory run out, end this process and not the service beside it (proc(5))."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
            stream.write("1000")
    except OSError:
        return


def main(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return the report on every graph of the request; a library that is not there is named, not an error."""
    report: Dict[str, Any] = {"missing": [], "broken": [], "versions": {}, "graphs": []}
    libraries: Dict[str, Any] = {}
    for name in ("numpy", "onnxruntime", "tokenizers"):
        try:
            libraries[name] = importlib.import_module(name)
            report["versions"][name] = str(getattr(libraries[name], "__version__", ""))
        except ModuleNotFoundError as error:
            kind = "missing" if error.name == name else "broken"
            report[kind].append("%s: %s" % (name, error))
        except Exception as error:  # noqa: BLE001  what a damaged library raises is what is to be told
            report["broken"].append("%s: %s" % (name, _said(error)))
    if not report["missing"] and not report["broken"]:
        report["graphs"] = [_graph(libraries, item) for item in request["graphs"]]
    return report


def _graph(libraries: Dict[str, Any], item: Dict[str, Any]) -> Dict[str, Any]:
    """Return what one graph did; an exception of any step is reported under ``error`` with the step's name."""
    found: Dict[str, Any] = {
        "name": item["name"],
        "error": "",
        "step": "load",
        "inputs": [],
        "outputs": [],
        "cases": [],
    }
    try:
        started = time.perf_counter()
        session = libraries["onnxruntime"].InferenceSession(item["graph"], providers=["CPUExecutionProvider"])
        found["load_s"] = time.perf_counter() - started
        found["inputs"] = [[one.name, one.type, len(one.shape)] for one in session.get_inputs()]
        found["outputs"] = [[one.name, one.type, len(one.shape)] for one in session.get_outputs()]
        run = _Runner(libraries["numpy"], session)
        found["step"] = "golden"
        for case in item["cases"]:
            found["cases"].append({"outputs": run.case(case["input_ids"], item["colbert_values"])})
        found["step"] = "tokenizer"
        if item["tokenizer"]:
            reader = libraries["tokenizers"].Tokenizer.from_file(item["tokenizer"])
            reader.no_padding()
            reader.no_truncation()
            for case, said in zip(item["cases"], found["cases"]):
                if case["text"]:
                    said["ids"] = list(reader.encode(case["text"]).ids)
            found["step"] = "speed"
            if item["speed"]:
                found["speed"] = run.speed(
                    [list(reader.encode(text).ids) for text in TEXTS], _pad(item["config"])
                )
        found["step"] = ""
    except Exception as error:  # noqa: BLE001  the runtime's own errors have no common class
        found["error"] = _said(error)
    return found


class _Runner:
    """One session and what it takes to feed it."""

    def __init__(self, numpy: Any, session: Any) -> None:  # noqa: ANN401  modules of the environment
        self.numpy = numpy
        self.session = session
        self.names = [one.name for one in session.get_outputs()]

    def batch(self, rows: Sequence[List[int]], pad: int) -> Dict[str, Any]:
        """Return the outputs, by name, of rows of token ids padded to one length."""
        longest = max(len(row) for row in rows)
        ids = self.numpy.full((len(rows), longest), pad, self.numpy.int64)
        mask = self.numpy.zeros((len(rows), longest), self.numpy.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        feed = {"input_ids": ids, "attention_mask": mask}
        return dict(zip(self.names, self.session.run(None, feed)))

    def case(self, ids: List[int], colbert_values: int) -> Dict[str, Any]:
        """Return shape, values and norm of each output for one row; of ColBERT vectors their first values."""
        told: Dict[str, Any] = {}
        for name, value in self.batch([ids], DEFAULT_PAD).items():
            row = value[0].tolist()
            flat = _flat(row)
            shown = _flat([vector[:colbert_values] for vector in row]) if name == "colbert" else flat
            told[name] = {
                "shape": list(value.shape[1:]),
                "values": shown,
                "norm": math.sqrt(sum(number * number for number in flat)),
            }
        return told

    def speed(self, rows: Sequence[List[int]], pad: int) -> Dict[str, Any]:
        """Return how many texts of how many tokens were embedded in which time."""
        rows = [row if len(row) <= SPEED_TOKENS else row[: SPEED_TOKENS - 1] + row[-1:] for row in rows]
        done, started = 0, time.perf_counter()
        while True:
            at = done % len(rows)
            self.batch(rows[at : at + SPEED_BATCH], pad)
            done += len(rows[at : at + SPEED_BATCH])
            spent = time.perf_counter() - started
            if done >= SPEED_MOST or (done >= len(rows) and spent >= SPEED_SECONDS):
                return {"texts": done, "tokens": max(len(row) for row in rows), "seconds": spent}


def _flat(value: Any) -> List[float]:  # noqa: ANN401  numbers, or lists of them
    if isinstance(value, list):
        return [number for item in value for number in _flat(item)]
    return [value]


def _pad(config: str) -> int:
    """Return the padding token of a ``config.json``, or XLM-RoBERTa's."""
    if not config:
        return DEFAULT_PAD
    with open(config, encoding="utf-8") as stream:
        return int(json.load(stream).get("pad_token_id", DEFAULT_PAD))


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return ("%s: %s" % (type(error).__name__, lines[0]))[:300]


if __name__ == "__main__":
    be_first_to_go()
    sys.stdout.write("\n" + MARK + json.dumps(main(json.loads(sys.argv[1]))) + "\n")
