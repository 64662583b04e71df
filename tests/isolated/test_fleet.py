"""Many hosts: the shipped playbooks, run by the carried ansible-core, against three isolated hosts over ssh.

The journey is made once; the claims look at what was seen on it.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from builder.cache import Cache
from builder.sealing.seal import seal
from builder.stage import StagedFile
from builder.transport.ship import ship
from bundle.layout import METADATA
from tests.support.bundles import REPOSITORY, Bundle, make_bundle

from .fleet import OPERATOR, PASSWORD, Fleet
from .host_root import HostKind, template
from .tools import Completed, run_here

pytestmark = pytest.mark.isolated
HOSTS = ("one", "two", "three")
PORT = 8437
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# The gate of install.py: the new release is refused on a host that has this file.
VALIDATOR = """
import json, os, sys
version, broken = {version!r}, os.path.exists("/etc/broken")
if "--format" in sys.argv:
    print(json.dumps({{"version": version, "overall_status": "CRITICAL" if broken else "EXCELLENT"}}))
sys.exit(3 if broken and version != "1.0.0" else 0)
"""
OCCUPY = f"""
import os, socket
if os.fork() == 0:
    os.setsid()
    held = socket.socket(); held.bind(("127.0.0.1", {PORT})); held.listen()
    open("/run/occupier", "w").write(str(os.getpid()))
    for number in (0, 1, 2): os.close(number)
    import time; time.sleep(600)
"""


@dataclass
class Run:
    """One playbook run: how it ended, what it reported about each host, and what the hosts said afterwards."""

    done: Completed
    reports: Mapping[str, Any]
    table: str
    state: Mapping[str, Any]
    carried: Sequence[str]

    def results(self) -> list[str]:
        """The result of each host, in order; nothing for a host that has no report of this run."""
        return [self.reports.get(name, {}).get("result", "") for name in HOSTS]

    def versions(self) -> list[str]:
        """What each host runs afterwards."""
        return [self.state[name].get("version", "") for name in HOSTS]

    def changed(self) -> dict[str, int]:
        """How many changes Ansible counted on each host."""
        lines = self.done.stdout.partition("PLAY RECAP")[2].splitlines()
        rows = [line.split() for line in lines if " : " in line]
        return {row[0]: int(row[3].removeprefix("changed=")) for row in rows}


@dataclass
class Control:
    """The control host: the carried ansible-core and one unpacked bundle, in a network of its own."""

    ansible: Path
    fleet: Fleet
    folder: Path
    bundles: Mapping[str, Bundle]
    runs: dict[str, Run] = field(default_factory=dict)

    def play(
        self,
        name: str,
        playbook: str,
        bundle: str = "1",
        extra: Mapping[str, Any] | None = None,
        *words: str,
        hosts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Run:
        """Run a playbook out of a bundle and look at everything it left."""
        reports = self.folder / "reports" / name
        variables = {
            "ragtrace_bundle_mode": "mounted",
            "ragtrace_bundle": f"/srv/carry-in/{bundle}",
            "ragtrace_allowed_signers": str(self.folder / "allowed_signers"),
            "ragtrace_report_dir": str(reports),
            "ragtrace_lang": "en",
            "ragtrace_batch": [1, 2],
            **(extra or {}),
        }
        ordinary = {
            "ansible_user": OPERATOR,
            "ansible_become_method": "su",
            "ansible_become_password": PASSWORD,
        }
        inventory = self.fleet.inventory(
            self.folder / "hosts.yml", variables, {"one": ordinary, **(hosts or {})}
        )
        scripts = self.bundles[bundle].root / "04_Scripts/ansible"
        command = [sys.executable, "-m", "tests.support.namespace", str(self.ansible), "-i", str(inventory)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "ANSIBLE_CONFIG": str(scripts / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "ansible-home"),
            "ANSIBLE_NOCOLOR": "1",
            "LANG": "C.UTF-8",
        }
        done = run_here(
            [*command, str(scripts / playbook), *words], env=environment, cwd=self.folder, timeout=300
        )
        told = {
            path.stem: json.loads(path.read_text()) for path in reports.glob("*.json") if path.stem in HOSTS
        }
        table = (reports / "summary.txt").read_text() if (reports / "summary.txt").is_file() else ""
        state = {host: self.status(host) for host in HOSTS}
        carried = [
            f"{host}: {path.name}"
            for host in HOSTS
            for path in self.fleet.hosts[host].inside("/var/lib/ragtrace-carry-in").glob("incoming/*")
        ]
        self.runs[name] = Run(done, told, table, state, carried)
        return self.runs[name]

    def status(self, host: str) -> dict[str, Any]:
        """Ask a host's own installer what is installed."""
        if not self.fleet.hosts[host].running:
            return {}
        tools = "/opt/ragtrace/current/tools/04_Scripts/install.py"
        asked = self.fleet.hosts[host].run(
            ["/opt/ragtrace/current/venv/bin/python", "-B", tools, "--status", "--json"]
        )
        document: dict[str, Any] = json.loads(asked.stdout) if asked.returncode == 0 else {}
        return document


def carried_ansible(folder: Path) -> Path:
    """Build the bundle of ansible-core, install it where there is no network, and return its ansible-playbook."""
    words = ["--project-root", "manifests/projects/ansible", "--profile", "ansible", "--python", HERE]
    builder = [sys.executable, "create_enterprise_offline.py", *words, "--audit", "none", "--quiet"]
    run_here([*builder, "--output-dir", str(folder / "ansible")], cwd=REPOSITORY, timeout=300).expect()
    (archive,) = (folder / "ansible").glob("*.tar.gz")
    run_here(["tar", "-xzf", str(archive), "-C", str(folder / "ansible")]).expect()
    (root,) = [path for path in (folder / "ansible").iterdir() if path.is_dir()]
    install = [
        sys.executable,
        "-m",
        "tests.support.namespace",
        sys.executable,
        str(root / "04_Scripts/install.py"),
    ]
    trusted = ["--allowed-signers", str(folder / "ansible/allowed_signers")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    run_here([*install, "--prefix", str(folder / "control"), *trusted], env=environment).expect()
    return folder / "control/current/venv/bin/ansible-playbook"


def release(folder: Path, version: str, **more: Any) -> Bundle:
    """Make a small bundle that carries the playbooks at their place."""
    scripts = REPOSITORY / "bundle_template/04_Scripts/ansible"
    files = {
        f"04_Scripts/ansible/{path.relative_to(scripts).as_posix()}": path.read_bytes()
        for path in sorted(scripts.rglob("*")) if path.is_file()
    }  # fmt: skip
    return make_bundle(
        folder / version[0], version=version, sequence=int(version[0]), port=PORT, tools="full",
        validator=VALIDATOR.format(version=version), files=files, **more,
    )  # fmt: skip


def interpreter() -> bytes:
    """Make an archive of the template's own Python, in the layout of python-build-standalone."""
    root = template(HostKind())
    left_out = ("__pycache__", "/test", "idlelib", "dist-packages", "config-", "sitecustomize")

    def chosen(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if any(part in member.name for part in left_out) else member

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", compresslevel=1) as archive:
        archive.add(root / "usr/bin" / f"python{HERE}", f"python/bin/python{HERE}")
        archive.add(root / "usr/lib" / f"python{HERE}", f"python/lib/python{HERE}", filter=chosen)
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"python{HERE}"
        archive.addfile(link)
    return data.getvalue()


def archive_of(bundle: Bundle, output: Path) -> Path:
    """Pack a bundle as the builder does."""
    files = [StagedFile(entry, bundle.root / entry.path) for entry in bundle.manifest.files]
    stem = f"RAGTrace-Enterprise-{bundle.manifest.version}-linux-x86_64"
    sealed = seal(bundle.manifest, [bundle.key])
    cache = Cache(output / "cache")
    return ship(output, stem, files, sealed, 1_700_000_000, cache, lambda n: None, keys=[bundle.key]).path


@pytest.fixture(scope="module")
def control(run_folder: Path) -> Iterator[Control]:
    """Travel: refuse, install, install again, fail in the middle, go on, roll back, uninstall one."""
    ansible = carried_ansible(run_folder)
    first = release(run_folder, "1.0.0")
    second = release(run_folder, "2.0.0", key=first.key)
    third = release(run_folder, "3.0.0", key=first.key, archive=interpreter())
    (run_folder / "allowed_signers").write_text(first.key.allowed_signers())
    with Fleet(run_folder, HOSTS) as fleet:
        for host in fleet.hosts.values():
            host.copy_in(first.root, "/srv/carry-in/1")
        control = Control(ansible, fleet, run_folder, {"1": first, "2": second, "3": third})
        travel(control, *(archive_of(bundle, run_folder / "packed") for bundle in (second, third)))
        yield control


def travel(control: Control, second: Path, third: Path) -> None:
    """The steps, in order."""
    two, three = control.fleet.hosts["two"], control.fleet.hosts["three"]
    two.kill()
    three.run(["python3", "-c", OCCUPY]).expect()
    control.play("refused", "site.yml")
    two.boot()
    three.run(["sh", "-c", "kill $(cat /run/occupier)"]).expect()
    control.play("first", "site.yml")
    control.play("again", "site.yml", hosts={"three": {"ragtrace_reverify": True}})
    copied = {"ragtrace_bundle_mode": "copy", "ragtrace_bundle": str(second), "ragtrace_batch": [1]}
    two.run(["touch", "/etc/broken"]).expect()
    control.play("broken", "site.yml", "2", copied)
    two.run(["rm", "/etc/broken"]).expect()
    control.play("mended", "site.yml", "2", copied)
    leave = {"ragtrace_rollback_from": "2.0.0", "ragtrace_batch": [3]}
    control.play("back", "rollback.yml", "2", leave, hosts={"three": {"ragtrace_rollback_from": "1.0.0"}})
    control.play("not said", "uninstall.yml", "1", None, "--limit", "three")
    control.play("said", "uninstall.yml", "1", {"ragtrace_really_uninstall": True}, "--limit", "three")
    three.run(["chmod", "0", f"/usr/bin/python{HERE}"]).expect()
    copied = {"ragtrace_bundle_mode": "copy", "ragtrace_bundle": str(third)}
    control.play("bare", "site.yml", "3", copied, "--limit", "three")


def test_one_host_that_does_not_fit_keeps_all_hosts_untouched(control: Control) -> None:
    run = control.runs["refused"]
    assert run.done.returncode != 0
    assert run.results() == ["ready", "unreachable", "refused"]
    assert "not reachable" in run.reports["two"]["meaning"]
    assert run.reports["three"]["exit_code"] == 12 and str(PORT) in run.reports["three"]["meaning"]
    assert run.versions() == ["", "", ""]


def test_hosts_are_installed_in_batches_and_each_has_a_report(control: Control) -> None:
    run = control.runs["first"]
    assert run.done.returncode == 0, run.done.output
    assert run.results() == ["changed"] * 3 and run.versions() == ["1.0.0"] * 3
    assert all(run.state[name]["service"]["healthy"] for name in HOSTS)
    assert [run.reports[name]["validator"] for name in HOSTS] == [0, 0, 0]
    rows = [line.split()[:4] for line in run.table.splitlines()[1:]]
    assert rows == [[name, "-", "1.0.0", "0"] for name in HOSTS]


def test_a_second_run_changes_nothing(control: Control) -> None:
    run = control.runs["again"]
    assert run.done.returncode == 0, run.done.output
    assert run.results() == ["unchanged"] * 3
    assert run.changed() == dict.fromkeys(HOSTS, 0)
    # One host was told to ask install.py again, which verified everything and had nothing to do.
    assert [run.reports[name]["exit_code"] for name in HOSTS] == [None, None, 0]
    before = control.runs["first"].state
    assert [run.state[name]["service"]["pid"] for name in HOSTS] == [
        before[name]["service"]["pid"] for name in HOSTS
    ]


def test_a_failing_batch_stops_the_play_before_the_next(control: Control) -> None:
    run = control.runs["broken"]
    assert run.done.returncode != 0
    assert run.results() == ["changed", "failed", "ready"]
    assert run.reports["two"]["exit_code"] == 16 and "restored" in run.reports["two"]["meaning"]
    assert run.table.splitlines()[-1].endswith("waiting: not touched")
    assert "failed-000002-" in run.reports["two"]["next"]
    # The failed host has put itself back and serves; the next one was never changed.
    assert run.versions() == ["2.0.0", "1.0.0", "1.0.0"]
    assert all(run.state[name]["service"]["healthy"] for name in HOSTS)


def test_the_next_run_finishes_what_the_failure_stopped(control: Control) -> None:
    run = control.runs["mended"]
    assert run.done.returncode == 0, run.done.output
    assert run.results() == ["unchanged", "changed", "changed"] and run.versions() == ["2.0.0"] * 3


def test_what_was_copied_is_gone_after_a_good_run(control: Control) -> None:
    assert control.runs["mended"].carried == []


def test_only_hosts_that_run_the_named_version_are_rolled_back(control: Control) -> None:
    run = control.runs["back"]
    assert run.done.returncode == 0, run.done.output
    assert run.results() == ["changed", "changed", "unchanged"]
    assert run.versions() == ["1.0.0", "1.0.0", "2.0.0"]
    assert run.changed() == {"one": 1, "two": 1, "three": 0}


def test_uninstalling_needs_to_be_said_explicitly(control: Control) -> None:
    refused, done = control.runs["not said"], control.runs["said"]
    assert refused.done.returncode != 0 and refused.versions() == ["1.0.0", "1.0.0", "2.0.0"]
    assert done.done.returncode == 0, done.done.output
    assert done.versions() == ["1.0.0", "1.0.0", ""]


def test_a_host_without_python_gets_the_bundles_and_an_interpreter_of_its_own(control: Control) -> None:
    run = control.runs["bare"]
    assert run.done.returncode == 0, run.done.output
    assert run.versions()[2] == "3.0.0" and run.state["three"]["service"]["healthy"]
    python = os.readlink(control.fleet.hosts["three"].inside("/opt/ragtrace/current/venv/bin/python"))
    assert "ragtrace-carry-in" not in python and "generations" in python


def test_no_password_is_written_or_shown(control: Control) -> None:
    for run in control.runs.values():
        assert PASSWORD not in run.done.output and PASSWORD not in json.dumps(run.reports) + run.table


def test_the_bundle_gains_no_file(control: Control) -> None:
    for bundle in control.bundles.values():
        found = {
            path.relative_to(bundle.root).as_posix() for path in bundle.root.rglob("*") if path.is_file()
        }
        assert found == {entry.path for entry in bundle.manifest.files} | set(METADATA)
