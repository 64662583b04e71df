"""What this host is: gathered once, then only looked at."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Sequence

from .children import minimal_environment
from .paths import TEMPORARY_PYTHON

# Folders that the hardened unit hides from the service (ProtectHome, PrivateTmp).
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
_PROBE = "import sys,platform;print(platform.python_implementation(),*sys.version_info[:3],sys.executable,sep='\\n')"
_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}
_SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}


@dataclass(frozen=True)
class Interpreter:
    """A Python: where, which ``X.Y``, and whether every user of the host can reach it."""

    path: str
    version: str
    reachable: bool = True


@dataclass(frozen=True)
class PrefixFacts:
    """The place an installation is to go: nearest existing folder above it and what can be done there."""

    path: str
    ancestor: str
    is_folder: bool
    writable: bool
    noexec: bool
    reachable: bool
    free_bytes: int
    free_files: int
    # Kind of the file system (Linux), and the longest path that programs may use (Windows); nothing and 0: no limit known.
    filesystem: str = ""
    path_limit: int = 0


@dataclass(frozen=True)
class HostFacts:
    """Everything that preflight and plan look at; plain values only.

    `memory_mb` is what this process may use: the machine's memory, or less where a control group says so
    (`memory_capped`). `cpu_level` is N of the psABI's x86-64-vN, 0 where unknown or another processor.
    """

    os: str
    arch: str
    libc: str
    libc_version: str
    euid: int
    memory_mb: int
    systemd: bool
    pythons: tuple[Interpreter, ...]
    prefix: PrefixFacts
    port_problem: str
    memory_capped: bool = False
    container: str = ""
    user_systemd: bool = False
    lingering: bool = False
    administrator: bool = False
    selinux: bool = False
    cpu_level: int = 0
    gpu_driver: str = ""

    @property
    def manager(self) -> str:
        """The service manager that fits this host and whoever runs this."""
        if self.os in ("windows", "macos"):
            return {"windows": "windows", "macos": "launchd"}[self.os]
        # A user's own systemd brings the service back after a reboot only with lingering; cron always does.
        return "systemd" if (self.systemd and self.euid == 0) or self.lingering else "process"


def gather(
    prefix: Path, pythons: Sequence[str], chosen: str, shared: bool, host: str, port: int
) -> HostFacts:
    """Look at the host.

    Args:
        prefix: where the installation is to go.
        pythons: wanted interpreter versions, ``X.Y``, best first.
        chosen: an interpreter the operator named, or nothing.
        shared: a service user of its own will have to reach the interpreter.
        host: the address the service is to listen at; empty for none.
        port: its port.
    """
    libc, version = libc_of_host()
    euid = os.geteuid() if hasattr(os, "geteuid") else -1
    systemd = Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None
    user_systemd, lingering = _user_manager() if systemd and euid > 0 else (False, False)
    physical, cap = memory_mb(), cgroup_limit_mb()
    return HostFacts(
        os=_SYSTEMS.get(sys.platform, sys.platform),
        arch=_ARCHITECTURES.get(platform.machine().lower(), platform.machine().lower()),
        libc=libc,
        libc_version=version,
        euid=euid,
        memory_mb=min(physical, cap) if cap and physical else physical,
        systemd=systemd,
        pythons=tuple(find_pythons(pythons, chosen, shared and systemd and euid == 0)),
        prefix=look_at(prefix),
        port_problem=probe_port(host, port) if host else "",
        memory_capped=0 < cap < physical,
        container=container_of_host(),
        user_systemd=user_systemd,
        lingering=lingering,
        administrator=_is_administrator(),
        selinux=_first_line(Path("/sys/fs/selinux/enforce")) == "1",
        cpu_level=cpu_level(_read("/proc/cpuinfo")),
        gpu_driver=gpu_driver(),
    )


def _user_manager() -> tuple[bool, bool]:
    from .hosts.systemd import user_manager

    return user_manager()


def _is_administrator() -> bool:
    if sys.platform != "win32":
        return False
    from .hosts.windows import is_administrator

    return is_administrator()


def libc_of_host() -> tuple[str, str]:
    """Return the C library's kind and version: ``("glibc", "2.36")``, ``("musl", "1.2.4")`` or nothing.

    The one of macOS has the system's version: ``("macos", "14.5")``.
    """
    if sys.platform == "darwin":
        return "macos", _macos_version()
    if not sys.platform.startswith("linux"):
        return "", ""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        name, version = "", ""
    if name == "glibc":
        return name, version
    for loader in sorted(Path("/lib").glob("ld-musl-*")):
        return "musl", musl_version(loader)
    return "", ""


def musl_version(loader: Path) -> str:
    """Ask musl's dynamic loader for its version; nothing where it does not tell."""
    try:
        answer = subprocess.run(
            [str(loader)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=20
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"^Version (\d+(?:\.\d+)+)", answer.stderr.decode("utf-8", "replace"), re.MULTILINE)
    return found.group(1) if found else ""


def _macos_version() -> str:
    version = platform.mac_ver()[0]
    if not version.startswith("10.16"):
        return version
    # A Python built for old systems is told 10.16; the kernel says what runs: Darwin 20 is macOS 11.
    kernel = int(platform.release().split(".")[0])
    return str(kernel - 9 if kernel < 25 else kernel + 1)


def container_of_host() -> str:
    """Return which kind of container this is: ``docker``, ``podman``, ``lxc`` …; nothing on a machine of its own."""
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    for path, pattern in (
        # Written by systemd where it runs in one; a plain word.
        ("/run/systemd/container", r"^([a-z-]+)"),
        ("/proc/1/cgroup", r"/(docker|kubepods|containerd|crio|lxc)[-./]"),
    ):
        try:
            found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
        except OSError:
            continue
        if found:
            return found.group(1)
    return ""


def memory_mb() -> int:
    """Return the machine's physical memory in MiB, 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1024 * 1024)
    except (AttributeError, ValueError, OSError):
        return 0


def cgroup_limit_mb(root: Path = Path("/")) -> int:
    """Return the least memory limit of the control groups this process is in, in MiB; 0 for none (Linux)."""
    limits = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        kinds, _, path = line.partition(":")[2].partition(":")
        if kinds not in ("", "memory"):
            continue
        top = root / "sys/fs/cgroup" / kinds
        name = "memory.limit_in_bytes" if kinds else "memory.max"
        group = top / path.lstrip("/")
        while group == top or top in group.parents:
            value = _first_line(group / name)
            # Version 1 says "none" by a number close to 2^63.
            if value.isdigit() and int(value) < 1 << 60:
                limits.append(int(value) // (1024 * 1024))
            group = group.parent
    return min(limits, default=0)


# What a processor has to have for each level (x86-64 psABI, section 3.1.1), in the words of /proc/cpuinfo.
_LEVELS = (
    {"cmov", "cx8", "fpu", "fxsr", "mmx", "syscall", "sse", "sse2"},
    {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"},
    {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
    {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
)


def cpu_level(cpuinfo: str) -> int:
    """Return N of x86-64-vN from the text of ``/proc/cpuinfo``; 0 where it does not tell."""
    found = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    flags = set(found.group(1).split()) if found else set()
    level = 0
    while level < len(_LEVELS) and _LEVELS[level] <= flags:
        level += 1
    return level


def gpu_driver() -> str:
    """Return the version of NVIDIA's kernel driver, or nothing."""
    found = re.search(r"Module\s+(\d+[\d.]*)", _read("/proc/driver/nvidia/version"))
    return found.group(1) if found else ""


def _read(path: os.PathLike[str] | str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first_line(path: Path) -> str:
    return _read(path).partition("\n")[0].strip()


def find_pythons(wanted: Sequence[str], chosen: str = "", shared: bool = False) -> Iterator[Interpreter]:
    """Yield CPython interpreters of the host with a wanted version, in the order of `wanted`.

    The search ends with the first that will do. With `chosen`, only that one is looked at (whatever its version: preflight judges).
    """
    if chosen:
        found = probe(chosen)
        if found is not None:
            yield found
        return
    by_version: dict[str, Interpreter] = {}
    for candidate in _candidates(wanted):
        if any(version in by_version and (by_version[version].reachable or not shared) for version in wanted):
            break
        found = probe(candidate)
        if found is not None and found.version in wanted:
            known = by_version.get(found.version)
            if known is None or (found.reachable and not known.reachable):
                by_version[found.version] = found
    for version in wanted:
        if version in by_version:
            yield by_version[version]


def _candidates(wanted: Sequence[str]) -> Iterator[str]:
    """Yield paths to try, each real file once, this process's own interpreter first."""
    temporary = os.environ.get(TEMPORARY_PYTHON, "")
    names = [*(f"python{version}" for version in wanted), "python3"]
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    listed = [getattr(sys, "_base_executable", None) or sys.executable]
    listed += [os.path.join(folder, name) for name in names for folder in folders if os.path.isabs(folder)]
    seen: set[str] = set()
    for path in listed:
        real = os.path.realpath(path)
        if real in seen or not os.access(path, os.X_OK) or (temporary and _inside(real, temporary)):
            continue
        seen.add(real)
        yield path


def _inside(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)


def probe(path: str) -> Interpreter | None:
    """Ask an interpreter what it is; None where it does not run or is not CPython."""
    own = getattr(sys, "_base_executable", None) or sys.executable
    # One that only runs with the shell's library path would not run as the service: it is asked, without that.
    helped = any(name.startswith(("LD_", "DYLD_")) for name in os.environ)
    ours = os.path.realpath(path) == os.path.realpath(own) and sys.implementation.name == "cpython"
    if ours and not helped:
        return Interpreter(os.path.abspath(path), "%d.%d" % sys.version_info[:2], reachable_by_all(path))
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", _PROBE],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=20, check=True,
            env=minimal_environment({}),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    lines = answer.stdout.decode("utf-8", "replace").splitlines()
    if len(lines) != 5 or lines[0] != "CPython":
        return None
    return Interpreter(lines[4] or path, f"{lines[1]}.{lines[2]}", reachable_by_all(lines[4] or path))


def reachable_by_all(path: str) -> bool:
    """Return whether a service user could get to `path`: every folder open to all, none of them hidden."""
    real = Path(os.path.realpath(path))
    if any(_inside(str(real), folder) for folder in HIDDEN):
        return False
    try:
        return all(part.stat().st_mode & 0o001 for part in [real, *real.parents] if part.exists())
    except OSError:
        return False


def look_at(prefix: Path) -> PrefixFacts:
    """Return what can be said of a place that may not exist yet."""
    ancestor = prefix
    while not os.path.lexists(ancestor) and ancestor != ancestor.parent:
        ancestor = ancestor.parent
    is_folder = ancestor.is_dir()
    usage = shutil.disk_usage(ancestor) if is_folder else None
    files, noexec = _volume(ancestor)
    return PrefixFacts(
        path=str(prefix),
        ancestor=str(ancestor),
        is_folder=is_folder,
        writable=is_folder and os.access(ancestor, os.W_OK | os.X_OK),
        noexec=noexec,
        reachable=reachable_by_all(str(ancestor)) and not any(_inside(str(prefix), h) for h in HIDDEN),
        free_bytes=usage.free if usage else 0,
        free_files=files,
        filesystem=filesystem_of(ancestor, _read("/proc/self/mountinfo")),
        path_limit=path_limit(),
    )


def filesystem_of(path: Path, mountinfo: str) -> str:
    """Return the kind of the file system `path` lies on, from the text of ``/proc/self/mountinfo``."""
    real = os.path.realpath(path)
    best = ("", "")
    for line in mountinfo.splitlines():
        mount, _, rest = line.partition(" - ")
        words = mount.split()
        if len(words) < 5 or not rest:
            continue
        # Blanks in mount points are written as octal numbers.
        point = re.sub(r"\\([0-7]{3})", lambda number: chr(int(number.group(1), 8)), words[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, rest.split()[0])
    return best[1]


def path_limit() -> int:
    """Return the longest path that every program may use: 260 on a Windows whose switch for long paths is off."""
    if sys.platform != "win32":
        return 0
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return 0 if winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1 else 260
    except OSError:
        return 260


def _volume(path: Path) -> tuple[int, bool]:
    """Return free inodes (-1: unlimited or unknown) and whether programs may not be run there."""
    if sys.platform == "win32":
        return -1, False
    try:
        volume = os.statvfs(path)
    except OSError:
        return -1, False
    return (volume.f_favail if volume.f_files else -1), bool(volume.f_flag & getattr(os, "ST_NOEXEC", 0))


def probe_port(host: str, port: int) -> str:
    """Return why the service could not listen there: ``taken``, ``address``, ``permission`` or nothing."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "taken"
        return "permission" if error.errno == errno.EACCES else "address"
    return ""
