"""What a reviewer wants to know of a sound wheel: code that runs at start, native libraries, licences, SBOMs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import BuildError
from bundle.text import Text

from . import archive as archives
from .catalogue import Malformed, Problem
from .confinement import commands, installed_name, startup_files
from .identity import Identity, read_identity

_NATIVE = re.compile(r"\.(so(\.\d+)*|pyd|dll|dylib)\Z", re.IGNORECASE)
_LICENCE = re.compile(r"(licen[cs]e|copying|notice|authors)[^/]*\Z", re.IGNORECASE)
_STARTUP_MODULE = re.compile(r"(sitecustomize|usercustomize)(\.py|/__init__\.py)\Z")


@dataclass(frozen=True)
class WheelFacts:
    """A wheel's contents as a reviewer sees them; every tuple holds names of members.

    `startup` are files that the interpreter runs at every start (``.pth`` with code, ``sitecustomize``);
    `commands` are names of what it puts on the path; `findings` say what is odd but no reason to refuse.
    """

    name: str
    version: str
    tags: tuple[str, ...]
    purelib: bool
    startup: tuple[str, ...]
    native: tuple[str, ...]
    sboms: tuple[str, ...]
    licences: tuple[str, ...]
    commands: tuple[str, ...]
    findings: tuple[Text, ...]


def findings(path: Path, filename: str) -> WheelFacts:
    """Read the facts of a wheel that has passed its checks; nothing but small members is unpacked.

    Raises:
        BuildError: it cannot be read as a wheel.
    """
    problems: list[Problem] = []
    try:
        with archives.opened(path) as archive:
            identity = read_identity(archive, filename, problems)
            if identity is None:
                raise Malformed(*problems[0])
            names = [item.name for item in archive.files()]
            pth = startup_files(archive, identity)
            scripts = [name for _, name, _ in commands(archive, identity)]
    except (Malformed, OSError) as error:
        reason = error.problem.text() if isinstance(error, Malformed) else Text(str(error), str(error))
        raise BuildError(
            Text(f"휠을 읽을 수 없습니다: {filename}", f"the wheel cannot be read: {filename}"),
            details=[reason],
        ) from error
    prefix = f"{identity.data_folder}/scripts/"
    startup = [name for name, text in pth.items() if "import" in text]
    startup += [name for name in names if _STARTUP_MODULE.match(installed_name(name, identity))]
    native = [name for name in names if _NATIVE.search(name)]
    return WheelFacts(
        name=identity.name,
        version=str(identity.version),
        tags=tuple(sorted(str(tag) for tag in identity.tags)),
        purelib=identity.purelib,
        startup=tuple(sorted(startup)),
        native=tuple(sorted(native)),
        sboms=tuple(sorted(name for name in names if name.startswith(f"{identity.folder}/sboms/"))),
        licences=tuple(sorted(name for name in names if _is_licence(name, identity.folder))),
        commands=tuple(
            sorted({*scripts, *(name.removeprefix(prefix) for name in names if name.startswith(prefix))})
        ),
        findings=_odd(startup, native, identity),
    )


def _is_licence(name: str, folder: str) -> bool:
    if not name.startswith(f"{folder}/"):
        return False
    rest = name[len(folder) + 1 :]
    return rest.startswith("licenses/") or ("/" not in rest and _LICENCE.match(rest) is not None)


def _odd(startup: list[str], native: list[str], identity: Identity) -> tuple[Text, ...]:
    found = [
        Text(f"인터프리터가 시작할 때마다 실행됨: {name}", f"runs at every start of the interpreter: {name}")
        for name in sorted(startup)
    ]
    portable = {tag.platform for tag in identity.tags} == {"any"}
    if portable and native:
        found.append(
            Text(
                f"어디서나 된다는 휠에 네이티브 라이브러리: {native[0]}",
                f"a wheel for any platform holds native libraries: {native[0]}",
            )
        )
    if portable and not identity.purelib:
        found.append(Text("태그와 Root-Is-Purelib가 어긋남", "Root-Is-Purelib contradicts the tags"))
    if identity.stated != identity.tags:
        stated = ", ".join(sorted(str(tag) for tag in identity.stated))
        found.append(
            Text(
                f"WHEEL의 태그가 파일 이름과 다름: {stated}",
                f"WHEEL has other tags than the file name: {stated}",
            )
        )
    return tuple(found)
