"""Does the host fit? Pure: facts, manifest, state and plan go in, every finding comes out at once.

A finding refuses, or is a note that should be read: nothing is left out because of another one.
"""

from __future__ import annotations

import re
from typing import Callable, NamedTuple, Optional

from bundle.errors import PolicyError, PreflightError
from bundle.manifest import Manifest
from bundle.text import Text, human_size

from .facts import HostFacts, PrefixFacts
from .plan import BUNDLED, Plan, Request, destination
from .state import InstallationState

# What the longest path inside a release has at most, where the bundle cannot tell: packages below site-packages.
LONGEST_INSIDE = 170
# File systems without links, owners and permissions: an environment cannot be made there, nor a secret kept.
UNFIT = ("vfat", "msdos", "exfat")


class Finding(NamedTuple):
    """What does not fit, or should be known (`refuses` is false): a stable name, what it is about, what was
    measured and what is needed as plain values, and the remedy."""

    name: str
    text: Text
    measured: str
    needed: str
    remedy: Text
    refuses: bool = True

    def line(self) -> Text:
        """Return everything as one line."""
        ko = f"[{self.name}] {self.text.ko}: 측정 {self.measured}, 필요 {self.needed}. 조치: {self.remedy.ko}"
        en = (
            f"[{self.name}] {self.text.en}: measured {self.measured}, needed {self.needed}. "
            f"Remedy: {self.remedy.en}"
        )
        return Text(ko, en)


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
    """Return every reason why this host does not fit, and every note; nothing means that all is well."""
    found = [
        _platform(facts, manifest),
        _libc(facts, manifest),
        _python(facts, manifest, plan, request),
        _memory(facts, manifest),
        _place(facts),
        _disk(facts.prefix, plan),
        _odd(state, plan),
        _files(facts, manifest),
        _noexec(facts),
        _filesystem(facts),
        _long_paths(facts, manifest, plan),
        _manager(facts, plan),
        _hidden(facts, plan),
        _port(facts, state, plan),
        *(note(facts, manifest, plan) for note in _NOTES),
    ]
    return tuple(finding for finding in found if finding is not None)


def notes(findings: tuple[Finding, ...]) -> list[Text]:
    """Return what should be known although it refuses nothing."""
    return [finding.line() for finding in findings if not finding.refuses]


def require(findings: tuple[Finding, ...], prefix: str) -> None:
    """Refuse to go on where a finding says so.

    Raises:
        PreflightError: with all of them, the notes too.
    """
    refusals = sum(finding.refuses for finding in findings)
    if refusals:
        raise PreflightError(
            Text(
                f"이 호스트에 설치할 수 없습니다: {refusals}건",
                f"this host does not fit: {refusals} finding(s)",
            ),
            where=prefix,
            details=[finding.line() for finding in sorted(findings, key=lambda each: not each.refuses)],
            state=Text("아무것도 바꾸지 않았습니다", "nothing was changed"),
            hint=Text("위 항목을 해결한 뒤 다시 실행하십시오", "resolve the findings above and run again"),
        )


def _platform(facts: HostFacts, manifest: Manifest) -> Optional[Finding]:
    target = manifest.target
    if (facts.os, facts.arch) == (target.os, target.arch):
        return None
    return Finding(
        "platform",
        Text("번들이 이 플랫폼용이 아닙니다", "the bundle is for another platform"),
        f"{facts.os}/{facts.arch}",
        f"{target.os}/{target.arch}",
        Text("이 플랫폼용으로 만든 번들을 반입하십시오", "carry in a bundle made for this platform"),
    )


def _libc(facts: HostFacts, manifest: Manifest) -> Optional[Finding]:
    target = manifest.target
    if not target.libc or facts.os != target.os:
        return None
    if facts.libc == target.libc and _version(facts.libc_version) >= _version(target.libc_min):
        return None
    return Finding(
        "libc",
        Text("C 라이브러리가 맞지 않거나 오래되었습니다", "the C library is another one, or too old"),
        f"{facts.libc} {facts.libc_version}".strip() or "?",
        f"{target.libc} {target.libc_min}+",
        Text(
            "더 새로운 배포판을 쓰거나 이 호스트에 맞는 대상으로 만든 번들을 반입하십시오. C 라이브러리만 바꾸지 마십시오",
            "use a newer distribution, or carry in a bundle made for a target that fits this host; never replace the C library alone",
        ),
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _python(facts: HostFacts, manifest: Manifest, plan: Plan, request: Request) -> Optional[Finding]:
    if plan.interpreter is not None or "environment" not in plan.names():
        return None
    if plan.archive is not None and request.python in ("", BUNDLED):
        return None
    wanted = f"CPython {', '.join(manifest.target.pythons)}"
    found = ", ".join(f"{python.path} ({python.version})" for python in facts.pythons) or "-"
    if request.python == BUNDLED:
        found = "-"
    return Finding(
        "python",
        Text(
            "쓸 수 있는 파이썬이 없습니다 (서비스 사용자도 접근할 수 있어야 합니다)",
            "no Python that fits (a service user must be able to reach it, too)",
        ),
        found,
        wanted,
        Text(
            f"{wanted} 중 하나를 설치하거나, --python으로 지정하거나, 파이썬이 포함된 번들을 반입하십시오",
            f"install one of {wanted}, name one with --python, or carry in a bundle that has a Python in it",
        ),
    )


def _memory(facts: HostFacts, manifest: Manifest) -> Optional[Finding]:
    # Firmware and kernel keep a few percent of what was bought.
    if not facts.memory_mb or facts.memory_mb * 1.05 >= manifest.memory_mb:
        return None
    remedy = Text("메모리를 늘리십시오", "give the host more memory")
    if facts.memory_capped:
        remedy = Text(
            "컨테이너나 제어 그룹(cgroup)의 메모리 제한을 늘리십시오",
            "raise the memory limit of the container or control group",
        )
    measured, needed = f"{facts.memory_mb} MiB", f"{manifest.memory_mb} MiB"
    return Finding("memory", Text("메모리가 모자랍니다", "too little memory"), measured, needed, remedy)


def _place(facts: HostFacts) -> Optional[Finding]:
    place = facts.prefix
    if not place.is_folder:
        return Finding(
            "prefix",
            Text("설치 위치가 폴더가 아닙니다", "the place is not a folder"),
            place.ancestor,
            "a folder",
            _OTHER_PLACE,
        )
    if not place.writable:
        return Finding(
            "permission",
            Text("설치 위치에 쓸 수 없습니다", "the place cannot be written to"),
            place.ancestor,
            "rwx",
            Text(
                "관리자 권한으로 실행하거나 다른 --prefix를 주십시오", "run as root, or give another --prefix"
            ),
        )
    return None


_OTHER_PLACE = Text("다른 --prefix를 주십시오", "give another --prefix")


def check_room(place: PrefixFacts, plan: Plan, state: InstallationState) -> tuple[Finding, ...]:
    """Return why the data could not be kept: what a rollback has to look at, where it keeps them at all."""
    if "snapshot" not in plan.names():
        return ()
    found = [_disk(place, plan), _odd(state, plan)]
    return tuple(finding for finding in found if finding is not None)


def _odd(state: InstallationState, plan: Plan) -> Optional[Finding]:
    if "snapshot" not in plan.names() or not state.data.odd:
        return None
    return Finding(
        "data",
        Text("데이터에 스냅숏에 담을 수 없는 것이 있습니다", "the data hold what a snapshot cannot keep"),
        f"data/{state.data.odd}",
        "-",
        Text("파일, 폴더, 링크가 아닌 것은 지우십시오", "remove what is neither file, folder nor link"),
    )


def _disk(place: PrefixFacts, plan: Plan) -> Optional[Finding]:
    if not place.is_folder or not plan.steps or place.free_bytes >= plan.bytes_needed:
        return None
    # What an archive or a delta brings is stored before anything is built from it.
    taken = sum(step.bytes for step in plan.steps if step.name == "contents")
    ko = f" (그중 저장소에 담을 내용 {human_size(taken)})" if taken else ""
    en = f" ({human_size(taken)} of it for contents that go into the store)" if taken else ""
    return Finding(
        "disk",
        Text(f"{place.ancestor}의 공간이 모자랍니다{ko}", f"too little space at {place.ancestor}{en}"),
        human_size(place.free_bytes),
        human_size(plan.bytes_needed),
        Text(
            "공간을 비우거나(오래된 릴리스는 --prune) 다른 --prefix를 주십시오",
            "free space (--prune removes old releases), or give another --prefix",
        ),
    )


def _files(facts: HostFacts, manifest: Manifest) -> Optional[Finding]:
    # An installed wheel has some tens of files on average; this only catches a volume that is nearly out.
    need = len(manifest.files) + 50 * len(manifest.of_kind("wheel"))
    if facts.prefix.free_files < 0 or facts.prefix.free_files >= need:
        return None
    return Finding(
        "inodes",
        Text("파일 시스템에 더 만들 수 있는 파일 수가 모자랍니다", "the file system has too few inodes left"),
        str(facts.prefix.free_files),
        str(need),
        Text("쓰지 않는 파일을 지우거나 다른 --prefix를 주십시오", "remove files, or give another --prefix"),
    )


def _noexec(facts: HostFacts) -> Optional[Finding]:
    if not facts.prefix.noexec:
        return None
    return Finding(
        "noexec",
        Text("설치 위치에서 프로그램을 실행할 수 없습니다", "programs cannot be run at the place"),
        f"{facts.prefix.ancestor} noexec",
        "exec",
        Text(
            "noexec 없이 마운트하거나 다른 --prefix를 주십시오",
            "mount it without noexec, or give another --prefix",
        ),
    )


def _filesystem(facts: HostFacts) -> Optional[Finding]:
    if facts.prefix.filesystem not in UNFIT:
        return None
    return Finding(
        "file-system",
        Text(
            "이 파일 시스템에는 링크와 파일 권한이 없습니다",
            "this file system has neither links nor permissions",
        ),
        facts.prefix.filesystem,
        "ext4, xfs, btrfs …",
        _OTHER_PLACE,
    )


def _long_paths(facts: HostFacts, manifest: Manifest, plan: Plan) -> Optional[Finding]:
    limit = facts.prefix.path_limit
    if not limit or not plan.steps:
        return None
    copied = (destination(entry) for entry in manifest.files)
    longest = max([LONGEST_INSIDE, *(len(str(path)) for path in copied if path is not None)])
    need = len(facts.prefix.path) + len(f"/generations/{plan.generation}/") + longest
    if need < limit:
        return None
    switch = "reg add HKLM\\SYSTEM\\CurrentControlSet\\Control\\FileSystem /v LongPathsEnabled /t REG_DWORD /d 1 /f"
    return Finding(
        "long-paths",
        Text(
            "경로가 Windows의 제한보다 길어집니다",
            "paths would be longer than this Windows lets programs use",
        ),
        str(need),
        f"< {limit}",
        Text(
            f"더 짧은 --prefix를 주거나(예: C:\\RAGTrace) 관리자 권한으로 실행: {switch}",
            f"give a shorter --prefix such as C:\\RAGTrace, or run as an administrator: {switch}",
        ),
    )


def _manager(facts: HostFacts, plan: Plan) -> Optional[Finding]:
    manager = plan.settings.manager if plan.settings is not None else "none"
    able = {
        "systemd": facts.systemd and (facts.euid == 0 or facts.user_systemd),
        "launchd": facts.os == "macos",
        "windows": facts.os == "windows",
        "process": facts.os != "windows",
    }
    if able.get(manager, True):
        return None
    needed = {
        "systemd": "systemd, root (or systemd --user)",
        "launchd": "macOS",
        "windows": "Windows",
        "process": "POSIX",
    }
    who = "root" if facts.euid == 0 else f"uid {facts.euid}"
    return Finding(
        "service-manager",
        Text(f"{manager}(으)로 서비스를 실행할 수 없습니다", f"{manager} cannot run the service here"),
        f"{facts.os}, {'systemd' if facts.systemd else 'no systemd'}, {who}",
        needed[manager],
        Text(
            f"--service-manager {facts.manager} (또는 auto)", f"--service-manager {facts.manager} (or auto)"
        ),
    )


def _hidden(facts: HostFacts, plan: Plan) -> Optional[Finding]:
    if plan.settings is None or not plan.settings.user or facts.prefix.reachable:
        return None
    return Finding(
        "prefix-hidden",
        Text(
            "서비스 사용자가 설치 위치에 접근할 수 없습니다",
            "the service's user cannot reach the place",
        ),
        facts.prefix.path,
        "o+x, not below /home, /root, /tmp",
        Text("/opt 아래를 --prefix로 주십시오", "give a --prefix below /opt"),
    )


def _port(facts: HostFacts, state: InstallationState, plan: Plan) -> Optional[Finding]:
    if plan.settings is None or plan.settings.manager == "none" or not plan.settings.enabled:
        return None
    if not facts.port_problem:
        return None
    before = state.service
    asked = (plan.settings.host, plan.settings.port)
    ours = before is not None and state.running and (before.host, before.port) == asked
    if ours and facts.port_problem == "taken":
        return None
    reasons = {
        "taken": Text("다른 프로그램이 쓰고 있습니다", "another program uses it"),
        "permission": Text("열 권한이 없습니다", "no permission to listen there"),
        "address": Text("이 호스트의 주소가 아닙니다", "not an address of this host"),
    }
    reason = reasons[facts.port_problem]
    return Finding(
        "port",
        Text(
            f"서비스의 주소를 쓸 수 없습니다: {reason.ko}",
            f"the service's address cannot be used: {reason.en}",
        ),
        f"{asked[0]}:{asked[1]} {facts.port_problem}",
        "free",
        Text("--host나 --port로 다른 주소를 주십시오", "give another address with --host or --port"),
    )


def _container(facts: HostFacts, manifest: Manifest, plan: Plan) -> Optional[Finding]:
    if not facts.container or plan.settings is None or plan.settings.manager != "process":
        return None
    return Finding(
        "container",
        Text(
            "컨테이너 안이며 서비스 관리자가 없어 일반 프로세스로 실행합니다",
            "in a container without a service manager: the service runs as an ordinary process",
        ),
        facts.container,
        "-",
        Text(
            "컨테이너가 시작할 때 서비스도 시작하게 하십시오 (명령은 마지막에 나옵니다)",
            "let the container start the service; the command is shown at the end",
        ),
        refuses=False,
    )


def _selinux(facts: HostFacts, manifest: Manifest, plan: Plan) -> Optional[Finding]:
    if not facts.selinux or plan.settings is None or plan.settings.manager != "systemd":
        return None
    path = facts.prefix.path
    return Finding(
        "selinux",
        Text("SELinux가 강제 모드입니다", "SELinux is enforcing"),
        "enforcing",
        "-",
        Text(
            f"서비스가 시작되지 않으면 restorecon -R {path}를 실행하고 ausearch -m avc로 확인하십시오",
            f"if the service does not start: restorecon -R {path}, then look at ausearch -m avc",
        ),
        refuses=False,
    )


def _processor(facts: HostFacts, manifest: Manifest, plan: Plan) -> Optional[Finding]:
    if facts.arch != "x86_64" or not 0 < facts.cpu_level < 2:
        return None
    return Finding(
        "cpu",
        Text(
            "프로세서가 오래되어 일부 패키지가 실행되지 않을 수 있습니다",
            "an old processor: some packages may not run on it",
        ),
        f"x86-64-v{facts.cpu_level}",
        "x86-64-v2",
        Text(
            "가상 머신이면 CPU 모델을 host로 바꾸십시오. 설치 후 검증기가 패키지를 확인합니다",
            "in a virtual machine, set its CPU model to host; the validator tries the packages after the installation",
        ),
        refuses=False,
    )


def _gpu(facts: HostFacts, manifest: Manifest, plan: Plan) -> Optional[Finding]:
    if facts.gpu_driver or facts.os != "linux" or not wants_gpu(manifest):
        return None
    return Finding(
        "gpu",
        Text("GPU용 번들인데 NVIDIA 드라이버가 없습니다", "a bundle for a GPU, and no NVIDIA driver"),
        "-",
        "NVIDIA driver",
        Text(
            "GPU를 쓰려면 이 호스트에 드라이버를 설치하십시오",
            "install the driver on this host where its GPU is to be used",
        ),
        refuses=False,
    )


def wants_gpu(manifest: Manifest) -> bool:
    """Return whether the bundle was made to use a GPU: by its profile, or by a package that was built for CUDA.

    PyPI's torch for Linux brings CUDA packages to hosts without a GPU too and runs there, so they do not count.
    """
    built = any(re.search(r"\+cu\d", package.version) for package in manifest.packages)
    return built or manifest.profile == "gpu"


_NOTES: tuple[Callable[[HostFacts, Manifest, Plan], Optional[Finding]], ...] = (
    _container,
    _selinux,
    _processor,
    _gpu,
)
