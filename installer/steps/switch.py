"""Make a generation the running one: settings, pointer, unit, service, health."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bundle.text import Text

from .. import activation, bytecode, logs, pointer
from ..health import Sick, validate, wait_until_healthy
from ..pointer import Pointer
from ..provision import Provision, Reconfigure
from ..service import define
from .context import Context, ContextStep


class Standby(ContextStep):
    """Knows what ran before; undone (last of all switching steps), exactly that runs again."""

    was_running = False

    def apply(self) -> None:
        """Look, change nothing. What the service wrote last is remembered: it explains a release that fails."""
        before, host = self.context.before, self.context.old_host
        status = activation.observed(self.prefix, before, host)
        self.was_running = status.running
        if before is not None and status.running:
            self.context.earlier_log = host.logs(activation.shell(self.prefix, before), logs.LINES)

    def undo(self) -> None:
        """Derive everything from the pointer as it was, start the service if it ran, wait until it answers."""
        before, host, base = self.context.before, self.context.old_host, self.plan.base
        activation.derive(self.prefix, base, before, host)
        definition = None if base is None else define(self.prefix, base.generation, before)
        if definition is not None and self.was_running:
            host.start(definition)
            wait_until_healthy(definition, host)


class Settle(ContextStep):
    """Configuration, data folders and their owner."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.provision = Provision(
            context.prefix, context.plan.settings, context.plan.base, context.transaction
        )

    def apply(self) -> None:
        """Create what is missing; never overwrite what an operator wrote."""
        definition = self.context.definition()
        if definition is not None:
            self.context.host.prepare_user(definition)
        self.provision.apply(self.context.folder / "config.default")

    def undo(self) -> None:
        """Put the files back as they were."""
        self.provision.undo()


class PrepareStart(ContextStep):
    """What the first start of the new release would have to do first, while the earlier one still serves."""

    def apply(self) -> None:
        """Compile; where that does not work, the restart takes a little longer, and that is all."""
        definition, base = self.context.definition(), self.plan.base
        if definition is None or base is None:
            return
        try:
            done = bytecode.prepare(self.prefix, base.generation, definition, self.context.lock)
        except subprocess.TimeoutExpired:
            done = False
        if not done:
            self.context.console.note(
                Text(
                    "미리 준비하지 못해 첫 시작이 조금 느립니다",
                    "not prepared: the first start is a little slower",
                )
            )


class Configure(ContextStep):
    """Changed configuration files, and the address the service is asked at."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        files = {context.prefix.config / name: content for name, content in context.plan.files}
        self.change = Reconfigure(context.prefix, context.plan.settings, files, context.transaction)

    def apply(self) -> None:
        """Write them, owner-only."""
        self.change.apply()

    def undo(self) -> None:
        """Put them back byte for byte."""
        self.change.undo()


class SwitchPointer(ContextStep):
    """The commit point."""

    def apply(self) -> None:
        """Replace the pointer."""
        plan = self.plan
        pointer.write(self.prefix, pointer.succeed(plan.base, plan.generation, plan.digest, plan.sequence))

    def undo(self) -> None:
        """Point to what was active before."""
        pointer.write(self.prefix, self.plan.base)


class DeriveUnit(ContextStep):
    """Link and unit follow the pointer."""

    def apply(self) -> None:
        """Write what differs; a unit of another manager or name goes away."""
        before, after = self.context.before, self.plan.settings
        if (
            before is not None
            and after is not None
            and (before.manager, before.name) != (after.manager, after.name)
        ):
            activation.stop(self.prefix, before, self.context.old_host)
            self.context.old_host.remove_unit(before.name)
        activation.derive(self.prefix, self._target(), after, self.context.host)

    def undo(self) -> None:
        """Remove a unit that was not there before; `Standby` writes the earlier one."""
        before, after = self.context.before, self.plan.settings
        moved = (
            before is None or after is None or (before.manager, before.name) != (after.manager, after.name)
        )
        if after is not None and (moved or self.plan.base is None):
            self.context.host.remove_unit(after.name)

    def _target(self) -> Pointer:
        return Pointer(self.plan.generation, self.plan.digest, self.plan.sequence)


class StartService(ContextStep):
    """The only seconds in which nothing answers."""

    def apply(self) -> None:
        """Stop what runs, start the new generation."""
        activation.stop(self.prefix, self.context.before, self.context.old_host)
        definition = self.context.definition()
        if definition is not None:
            self.context.host.start(definition)

    def undo(self) -> None:
        """Stop the new generation; `Standby` starts the earlier one."""
        activation.stop(self.prefix, self.plan.settings, self.context.host)


class WaitHealthy(ContextStep):
    """The gate: whoever does not pass is undone."""

    def apply(self) -> None:
        """Wait for the service, then let the validator of a new release look.

        A release that is gone back to has passed its validator here before and its files were compared
        with the receipt a moment ago: that it answers is enough, and whoever rolls back is in a hurry.
        """
        definition = self.context.definition()
        if definition is None:
            return
        try:
            self.context.healthy_after_s = wait_until_healthy(definition, self.context.host)
            warning = validate(self.prefix, definition) if self.context.bundle is not None else None
        except Sick as sick:
            sick.kept = self._keep_logs(sick)
            for path in sick.kept:
                self.context.console.note(Text(f"로그: {path}", f"log: {path}"))
            raise
        if warning is not None:
            self.context.console.warn(warning)

    def _keep_logs(self, sick: Sick) -> tuple[Path, ...]:
        """Keep both logs: that of the release that failed, and what the earlier one wrote before it had to stop."""
        definition = self.context.definition()
        written = self.context.host.logs(definition, logs.LINES) if definition is not None else ""
        reason = f"{sick.reason.en}\n{sick.reason.ko}\n"
        told = sick.log if written in sick.log else f"{sick.log}\n\n{written}"
        kept = [logs.keep(self.prefix, "failed", self.plan.generation, f"{reason}\n{told}\n")]
        if self.plan.base is not None and self.context.earlier_log:
            kept.append(
                logs.keep(self.prefix, "before", self.plan.base.generation, self.context.earlier_log + "\n")
            )
        return tuple(path for path in kept if path is not None)
