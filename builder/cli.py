"""The builder's command line: ``build`` (the default) and ``plan``."""

from __future__ import annotations

import argparse
import errno
import re
import signal
import sys
import traceback
from collections.abc import Sequence

from bundle.errors import InternalError, Interrupted, RagTraceError, SpaceError, UsageProblem
from bundle.text import Text, choose_language, language_argument

from . import build, fetch, signing, summary
from .cache import Cache, default_folder
from .console import Console
from .inputs import load_profile, load_project
from .options import parser

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    lang = choose_language(language_argument(words))
    # `-h` alone explains the whole tool; any other option belongs to the default command.
    if (not words or words[0].startswith("-")) and words[:1] not in (["-h"], ["--help"]):
        words.insert(0, "build")
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
    requests = _requests(options)
    try:
        cache = Cache(default_folder())
    except OSError as error:
        raise SpaceError(
            Text("캐시 폴더를 쓸 수 없습니다", "the cache folder cannot be written"),
            where=str(error),
            hint=Text(
                "RAGTRACE_CACHE_DIR로 다른 폴더를 지정하십시오", "set RAGTRACE_CACHE_DIR to another folder"
            ),
        ) from error
    if options.command == "plan":
        return _plan(requests, cache, options, console)
    path, made = options.signing_key or signing.default_key_path(), False
    if options.signing_key is None:
        key, made = signing.load_or_create_key(path, options.signer)
    else:
        key = signing.load_key(path, options.signer)
    for request in requests:
        bundle = build.build_bundle(request, cache, key, console)
        if options.json:
            console.result_json(summary.as_dict(bundle))
        else:
            console.result(summary.text(bundle, path if made else None, console.lang))
    return 0


def _plan(
    requests: Sequence[build.Request], cache: Cache, options: argparse.Namespace, console: Console
) -> int:
    plans = []
    for request in requests:
        plan = build.make_plan(request)
        plans.append(plan.with_sizes(fetch.remote_sizes(plan.artifacts, cache)))
    if options.json:
        documents = [plan.as_dict() for plan in plans]
        console.result_json(documents[0] if len(documents) == 1 else {"plans": documents})
    for plan in plans:
        if not options.json:
            console.result(summary.plan_text(plan, console.lang))
    for plan in plans:
        build.require_servable(plan)
    return 0


def _requests(options: argparse.Namespace) -> list[build.Request]:
    project = load_project(options.project_root)
    profile = load_profile(options.profile or ("starter" if project.name == "ragtrace" else "library"))
    if profile.project not in ("", project.name):
        raise UsageProblem(
            Text("프로파일이 다른 프로젝트의 것입니다", "the profile is another project's"),
            where=f"{profile.name}: {profile.project} ≠ {project.name}",
            hint=Text("--profile library", "--profile library"),
        )
    pythons = tuple(options.python or profile.pythons)
    wrong = [item for item in pythons if not re.fullmatch(r"3\.\d{1,2}", item)]
    if wrong:
        raise UsageProblem(
            Text("파이썬 버전은 X.Y 형식입니다", "a Python version has the form X.Y"), where=", ".join(wrong)
        )
    archive = options.python_archive
    if archive is not None and not archive.is_file():
        raise UsageProblem(
            Text("파이썬 아카이브가 없습니다", "there is no such Python archive"), where=str(archive)
        )
    sequence = options.sequence
    if sequence is not None and sequence < 1:
        raise UsageProblem(
            Text("순번은 1 이상입니다", "the sequence is at least 1"), where=f"--sequence {sequence}"
        )
    return [
        build.Request(
            project=project,
            profile=profile,
            target=target,
            pythons=tuple(dict.fromkeys(pythons)),
            extras=tuple(dict.fromkeys((*profile.extras, *options.extra))),
            groups=tuple(dict.fromkeys((*profile.groups, *options.group))),
            output=options.output_dir.absolute(),
            python_archive=archive.absolute() if archive else None,
            sequence=sequence,
        )
        for target in dict.fromkeys(options.target or profile.targets)
    ]


def _as_known(error: Exception) -> RagTraceError:
    """Return what a person sees of an error that no stage expected: a full or closed disk, or a fault of ours."""
    if isinstance(error, OSError) and error.errno in _DISK:
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
