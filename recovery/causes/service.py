"""Causes that lie in the running service and its data."""

from __future__ import annotations

from typing import Tuple

from bundle.text import Text
from recovery.causes.cause import Cause

NOT_SERVING = Cause(
    "not-serving",
    ("RAG-004", "RAG-005", "TOOL-002", "RAG-008", "SEC-005", "SEC-006", "PERF-005"),
    Text("서비스가 멈췄거나 잘못 시작됨", "The service is stopped, or was started wrongly"),
    Text(
        "서비스가 응답하지 않거나, 설치 프로그램이 정한 환경 밖에서 실행 중입니다.",
        "It does not answer, or runs outside the environment that the installer sets.",
    ),
    Text("설치 프로그램으로 서비스를 다시 시작하십시오.", "Restart it through the installer."),
    ("restart",),
)
ENVIRONMENT = Cause(
    "environment",
    ("RAG-009",),
    Text(
        "실행 중인 서비스의 환경이 설치된 것과 다름",
        "The running service's environment is not the installed one",
    ),
    Text(
        "시작한 뒤에 설정이 바뀌었거나, 다른 방법으로 시작되었거나, 유닛이 환경을 덧붙였습니다.",
        "The configuration was changed since it started, it was started in another way, or its unit adds variables.",
    ),
    Text(
        "설치 프로그램으로 다시 시작하고, 그래도 같으면 유닛을 다시 쓰십시오.",
        "Restart it through the installer; if that changes nothing, have the unit written again.",
    ),
    ("restart", "restore-unit"),
)
INDEX = Cause(
    "index",
    ("RAG-006",),
    Text("색인과 기록이 어긋남", "Index and records differ"),
    Text(
        "색인이 도중에 멈췄거나 색인 파일이 손상되었습니다. 찾아지지 않는 문서가 있을 수 있습니다.",
        "Indexing was cut short, or an index file is damaged: some documents may not be found.",
    ),
    Text(
        "기록에서 색인을 다시 만듭니다. 문서가 많으면 오래 걸리고, 그동안 서비스는 멈춥니다.",
        "The index is built again from the records. With many documents it takes long, and the service is stopped meanwhile.",
    ),
    ("rebuild-index",),
)
QUESTION = Cause(
    "question",
    ("RAG-007",),
    Text("실제 질문에 답하지 못함", "A real question was not answered"),
    Text(
        "서비스가 준비되지 않았거나, 색인에서 출처를 찾지 못합니다.",
        "The service is not ready, or finds no sources in its index.",
    ),
    Text(
        "다시 시작하고, 그래도 같으면 색인을 다시 만드십시오. 문서가 하나도 없으면 먼저 넣으십시오: ragtrace ingest",
        "Restart it; if that changes nothing, build the index again. Where there is no document, ingest some: ragtrace ingest",
    ),
    ("restart", "rebuild-index"),
)

CAUSES: Tuple[Cause, ...] = (NOT_SERVING, ENVIRONMENT, INDEX, QUESTION)
