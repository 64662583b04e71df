"""The service's configuration as the installer sees it: asked for, checked and changed, with the service's own code.

What a key means and which values it takes is the service's business: the active release is asked, as the service's
user, before anything is written.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from bundle.errors import UsageProblem
from bundle.text import Text

from .children import minimal_environment
from .hosts.interface import ServiceDefinition
from .paths import Prefix
from .settings import parse_environment, quoted

TIMEOUT_S = 120
ENV_PREFIX = "RAGTRACE_"
# Read by the installer itself, not by the service: who may talk with it (systemd).
NETWORK_KEY, NETWORK_VARIABLE = "network.allow", "RAGTRACE_NETWORK_ALLOW"
HIDDEN = "********"
UNCHANGED = Text("아무것도 바꾸지 않았습니다", "nothing was changed")
_SECRET = re.compile(r"password|passphrase|secret|token|key|credential", re.IGNORECASE)
_YAML_SECRET = re.compile(
    r"^(\s*[\w-]*(?:password|passphrase|secret|token|key|credential)[\w-]*\s*:\s*)\S.*$", re.I
)
_USER_INFO = re.compile(r"(\w://[^/@:\s]*:)[^/@\s]*@")


@dataclass(frozen=True)
class Answer:
    """What the service says about a configuration: every key with its type; and where it is right, the values
    (secrets hidden) and where those come from that are no defaults; else the problems."""

    keys: Mapping[str, str]
    secret: Tuple[str, ...]
    values: Mapping[str, Any]
    origins: Mapping[str, str]
    problems: Tuple[Text, ...] = ()
    where: str = ""

    @property
    def right(self) -> bool:
        """Whether the service would start with it."""
        return not self.problems

    def require(self) -> None:
        """Refuse a configuration that is wrong.

        Raises:
            UsageProblem: with everything that is wrong.
        """
        if self.problems:
            raise UsageProblem(
                Text("설정이 잘못되었습니다", "the configuration is wrong"),
                where=self.where,
                details=self.problems,
                state=UNCHANGED,
                hint=Text("위의 줄을 고친 뒤 다시 실행하십시오", "correct the lines above and run it again"),
            )


def ask(
    prefix: Prefix, definition: ServiceDefinition, yaml: Optional[str] = None, env: Optional[str] = None
) -> Answer:
    """Have the release's service read a configuration.

    Args:
        prefix: the installation.
        definition: of the release's service.
        yaml: text to read in place of `config/ragtrace.yaml`.
        env: text to read in place of `config/.env`.

    Raises:
        UsageProblem: this release's service has no command for it.
    """
    command = [
        definition.command[0],
        "-B",
        "-s",
        *definition.command[1:3],
        "config",
        "check",
        "--candidate",
        "--json",
    ]
    given = {name: text for name, text in (("yaml", yaml), ("env", env)) if text is not None}
    identity: Dict[str, Any] = {}
    if definition.user:
        identity = {"user": definition.user, "group": definition.user, "extra_groups": []}
    try:
        done = subprocess.run(
            command, input=json.dumps(given).encode("utf-8"), capture_output=True, timeout=TIMEOUT_S, check=False,
            env=minimal_environment(definition.environment), cwd=str(prefix.data), **identity,
        )  # fmt: skip
        document = json.loads(done.stdout)
        return _answer(document)
    except (ValueError, KeyError, TypeError, AttributeError, subprocess.TimeoutExpired) as error:
        raise UsageProblem(
            Text(
                "현재 릴리스의 서비스로는 설정을 검사할 수 없습니다",
                "the active release's service cannot check a configuration",
            ),
            where=" ".join(command[:6]),
            state=UNCHANGED,
            hint=Text(
                f"{prefix.config}의 파일을 직접 고친 뒤 --stop, --start",
                f"edit the files in {prefix.config} by hand, then --stop and --start",
            ),
        ) from error


def _answer(document: Dict[str, Any]) -> Answer:
    keys = {str(key): str(kind) for key, kind in document["keys"].items()}
    secret = tuple(str(key) for key in document["secret"])
    if document["ok"] is True:
        return Answer(keys, secret, dict(document["values"]), dict(document["origins"]))
    problems = tuple(Text(str(each["ko"]), str(each["en"])) for each in document["problems"])
    error = document["error"]
    return Answer(
        keys, secret, {}, {}, problems or (Text(str(error["ko"]), str(error["en"])),), str(document["where"])
    )


# --- KEY=VALUE ---------------------------------------------------------------------------------------------


def variable_of(key: str) -> str:
    """Return the environment variable of a key of the configuration."""
    return NETWORK_VARIABLE if key == NETWORK_KEY else ENV_PREFIX + key.replace(".", "_").upper()


def changes(words: Sequence[str], known: Answer, env: str) -> Dict[str, str]:
    """Return the variables that ``KEY=VALUE`` words set; an empty value takes the override out.

    Args:
        words: as given on the command line.
        known: what keys there are.
        env: the present text of `.env`; whatever stands in it can be taken out.

    Raises:
        UsageProblem: with every word that is wrong.
    """
    names = {**{variable_of(key): key for key in known.keys}, NETWORK_VARIABLE: NETWORK_KEY}
    present = parse_environment(env)
    wanted: Dict[str, str] = {}
    problems: List[Text] = []
    for word in words:
        key, separator, value = word.partition("=")
        key, value = key.strip(), value.strip()
        name = variable_of(key) if key in known.keys or key == NETWORK_KEY else key
        if not separator:
            problems.append(Text(f"'{word}': KEY=VALUE 꼴이어야 합니다", f"'{word}' is not KEY=VALUE"))
        elif name not in names and not (name in present and not value):
            problems.append(_unknown(key, names))
        elif name in wanted:
            problems.append(Text(f"'{key}'가 두 번 있습니다", f"'{key}' stands twice"))
        else:
            wanted[name] = value
            problems += _unwritable(key, name, value)
    if problems:
        raise UsageProblem(
            Text("설정을 바꿀 수 없습니다", "the configuration cannot be changed like this"),
            details=problems,
            state=UNCHANGED,
            hint=Text("모든 키 보기: --config", "every key: --config"),
        )
    return wanted


def _unwritable(key: str, name: str, value: str) -> List[Text]:
    try:
        quoted(value)
        if name == NETWORK_VARIABLE:
            for network in value.replace(",", " ").split():
                ipaddress.ip_network(network, strict=False)
    except ValueError as error:
        return [Text(f"'{key}'에 쓸 수 없는 값입니다: {error}", f"'{key}' does not take this value: {error}")]
    return []


def _unknown(key: str, names: Mapping[str, str]) -> Text:
    pool = list(names) if key.upper().startswith(ENV_PREFIX) else list(names.values())
    near = difflib.get_close_matches(key, pool, n=1, cutoff=0.0)
    return Text(
        f"'{key}'라는 키는 없습니다. 가장 가까운 키: '{near[0]}'",
        f"there is no key '{key}'. The nearest is '{near[0]}'.",
    )


def shown_words(words: Sequence[str]) -> List[str]:
    """Return a command line that may be told: without the secrets that ``--config`` sets."""
    if "--config" not in words:
        return list(words)
    return [
        f"{word.partition('=')[0]}={HIDDEN}"
        if not word.startswith("-") and _SECRET.search(word.partition("=")[0]) and "=" in word
        else word
        for word in words
    ]


# --- what may be shown -------------------------------------------------------------------------------------


def difference(path: Path, before: str, after: str) -> List[str]:
    """Return the change of one file as lines of a unified diff, secrets hidden."""
    return [
        line.rstrip("\n")
        for line in difflib.unified_diff(
            _hidden(path, before), _hidden(path, after), str(path), f"{path} (new)", lineterm="", n=1
        )
    ]


def _hidden(path: Path, text: str) -> List[str]:
    return [_hide_variable(line) if path.name == ".env" else _hide_key(line) for line in text.splitlines()]


def _hide_variable(line: str) -> str:
    """Hide the value of a variable whose name speaks of a secret, and of every one that is not ours."""
    name, separator, value = line.partition("=")
    said = separator and value and not line.lstrip().startswith(("#", ";"))
    if said and (not name.strip().startswith(ENV_PREFIX) or _SECRET.search(name)):
        return f"{name}={HIDDEN}"
    return _USER_INFO.sub(rf"\1{HIDDEN}@", line)


def _hide_key(line: str) -> str:
    return _USER_INFO.sub(rf"\1{HIDDEN}@", _YAML_SECRET.sub(rf"\1{HIDDEN}", line))
