"""Replace what names people and machines by stable tokens: users, hosts, addresses, home folders."""

from __future__ import annotations

import getpass
import ipaddress
import os
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, Optional, Set, Tuple, Union

from validator.secrets.tokens import TOKEN, Tokens

# Names that every installation has; they say nothing about anybody.
ORDINARY_USERS = frozenset(("root", "ragtrace", "nobody", "daemon", "systemd", "ubuntu", "debian"))
ORDINARY_HOSTS = frozenset(("localhost", "localhost.localdomain", "local", "ip6-localhost"))
_FIRST_PERSON, _LAST_PERSON = 1000, 60000
_SHORTEST = 3
_HOME = r"(?P<home>(?:/home/|/Users/|[A-Za-z]:\\{1,2}Users\\{1,2})(?P<who>[^\s/\\\"':;,<>]{1,64}))"
_MAIL = r"(?P<mail>(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,128}\.[A-Za-z]{2,24})"
_MAC = r"(?P<mac>(?<![0-9A-Fa-f:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![0-9A-Fa-f:-]))"
_IPV4 = r"(?P<four>(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w]|\.[0-9]))"
_IPV6 = r"(?P<six>(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9.]{7,15}|[0-9A-Fa-f]{0,4})(?![\w:]))"
_URL = r"(?P<url>(?<=://)(?:[^\s/@\"'<>\[]{0,256}@)?(?P<where>[A-Za-z0-9][A-Za-z0-9.-]{0,253}))"


@dataclass(frozen=True)
class Names:
    """What names this host and its people, as far as it can be told without asking the network."""

    users: Tuple[str, ...] = ()
    hosts: Tuple[str, ...] = ()


def names_of_this_host() -> Names:
    """Return the names of this host, of its people, and of the domains it searches."""
    users: Set[str] = {os.environ.get("SUDO_USER", ""), os.environ.get("USER", "")}
    try:
        users.add(getpass.getuser())
    except (KeyError, OSError, ImportError):
        users.add("")
    users |= set(_people())
    hosts = {socket.gethostname(), *socket.gethostname().split(".")[:1], *_domains(Path("/etc/resolv.conf"))}
    return Names(
        tuple(
            sorted(name for name in users if len(name) >= _SHORTEST and name.lower() not in ORDINARY_USERS)
        ),
        tuple(
            sorted(name for name in hosts if len(name) >= _SHORTEST and name.lower() not in ORDINARY_HOSTS)
        ),
    )


def _people() -> Iterable[str]:
    """Yield account and full names of ordinary users."""
    if sys.platform == "win32":
        return
    import pwd

    for entry in pwd.getpwall():
        if _FIRST_PERSON <= entry.pw_uid < _LAST_PERSON:
            yield entry.pw_name
            full = entry.pw_gecos.split(",")[0].strip()
            if " " in full or not full.isascii():
                yield full


def _domains(path: Path) -> Iterable[str]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if words[:1] in (["search"], ["domain"]):
            yield from (word.strip(".") for word in words[1:])


class Identity:
    """Replaces names and addresses in text; loopback and unspecified addresses stay."""

    def __init__(self, names: Names, tokens: Tokens) -> None:
        self._tokens = tokens
        self._kinds: Dict[str, str] = {name.lower(): "user" for name in names.users}
        self._kinds.update((name.lower(), "host") for name in names.hosts)
        words = "|".join(map(re.escape, sorted(self._kinds, key=len, reverse=True)))
        named = [rf"(?P<name>(?<![A-Za-z0-9가-힣])(?:{words})(?![A-Za-z0-9]))"] if words else []
        parts = [f"(?P<token>{TOKEN.pattern})", _HOME, _MAIL, _URL, *named, _MAC, _IPV4, _IPV6]
        self._pattern = re.compile("|".join(parts), re.IGNORECASE)
        self._replace: Dict[str, Callable[["re.Match[str]"], str]] = {
            "home": lambda match: match.group()[: -len(match.group("who"))] + self.user(match.group("who")),
            "mail": lambda match: self.user(match.group()),
            "url": self._url,
            "name": self._name,
            "mac": lambda match: self._tokens.of(match.group().lower(), "mac", "mac"),
            "four": self._found,
            "six": self._found,
        }

    def text(self, text: str) -> str:
        """Return the text with tokens in the place of names and addresses."""
        return self._pattern.sub(self._one, text)

    def user(self, name: str) -> str:
        """Return what stands for a person; names that every installation has stay."""
        plain = name.strip()
        keep = plain.lower() in ORDINARY_USERS or TOKEN.fullmatch(plain) or not plain
        return name if keep else self._tokens.of(plain.lower(), "user", "user")

    def host(self, name: str) -> str:
        """Return what stands for a host; this host's own loopback names stay."""
        plain = name.strip().lower()
        if _address(plain) is not None:
            return self._token_of_address(plain)
        keep = plain in ORDINARY_HOSTS or TOKEN.fullmatch(plain) or not plain
        return name if keep else self._tokens.of(plain, "host", "host")

    def _one(self, match: "re.Match[str]") -> str:
        for kind, replace in self._replace.items():
            if match.group(kind) if kind in match.re.groupindex else None:
                return replace(match)
        return match.group()

    def _name(self, match: "re.Match[str]") -> str:
        name = match.group().lower()
        kind = self._kinds.get(name, "host")
        return self._tokens.of(name, kind, kind)

    def _url(self, match: "re.Match[str]") -> str:
        where = match.group("where")
        return match.group()[: -len(where)] + self.host(where)

    def _found(self, match: "re.Match[str]") -> str:
        return self._token_of_address(match.group())

    def _token_of_address(self, text: str) -> str:
        address = _address(text)
        if address is None or address.is_loopback or address.is_unspecified:
            return text
        return self._tokens.of(address.compressed, "ip", "ip")


def _address(text: str) -> "Optional[Union[ipaddress.IPv4Address, ipaddress.IPv6Address]]":
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
