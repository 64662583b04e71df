"""Read the configuration: one YAML file, then `.env` beside it, then the environment. Every problem is reported at once."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ragtrace.carried import release_of, settle
from ragtrace.errors import ConfigProblem
from ragtrace.limits import CONFIG_BYTES
from ragtrace.settings import CHOICES, RANGES, SECTIONS, Settings
from ragtrace.text import Text

Value = str | int | float | bool
PREFIX = "RAGTRACE_"
HIDDEN = "********"
_SECRET = {"password", "passphrase", "secret", "token", "key", "credential", "credentials"}
# scheme://user:password@host
_USER_INFO = re.compile(r"(\w://[^/@:\s]*:)[^/@\s]*@")
_TYPES = {
    "int": Text("정수", "a whole number"),
    "float": Text("숫자", "a number"),
    "bool": Text("true 또는 false", "true or false"),
    "str": Text("글", "text"),
}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where configuration and home were found; `explicit` when a person named the file.

    `release` is the folder of the installed release that runs, whose models are taken where none are configured.
    """

    home: Path
    file: Path
    explicit: bool
    release: Path | None = None


def find_place(argument: str | None, environment: Mapping[str, str], prefix: Path) -> Place:
    """Find home and configuration: --config, RAGTRACE_CONFIG, RAGTRACE_HOME, the installation of `prefix`.

    `prefix` is `sys.prefix`; in an installation it is <home>/generations/<generation>/venv.
    """
    release = release_of(prefix)
    home = (
        Path(environment["RAGTRACE_HOME"]).expanduser().absolute()
        if environment.get("RAGTRACE_HOME")
        else None
    )
    named = argument or environment.get("RAGTRACE_CONFIG")
    if named:
        file = Path(named).expanduser().absolute()
        beside = file.parent.parent if file.parent.name == "config" else file.parent
        return Place(home or beside, file, explicit=True, release=release)
    installed = prefix.resolve().parent.parent.parent
    if home is None and (installed / "current.json").is_file():
        home = installed
    if home is None:
        raise ConfigProblem(
            Text("설정을 찾지 못했습니다.", "No configuration was found."),
            hint=Text(
                "--config 파일을 주거나 RAGTRACE_HOME을 설정하십시오.",
                "Give --config FILE, or set RAGTRACE_HOME to a folder.",
            ),
        )
    return Place(home, home / "config" / "ragtrace.yaml", explicit=False, release=release)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Texts to be read in place of the files, where they are given."""

    yaml: str | None = None
    env: str | None = None


def load_settings(
    place: Place, environment: Mapping[str, str], candidate: Candidate = Candidate()
) -> Settings:
    """Return the settings. Raises `ConfigProblem` naming every wrong key and value."""
    return load_with_origins(place, environment, candidate)[0]


def load_with_origins(
    place: Place, environment: Mapping[str, str], candidate: Candidate = Candidate()
) -> tuple[Settings, dict[str, str]]:
    """Return the settings, and for each key that is not a default where it comes from.

    That is the name of the file, `.env`, `environment`, or `release` for a model that the release carries. Raises `ConfigProblem` as `load_settings` does.
    """
    problems: list[Text] = []
    values: dict[str, Value] = {}
    origins: dict[str, str] = {}
    for key, value, where in _from_file(place, problems, candidate.yaml):
        _take(values, key, value, where, problems)
        origins[key] = place.file.name
    dotenv = _dotenv(place.file.with_name(".env"), candidate.env)
    for key, raw, where in _from_environment({**dotenv, **environment}, problems):
        _take(values, key, raw, where, problems)
        origins[key] = "environment" if where in environment else ".env"
    sections = {name: _section(name, kind, values) for name, kind in SECTIONS.items()}
    settled = settle(Settings(home=place.home, **sections), place.release)
    settings = settled.settings
    problems += settled.problems
    origins |= dict.fromkeys(settled.given, "release")
    if settings.chunks.overlap >= settings.chunks.size or settings.chunks.least > settings.chunks.size:
        problems.append(
            Text(
                "chunks.overlap은 chunks.size보다 작고, chunks.least는 그 이하여야 합니다.",
                "chunks.overlap must be less than chunks.size, chunks.least not more than it.",
            )
        )
    if problems:
        raise ConfigProblem(
            Text("설정이 잘못되었습니다.", "The configuration is wrong."),
            where=str(place.file),
            state=Text("아무것도 시작하거나 바꾸지 않았습니다.", "Nothing was started or changed."),
            hint=Text("위의 줄을 고친 뒤 다시 실행하십시오.", "Correct the lines above and run it again."),
            details=problems,
        )
    return settings, origins


def keys() -> dict[str, str]:
    """Return every key as section.key with the name of its type."""
    return {
        f"{section}.{field.name}": str(field.type)
        for section, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
    }


def effective(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the settings as plain data."""
    return {name: dataclasses.asdict(getattr(settings, name)) for name in SECTIONS}


def shown(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the settings as plain data that anybody may see."""
    return {
        section: {key: hide(f"{section}.{key}", value) for key, value in body.items()}
        for section, body in effective(settings).items()
    }


def is_secret(key: str) -> bool:
    """Tell by its name whether a key holds a secret."""
    return bool(_SECRET & set(key.lower().replace(".", "_").split("_")))


def hide(key: str, value: Value) -> Value:
    """Return what may be shown of a value: nothing of a secret, no password inside an address."""
    if is_secret(key) and value:
        return HIDDEN
    return _USER_INFO.sub(rf"\1{HIDDEN}@", value) if isinstance(value, str) else value


def _section(name: str, kind: type, values: Mapping[str, Value]) -> Any:  # noqa: ANN401 - one of SECTIONS
    given = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")}
    return kind(**given)


def _from_file(place: Place, problems: list[Text], text: str | None = None) -> Iterator[tuple[str, Any, str]]:
    """Yield key, value and place of every setting of the file, or of the text in its place."""
    root = _compose(place, text)
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        problems.append(Text("파일이 '구역: 값' 모양이 아닙니다.", "The file is not a mapping of sections."))
        return
    for section, body, line in _entries(root, place.file.name, problems):
        if section not in SECTIONS:
            problems.append(_unknown(section, SECTIONS, f"{place.file.name}:{line}"))
        elif isinstance(body, yaml.MappingNode):
            for key, node, at in _entries(body, place.file.name, problems):
                where = f"{place.file.name}:{at}"
                if isinstance(node, yaml.ScalarNode):
                    yield f"{section}.{key}", _scalar(node), where
                else:
                    problems.append(
                        Text(
                            f"{where}: '{section}.{key}'는 값 하나여야 합니다.",
                            f"{where}: '{section}.{key}' takes one value.",
                        )
                    )
        elif not _is_null(body):
            where = f"{place.file.name}:{line}"
            problems.append(
                Text(
                    f"{where}: '{section}' 아래에 키가 있어야 합니다.",
                    f"{where}: '{section}' is a section of keys.",
                )
            )


def _scalar(node: yaml.ScalarNode) -> object:
    """Return the value of a scalar; one that its tag does not fit stays text, which its key will refuse."""
    try:
        value: object = yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError):
        return f"{node.tag} {node.value}"
    return value


def _compose(place: Place, text: str | None) -> yaml.Node | None:
    try:
        if text is None:
            with place.file.open("rb") as file:
                data = file.read(CONFIG_BYTES + 1)
        else:
            data = text.encode("utf-8")
        if len(data) > CONFIG_BYTES:
            raise ConfigProblem(
                Text("설정 파일이 너무 큽니다.", "The configuration file is too large."),
                where=str(place.file),
            )
        return yaml.compose(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except FileNotFoundError as error:
        if not place.explicit:
            return None
        raise ConfigProblem(
            Text("설정 파일이 없습니다.", "There is no such configuration file."), where=str(place.file)
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigProblem(
            Text(f"설정 파일을 읽을 수 없습니다: {reason}", f"The configuration cannot be read: {reason}"),
            where=str(place.file),
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or type(error).__name__
        raise ConfigProblem(
            Text(f"YAML 문법이 틀렸습니다: {reason}", f"This is not YAML: {reason}"),
            where=f"{place.file}{line}",
        ) from error


def _entries(node: yaml.MappingNode, name: str, problems: list[Text]) -> Iterator[tuple[str, yaml.Node, int]]:
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        text = key.value if isinstance(key, yaml.ScalarNode) else "?"
        if text in seen:
            problems.append(
                Text(f"{name}:{line}: '{text}'가 두 번 있습니다.", f"{name}:{line}: '{text}' stands twice.")
            )
            continue
        seen.add(text)
        yield text, value, line


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _dotenv(path: Path, text: str | None = None) -> dict[str, str]:
    """Read `KEY=VALUE` lines for us; the service manager has set them already, a person's shell has not."""
    try:
        lines = (path.read_text("utf-8-sig") if text is None else text).splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigProblem(
            Text(".env 파일을 읽을 수 없습니다.", "The .env file cannot be read."),
            where=str(path),
            hint=Text(
                "root 또는 서비스 사용자로 실행하십시오.", "Run this as root or as the user of the service."
            ),
        ) from error
    pairs = (line.partition("=") for line in lines if line.startswith(PREFIX))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def _from_environment(environment: Mapping[str, str], problems: list[Text]) -> Iterator[tuple[str, str, str]]:
    """Yield the settings of RAGTRACE_<SECTION>_<KEY>; a name that is nearly one is a problem."""
    names = {f"{PREFIX}{key.replace('.', '_').upper()}": key for key in keys()}
    for name in sorted(environment):
        if name in names:
            yield names[name], environment[name], name
        elif name.startswith(PREFIX):
            inside = name[len(PREFIX) :].partition("_")[0].lower() in SECTIONS
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.88)
            if inside or near:
                problems.append(_unknown(name, names, "environment"))


def _take(values: dict[str, Value], key: str, value: object, where: str, problems: list[Text]) -> None:
    known = keys()
    if key not in known:
        problems.append(_unknown(key, known, where))
        return
    converted = _convert(value, known[key])
    if value == "" and key in _may_be_empty():
        converted = ""
    if converted is None:
        wanted = _TYPES[known[key]]
        problems.append(
            Text(
                f"{where}: '{key}'는 {wanted.ko}여야 하는데 {value!r}입니다.",
                f"{where}: '{key}' takes {wanted.en}, not {value!r}.",
            )
        )
        return
    low, high = RANGES.get(key, (None, None))
    if low is not None and high is not None and not low <= float(converted) <= high:
        problems.append(
            Text(f"{where}: '{key}'는 {low}~{high}여야 합니다.", f"{where}: '{key}' must be {low} to {high}.")
        )
        return
    choices = CHOICES.get(key)
    if choices and converted not in choices:
        listed = ", ".join(choices)
        problems.append(
            Text(f"{where}: '{key}'는 다음 중 하나입니다: {listed}", f"{where}: '{key}' is one of: {listed}")
        )
        return
    values[key] = converted


def _may_be_empty() -> frozenset[str]:
    """Return the keys whose default is no text: a model, address or key that is not there."""
    return frozenset(
        f"{section}.{field.name}"
        for section, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
        if field.default == ""
    )


def _convert(value: object, kind: str) -> Value | None:
    """Return `value` as `kind`, or None when it is not one; text from the environment is read like YAML."""
    if kind == "str":
        return value if isinstance(value, str) and value else None
    if isinstance(value, str):
        value = {"true": True, "false": False, "1": 1, "0": 0}.get(value.lower(), value)
    if kind == "bool":
        return bool(value) if value in (True, False) else None
    if isinstance(value, bool):
        return None
    try:
        number = float(str(value))
        if kind == "int":
            return int(number) if number == int(number) and "." not in str(value) else None
        return number
    except (TypeError, ValueError, OverflowError):
        return None


def _unknown(name: str, known: Mapping[str, Any], where: str) -> Text:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    right = near[0] if near else ""
    return Text(
        f"{where}: '{name}'라는 키는 없습니다. 가장 가까운 키: '{right}'",
        f"{where}: there is no key '{name}'. The nearest is '{right}'.",
    )
