"""What a wheel may put where: commands, ``.data`` files and ``.pth`` lines stay inside the environment."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping

from bundle.ziparchive import Archive
from bundle.zipstructure import Malformed, Problem

from .identity import Identity

_SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")
_COMMAND_GROUPS = ("console_scripts", "gui_scripts")
_OBJECT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\s*:\s*[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\s*(\[[^\]]*\])?\Z")
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
# Commands that others start by name: only their own package may bring them, and nobody the first group.
_RESERVED = re.compile(r"(?i)(?P<name>python|pythonw|pip|uv|uvx|activate|deactivate)[\d.]*(\.\w+)?\Z")
_OWNERS = {"pip": "pip", "uv": "uv", "uvx": "uv"}
# What lies at the root of an environment (POSIX and Windows) and decides what runs there.
_ENVIRONMENT = re.compile(r"(?i)(pyvenv\.cfg|(.*/)?(site-packages|dist-packages)(/.*)?)\Z")
_COMMAND_FOLDER = re.compile(r"(?i)(bin|scripts)/")


def check_confined(archive: Archive, identity: Identity, problems: list[Problem]) -> None:
    """Note every file and command that would reach outside the wheel's own place.

    Raises:
        Malformed: entry_points.txt cannot be read.
    """
    for name in (item.name for item in archive.files()):
        top, _, rest = name.partition("/")
        if top.endswith(".data"):
            _check_data(name, top, rest, identity, problems)
    for group, name, target in commands(archive, identity):
        _check_command(name, identity, problems)
        if not _OBJECT.match(target):
            problems.append(Problem("entry-point", f"{group}: {name} = {target}"))
    for path, text in startup_files(archive, identity).items():
        for line in text.splitlines():
            if _leaves(line.strip()):
                problems.append(Problem("pth-confined", f"{path}: {line.strip()[:100]}"))


def commands(archive: Archive, identity: Identity) -> Iterator[tuple[str, str, str]]:
    """Yield group, name and target of every command in entry_points.txt.

    Raises:
        Malformed: it cannot be read.
    """
    path = f"{identity.folder}/entry_points.txt"
    member = next((item for item in archive.members if item.name == path), None)
    if member is None:
        return
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names of commands keep their case
    try:
        parser.read_string(archive.read(member).decode("utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise Malformed("entry-point", f"entry_points.txt: {str(error).splitlines()[0]}") from error
    for group in _COMMAND_GROUPS:
        if parser.has_section(group):
            for name, target in parser.items(group):
                yield group, name, target.strip()


def startup_files(archive: Archive, identity: Identity) -> Mapping[str, str]:
    """Return the ``.pth`` files that land in site-packages, by name: the interpreter reads them at every start."""
    found = {}
    for item in archive.files():
        if item.name.endswith(".pth") and "/" not in installed_name(item.name, identity):
            found[item.name] = archive.read(item).decode("utf-8", "replace")
    return found


def installed_name(name: str, identity: Identity) -> str:
    """Return where a member lands below site-packages: without ``NAME.data/purelib/`` and its like."""
    for scheme in ("purelib", "platlib"):
        name = name.removeprefix(f"{identity.data_folder}/{scheme}/")
    return name


def _check_data(name: str, top: str, rest: str, identity: Identity, problems: list[Problem]) -> None:
    scheme, _, place = rest.partition("/")
    if top != identity.data_folder or scheme not in _SCHEMES or not place:
        problems.append(Problem("data-scheme", name))
    elif scheme == "scripts":
        _check_command(place, identity, problems)
    elif scheme == "data" and _ENVIRONMENT.match(place):
        problems.append(Problem("data-confined", name))
    elif scheme == "data" and _COMMAND_FOLDER.match(place):
        # A second way to bring a command, beside scripts: some wheels use it.
        _check_command(place.partition("/")[2], identity, problems)


def _check_command(name: str, identity: Identity, problems: list[Problem]) -> None:
    if not name or name in (".", "..") or name.startswith("-") or _FORBIDDEN.search(name):
        problems.append(Problem("script-name", f"{name!r} is no name for a command"))
        return
    reserved = _RESERVED.match(name)
    if reserved and _OWNERS.get(reserved["name"].lower()) != identity.name:
        problems.append(Problem("script-name", f"{name!r} would shadow the environment's own"))


def _leaves(line: str) -> bool:
    """Return whether a line of a .pth file adds a folder outside site-packages (lines with code are listed)."""
    if not line or line.startswith(("#", "import ", "import\t")):
        return False
    return line.startswith(("/", "\\")) or ":" in line or ".." in re.split(r"[/\\]", line)
