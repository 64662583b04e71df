"""What a person edits: profiles and targets as TOML under `manifests/`, and the project to pack."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import tomllib

from bundle import expectations
from bundle.errors import UsageProblem
from bundle.manifest import DataFormat, ServiceSpec, data_format
from bundle.strictjson import Fields
from bundle.text import Text

REPOSITORY = Path(__file__).resolve().parent.parent
MANIFESTS = REPOSITORY / "manifests"
# Which C libraries a system may have; the macOS version is that of its own. Windows wheels have no floor.
_LIBCS = {"linux": ("glibc", "musl"), "macos": ("macos",), "windows": ("",)}


@dataclass(frozen=True)
class Profile:
    """What to pack of a project and how the result is run; `memory_mb` is what the service needs.

    `models` are names of ``manifests/models``; `allow_build` the packages whose sources may be built here;
    `interpreter` the Python (``X.Y``) that is carried for hosts without a fitting one; `expectations` what the
    validator compares the host's speed with, as the manifest has it.
    """

    name: str
    project: str
    description: Text
    targets: tuple[str, ...]
    pythons: tuple[str, ...]
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    memory_mb: int
    service: ServiceSpec | None
    models: tuple[str, ...] = ()
    allow_build: tuple[str, ...] = ()
    interpreter: str = ""
    expectations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TargetSpec:
    """A kind of host: names, C library floor and the marker environment of PEP 508."""

    name: str
    os: str
    arch: str
    libc: str
    libc_min: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class ProjectSpec:
    """The uv project to pack: its folder, the folder of its ``uv.lock``, name and version.

    `data` is the format of its service's data: ``[tool.ragtrace.data]`` of its ``pyproject.toml``, if there is one.
    """

    root: Path
    workspace: Path
    name: str
    version: str
    data: DataFormat | None = None


def load_profile(name: str) -> Profile:
    """Read ``manifests/profiles/NAME.toml``.

    Raises:
        UsageProblem: unknown profile, or a wrong or missing key, named with its nearest right one.
    """
    data = read_table(MANIFESTS / "profiles", name, Text("프로파일", "profile"))
    known = {
        "name": str,
        "project": str,
        "description_ko": str,
        "description_en": str,
        "targets": list,
        "pythons": list,
        "extras": list,
        "groups": list,
        "memory_mb": int,
    }
    where = f"manifests/profiles/{name}.toml"
    optional = {
        "service": dict,
        "models": list,
        "allow_build": list,
        "interpreter": str,
        "expectations": dict,
    }
    check_keys(data, known, optional, where)
    service = None
    if "service" in data:
        keys = {
            "module": str,
            "arguments": list,
            "host": str,
            "port": int,
            "health_path": str,
            "ready_timeout_s": int,
        }
        check_keys(data["service"], keys, {"memory_limit_mb": int}, f"{where} [service]")
        service = ServiceSpec(**{**data["service"], "arguments": tuple(data["service"]["arguments"])})
    return Profile(
        name=data["name"],
        project=data["project"],
        description=Text(data["description_ko"], data["description_en"]),
        targets=tuple(data["targets"]),
        pythons=tuple(data["pythons"]),
        extras=tuple(data["extras"]),
        groups=tuple(data["groups"]),
        memory_mb=data["memory_mb"],
        service=service,
        models=tuple(data.get("models", ())),
        allow_build=tuple(data.get("allow_build", ())),
        interpreter=data.get("interpreter", ""),
        expectations=_expectations(data.get("expectations", {}), f"{where} [expectations]"),
    )


def _expectations(table: Mapping[str, object], where: str) -> dict[str, str]:
    """Return a profile's figures as the manifest has them."""
    numbers = {key: float(value) if type(value) is int else value for key, value in table.items()}
    check_keys(numbers, {}, dict.fromkeys(expectations.EXPECTATIONS, float), where)
    try:
        return {key: expectations.decimal(float(str(value))) for key, value in numbers.items()}
    except ValueError as error:
        raise UsageProblem(
            Text("쓸 수 없는 기대치입니다", "an expectation that cannot be used"), where=f"{where}: {error}"
        ) from error


def load_target(name: str) -> TargetSpec:
    """Read ``manifests/targets/NAME.toml``.

    Raises:
        UsageProblem: unknown target, or a wrong or missing key or value.
    """
    data = read_table(MANIFESTS / "targets", name, Text("대상", "target"))
    known = {"name": str, "os": str, "arch": str, "libc": str, "libc_min": str, "environment": dict}
    where = f"manifests/targets/{name}.toml"
    check_keys(data, known, {}, where)
    markers = ("os_name", "platform_machine", "platform_system", "sys_platform")
    check_keys(data["environment"], dict.fromkeys(markers, str), {}, f"{where} [environment]")
    target = TargetSpec(**data)
    if target.libc not in _LIBCS.get(target.os, ()) or bool(target.libc) != bool(
        re.fullmatch(r"\d+\.\d+", target.libc_min)
    ):
        raise UsageProblem(
            Text(
                "대상의 os, libc, libc_min이 맞지 않습니다",
                "os, libc and libc_min of the target do not agree",
            ),
            where=f"{where}: {target.os!r}, {target.libc!r}, {target.libc_min!r}",
            hint=Text(
                "linux는 glibc/musl, macos는 macos와 X.Y 하한, windows는 둘 다 빈 값",
                "linux: glibc or musl, macos: macos, each with a floor X.Y; windows: both empty",
            ),
        )
    return target


def load_project(root: Path) -> ProjectSpec:
    """Read the project at `root` and find its lock, there or in a folder above (a uv workspace).

    Raises:
        UsageProblem: no readable ``pyproject.toml`` with a static name and version, a wrong
            ``[tool.ragtrace.data]``, or no ``uv.lock``.
    """
    root = root.resolve()
    path = root / "pyproject.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        table = document.get("project", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageProblem(
            Text("프로젝트를 읽을 수 없습니다", "the project cannot be read"),
            where=f"{path}: {error}",
            hint=Text(
                "--project-root 로 uv 프로젝트 폴더를 지정하십시오", "give a uv project with --project-root"
            ),
        ) from error
    if not isinstance(table.get("name"), str) or not isinstance(table.get("version"), str):
        raise UsageProblem(
            Text(
                "[project]에 name과 version(정적)이 필요합니다", "[project] needs a name and a static version"
            ),
            where=str(path),
        )
    for folder in (root, *root.parents):
        if (folder / "uv.lock").is_file():
            return ProjectSpec(root, folder, table["name"], table["version"], _declared(document, path))
    raise UsageProblem(
        Text("uv.lock이 없습니다", "there is no uv.lock"),
        where=str(root),
        hint=Text("프로젝트에서 'uv lock'을 실행하십시오", "run 'uv lock' in the project"),
    )


def _declared(document: Mapping[str, Any], path: Path) -> DataFormat | None:
    """Return the data format that a project declares for its service."""
    table = document.get("tool", {}).get("ragtrace", {}).get("data")
    if table is None:
        return None
    where = f"{path} [tool.ragtrace.data]"
    try:
        unknown = sorted(set(table) - {item.name for item in fields(DataFormat)})
        if unknown:
            raise ValueError(f"data: unknown key {unknown[0]}")
        return data_format(Fields(table, "data"))
    except (TypeError, ValueError) as error:
        raise UsageProblem(
            Text(
                f"데이터 형식의 선언이 잘못되었습니다: {error}",
                f"the data format is declared wrongly: {error}",
            ),
            where=where,
        ) from error


def read_table(folder: Path, name: str, noun: Text) -> dict[str, Any]:
    """Read ``NAME.toml`` of `folder`.

    Raises:
        UsageProblem: there is none (the nearest name is told), or it is no TOML.
    """
    path = folder / f"{name}.toml"
    available = sorted(item.stem for item in folder.glob("*.toml"))
    if name not in available:
        near = difflib.get_close_matches(name, available, n=1)
        choice = near[0] if near else ", ".join(available)
        raise UsageProblem(
            Text(f"알 수 없는 {noun.ko}: {name}", f"unknown {noun.en}: {name}"),
            where=str(folder),
            hint=Text(f"사용 가능: {choice}", f"available: {choice}"),
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageProblem(
            Text(f"{noun.ko} 파일을 읽을 수 없습니다", f"the {noun.en} file cannot be read"),
            where=f"{path}: {error}",
        ) from error


def check_keys(
    data: Mapping[str, Any], required: Mapping[str, type], optional: Mapping[str, type], where: str
) -> None:
    """Compare a table's keys and types with what is known; lists hold text only.

    Raises:
        UsageProblem: every wrong or missing key, a wrong one with its nearest right one.
    """
    details = []
    for key, value in data.items():
        wanted = required.get(key) or optional.get(key)
        if wanted is None:
            near = difflib.get_close_matches(key, [*required, *optional], n=1)
            details.append(_key_text(f"{key}", near))
        elif not isinstance(value, wanted) or (wanted is list and not _all_text(value)):
            details.append(
                Text(
                    f"{key}: 값의 형식이 틀립니다 ({wanted.__name__})",
                    f"{key}: not of type {wanted.__name__}",
                )
            )
    details += [Text(f"{key}: 없습니다", f"{key}: missing") for key in required if key not in data]
    if details:
        raise UsageProblem(
            Text("설정 파일의 키가 잘못되었습니다", "a configuration file has wrong keys"),
            where=where,
            details=details,
        )


def _key_text(key: str, near: Sequence[str]) -> Text:
    if near:
        return Text(f"{key}: 알 수 없는 키. {near[0]}?", f"{key}: unknown key; did you mean {near[0]}?")
    return Text(f"{key}: 알 수 없는 키", f"{key}: unknown key")


def _all_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
