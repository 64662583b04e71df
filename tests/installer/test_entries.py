"""The ways in: install.py and install.sh under shells and mounts as they are found on hosts."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bundle.errors import UsageProblem
from installer.paths import default_prefix
from tests.support.bundles import Bundle

from .site import Site

# Set by whoever has a toolchain, a conda or a proxy in his shell.
POLLUTION = {
    "PYTHONHOME": "",
    "PYTHONSTARTUP": "/nonexistent.py",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PIP_INDEX_URL": "http://192.0.2.1/simple",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "UV_INDEX_URL": "http://192.0.2.1/simple",
    "UV_PYTHON": "3.7",
    "UV_SYSTEM_PYTHON": "1",
    "VIRTUAL_ENV": "/nonexistent",
    "CONDA_PREFIX": "/nonexistent",
    "LD_LIBRARY_PATH": "/nonexistent",
    "HTTPS_PROXY": "http://192.0.2.1:3128",
    "http_proxy": "http://192.0.2.1:3128",
}
needs_mounts = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="mounts need root and unshare",
)


def run(
    command: Sequence[str], environment: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command with a plain environment and what is added to it."""
    plain = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
    plain["RAGTRACE_CRONTAB"] = os.environ["RAGTRACE_CRONTAB"]
    return subprocess.run(
        list(command), env={**plain, **(environment or {})}, capture_output=True, text=True, check=False,
        timeout=120, **options,
    )  # fmt: skip


@pytest.fixture
def full(bundle_for: Callable[..., Bundle]) -> Bundle:
    return bundle_for(tools="full")


def entry(bundle: Bundle, site: Site, *words: str) -> list[str]:
    """Return the command that installs a bundle by the script in it."""
    script = str(bundle.root / "04_Scripts" / "install.py")
    return [sys.executable, script, "--prefix", str(site.root), *site.words(bundle), *words]


def test_what_a_shell_carries_does_not_reach_the_installer(full: Bundle, site: Site, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    (evil / "installer").mkdir(parents=True)
    for name in ("sitecustomize.py", "argparse.py", "installer/__init__.py", "installer/cli.py"):
        (evil / name).write_text(f"open({str(tmp_path / 'loaded')!r}, 'a').write('{name} ')\n")
    (evil / "sitecustomize.py").write_text("")
    done = run(entry(full, site), {**POLLUTION, "PYTHONPATH": str(evil)})
    assert done.returncode == 0, done.stderr
    assert site.answering() == full.generation
    assert not (tmp_path / "loaded").exists()
    assert full.root.joinpath("04_Scripts", "__pycache__").exists() is False


def test_an_interpreter_that_needs_its_library_path_is_not_started_without_it(
    full: Bundle, tmp_path: Path
) -> None:
    """It goes on as it is, instead of ending in the dynamic loader."""
    script = (full.root / "04_Scripts" / "install.py").read_text()
    picky = tmp_path / "python"
    picky.write_text(f'#!/bin/sh\n[ -n "$LD_LIBRARY_PATH" ] || exit 127\nexec {sys.executable} "$@"\n')
    picky.chmod(0o755)
    code = f"import sys; sys.executable = {str(picky)!r}; __file__ = 'x'; exec({script.partition('if __name__')[0]!r}); start_clean(); print('went on')"
    done = run([sys.executable, "-c", code], {"LD_LIBRARY_PATH": "/opt/lib"})
    assert done.stdout == "went on\n", done.stderr


@pytest.mark.parametrize("closed", ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"))
def test_closed_standard_streams_are_no_trouble(closed: str, full: Bundle, site: Site) -> None:
    done = run(["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *entry(full, site)])
    assert done.returncode == 0, done.stderr
    assert site.answering() == full.generation
    verified = site.run("--verify")
    assert verified.code == 0, verified.err


@pytest.mark.parametrize("umask", ("077", "000"))
def test_the_umask_of_the_shell_changes_no_permission(umask: str, full: Bundle, site: Site) -> None:
    done = run(["/bin/sh", "-c", f'umask {umask}; exec "$@"', "sh", *entry(full, site)])
    assert done.returncode == 0, done.stderr
    folder = site.prefix.generation(full.generation)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert site.prefix.settings.stat().st_mode & 0o777 == 0o600
    loose = [p for p in site.root.rglob("*") if not p.is_symlink() and p.lstat().st_mode & 0o002]
    assert loose == []
    closed = [p for p in folder.rglob("*") if not p.is_symlink() and not p.lstat().st_mode & 0o004]
    assert closed == [], "a service user of its own must be able to read the release"


def test_no_home_is_no_trouble_with_a_prefix(full: Bundle, site: Site) -> None:
    done = run(["env", "-u", "HOME", *entry(full, site)])
    assert done.returncode == 0, done.stderr


def test_a_user_without_a_home_is_told_to_give_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `Path.home` is where HOME is not set and the user has no account."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(Path, "home", unknown)
    with pytest.raises(UsageProblem) as refused:
        default_prefix()
    assert "--prefix" in refused.value.render("ko")


def archive(script: str) -> bytes:
    """Return an interpreter archive whose `python3` is a shell script."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        member = tarfile.TarInfo("python/bin/python3")
        member.size, member.mode = len(script), 0o755
        packed.addfile(member, io.BytesIO(script.encode()))
    return buffer.getvalue()


FAKE = '#!/bin/sh\ncase "$*" in *" -c "*) exit 0;; esac\n'
NEEDED = (
    "sh",
    "dirname",
    "basename",
    "mktemp",
    "tar",
    "gzip",
    "rm",
    "grep",
    "sha256sum",
    "chmod",
    "cat",
    "sleep",
    "mount",
)


@pytest.fixture
def bare(bundle_for: Callable[..., Bundle], tmp_path: Path) -> Callable[[str], tuple[Path, dict[str, str]]]:
    """Make a copy of a bundle whose interpreter archive holds this script, and a PATH without any Python."""

    def make(script: str) -> tuple[Path, dict[str, str]]:
        bundle = bundle_for(tools="full", archive=archive(FAKE + script))
        entry = bundle.root / "04_Scripts" / "install.sh"
        entry.write_text(entry.read_text().replace(" /usr/bin/python3;", ";"))
        tools = tmp_path / "bin"
        tools.mkdir()
        for name in NEEDED:
            (tools / name).symlink_to(shutil.which(name) or "/missing")
        temporary = tmp_path / "임시 folder"
        temporary.mkdir()
        return entry, {"PATH": str(tools), "TMPDIR": str(temporary), "HOME": str(tmp_path)}

    return make


Bare = Callable[[str], tuple[Path, dict[str, str]]]


def left(environment: dict[str, str]) -> list[Path]:
    """Return what was left behind in the temporary folders."""
    return [
        path
        for place in (environment["TMPDIR"], environment["HOME"])
        for path in Path(place).glob("ragtrace-python.*")
    ]


def test_the_shell_entry_passes_words_input_and_status_on_and_clears_up(bare: Bare) -> None:
    script, environment = bare('shift 3; printf "<%s>" "$@"; cat; exit 7\n')
    done = run(["sh", str(script), "a b", "한글"], environment, input="typed")
    assert (done.returncode, done.stdout) == (7, "<a b><한글>typed"), done.stderr
    assert left(environment) == []


def test_the_shell_entry_works_without_any_standard_input(bare: Bare) -> None:
    script, environment = bare("cat; exit 7\n")
    done = run(["sh", "-c", 'exec sh "$1" <&-', "sh", str(script)], environment)
    assert (done.returncode, done.stdout) == (7, ""), done.stderr


@pytest.mark.parametrize("shell", ("dash", "bash"))
@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
def test_a_signal_reaches_the_installer_which_ends_before_its_interpreter_goes(
    shell: str, number: signal.Signals, bare: Bare, tmp_path: Path
) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} on this machine")
    log = tmp_path / "log"
    script, environment = bare(
        f"trap 'sleep 0.3; [ -x \"$0\" ] && echo undone >>{log}; exit 130' TERM\necho began >>{log}\n"
        "while :; do sleep 0.05; done\n"
    )
    process = subprocess.Popen([found, str(script)], env=environment, stderr=subprocess.PIPE)
    while not log.exists() or "began" not in log.read_text():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(20) == 130
    assert process.stderr is not None
    process.stderr.close()
    assert log.read_text() == "began\nundone\n"
    assert left(environment) == []


def mounted(
    environment: dict[str, str], mount: str, command: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run a command in a mount namespace of its own, after the shell line `mount`."""
    unshare = shutil.which("unshare") or "unshare"
    line = f'{shutil.which("mount")} --make-rprivate / && {mount} && exec "$@"'
    return run([unshare, "-m", "/bin/sh", "-c", line, "sh", *command], environment)


@needs_mounts
def test_a_noexec_temporary_folder_is_passed_over(bare: Bare) -> None:
    script, environment = bare('echo "$RAGTRACE_TEMPORARY_PYTHON"; exit 7\n')
    mount = 'mount -t tmpfs -o noexec none "$TMPDIR" && mount -t tmpfs -o noexec none /var/tmp'
    done = mounted(environment, f"{mount} && mount -t tmpfs -o noexec none /run", ["sh", str(script)])
    assert done.returncode == 7, done.stderr
    assert not done.stdout.startswith((environment["TMPDIR"], "/var/tmp", "/run"))
    assert not Path(done.stdout.strip()).exists()


@needs_mounts
def test_a_temporary_folder_without_room_is_passed_over(bare: Bare) -> None:
    script, environment = bare(
        'echo "$RAGTRACE_TEMPORARY_PYTHON"; exit 7\n: ' + os.urandom(200_000).hex() + "\n"
    )
    done = mounted(environment, 'mount -t tmpfs -o size=64k none "$TMPDIR"', ["sh", str(script)])
    assert done.returncode == 7, done.stderr
    assert not done.stdout.startswith(environment["TMPDIR"])


@needs_mounts
def test_where_programs_run_only_at_the_prefix_its_folder_is_used(bare: Bare, tmp_path: Path) -> None:
    script, environment = bare('echo "$RAGTRACE_TEMPORARY_PYTHON"; exit 7\n')
    place = Path("/var/lib/ragtrace-test-entries")
    place.mkdir()
    try:
        full = "mount -t tmpfs -o size=4k,nr_inodes=2 none"
        copies = f"cp -a {script.parent.parent} {place}/b && cp -a {environment['PATH']} {place}/bin"
        mount = f'{full} "$TMPDIR" && {full} /var/tmp && {full} /opt && {copies} && {full} /tmp && PATH={place}/bin'
        command = ["sh", f"{place}/b/04_Scripts/install.sh", "--prefix", f"{place}/new/설치"]
        done = mounted({**environment, "PATH": os.environ["PATH"]}, mount, command)
        assert done.returncode == 7, done.stderr
        assert done.stdout.startswith(f"{place}/ragtrace-python.")
    finally:
        shutil.rmtree(place)


def test_an_interpreter_that_does_not_run_here_is_refused_with_the_places_that_were_tried(
    bundle_for: Callable[..., Bundle], bare: Bare, tmp_path: Path
) -> None:
    """As one does that was linked against a newer C library."""
    script, environment = bare("")
    broken = archive("#!/bin/sh\necho 'GLIBC_2.38 not found' >&2\nexit 1\n")
    packed = next(script.parent.parent.glob("01_Prerequisites/python-*.tar.gz"))
    packed.write_bytes(broken)
    (tmp_path / "bin" / "sha256sum").unlink()
    done = run(["sh", str(script)], environment)
    assert done.returncode == 12
    assert (
        "TMPDIR=" in done.stderr
        and environment["TMPDIR"] in done.stderr
        and "실행되지 않습니다" in done.stderr
    )
    assert left(environment) == []


@needs_mounts
@pytest.mark.parametrize(
    ("mount", "finding"),
    (
        ("mount -t tmpfs -o noexec none {place}", "[noexec]"),
        ("mount -t tmpfs -o size=1m none {place}", "[disk]"),
        ("mount -t tmpfs -o size=900m,nr_inodes=40 none {place}", "[inodes]"),
        ("mount -t tmpfs none {place} && mount -o remount,ro {place}", "[permission]"),
    ),
    ids=lambda value: value.strip("[]") if value.startswith("[") else "",
)
def test_a_place_that_does_not_do_is_refused_and_stays_empty(
    mount: str, finding: str, full: Bundle, site: Site, tmp_path: Path
) -> None:
    place = tmp_path / "여기 place"
    place.mkdir()
    command = [*entry(full, site), "--prefix", str(place / "new" / "prefix")]
    quoted = mount.format(place=f'"{place}"')
    listed = f'{shutil.which("mount")} --make-rprivate / && {quoted} && ("$@"; echo "code $?"; ls -A "{place}" | wc -l)'
    done = run(["unshare", "-m", "/bin/sh", "-c", listed, "sh", *command])
    assert "code 12" in done.stdout and finding in done.stderr, done.stdout + done.stderr
    assert done.stdout.split()[-1] == "0"


@needs_mounts
def test_bundle_and_prefix_may_lie_on_different_file_systems(
    full: Bundle, site: Site, tmp_path: Path
) -> None:
    place = tmp_path / "여기 place"
    place.mkdir()
    command = [*entry(full, site), "--prefix", str(place / "p"), "--no-start"]
    line = f'mount --make-rprivate / && mount -t tmpfs none "{place}" && "$@" && exec "{place}/p/current/venv/bin/python" -c "import ragtrace; print(ragtrace.VERSION)"'
    done = run(["unshare", "-m", "/bin/sh", "-c", line, "sh", *command])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1.0.0"
