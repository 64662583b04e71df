"""The command line of `install.py`. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Optional, Sequence

from bundle.errors import InternalError, PreflightError, RagTraceError
from bundle.text import Text, choose_language, language_argument

from .console import Console
from .options import command_of, parser
from .paths import Prefix, default_prefix


def main(arguments: Optional[Sequence[str]] = None, script: Optional[Path] = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    lang = choose_language(language_argument(words))
    console = Console(lang)
    place = (script or Path(sys.argv[0])).absolute()
    os.umask(0o022)
    try:
        if any(word.partition("=")[0] == "--answers" for word in words):
            from .answers import apply_answers

            words = apply_answers(words)
        options = parser(lang, place).parse_args(words)
        console = Console(lang, quiet=options.quiet, as_json=options.json)
        prefix = Prefix(_prefix(options.prefix, place))
        return _guarded(options, prefix, console)
    except RagTraceError as error:
        # Whoever got as far as changing something has said what state things are in.
        error.state = error.state or Text("아무것도 바꾸지 않았습니다", "nothing was changed")
        console.fail(error)
        return error.exit_code


def _prefix(given: Optional[Path], script: Path) -> Path:
    """Return the prefix: as given, else that of the installation the script is part of, else the default."""
    if given is not None:
        path = Path(os.path.abspath(given.expanduser()))
        if os.name != "nt":
            return path
        from .filesystem import plain_path

        return plain_path(path)
    tools = script.parent.parent
    if tools.name == "tools" and tools.parent.parent.name == "generations":
        return tools.parent.parent.parent
    return default_prefix()


def _guarded(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Run the command with signals turned into an orderly end and every other surprise into an error."""
    from .signals import Stopped, listening

    try:
        with listening(to_the_end=True):
            command = importlib.import_module(f".commands.{command_of(options)}", __package__)
            return int(command.run(options, prefix, console))
    except (Stopped, KeyboardInterrupt) as stopped:
        from .transaction import translate

        raise translate(stopped, Text("아무것도 바꾸지 않았습니다", "nothing was changed")) from stopped
    except PermissionError as error:
        raise PreflightError(
            Text(f"권한이 없습니다: {error}", f"permission denied: {error}"),
            where=str(error.filename or prefix.root),
            hint=Text("관리자 권한으로 실행하거나 다른 --prefix", "run as root, or give another --prefix"),
        ) from error
    except OSError as error:
        from .transaction import translate

        raise translate(error, None) from error
    except RagTraceError:
        raise
    except Exception as error:
        state = Text("다음 실행이 상태를 복구합니다", "the next run recovers whatever was begun")
        raise InternalError(
            Text(f"내부 오류: {error!r}", f"internal error: {error!r}"),
            state=state,
            hint=Text(
                "이 메시지와 state/journal.jsonl을 보내 주십시오",
                "please report this with state/journal.jsonl",
            ),
        ) from error
