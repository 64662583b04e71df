"""Entry points of the service's environment, read from the packages' metadata: nothing of them is run."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import List

from bundle.text import Text
from validator import limits
from validator.plugins.source import ENTRY_POINT, Source
from validator.subject import Subject, Unreadable, read_limited

GROUP = "ragtrace.checks"
_VALUE = re.compile(r"(?P<module>[A-Za-z_][\w.]*)\s*(:\s*(?P<attribute>[A-Za-z_][\w.]*))?\s*(\[.*\])?\Z")


class Unfit(Exception):
    """Something that should be a plugin and cannot be one: what, and why."""

    def __init__(self, name: str, why: Text, *, hidden: bool = False) -> None:
        super().__init__(why.en)
        self.name = name
        self.why = why
        self.hidden = hidden


def find(subject: Subject, unfit: List[Unfit]) -> List[Source]:
    """Return the entry points by name; what is wrong with others is appended to *unfit*."""
    folder = subject.site_packages
    if folder is None or subject.python is None:
        return []
    try:
        files = sorted(folder.glob("*.dist-info/entry_points.txt"))
    except PermissionError:
        unfit.append(_hidden(folder))
        return []
    found: List[Source] = []
    for file in files:
        found += _of_package(file, unfit)
    return sorted(found, key=lambda source: source.name)


def _of_package(file: Path, unfit: List[Unfit]) -> List[Source]:
    package = file.parent.name.partition("-")[0]
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their case
    try:
        parser.read_string(read_limited(file).decode("utf-8", "replace"))
    except (Unreadable, configparser.Error) as error:
        short = str(error).splitlines()[0][:200]
        unfit.append(
            Unfit(
                package,
                Text(f"진입점을 읽을 수 없습니다: {short}", f"its entry points cannot be read: {short}"),
            )
        )
        return []
    found: List[Source] = []
    for name, value in parser.items(GROUP) if parser.has_section(GROUP) else ():
        fits = _VALUE.match(value.strip())
        title = f"{package}: {name} = {value}"[: limits.PLUGIN_TITLE]
        if fits is None:
            unfit.append(Unfit(title, Text("진입점이 모듈을 가리키지 않습니다", "it does not name a module")))
        else:
            found.append(Source(ENTRY_POINT, title, module=fits["module"], attribute=fits["attribute"] or ""))
    return found


def _hidden(folder: Path) -> Unfit:
    return Unfit(
        str(folder),
        Text("설치된 패키지를 볼 권한이 없습니다", "not permitted to look at the installed packages"),
        hidden=True,
    )
