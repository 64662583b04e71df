"""``plan``: only show what would be packed. The very object that ``build`` runs."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import UsageProblem
from bundle.text import Text

if TYPE_CHECKING:
    from ..console import Console
    from ..planning import Request

NAME = "plan"


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    speaking: argparse.ArgumentParser,
    lang: str,
) -> None:
    """Add the command's options."""
    from ..options import choosing

    commands.add_parser(
        NAME,
        parents=[choosing(lang), speaking],
        help=Text("무엇을 담을지만 보기", "only show what would be packed").to(lang),
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the plan of every target; a plan with obstacles is printed, and then refused."""
    from .. import fetch, network, planning, summary
    from ..cache import open_default
    from ..sources.permission import permitted

    cache = open_default()
    wanted = requests(options)
    logins = network.logins_of(wanted[0].project)
    plans = [
        plan.with_sizes(fetch.remote_sizes(plan.artifacts, cache, logins))
        for plan in planning.make_plans(wanted)
    ]
    if options.json:
        documents = [plan.as_dict() for plan in plans]
        console.result_json(documents[0] if len(documents) == 1 else {"plans": documents})
    for plan in plans:
        if not options.json:
            console.result(summary.plan_text(plan, cache, permitted(options.allow_build), console.lang))
    planning.require_servable(plans)
    return 0


def _model(word: str) -> tuple[str, Path | None]:
    from ..models.planning import folder_override

    if "=" not in word:
        return word, None
    name, folder = folder_override(word)
    return name, folder.absolute()


def _interpreter(options: argparse.Namespace, wanted: str, pythons: tuple[str, ...]) -> str:
    """Return the version of the interpreter to carry; nothing where none is, or where a file was given."""
    if options.python_archive is not None and options.interpreter not in (None, "none"):
        raise UsageProblem(
            Text(
                "--interpreter와 --python-archive 중 하나만 쓰십시오",
                "give --interpreter or --python-archive, not both",
            )
        )
    version = str(options.interpreter or wanted)
    if options.python_archive is not None or version in ("", "none"):
        return ""
    if version not in pythons:
        raise UsageProblem(
            Text("이 파이썬은 번들의 대상이 아닙니다", "the bundle is not for this Python"),
            where=f"--interpreter {version} ∉ {', '.join(pythons)}",
        )
    return version


def requests(options: argparse.Namespace) -> list[Request]:
    """Return one request for each target.

    Raises:
        UsageProblem: a profile of another project, a malformed Python version, no such interpreter archive.
    """
    from packaging.utils import canonicalize_name

    from ..inputs import load_profile, load_project
    from ..planning import Request

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
    models = dict(_model(word) for word in options.model)
    return [
        Request(
            project=project,
            profile=profile,
            target=target,
            pythons=tuple(dict.fromkeys(pythons)),
            extras=tuple(dict.fromkeys((*profile.extras, *options.extra))),
            groups=tuple(dict.fromkeys((*profile.groups, *options.group))),
            python_archive=archive.absolute() if archive else None,
            interpreter=_interpreter(options, profile.interpreter, pythons),
            models=tuple(dict.fromkeys((*profile.models, *models))),
            model_folders=tuple(sorted((name, folder) for name, folder in models.items() if folder)),
            plain_linux=tuple(sorted({str(canonicalize_name(item)) for item in options.accept_plain_linux})),
        )
        for target in dict.fromkeys(options.target or profile.targets)
    ]
