"""Does the host fit? Pure: facts, manifest, state and plan go in, every finding comes out at once."""

from __future__ import annotations

from typing import NamedTuple, Optional

from bundle.errors import PolicyError, PreflightError
from bundle.manifest import Manifest
from bundle.text import Text, human_size

from .facts import HostFacts
from .plan import BUNDLED, Plan, Request
from .state import InstallationState


class Finding(NamedTuple):
    """One reason why the installation would not work; `name` is stable, `text` for people."""

    name: str
    text: Text


def check_policy(manifest: Manifest, plan: Plan, state: InstallationState, request: Request) -> None:
    """Refuse a downgrade. A release that is kept here may always come back.

    Raises:
        PolicyError: the sequence is lower than one accepted here before.
    """
    known = state.pointer is not None and plan.generation in state.pointer.kept
    active = state.pointer.sequence if state.pointer is not None else 0
    # Where nobody can say what was accepted any more, the releases' own names still do.
    built = () if state.accepted.known else (int(name.split("-")[0]) for name in state.complete)
    highest = state.accepted.highest_seen(active, *built)
    if manifest.sequence >= highest or known or request.allow_downgrade:
        return
    raise PolicyError(
        Text(
            f"더 오래된 번들입니다: 순번 {manifest.sequence}, 이미 받아들인 순번 {highest}",
            f"an older bundle: sequence {manifest.sequence}, {highest} was accepted here before",
        ),
        state=Text("아무것도 바꾸지 않았습니다", "nothing was changed"),
        hint=Text(
            "의도한 것이면 --allow-downgrade, 보관된 릴리스로 돌아가려면 --rollback",
            "--allow-downgrade if that is what you want; --rollback returns to a kept release",
        ),
    )


def check_host(
    facts: HostFacts, manifest: Manifest, state: InstallationState, plan: Plan, request: Request
) -> tuple[Finding, ...]:
    """Return every reason why this host does not fit; nothing means that it does."""
    found = [
        _platform(facts, manifest),
        _libc(facts, manifest),
        _python(facts, manifest, plan, request),
        _memory(facts, manifest),
        _place(facts),
        _disk(facts, plan),
        _files(facts, manifest),
        _noexec(facts),
        _manager(facts, plan),
        _hidden(facts, plan),
        _port(facts, state, plan),
    ]
    return tuple(finding for finding in found if finding is not None)


def require(findings: tuple[Finding, ...], prefix: str) -> None:
    """Refuse to go on where there are findings.

    Raises:
        PreflightError: with all of them.
    """
    if findings:
        raise PreflightError(
            Text(
                f"이 호스트에 설치할 수 없습니다: {len(findings)}건",
                f"this host does not fit: {len(findings)} finding(s)",
            ),
            where=prefix,
            details=[Text(f"[{f.name}] {f.text.ko}", f"[{f.name}] {f.text.en}") for f in findings],
            state=Text("아무것도 바꾸지 않았습니다", "nothing was changed"),
            hint=Text("위 항목을 해결한 뒤 다시 실행하십시오", "resolve the findings above and run again"),
        )


def _platform(facts: HostFacts, manifest: Manifest) -> Optional[Finding]:
    target = manifest.target
    if (facts.os, facts.arch) == (target.os, target.arch):
        return None
    return Finding(
        "platform",
        Text(
            f"번들은 {target.os}/{target.arch}용인데 이 호스트는 {facts.os}/{facts.arch}입니다",
            f"the bundle is for {target.os}/{target.arch}, this host is {facts.os}/{facts.arch}",
        ),
    )


def _libc(facts: HostFacts, manifest: Manifest) -> Optional[Finding]:
    target = manifest.target
    if not target.libc or facts.os != target.os:
        return None
    if facts.libc == target.libc and _version(facts.libc_version) >= _version(target.libc_min):
        return None
    have = f"{facts.libc} {facts.libc_version}".strip() or "?"
    return Finding(
        "libc",
        Text(
            f"{target.libc} {target.libc_min} 이상이 필요한데 {have}입니다",
            f"needs {target.libc} {target.libc_min} or newer, this host has {have}",
        ),
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _python(facts: HostFacts, manifest: Manifest, plan: Plan, request: Request) -> Optional[Finding]:
    if plan.interpreter is not None or "environment" not in plan.names():
        return None
    if plan.archive is not None and request.python in ("", BUNDLED):
        return None
    wanted = ", ".join(manifest.target.pythons)
    found = ", ".join(f"{python.path} ({python.version})" for python in facts.pythons) or "-"
    return Finding(
        "python",
        Text(
            f"CPython {wanted} 중 하나가 필요합니다 (찾은 것: {found}; 서비스 사용자가 접근할 수 있어야 합니다)",
            f"needs CPython {wanted} (found: {found}; a service user must be able to reach it)",
        ),
    )


def _memory(facts: HostFacts, manifest: Manifest) -> Optional[Finding]:
    # Firmware and kernel keep a few percent of what was bought.
    if not facts.memory_mb or facts.memory_mb * 1.05 >= manifest.memory_mb:
        return None
    return Finding(
        "memory",
        Text(
            f"메모리 {manifest.memory_mb} MiB가 필요한데 {facts.memory_mb} MiB입니다",
            f"needs {manifest.memory_mb} MiB of memory, this host has {facts.memory_mb} MiB",
        ),
    )


def _place(facts: HostFacts) -> Optional[Finding]:
    place = facts.prefix
    if not place.is_folder:
        return Finding(
            "prefix", Text(f"폴더가 아닙니다: {place.ancestor}", f"not a folder: {place.ancestor}")
        )
    if not place.writable:
        return Finding(
            "permission",
            Text(
                f"쓸 수 없습니다: {place.ancestor} (다른 --prefix를 주거나 관리자 권한으로 실행)",
                f"not writable: {place.ancestor} (give another --prefix, or run as root)",
            ),
        )
    return None


def _disk(facts: HostFacts, plan: Plan) -> Optional[Finding]:
    if not facts.prefix.is_folder or not plan.steps or facts.prefix.free_bytes >= plan.bytes_needed:
        return None
    need, free = human_size(plan.bytes_needed), human_size(facts.prefix.free_bytes)
    return Finding(
        "disk",
        Text(
            f"{facts.prefix.ancestor}에 {need}가 필요한데 {free} 남았습니다",
            f"needs {need} at {facts.prefix.ancestor}, {free} are free",
        ),
    )


def _files(facts: HostFacts, manifest: Manifest) -> Optional[Finding]:
    # An installed wheel has some tens of files on average; this only catches a volume that is nearly out.
    need = len(manifest.files) + 50 * len(manifest.of_kind("wheel"))
    if facts.prefix.free_files < 0 or facts.prefix.free_files >= need:
        return None
    return Finding(
        "inodes",
        Text(
            f"파일 {need}개가 필요한데 {facts.prefix.free_files}개만 더 만들 수 있습니다",
            f"needs {need} more files, the file system has room for {facts.prefix.free_files}",
        ),
    )


def _noexec(facts: HostFacts) -> Optional[Finding]:
    if not facts.prefix.noexec:
        return None
    return Finding(
        "noexec",
        Text(
            f"{facts.prefix.ancestor}는 noexec로 마운트되어 프로그램을 실행할 수 없습니다",
            f"{facts.prefix.ancestor} is mounted noexec: programs cannot be run there",
        ),
    )


def _manager(facts: HostFacts, plan: Plan) -> Optional[Finding]:
    if plan.settings is None or plan.settings.manager != "systemd":
        return None
    if facts.euid == 0 and facts.systemd:
        return None
    return Finding(
        "service-manager",
        Text(
            "systemd 서비스에는 실행 중인 systemd와 관리자 권한이 필요합니다 (--service-manager process)",
            "a systemd service needs a running systemd and root (or --service-manager process)",
        ),
    )


def _hidden(facts: HostFacts, plan: Plan) -> Optional[Finding]:
    if plan.settings is None or not plan.settings.user or facts.prefix.reachable:
        return None
    return Finding(
        "prefix-hidden",
        Text(
            f"서비스 사용자가 {facts.prefix.path}에 접근할 수 없습니다 (/opt 아래를 쓰십시오)",
            f"the service user cannot reach {facts.prefix.path} (use a place such as /opt)",
        ),
    )


def _port(facts: HostFacts, state: InstallationState, plan: Plan) -> Optional[Finding]:
    if plan.settings is None or plan.settings.manager == "none" or not plan.settings.enabled:
        return None
    if not facts.port_problem:
        return None
    before = state.service
    ours = (
        before is not None
        and state.running
        and (before.host, before.port)
        == (
            plan.settings.host,
            plan.settings.port,
        )
    )
    if ours and facts.port_problem == "taken":
        return None
    where = f"{plan.settings.host}:{plan.settings.port}"
    reasons = {
        "taken": Text(f"{where}를 다른 프로그램이 쓰고 있습니다", f"{where} is in use by another program"),
        "permission": Text(f"{where}를 열 권한이 없습니다", f"no permission to listen at {where}"),
        "address": Text(f"{where}는 이 호스트의 주소가 아닙니다", f"{where} is not an address of this host"),
    }
    text = reasons[facts.port_problem]
    return Finding("port", Text(f"{text.ko} (--host, --port)", f"{text.en} (--host, --port)"))
