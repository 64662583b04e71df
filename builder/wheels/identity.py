"""Who a wheel says it is, three times: file name, METADATA and WHEEL must agree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser

from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from bundle.ziparchive import Archive
from bundle.zipstructure import Malformed, Problem


@dataclass(frozen=True)
class Identity:
    """The name as the file name states it, normalised; `folder` is the wheel's ``.dist-info``."""

    name: str
    folder: str

    @property
    def data_folder(self) -> str:
        """The name of the wheel's ``.data`` folder, whether there is one or not."""
        return f"{self.folder.removesuffix('.dist-info')}.data"


def read_identity(archive: Archive, filename: str, problems: list[Problem]) -> Identity | None:
    """Return the wheel's identity, noting everything that contradicts it; None where there is none.

    Raises:
        Malformed: METADATA or WHEEL do not unpack to what is declared.
    """
    try:
        name, version, _, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion) as error:
        problems.append(Problem("wheel-filename", str(error)))
        return None
    tops = {item.name.split("/", 1)[0] for item in archive.members}
    folders = sorted(top for top in tops if top.endswith(".dist-info"))
    if len(folders) != 1 or not _is_named(folders[0], name, version):
        problems.append(Problem("wheel-info", ", ".join(folders) or "no .dist-info folder"))
        return None
    members = {item.name: item for item in archive.members}
    wanted = [f"{folders[0]}/{part}" for part in ("METADATA", "WHEEL", "RECORD")]
    missing = [path for path in wanted if path not in members]
    if missing:
        problems += [Problem("wheel-info", f"no {path}") for path in missing]
        return None
    metadata, wheel = (_headers(archive.read(members[path])) for path in wanted[:2])
    _check_metadata(metadata, name, version, problems)
    stated = _stated_tags(wheel)
    if not _agree(stated, tags):
        said = ", ".join(sorted(str(tag) for tag in stated)[:6])
        problems.append(Problem("wheel-tags", f"WHEEL says {said or 'nothing'}"))
    _check_format(wheel, problems)
    return Identity(name, folders[0])


def _headers(data: bytes) -> Message:
    """Parse the headers of METADATA or WHEEL (RFC 822 style)."""
    return BytesParser().parsebytes(data, headersonly=True)


def _is_named(folder: str, name: str, version: Version) -> bool:
    stem, _, own = folder.removesuffix(".dist-info").rpartition("-")
    try:
        return canonicalize_name(stem) == name and Version(own.replace("_", "-")) == version
    except InvalidVersion:
        return False


def _check_metadata(metadata: Message, name: str, version: Version, problems: list[Problem]) -> None:
    if canonicalize_name(_field(metadata, "Name")) != name:
        problems.append(Problem("wheel-metadata", f"METADATA names {_field(metadata, 'Name')!r}"))
    try:
        fits = Version(_field(metadata, "Version")) == version
    except InvalidVersion:
        fits = False
    if not fits:
        problems.append(Problem("wheel-metadata", f"METADATA has version {_field(metadata, 'Version')!r}"))


def _stated_tags(wheel: Message) -> frozenset[Tag]:
    try:
        return frozenset(tag for value in wheel.get_all("Tag", []) for tag in parse_tag(str(value).strip()))
    except ValueError:
        return frozenset()


def _agree(stated: frozenset[Tag], tags: frozenset[Tag]) -> bool:
    """Return whether WHEEL and file name speak of the same build.

    A wheel renamed to a newer platform tag of the same system and processor is common among published ones
    (``linux_x86_64`` inside, ``manylinux_2_28_x86_64`` outside), and installers go by the file name; another interpreter, ABI,
    system or processor is a wheel under a false name.
    """
    same_abi = {(tag.interpreter, tag.abi) for tag in stated} & {(tag.interpreter, tag.abi) for tag in tags}
    families = {_family(tag.platform) for tag in tags}
    return bool(same_abi) and all(_family(tag.platform) in {*families, "any"} for tag in stated)


def _family(platform: str) -> str:
    """Return a platform tag without the version: ``manylinux_2_28_x86_64`` becomes ``linux_x86_64``."""
    found = re.match(r"(?:many)?((?:musl)?linux|macosx|win)[\d_]*?(?:_\d+_\d+)?_?(\D.*|32)\Z", platform)
    return f"{found[1]}_{found[2]}" if found else platform


def _check_format(wheel: Message, problems: list[Problem]) -> None:
    version = _field(wheel, "Wheel-Version")
    if version.split(".")[0] != "1":
        problems.append(Problem("wheel-format", f"Wheel-Version {version!r}"))
    purelib = _field(wheel, "Root-Is-Purelib")
    if purelib.lower() not in ("true", "false"):
        problems.append(Problem("wheel-format", f"Root-Is-Purelib {purelib!r}"))


def _field(message: Message, name: str) -> str:
    values = message.get_all(name, [])
    if len(values) > 1:
        raise Malformed("wheel-metadata", f"{name} is stated {len(values)} times")
    return str(values[0]).strip() if values else ""
