"""Causes that lie in the models: files missing or changed, or computing something else than they should."""

from __future__ import annotations

from typing import Tuple

from bundle.text import Text
from recovery.causes.cause import Cause

DAMAGED_MODELS = Cause(
    "damaged-models",
    ("RAG-010", "RAG-011"),
    Text("모델 파일이 없거나 바뀜", "Model files are missing or changed"),
    Text(
        "활성 세대나 저장소의 모델이 반입한 것과 다릅니다. 답이 조용히 나빠질 수 있습니다.",
        "Models of the active generation or of the store are not what was carried in; answers may quietly get worse.",
    ),
    Text(
        "저장소에서, 거기에도 없으면 반입한 번들(--bundle)에서 모델을 다시 꺼냅니다.",
        "They are taken from the store again, or where it lacks them from the bundle (--bundle).",
    ),
    ("extract-model",),
)
MODEL_CODE = Cause(
    "model-code",
    ("SEC-004",),
    Text("모델 폴더에 코드를 실행하는 파일", "Files that run code among the models"),
    Text("불러오는 것만으로 코드가 실행됩니다.", "Loading such a file runs whatever is in it."),
    Text(
        "누가 넣었는지 확인하십시오. 봉인된 파일만으로 세대를 다시 만들 수 있습니다.",
        "Find out who put it there. The generation can be made again from sealed files alone.",
    ),
    ("repair",),
)
WRONG_MODELS = Cause(
    "wrong-models",
    ("RAG-012", "RAG-013", "RAG-014", "RAG-015", "RAG-016", "RAG-017"),
    Text(
        "모델을 불러오지 못하거나 다른 값을 계산함",
        "Models do not load, or compute something else than they should",
    ),
    Text(
        "모델 파일이 손상되었거나, 모델을 실행하는 패키지가 바뀌었습니다.",
        "A model file is damaged, or a package that runs it was changed.",
    ),
    Text(
        "모델을 다시 꺼내고, 그래도 같으면 이전 세대로 되돌리십시오.",
        "Take the models out again; if that changes nothing, go back to the earlier generation.",
    ),
    ("extract-model", "rollback"),
)

CAUSES: Tuple[Cause, ...] = (DAMAGED_MODELS, MODEL_CODE, WRONG_MODELS)
