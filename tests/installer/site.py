"""An installation at a temporary place, driven through the command line as an operator drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installer import activation, health, inventory, pointer
from installer import settings as service_settings
from installer.paths import Prefix
from tests.support.bundles import REPOSITORY, Bundle, free_port

ENTRY = "import sys; from pathlib import Path; from installer.cli import main; sys.exit(main(script=Path(sys.argv.pop(1))))"


@dataclass(frozen=True)
class Run:
    """What one command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What it printed with --json."""
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded


@dataclass
class Site:
    """A prefix and the port its service listens at."""

    root: Path
    port: int = field(default_factory=free_port)

    @property
    def prefix(self) -> Prefix:
        """The installation."""
        return Prefix(self.root)

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs the installer of this checkout on this prefix."""
        script = str(self.root.parent / "nowhere" / "04_Scripts" / "install.py")
        return [sys.executable, "-B", "-c", ENTRY, script, "--prefix", str(self.root), *words]

    def run(self, *words: str, **options: Any) -> Run:
        """Run the installer."""
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **options.pop("environment", {})}
        done = subprocess.run(
            self.command(*words),
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def words(self, bundle: Bundle, *words: str) -> list[str]:
        """Return the arguments for installing a bundle whose key the operator knows."""
        known = ["--bundle", str(bundle.root), "--trust-fingerprint", bundle.fingerprint]
        return [*known, "--service-manager", "process", *words]

    def install(self, bundle: Bundle, *words: str, **options: Any) -> Run:
        """Install a bundle."""
        return self.run(*self.words(bundle, *words), **options)

    def active(self) -> str:
        """Return the generation the pointer names."""
        found = pointer.read(self.prefix)
        return "" if found is None else found.generation

    def get(self, path: str = "/healthz") -> tuple[int, Any]:
        """Ask the service."""
        known = service_settings.ServiceSettings("process", "x", "", "127.0.0.1", self.port, True)
        return health.ask(activation.shell(self.prefix, known), path)

    def answering(self) -> str:
        """Return the generation that answers, or nothing."""
        status, answer = self.get()
        return str(answer["generation"]) if status == 200 else ""

    def undeclared(self) -> list[str]:
        """Return what nothing accounts for."""
        return inventory.undeclared(self.prefix)

    def stop(self) -> None:
        """End whatever runs."""
        known = service_settings.read(self.prefix)
        if known is not None:
            activation.stop(self.prefix, known, activation.host_for(known))
