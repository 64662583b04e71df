"""How the service is run here: `state/service.json` (ours) and `config/.env` (the operator's)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Mapping

from bundle.atomic import write_atomic

from . import sealed
from .filesystem import read_plain
from .paths import Prefix

HOST_VARIABLE = "RAGTRACE_SERVER_HOST"
PORT_VARIABLE = "RAGTRACE_SERVER_PORT"


@dataclass(frozen=True)
class ServiceSettings:
    """Who runs the service (`systemd`, `process` or `none`), under which name, user and address, and
    whether it is meant to be running."""

    manager: str
    name: str
    user: str
    host: str
    port: int
    enabled: bool

    def with_address(self, environment: Mapping[str, str]) -> ServiceSettings:
        """Return the settings with the address that `config/.env` gives, where it gives one."""
        port = environment.get(PORT_VARIABLE, "")
        return replace(
            self,
            host=environment.get(HOST_VARIABLE, "") or self.host,
            port=int(port) if port.isdigit() and 0 < int(port) < 65536 else self.port,
        )


def encode(settings: ServiceSettings) -> bytes:
    """Return the bytes of `state/service.json`."""
    return sealed.seal({"format": 1, **vars(settings)})


def decode(data: bytes) -> ServiceSettings:
    """Read `state/service.json`.

    Raises:
        sealed.Damaged: it is not what was written.
    """
    document = sealed.unseal(data)
    try:
        return ServiceSettings(
            manager=str(document["manager"]),
            name=str(document["name"]),
            user=str(document["user"]),
            host=str(document["host"]),
            port=int(document["port"]),
            enabled=bool(document["enabled"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise sealed.Damaged(f"field missing: {error}") from error


def read(prefix: Prefix) -> ServiceSettings | None:
    """Return the settings, with the operator's address where it may be read; None where there are none."""
    try:
        settings = decode(prefix.service.read_bytes())
    except (FileNotFoundError, NotADirectoryError, sealed.Damaged):
        return None
    return settings.with_address(read_environment(prefix))


def write(prefix: Prefix, settings: ServiceSettings) -> None:
    """Replace `state/service.json`."""
    write_atomic(prefix.service, encode(settings), 0o644)


def read_environment(prefix: Prefix) -> dict[str, str]:
    """Return the variables of `config/.env`; nothing where it is missing or not ours to read."""
    try:
        return read_variables(prefix.settings)
    except PermissionError:
        return {}


def configured_address(prefix: Prefix) -> tuple[str, int]:
    """Return the address that `config/.env` gives, also where an uninstall has left nothing else; "" and 0 where
    it gives none."""
    found = ServiceSettings("none", "", "", "", 0, False).with_address(read_environment(prefix))
    return found.host, found.port


def read_variables(path: Path) -> dict[str, str]:
    """Return the variables of an environment file; nothing where there is none.

    Raises:
        OSError: it cannot be read, or is a link.
    """
    return parse_environment((read_plain(path) or b"").decode("utf-8", "replace"))


def parse_environment(text: str) -> dict[str, str]:
    """Read KEY=VALUE lines; one pair of quotes around a value is taken off, as systemd does."""
    variables = {}
    for line in text.splitlines():
        stripped = line.strip()
        name, separator, value = stripped.partition("=")
        if not separator or stripped.startswith(("#", ";")) or not name.strip().isidentifier():
            continue
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        variables[name.strip()] = value
    return variables


def with_variables(text: str, changes: Mapping[str, str]) -> str:
    """Return the file's text with some variables set, or taken out where the value is empty; everything else is
    as the operator left it. A variable that stands twice stands once afterwards."""
    waiting = {name: value for name, value in changes.items() if value}
    lines = []
    for line in text.splitlines():
        name = line.partition("=")[0].strip()
        if name not in changes or "=" not in line:
            lines.append(line)
        elif name in waiting:
            lines.append(f"{name}={quoted(waiting.pop(name))}")
    lines += [f"{name}={quoted(value)}" for name, value in waiting.items()]
    return "\n".join(lines) + "\n"


def quoted(value: str) -> str:
    """Return a value as it is written into an environment file, so that systemd, the service and we read the same.

    Raises:
        ValueError: no way of writing it is understood alike by all of them.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("a control character")
    if value != value.strip("\"'"):
        raise ValueError("a quotation mark at its beginning or end")
    if not set(value) & set(" \"'\\$`#;"):
        return value
    for mark, forbidden in (("'", "'"), ('"', '"\\$`')):
        if not set(value) & set(forbidden):
            return f"{mark}{value}{mark}"
    raise ValueError("both kinds of quotation marks, or one beside a backslash or dollar sign")
