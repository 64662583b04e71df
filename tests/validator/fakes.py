"""A small fake installation: real pointer, receipt, manifest and virtual environment around a toy service."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bundle import chainlog
from bundle.advisories import AuditReport, Pinned
from bundle.manifest import Advisories, Manifest, Package, Project, ServiceSpec, Target, manifest_digest
from bundle.offline import OFFLINE_ENVIRONMENT
from installer import accepted, pointer, receipt
from installer.paths import Prefix
from validator.model import Check, Outcome, Status
from validator.subject import Subject

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ADVISORIES = "05_Documentation/advisories.json"
HEALTHY: dict[str, Any] = {
    "parts": {"index": True, "records": True},
    "sources": 2,
    "query_status": 200,
    "unknown_key": "",
    "chat": {},
    "chat_status": 404,
    "events": ["reference", "answer", "end"],
    "call_out": "",
    "call_out_at_start": "",
    "call_out_at_question": "",
    "generation": "",
    "status": {"documents": 2, "chunks": 5, "index_chunks": 5, "index_in_step": True},
}


def free_port() -> int:
    """Return a loopback port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def host_target() -> Target:
    """Return the target that this very host is."""
    machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    return Target("here", "linux", machine, platform.libc_ver()[0], "2.17", (PYTHON,))


def manifest(port: int = 8400, **changes: Any) -> Manifest:
    """Return a manifest of the fake release."""
    base = Manifest(
        product="ragtrace-enterprise",
        version="0.1.0",
        profile="starter",
        sequence=1,
        created="2026-01-02T03:04:05Z",
        expires=None,
        target=host_target(),
        project=Project("ragtrace", "0.1.0"),
        service=ServiceSpec("ragtrace", ("serve",), "127.0.0.1", port, "/healthz", 20),
        memory_mb=64,
        installed_bytes=1_000_000,
        packages=(Package("ragtrace", "0.1.0", (PYTHON,)), Package("toy-index", "2.0", (PYTHON,))),
        files=(),
    )
    return dataclasses.replace(base, **changes)


class Installation:
    """The fake installation at one prefix."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.root = root
        self.port = free_port()
        report = self.snapshot()
        snapshot = report.to_bytes()
        carried = Advisories(ADVISORIES, report.date, hashlib.sha256(snapshot).hexdigest())
        data = manifest(self.port, **{"advisories": carried, **changes}).to_bytes()
        self.digest = manifest_digest(data)
        self.name = f"000001-{self.digest[:12]}"
        self.generation = root / "generations" / self.name
        self.site = self.generation / "venv" / "lib" / f"python{PYTHON}" / "site-packages"
        self._folders()
        tools = self.generation / "tools"
        tools.mkdir()
        (tools / "MANIFEST.json").write_bytes(data)
        self.advisories = tools / ADVISORIES
        self.advisories.parent.mkdir()
        self.advisories.write_bytes(snapshot)
        self._environment()
        self.settings = root / "config" / ".env"
        self.settings.write_text(f"RAGTRACE_SERVER_HOST=127.0.0.1\nRAGTRACE_SERVER_PORT={self.port}\n")
        self.settings.chmod(0o600)
        self.facts()
        self.seal()
        pointer.write(Prefix(root), pointer.Pointer(self.name, self.digest, 1))
        accepted.write(Prefix(root), accepted.Accepted(True, 1, (self.name,), "t"))
        (root / "current").symlink_to(self.generation)
        chainlog.append(root / "state", {"action": "install", "outcome": "ok", "to": self.name})

    @staticmethod
    def snapshot() -> AuditReport:
        """Return what was known when the release was built: today, and nothing bad."""
        today = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())
        return AuditReport("a test", today, (), (), (Pinned("toy-index", "2.0"),))

    def _folders(self) -> None:
        self.site.mkdir(parents=True)
        for name in ("config", "data/cache", "state", "trust"):
            (self.root / name).mkdir(parents=True)

    def _environment(self) -> None:
        base = Path(os.path.realpath(sys.executable))
        venv = self.generation / "venv"
        (venv / "pyvenv.cfg").write_text(f"home = {base.parent}\nversion = {platform.python_version()}\n")
        (venv / "bin").mkdir()
        (venv / "bin" / "python").symlink_to(base)
        service = Path(__file__).with_name("fake_service.py").read_text()
        self.package("ragtrace", "0.1.0", {"__init__.py": "", "__main__.py": service}, ("toy-index>=2",))
        self.package("toy_index", "2.0", {"__init__.py": "VALUE = 1\n"})

    def package(self, name: str, version: str, files: dict[str, str], requires: tuple[str, ...] = ()) -> None:
        """Install a package with a true RECORD."""
        info = self.site / f"{name}-{version}.dist-info"
        info.mkdir()
        (self.site / name).mkdir()
        lines = "".join(f"Requires-Dist: {item}\n" for item in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}\n")
        rows = [f"{info.name}/RECORD,,"]
        for file, text in files.items():
            (self.site / name / file).write_text(text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{name}/{file},sha256={digest},{len(text.encode())}")
        (info / "RECORD").write_text("\n".join(rows) + "\n")

    def seal(self) -> None:
        """Write the receipt of the generation as it is now."""
        receipt.write(
            self.generation,
            receipt.Receipt(
                self.name,
                self.digest,
                1,
                "0.1.0",
                "2026-01-02T03:04:05Z",
                tuple(receipt.take(self.generation)),
            ),
        )

    def facts(self, **changes: Any) -> None:
        """Tell the toy service what to answer."""
        (self.root / "data" / "facts.json").write_text(json.dumps({**HEALTHY, **changes}))

    def subject(self) -> Subject:
        """Return a fresh subject, which has read nothing yet."""
        return Subject(self.root)

    @contextmanager
    def serving(self, **environment: str) -> Iterator[int]:
        """Run the toy service as the installer would, and yield its process id."""
        process = subprocess.Popen(
            [str(self.generation / "venv" / "bin" / "python"), "-m", "ragtrace", "serve"],
            env={
                **OFFLINE_ENVIRONMENT,
                "PATH": os.environ["PATH"],
                "RAGTRACE_HOME": str(self.root),
                "RAGTRACE_CONFIG": str(self.root / "config" / "ragtrace.yaml"),
                "RAGTRACE_GENERATION": self.name,
                "PYTHONPYCACHEPREFIX": str(self.root / "data" / "cache" / "pycache"),
                "PYTHONNOUSERSITE": "1",
                "PYTHONUNBUFFERED": "1",
                "RAGTRACE_SERVER_HOST": "127.0.0.1",
                "RAGTRACE_SERVER_PORT": str(self.port),
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            cwd=self.root / "data",
        )
        try:
            self._wait(process)
            yield process.pid
        finally:
            process.kill()
            process.wait()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(400):
            assert process.poll() is None, "the toy service ended"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2):
                    return
            except OSError:
                time.sleep(0.025)
        raise AssertionError("the toy service does not answer")


def run(item: Check, subject: Subject) -> Outcome:
    """Run one check in this process."""
    return item.function(subject)


def status(item: Check, subject: Subject) -> Status:
    """Run one check in this process and return its status."""
    return run(item, subject).status
