"""Arguments of the commands that take documents in and look after them."""

from __future__ import annotations

import argparse

from ragtrace.entrypoints.cli.wording import Actions, Say


def ingest_arguments(parser: argparse.ArgumentParser, text: Say) -> None:
    """Add the arguments of `ragtrace ingest`."""
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
        metavar="GROUP",
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
    parser.set_defaults(run="ingesting:ingest")


def documents_arguments(actions: Actions, common: argparse.ArgumentParser, text: Say) -> None:
    """Add what can be done with documents that are kept."""
    line = text("문서 목록", "list the documents")
    listing = actions.add_parser("list", parents=[common], help=line, description=line)
    listing.add_argument("--limit", type=int, metavar="N", help=text("최대 개수", "at most so many"))
    listing.add_argument(
        "--refused",
        action="store_true",
        help=text(
            "받아들이지 않았거나 일부만 읽은 파일과 그 이유",
            "in their place the files that were not taken in, or only in part, and why",
        ),
    )
    listing.set_defaults(run="documents:documents_list")
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
    delete.set_defaults(run="documents:documents_delete")
    for action in (listing, delete):
        action.add_argument(
            "--source", metavar="NAME", help=text("이 원본의 것만", "only those of this source")
        )
        action.add_argument(
            "--group", metavar="GROUP", help=text("이 그룹의 것만", "only those of this group")
        )
