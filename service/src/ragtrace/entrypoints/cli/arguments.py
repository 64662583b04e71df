"""The words of the command line and what they mean. Nothing that a command needs is imported here."""

from __future__ import annotations

import argparse

from ragtrace import __version__
from ragtrace.credits import HANGUL
from ragtrace.entrypoints.cli.document_arguments import documents_arguments, ingest_arguments
from ragtrace.entrypoints.cli.question_arguments import ask_arguments, search_arguments
from ragtrace.entrypoints.cli.wording import Actions, Say
from ragtrace.text import Text

_COMMANDS = {
    "serve": Text("HTTP 서비스를 실행합니다.", "run the HTTP service"),
    "ingest": Text("폴더의 문서를 받아들입니다.", "take the documents of a folder in"),
    "ask": Text("질문에 출처와 함께 답합니다.", "answer a question, with sources"),
    "search": Text("질문에 맞는 문서 조각을 찾습니다.", "find the passages for a question"),
    "documents": Text("문서를 보거나 지웁니다.", "list the documents, or delete some"),
    "index": Text("검색 색인을 검사하거나 다시 만듭니다.", "verify the search index, or make it anew"),
    "status": Text("상태를 봅니다.", "show the state of data and service"),
    "config": Text("설정을 봅니다.", "look at the configuration"),
    "backup": Text(
        "데이터 전체를 파일로 백업합니다. 서비스 중에도 됩니다.",
        "write all data to a file, also while the service runs",
    ),
    "restore": Text("백업을 되돌립니다.", "put a backup in place of the data; stop the service first"),
    "migrate": Text("데이터를 이 판의 형식으로 바꿉니다.", "bring the data to the format of this release"),
}


def make_parser(lang: str) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, with help in `lang`.

    What a command does is its default `run`: the module below `ragtrace.entrypoints.cli` and the function, ``module:name``.
    """

    def text(ko: str, en: str) -> str:
        return Text(ko, en).to(lang)

    common = argparse.ArgumentParser(add_help=False)
    unset = argparse.SUPPRESS
    common.add_argument(
        "--config", metavar="FILE", default=unset, help=text("설정 파일", "configuration file")
    )
    common.add_argument("--lang", choices=("ko", "en"), default=unset, help=text("언어", "language"))
    common.add_argument(
        "--json", action="store_true", default=unset, help=text("결과를 JSON으로", "result as JSON")
    )
    parser = argparse.ArgumentParser(
        prog="ragtrace",
        parents=[common],
        description=text(
            "폐쇄망 안에서 자기 문서를 찾아 출처와 함께 답합니다.",
            "Search in your own documents and answer with sources, inside a closed network.",
        ),
        epilog=HANGUL.to(lang),
    )
    parser.add_argument("--version", action="version", version=f"ragtrace {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    made = {
        name: subparsers.add_parser(name, parents=[common], help=line.to(lang), description=line.to(lang))
        for name, line in _COMMANDS.items()
    }
    made["serve"].set_defaults(run="serving:serve")
    for name in ("status", "migrate"):
        made[name].set_defaults(run=f"commands:{name}")
    for name in ("backup", "restore"):
        made[name].add_argument("file", metavar="FILE", help=text("백업 파일", "file of the backup"))
        made[name].set_defaults(run=f"backup:{name}")
    ingest_arguments(made["ingest"], text)
    ask_arguments(made["ask"], text)
    search_arguments(made["search"], text)
    documents_arguments(made["documents"].add_subparsers(required=True, metavar="ACTION"), common, text)
    _index_arguments(made["index"].add_subparsers(required=True, metavar="ACTION"), common, text)
    _config_arguments(made["config"].add_subparsers(required=True, metavar="ACTION"), common, text)
    return parser


def _index_arguments(actions: Actions, common: argparse.ArgumentParser, text: Say) -> None:
    for name, line in (
        (
            "verify",
            text(
                "색인이 기록의 모든 조각을 갖고 있는지 검사(0 온전, 1 아님)",
                "does the index hold every chunk of the records, and no other? 0 yes, 1 no",
            ),
        ),
        (
            "rebuild",
            text(
                "기록에서 색인을 다시 만듦. 서비스를 먼저 멈춰야 하고, 중단되면 다음 실행이나 시작이 끝냄",
                "make the index anew from the records; stop the service first. Interrupted, the next run or start finishes it",
            ),
        ),
    ):
        action = actions.add_parser(name, parents=[common], help=line, description=line)
        action.set_defaults(run=f"index:index_{name}")
        action.add_argument(
            "--part",
            choices=("all", "words", "vectors"),
            default="all",
            help=text(
                "낱말 색인, 벡터, 또는 둘 다(기본). 벡터는 모델이 모든 글을 다시 읽습니다",
                "the index of words, the vectors, or both (default). For vectors the model reads every text again",
            ),
        )
    line = text(
        "다른 임베딩 모델의 벡터를 지금의 벡터 옆에 만듦. 서비스는 계속 답하고, 그 모델로 다시 시작하면 바로 씀",
        "make the vectors of another embedding model beside the present ones; the service goes on, a restart with that model has them at once",
    )
    prepare = actions.add_parser("prepare", parents=[common], help=line, description=line)
    prepare.add_argument(
        "--model",
        metavar="DIR",
        required=True,
        help=text("임베딩 모델의 폴더", "folder of the embedding model"),
    )
    prepare.set_defaults(run="index:index_prepare")


def _config_arguments(actions: Actions, common: argparse.ArgumentParser, text: Say) -> None:
    show = actions.add_parser("show", parents=[common], help=text("적용된 설정", "the settings in force"))
    show.set_defaults(run="commands:config_show")
    check = actions.add_parser(
        "check",
        parents=[common],
        help=text(
            "설정을 검사하고 값마다 출처를 표시", "check the configuration; say where each value comes from"
        ),
    )
    check.add_argument(
        "--candidate",
        action="store_true",
        help=text(
            '파일 대신 표준 입력의 JSON을 검사: {"yaml": "…", "env": "…"} (없는 것은 파일에서)',
            'check JSON from standard input in place of the files: {"yaml": "…", "env": "…"} (what is left out is read from its file)',
        ),
    )
    check.set_defaults(run="check:config_check")
