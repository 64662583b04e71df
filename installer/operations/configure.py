"""Show the service's configuration, or change it through the same gate as a release: checked before anything is
written, the service restarted, and everything put back where it does not become healthy."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from bundle.errors import UsageProblem
from bundle.manifest import Manifest
from bundle.text import Text

from ..configuration import Answer, ask, changes, difference, variable_of
from ..console import Console
from ..filesystem import read_plain
from ..hosts.interface import ServiceDefinition
from ..paths import Prefix
from ..plan import Plan, PlannedStep
from ..pointer import Pointer
from ..provision import HEADER
from ..service import define, manifest_of
from ..settings import HOST_VARIABLE, PORT_VARIABLE, ServiceSettings, parse_environment, with_variables
from ..state import InstallationState, read_state
from .session import UNCHANGED, Done, opened, require_installation, transact

YAML = "ragtrace.yaml"
PREVIOUS = "ragtrace.yaml.previous"
HOST_KEY, PORT_KEY = "server.host", "server.port"


@dataclass(frozen=True)
class Change:
    """What a change of the configuration comes to: the plan, and the diff that may be shown."""

    plan: Plan
    manifest: Manifest
    difference: Tuple[str, ...]


@dataclass(frozen=True)
class Present:
    """What is installed and configured now."""

    state: InstallationState
    pointer: Pointer
    manifest: Manifest
    service: ServiceSettings
    definition: ServiceDefinition
    env: str
    yaml: str


def show(prefix: Prefix) -> Tuple[Answer, Dict[str, str]]:
    """Return the configuration in force, and what else stands in `config/.env` (its names; values hidden).

    Raises:
        UsageProblem: nothing is installed, or the release's service cannot tell.
    """
    require_installation(prefix)
    now = present(prefix)
    answer = ask(prefix, now.definition)
    known = {variable_of(key) for key in answer.keys}
    others = {name: "config/.env" for name in parse_environment(now.env) if name not in known}
    return answer, others


def configure(prefix: Prefix, words: Sequence[str], file: Optional[Path], console: Console) -> Done:
    """Change the configuration by ``KEY=VALUE`` words, or replace `ragtrace.yaml` by a file.

    Raises:
        UsageProblem: what is wanted is wrong; nothing was written.
        UnhealthyError: the service did not become healthy with it; the earlier files and service are back.
    """
    require_installation(prefix)
    begun = time.monotonic()
    with opened(prefix, console, action="config") as lock:
        change = decide(prefix, words, file)
        plan = change.plan
        if plan.action == "config":
            before = read_state(prefix).service
            transact("config", prefix, plan, change.manifest, before, lock, console)
    action = "unchanged" if plan.action == "none" else plan.action
    return Done(action, plan.generation, plan.version, plan.settings, time.monotonic() - begun)


def decide(prefix: Prefix, words: Sequence[str], file: Optional[Path]) -> Change:
    """Check what is wanted with the service's own code, and plan it; write nothing.

    Raises:
        UsageProblem: it is wrong, or there is nothing installed that could be configured.
    """
    now = present(prefix)
    if file is not None:
        env, yaml = _with_address_of(prefix, now, _read_file(file))
    else:
        env, yaml = with_variables(now.env, changes(words, ask(prefix, now.definition), now.env)), None
    answer = ask(prefix, now.definition, yaml, env)
    answer.require()
    return planned(prefix, now, env if env != now.env else None, yaml if yaml != now.yaml else None, answer)


def present(prefix: Prefix) -> Present:
    """Return what is installed and configured now.

    Raises:
        UsageProblem: there is no release, or none with a service.
    """
    state = read_state(prefix)
    if state.pointer is None:
        raise UsageProblem(
            Text("현재 릴리스가 없습니다", "there is no active release"),
            where=str(prefix.pointer),
            state=UNCHANGED,
            hint=Text("install.py를 다시 실행하면 복구합니다", "running install.py again repairs it"),
        )
    manifest = manifest_of(prefix, state.pointer.generation)
    definition = define(prefix, state.pointer.generation, state.service, manifest)
    if state.service is None or definition is None:
        raise UsageProblem(
            Text("이 릴리스에는 설정할 서비스가 없습니다", "this release has no service to configure"),
            where=str(prefix.root),
            state=UNCHANGED,
        )
    env = _text(prefix.settings, HEADER)
    yaml = _text(prefix.config / YAML, "")
    return Present(state, state.pointer, manifest, state.service, definition, env, yaml)


def _text(path: Path, missing: str) -> str:
    data = read_plain(path)
    return missing if data is None else data.decode("utf-8", "surrogateescape")


def _read_file(file: Path) -> str:
    try:
        return file.expanduser().read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageProblem(
            Text(
                f"설정 파일을 읽을 수 없습니다: {reason}", f"the configuration file cannot be read: {reason}"
            ),
            where=str(file),
            state=UNCHANGED,
        ) from error


def _with_address_of(prefix: Prefix, now: Present, yaml: str) -> Tuple[str, str]:
    """Return `.env` and the new `ragtrace.yaml`. The installer keeps the address in `.env`, where it overrides the
    file: where the new file says another than the earlier one, that is meant."""
    bare = with_variables(now.env, {HOST_VARIABLE: "", PORT_VARIABLE: ""})
    after = ask(prefix, now.definition, yaml, bare)
    after.require()
    before = ask(prefix, now.definition, now.yaml, bare)
    moved = {}
    for key, name in ((HOST_KEY, HOST_VARIABLE), (PORT_KEY, PORT_VARIABLE)):
        if key in after.values and after.values[key] != before.values.get(key, after.values[key]):
            moved[name] = str(after.values[key])
    return with_variables(now.env, moved) if moved else now.env, yaml


def planned(prefix: Prefix, now: Present, env: Optional[str], yaml: Optional[str], answer: Answer) -> Change:
    """Plan the change of the files that are given; `answer` says at which address the service will listen."""
    files: List[Tuple[str, Optional[bytes]]] = []
    shown: List[str] = []
    keys: List[str] = []
    if env is not None:
        files.append((prefix.settings.name, env.encode("utf-8", "surrogateescape")))
        shown += difference(prefix.settings, now.env, env)
        old, new = parse_environment(now.env), parse_environment(env)
        keys += sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if yaml is not None:
        earlier = read_plain(prefix.config / YAML)
        files += [(PREVIOUS, earlier)] if earlier is not None else []
        files.append((YAML, yaml.encode("utf-8")))
        shown += difference(prefix.config / YAML, now.yaml, yaml)
        keys.append(YAML)
    wanted = replace(
        now.service,
        host=str(answer.values.get(HOST_KEY, now.service.host)),
        port=int(answer.values.get(PORT_KEY, now.service.port)),
    )
    plan = Plan(
        "config" if files else "none", now.pointer.generation, now.pointer.manifest, now.manifest.version,
        now.pointer.sequence, now.pointer, None, None, wanted, _steps(wanted, files) if files else (),
        files=tuple(files), keys=tuple(keys),
    )  # fmt: skip
    return Change(plan, now.manifest, tuple(shown))


def _steps(service: ServiceSettings, files: Sequence[Tuple[str, Optional[bytes]]]) -> Tuple[PlannedStep, ...]:
    size = sum(len(content) for _, content in files if content is not None)
    steps = [
        PlannedStep("standby", Text("현재 상태 기록", "note what runs now")),
        PlannedStep("configure", Text("설정 파일 쓰기", "write the configuration"), size),
        PlannedStep("unit", Text("서비스 등록", "register the service")),
    ]
    if service.enabled and service.manager != "none":
        steps.append(PlannedStep("start", Text("서비스 다시 시작", "restart the service")))
        steps.append(PlannedStep("health", Text("상태 확인", "wait until healthy")))
    steps.append(PlannedStep("accept", Text("확정", "commit")))
    return tuple(steps)
