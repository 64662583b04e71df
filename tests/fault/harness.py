"""One installation per worker, brought to a known state, struck at one operation, then looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.signing import SigningKey
from installer import activation, health, inventory, pointer, receipt
from installer import settings as service_settings
from installer.paths import Prefix
from installer.service import define
from tests.support.bundles import REPOSITORY, Bundle, free_port, make_bundle

HOOK = Path(__file__).parent / "hook"
ENTRY = "import sys; from pathlib import Path; from installer.cli import main; sys.exit(main(script=Path(sys.argv.pop(1))))"


@dataclass(frozen=True)
class Outcome:
    """What one run of the installer came to."""

    code: int
    output: str


@dataclass
class Scenario:
    """A starting point and a command; `old` and `new` are the only releases that may ever be active."""

    name: str
    prepare: tuple[str, ...]
    run: tuple[str, ...]
    old: str
    new: str
    code: int = 0
    converges_to: str = ""


@dataclass
class Workshop:
    """A folder with two good bundles and a bad one, and one prefix on a port of its own."""

    folder: Path
    port: int = field(default_factory=free_port)
    bundles: dict[str, Bundle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        key = SigningKey(Ed25519PrivateKey.generate(), "builder@example")
        common = {"port": self.port, "key": key, "models": {"m/weights.bin": b"weights" * 100}}
        for name, sequence, serve in (("v1", 1, "healthy"), ("v2", 2, "healthy"), ("bad", 3, "crash")):
            self.bundles[name] = make_bundle(
                self.folder / name, version=f"{sequence}.0.0", sequence=sequence, serve=serve, **common
            )

    @property
    def prefix(self) -> Prefix:
        """The installation under test; the name has a space and Korean in it on purpose."""
        return Prefix(self.folder / "설치 위치")

    def scenarios(self) -> dict[str, Scenario]:
        """Return the four ways in which an installation is changed."""
        v1, v2, bad = (self.bundles[name].generation for name in ("v1", "v2", "bad"))
        return {
            "install": Scenario("install", (), ("v1",), "", v1),
            "upgrade": Scenario("upgrade", ("v1",), ("v2",), v1, v2),
            "rollback": Scenario("rollback", ("v1", "v2"), ("--rollback", v1), v2, v1),
            "unhealthy": Scenario("unhealthy", ("v1",), ("bad",), v1, bad, 16, v1),
        }

    def installer(self, *words: str, **fault: str) -> Outcome:
        """Run the installer, with a fault or without. A first word that names a bundle is expanded."""
        arguments = list(words)
        if arguments[0] in self.bundles:
            bundle = self.bundles[arguments[0]]
            arguments = ["--bundle", str(bundle.root), "--trust-fingerprint", bundle.fingerprint]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HOOK), str(REPOSITORY)] if fault else [str(REPOSITORY)]),
            "RAGTRACE_FAULT_ROOT": str(self.prefix.root),
            **{f"RAGTRACE_FAULT_{name}": value for name, value in fault.items()},
        }
        script = str(self.folder / "nowhere" / "04_Scripts" / "install.py")
        command = [sys.executable, "-B", "-c", ENTRY, script, "--prefix", str(self.prefix.root), *arguments]
        command += ["--service-manager", "process"] if "--bundle" in arguments else []
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    def prepare(self, scenario: Scenario) -> None:
        """Bring the prefix to the scenario's starting point, service running; a template makes it quick."""
        self.stop()
        shutil.rmtree(self.prefix.root, ignore_errors=True)
        template = self.folder / f"template-{scenario.name}"
        if not scenario.prepare:
            return
        if not template.exists():
            for name in scenario.prepare:
                outcome = self.installer(name)
                assert outcome.code == 0, outcome.output
            self.stop()
            shutil.copytree(self.prefix.root, template, symlinks=True)
        else:
            shutil.copytree(template, self.prefix.root, symlinks=True)
        self.start()

    def start(self) -> None:
        """Start the active release and wait for it."""
        active = pointer.read(self.prefix)
        assert active is not None
        definition = define(self.prefix, active.generation, service_settings.read(self.prefix))
        assert definition is not None
        host = activation.host_for(service_settings.read(self.prefix))
        host.start(definition)
        health.wait_until_healthy(definition, host)

    def stop(self) -> None:
        """Stop whatever runs, also where the settings are gone."""
        known = service_settings.read(self.prefix)
        if known is not None:
            activation.stop(self.prefix, known, activation.host_for(known))

    def answering(self) -> str:
        """Return the generation that answers at the port, or nothing."""
        known = service_settings.ServiceSettings("process", "x", "", "127.0.0.1", self.port, True)
        status, answer = health.ask(activation.shell(self.prefix, known), "/healthz")
        return str(answer["generation"]) if status == 200 else ""

    def active(self) -> str:
        """Return the generation that the pointer names; a pointer that cannot be read is a failure."""
        found = pointer.read(self.prefix)
        return "" if found is None else found.generation

    def damage(self) -> list[str]:
        """Compare every release the pointer names with its receipt."""
        found = pointer.read(self.prefix)
        problems = []
        for name in found.kept if found else ():
            folder = self.prefix.generation(name)
            problems += [f"{name}: {line}" for line in receipt.differences(folder, receipt.read(folder))]
        return problems

    def undeclared(self) -> list[str]:
        """Return what nothing accounts for."""
        return inventory.undeclared(self.prefix)

    def points(self, scenario: Scenario) -> list[str]:
        """Run the scenario once without a fault and return its mutating operations in order."""
        self.prepare(scenario)
        log = self.folder / f"points-{scenario.name}.txt"
        outcome = self.installer(*scenario.run, MODE="count", LOG=str(log))
        assert outcome.code == scenario.code, outcome.output
        return log.read_text(encoding="utf-8").splitlines()

    def strike(self, scenario: Scenario, number: int, mode: str, **fault: str) -> list[str]:
        """Run the scenario with one fault, look, run it again, look again; return what is wrong."""
        self.prepare(scenario)
        struck = self.installer(*scenario.run, MODE=mode, AT=str(number), **fault)
        problems = self._after_fault(scenario, struck, mode)
        again = self.installer(*scenario.run)
        problems += self._after_rerun(scenario, again)
        if problems:
            problems += [
                f"code {struck.code}: {struck.output[-600:]}",
                f"again {again.code}: {again.output[-600:]}",
            ]
        return problems

    def _after_fault(self, scenario: Scenario, struck: Outcome, mode: str) -> list[str]:
        problems = []
        active, answering = self.active(), self.answering()
        allowed = (-9,) if mode in ("kill", "during") else (scenario.code, 13, 14)
        if struck.code not in allowed:
            problems.append(f"exit code {struck.code}")
        if active not in (scenario.old, scenario.new):
            problems.append(f"active: {active}")
        problems += self.damage()
        if struck.code == 13 and (active, answering) != (scenario.old, scenario.old):
            problems.append(f"13 says restored, but {active!r} is active and {answering!r} answers")
        if struck.code == scenario.code:
            wanted = scenario.converges_to or scenario.new
            if (active, answering) != (wanted, wanted):
                problems.append(f"{struck.code}, but {active!r} is active and {answering!r} answers")
        return problems

    def _after_rerun(self, scenario: Scenario, again: Outcome) -> list[str]:
        wanted = scenario.converges_to or scenario.new
        problems = self.damage()
        if again.code != scenario.code:
            problems.append(f"second run: exit code {again.code}")
        if (self.active(), self.answering()) != (wanted, wanted):
            problems.append(f"second run: {self.active()!r} is active, {self.answering()!r} answers")
        return problems + [f"undeclared: {name}" for name in self.undeclared()]
