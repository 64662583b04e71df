"""The command line: arguments, configuration, one command, one exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ragtrace import __version__
from ragtrace.errors import RagTraceError
from ragtrace.offline import go_offline
from ragtrace.text import Text, choose_language

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 called or configured wrongly."""
    go_offline(os.environ)
    words = list(sys.argv[1:] if argv is None else argv)
    lang = choose_language(_wished(words), os.environ)
    arguments = make_parser(lang).parse_args(words, argparse.Namespace(config=None, json=False))
    from ragtrace.entrypoints.cli.console import Console

    console = Console(lang, arguments.json)
    try:
        return _run(arguments, console)
    except RagTraceError as problem:
        return console.fail(problem)
    except KeyboardInterrupt:
        console.talk(Text("중단했습니다. 다시 실행하면 이어집니다.", "Interrupted. Run it again to go on."))
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; the interpreter must not try to flush to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: argparse.Namespace, console: object) -> int:
    from pathlib import Path

    from ragtrace.config import find_place, load_settings
    from ragtrace.entrypoints.cli import check
    from ragtrace.entrypoints.cli.console import Console

    assert isinstance(console, Console)
    place = find_place(arguments.config, os.environ, Path(sys.prefix))
    if arguments.run == "config_check":
        # Whoever repairs a configuration starts from a broken one.
        return check.config_check(place, arguments, console)
    settings = load_settings(place, os.environ)
    from ragtrace.bootstrap import Container
    from ragtrace.entrypoints.cli import backup, commands, documents, index, ingesting, search
    from ragtrace.preloading import preload
    from ragtrace.privileges import drop_to_owner

    # Documents are the company's: what is made here is for the service's user and group only.
    os.umask(0o027)
    if arguments.run != "config_show":
        if os.name == "posix" and os.geteuid() == 0:
            preload(settings, parsers=arguments.run == "ingest")
        drop_to_owner(settings.data_folder)
        commands.check_folder(settings.data_folder)
    place_of = {
        "search": search,
        "index_verify": index,
        "index_rebuild": index,
        "index_prepare": index,
        "ingest": ingesting,
        "backup": backup,
        "restore": backup,
    }
    place_of |= dict.fromkeys(("documents_list", "documents_delete"), documents)
    command = getattr(place_of.get(arguments.run, commands), arguments.run)
    container = Container(settings)
    try:
        return int(command(container, arguments, console))
    finally:
        # Models that were loaded have threads and servers of their own; none may hold up the interpreter's end.
        container.close()


def _wished(words: Sequence[str]) -> str | None:
    """Find --lang before the real parser runs: its help is in that language already."""
    for number, word in enumerate(words):
        value = word.partition("=")[2] if word.startswith("--lang=") else ""
        if word == "--lang" and number + 1 < len(words):
            value = words[number + 1]
        if value in ("ko", "en"):
            return value
    return None


def make_parser(lang: str) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, with help in `lang`."""

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
    )
    parser.add_argument("--version", action="version", version=f"ragtrace {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    made = {
        name: subparsers.add_parser(name, parents=[common], help=line.to(lang), description=line.to(lang))
        for name, line in _COMMANDS.items()
    }
    made["serve"].set_defaults(run="serve")
    made["status"].set_defaults(run="status")
    made["migrate"].set_defaults(run="migrate")
    for name in ("backup", "restore"):
        made[name].add_argument("file", metavar="FILE", help=text("백업 파일", "file of the backup"))
        made[name].set_defaults(run=name)
    _ingest_arguments(made["ingest"], text)
    _ask_arguments(made["ask"], text)
    _search_arguments(made["search"], text)
    _documents_arguments(made["documents"].add_subparsers(required=True, metavar="ACTION"), common, text)
    _index_arguments(made["index"].add_subparsers(required=True, metavar="ACTION"), common, text)
    _config_arguments(made["config"].add_subparsers(required=True, metavar="ACTION"), common, text)
    return parser


def _ask_arguments(ask: argparse.ArgumentParser, text: object) -> None:
    assert callable(text)
    ask.add_argument("question", metavar="QUESTION", help=text("질문", "the question"))
    ask.add_argument("--top", type=int, metavar="N", help=text("출처 수", "number of sources"))
    for name, line in (
        ("--since", text("이날부터의 문서에서 찾음", "look in documents from this day on")),
        ("--until", text("이날까지의 문서에서 찾음", "look in documents up to this day")),
    ):
        ask.add_argument(name, metavar="YYYY-MM-DD", help=line)
    ask.add_argument(
        "--group",
        action="append",
        metavar="GROUP",
        help=text(
            "이 그룹의 문서와 그룹 없는 문서에서 찾음(여러 번 가능)",
            "look in documents of this group and of none (may be repeated)",
        ),
    )
    ask.add_argument(
        "--no-rag",
        action="store_true",
        help=text(
            "문서를 찾지 않고 언어 모델만으로 답함", "answer by the language model alone, without documents"
        ),
    )
    ask.add_argument(
        "--max-tokens", type=int, metavar="N", help=text("답의 최대 토큰 수", "longest answer in tokens")
    )
    ask.add_argument(
        "--explain",
        action="store_true",
        help=text(
            "질문 분석, 찾은 기간, 출처마다의 점수와 걸린 시간",
            "how the question was understood, where was looked, every score, what it cost",
        ),
    )
    ask.set_defaults(run="ask")


def _search_arguments(parser: argparse.ArgumentParser, text: object) -> None:
    assert callable(text)
    parser.add_argument("question", metavar="QUESTION", help=text("질문", "the question"))
    parser.add_argument("--top", type=int, metavar="N", help=text("조각 수", "number of passages"))
    parser.add_argument(
        "--since",
        metavar="DAY",
        help=text(
            "이 날(YYYY-MM-DD)부터. 조각이 적으면 앞뒤로 넓힘",
            "from this day (YYYY-MM-DD) on; a range that holds too little is widened",
        ),
    )
    parser.add_argument("--until", metavar="DAY", help=text("이 날까지", "up to this day"))
    parser.add_argument(
        "--group",
        action="append",
        metavar="G",
        help=text(
            "이 그룹과 모두에게 열린 문서만(여러 번 가능, 기본: 모든 그룹)",
            "only documents of this group and those open to everybody (repeatable; default: all groups)",
        ),
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help=text("모든 점수와 시간, 탈락한 후보까지", "every score, the time, and the candidates left out"),
    )
    parser.set_defaults(run="search")


def _documents_arguments(actions: object, common: argparse.ArgumentParser, text: object) -> None:
    assert isinstance(actions, argparse._SubParsersAction)
    assert callable(text)
    line = text("문서 목록", "list the documents")
    listing = actions.add_parser("list", parents=[common], help=line, description=line)
    listing.add_argument("--limit", type=int, metavar="N", help=text("최대 개수", "at most so many"))
    listing.add_argument(
        "--refused",
        action="store_true",
        help=text(
            "받아들이지 않은 파일과 그 이유", "the files that were not taken in, and why, in their place"
        ),
    )
    listing.set_defaults(run="documents_list")
    line = text("문서 지우기", "remove documents")
    delete = actions.add_parser("delete", parents=[common], help=line, description=line)
    delete.add_argument(
        "targets",
        metavar="DOCUMENT",
        nargs="*",
        help=text(
            "식별자(앞 8자리부터), 경로, 또는 '폴더/'",
            "an id (its first 8 digits do), a path, or a 'folder/'",
        ),
    )
    delete.add_argument(
        "--dry-run", action="store_true", help=text("지울 것만 보임", "show what would be removed")
    )
    delete.set_defaults(run="documents_delete")
    for action in (listing, delete):
        action.add_argument(
            "--source", metavar="NAME", help=text("이 원본의 것만", "only those of this source")
        )
        action.add_argument("--group", metavar="G", help=text("이 그룹의 것만", "only those of this group"))


def _index_arguments(actions: object, common: argparse.ArgumentParser, text: object) -> None:
    assert isinstance(actions, argparse._SubParsersAction)
    assert callable(text)
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
        action.set_defaults(run=f"index_{name}")
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
    prepare.set_defaults(run="index_prepare")


def _config_arguments(actions: object, common: argparse.ArgumentParser, text: object) -> None:
    assert isinstance(actions, argparse._SubParsersAction)
    assert callable(text)
    show = actions.add_parser("show", parents=[common], help=text("적용된 설정", "the settings in force"))
    show.set_defaults(run="config_show")
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
    check.set_defaults(run="config_check")


def _ingest_arguments(parser: argparse.ArgumentParser, text: object) -> None:
    assert callable(text)
    parser.add_argument("folder", metavar="DIR", help=text("문서 폴더", "folder of documents"))
    parser.add_argument(
        "--source",
        metavar="NAME",
        help=text(
            "문서를 보관할 이름(기본: 폴더 경로)",
            "name to keep the documents under (default: the folder's path)",
        ),
    )
    parser.add_argument(
        "--delete-missing",
        action="store_true",
        help=text("폴더에서 사라진 문서를 지움", "remove documents that are no longer in the folder"),
    )
    parser.add_argument(
        "--verbose", action="store_true", help=text("파일마다 한 줄", "one line for each file")
    )
    parser.add_argument(
        "--group",
        metavar="G",
        help=text(
            "이 문서들을 볼 수 있는 그룹(''는 모두). 없으면 문서마다 이전 그대로",
            "group that may see these documents ('' for all); left out, each keeps what it has",
        ),
    )
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help=text(
            "전에 받아들이지 못한 파일도 다시 읽음",
            "read files again that were refused before and have not changed",
        ),
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        help=text(
            "파일마다의 결과(.csv는 CSV, 그 밖에는 JSON 줄)",
            "each file's outcome: CSV by the name .csv, else JSON lines",
        ),
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help=text(
            "끝내지 않고, 바뀌는 파일이 조용해지면 받아들임",
            "go on: take in files that change, each when it is quiet",
        ),
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=2.0,
        metavar="S",
        help=text(
            "지켜보는 간격이자 조용해야 하는 시간, 초(기본 2)",
            "seconds between looks, and of quiet that a file needs (default 2)",
        ),
    )
    parser.set_defaults(run="ingest")


if __name__ == "__main__":
    raise SystemExit(main())
