"""Let what is wrong in the configuration go back to the release's default, and as little else as possible.

The service's own code says what is wrong; the files change through the same gate as every other change of the
configuration, and the old ones stay beside them, owner-only, with the time in their names.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from bundle.errors import UsageProblem
from bundle.text import Text

from .. import provision
from ..configuration import ENV_PREFIX, Answer, ask, variable_of
from ..console import Console
from ..filesystem import read_plain
from ..paths import Prefix
from ..provision import HEADER
from ..settings import HOST_VARIABLE, PORT_VARIABLE, decode, parse_environment, with_variables
from ..state import read_state
from .configure import PREVIOUS, YAML, Change, Present, planned, present
from .session import UNCHANGED, Done, opened, require_installation, transact

# Settings that are tried one by one; whoever has more wrong gets them all taken out.
TRIED = 40
Texts = Tuple[str, str]


def restore_defaults(prefix: Prefix, keys: Sequence[str], console: Console) -> Done:
    """Put the named keys, or without any what is wrong, back to the default.

    Raises:
        UsageProblem: a key that nobody knows, or nothing installed that could be configured.
        UnhealthyError: the service does not become healthy with it either; the files are as they were.
    """
    require_installation(prefix)
    begun = time.monotonic()
    with opened(prefix, console, serve=False, action="config-default") as lock:
        change = decide_defaults(prefix, keys)
        plan = change.plan
        if plan.action == "config":
            transact("config", prefix, plan, change.manifest, read_state(prefix).service, lock, console)
        else:
            # What the files say is right: then the service must also be able to read them.
            provision.own(prefix, read_state(prefix).service, ())
    action = "unchanged" if plan.action == "none" else plan.action
    return Done(action, plan.generation, plan.version, plan.settings, time.monotonic() - begun)


def decide_defaults(prefix: Prefix, keys: Sequence[str]) -> Change:
    """Find what has to change, with the service's own code; write nothing.

    Raises:
        UsageProblem: as `restore_defaults`.
    """
    now = present(prefix)
    default = _default(prefix, now)
    env, yaml = _named(prefix, now, default, keys) if keys else _least(prefix, now, default)
    answer = _asked(prefix, now, yaml, env)
    change = planned(
        prefix, now, env if env != now.env else None, yaml if yaml != now.yaml else None,
        answer if answer is not None else Answer({}, (), {}, {}),
    )  # fmt: skip
    return replace(change, plan=replace(change.plan, files=_kept(change.plan.files, now)))


def _default(prefix: Prefix, now: Present) -> str:
    data = read_plain(prefix.generation(now.pointer.generation) / "config.default" / YAML)
    if data is None:
        raise UsageProblem(
            Text("이 릴리스에는 기본 설정이 없습니다", "this release has no default configuration"),
            where=str(prefix.generation(now.pointer.generation)),
            state=UNCHANGED,
        )
    return data.decode("utf-8")


def _named(prefix: Prefix, now: Present, default: str, keys: Sequence[str]) -> Texts:
    """Return `.env` without the variables that were named, and the default file where that was named."""
    present_names = parse_environment(now.env)
    gone: Dict[str, str] = {}
    yaml = now.yaml
    unknown: List[Text] = []
    for key in keys:
        name = key if key in present_names else variable_of(key)
        if key == YAML:
            yaml = default
        elif name in present_names:
            gone[name] = _address(prefix, now).get(name, "")
        else:
            unknown.append(Text(f"config/.env에 없습니다: {key}", f"not in config/.env: {key}"))
    if unknown:
        raise UsageProblem(
            Text("되돌릴 것이 없습니다", "there is nothing to put back"),
            details=unknown,
            state=UNCHANGED,
            hint=Text(f"파일 전체는 {YAML}", f"for the whole file say {YAML}"),
        )
    return with_variables(now.env, gone), yaml


def _least(prefix: Prefix, now: Present, default: str) -> Texts:
    """Return the configuration nearest to the present one that the service accepts.

    Where the service cannot be asked, the file goes back to the default: the health check judges it.
    """
    for env, yaml in _candidates(prefix, now, default):
        answer = _asked(prefix, now, yaml, env)
        if answer is None:
            return now.env, default
        if answer.right:
            return env, yaml
    return _bare(prefix, now), default


def _candidates(prefix: Prefix, now: Present, default: str) -> Iterator[Texts]:
    """Yield configurations, the nearest first; whether variables or the file are wrong is found out on the way."""
    yield now.env, now.yaml
    ours = [name for name in parse_environment(now.env) if name.startswith(ENV_PREFIX)]
    without = with_variables(now.env, {**dict.fromkeys(ours, ""), **_address(prefix, now)})
    file_is_right = _right(prefix, now, now.yaml, without)
    if not file_is_right:
        yield now.env, default
    yaml = now.yaml if file_is_right else default
    for name in ours[:TRIED]:
        yield with_variables(now.env, {name: _address(prefix, now).get(name, "")}), yaml
    yield without, yaml
    yield _bare(prefix, now), yaml


def _right(prefix: Prefix, now: Present, yaml: str, env: str) -> bool:
    answer = _asked(prefix, now, yaml, env)
    return answer is not None and answer.right


def _asked(prefix: Prefix, now: Present, yaml: str, env: str) -> Optional[Answer]:
    try:
        return ask(prefix, now.definition, _plain(yaml), _plain(env))
    except UsageProblem:
        return None


def _plain(text: str) -> str:
    """Return text that can be handed over: bytes that are no UTF-8 become a mark that no value has."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _address(prefix: Prefix, now: Present) -> Dict[str, str]:
    """Return the address that the installer noted, as variables: without them the service listens elsewhere."""
    noted = decode(prefix.service.read_bytes())
    return {HOST_VARIABLE: noted.host, PORT_VARIABLE: str(noted.port)}


def _bare(prefix: Prefix, now: Present) -> str:
    return with_variables(HEADER, _address(prefix, now))


def _kept(
    files: Sequence[Tuple[str, Optional[bytes]]], now: Present
) -> "Tuple[Tuple[str, Optional[bytes]], ...]":
    """Return the files with the old ones beside them."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    old = {YAML: now.yaml, ".env": now.env}
    kept: List[Tuple[str, Optional[bytes]]] = []
    for name, content in files:
        if name == PREVIOUS:
            continue
        if old.get(name):
            kept.append((f"{name}.{stamp}", old[name].encode("utf-8", "surrogateescape")))
        kept.append((name, content))
    return tuple(kept)
