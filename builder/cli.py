"""The builder's command line: finds the command, runs it, and tells every error in one manner."""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence

from bundle.errors import InternalError, Interrupted, RagTraceError, SpaceError
from bundle.text import Text, choose_language, language_argument

from .commands import COMMANDS
from .console import Console
from .disk import FULL_OR_CLOSED
from .options import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    lang = choose_language(language_argument(words))
    # `-h` alone explains the whole tool; any other option belongs to the default command.
    if (not words or words[0].startswith("-")) and words[:1] not in (["-h"], ["--help"]):
        words.insert(0, COMMANDS[0].NAME)
    options = parser(lang).parse_args(words)
    signal.signal(signal.SIGTERM, _as_interrupt)
    with Console(lang, quiet=options.quiet, verbose=options.verbose, as_json=options.json) as console:
        try:
            return _run(options, console)
        except RagTraceError as error:
            console.error(error)
            return error.exit_code
        except Exception as error:  # noqa: BLE001 - told to the user, with its own exit code
            if options.verbose:
                traceback.print_exc()
            known = _as_known(error)
            console.error(known)
            return known.exit_code
        except KeyboardInterrupt:
            console.error(
                Interrupted(
                    Text("중단되었습니다", "interrupted"),
                    state=Text(
                        "완성되지 않은 아카이브는 남지 않고, 받은 파일은 캐시에 있습니다",
                        "no unfinished archive is left; what was fetched is in the cache",
                    ),
                    hint=Text(
                        "같은 명령을 다시 실행하면 이어집니다", "run the same command again: it resumes"
                    ),
                )
            )
            return Interrupted.exit_code


def _run(options: argparse.Namespace, console: Console) -> int:
    (command,) = (item for item in COMMANDS if options.command == item.NAME)
    return command.run(options, console)


def _as_known(error: Exception) -> RagTraceError:
    """Return what a person sees of an error that no stage expected: a full or closed disk, or a fault of ours."""
    if isinstance(error, OSError) and error.errno in FULL_OR_CLOSED:
        return SpaceError(
            Text("디스크에 쓸 수 없습니다", "the disk cannot be written"),
            where=str(error),
            state=Text("완성되지 않은 아카이브는 남지 않습니다", "no unfinished archive is left"),
            hint=Text("공간을 비우고 다시 실행하십시오", "free space, then run again"),
        )
    text = f"{type(error).__name__}: {error}"
    return InternalError(
        Text(f"내부 오류: {text}", f"internal error: {text}"),
        state=Text("완성되지 않은 아카이브는 남지 않습니다", "no unfinished archive is left"),
        hint=Text("--verbose로 다시 실행한 출력을 보내 주십시오", "please report the output of --verbose"),
    )


def _as_interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
