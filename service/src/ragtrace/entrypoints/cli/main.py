"""The command line: arguments, configuration, one command, one exit code."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ragtrace.entrypoints.cli.arguments import make_parser
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import RagTraceError
from ragtrace.offline import go_offline
from ragtrace.text import Text, choose_language


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 called or configured wrongly."""
    go_offline(os.environ)
    words = list(sys.argv[1:] if argv is None else argv)
    lang = choose_language(_wished(words), os.environ)
    arguments = make_parser(lang).parse_args(words, argparse.Namespace(config=None, json=False))
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


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from pathlib import Path

    from ragtrace.config import find_place, load_settings
    from ragtrace.entrypoints.cli import check

    place = find_place(arguments.config, os.environ, Path(sys.prefix))
    if arguments.run.endswith(":config_check"):
        # Whoever repairs a configuration starts from a broken one.
        return check.config_check(place, arguments, console)
    settings = load_settings(place, os.environ)
    module, _, name = arguments.run.partition(":")
    with _nothing_collected():
        from ragtrace.bootstrap import Container
        from ragtrace.entrypoints.cli import commands
        from ragtrace.preloading import preload
        from ragtrace.privileges import drop_to_owner, gives_up_rights

        # With all that it imports, for root's rights may be given up in a moment.
        command = getattr(importlib.import_module(f"ragtrace.entrypoints.cli.{module}"), name)
    # Documents are the company's: what is made here is for the service's user and group only.
    os.umask(0o027)
    if name != "config_show":
        if gives_up_rights(settings.data_folder):
            preload(settings, parsers=name == "ingest", serving=name == "serve")
        drop_to_owner(settings.data_folder)
        commands.check_folder(settings.data_folder)
    container = Container(settings)
    try:
        return int(command(container, arguments, console))
    finally:
        # Models that were loaded have threads and servers of their own; none may hold up the interpreter's end.
        container.close()


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Import without looking for garbage: modules stay for good, and no later collection looks through them again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _wished(words: Sequence[str]) -> str | None:
    """Find --lang before the real parser runs: its help is in that language already."""
    for number, word in enumerate(words):
        value = word.partition("=")[2] if word.startswith("--lang=") else ""
        if word == "--lang" and number + 1 < len(words):
            value = words[number + 1]
        if value in ("ko", "en"):
            return value
    return None


if __name__ == "__main__":
    raise SystemExit(main())
