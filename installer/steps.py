"""The steps of installing and rolling back, each with `apply` and `undo`; `STEPS` names them for the plan."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from bundle import layout
from bundle.atomic import fsync_files, write_atomic
from bundle.errors import IntegrityError
from bundle.hashing import copy_hashed
from bundle.manifest import Manifest
from bundle.text import Text
from bundle.verify import VerifiedBundle

from . import accepted, activation, environment, interpreter, pointer, receipt, store
from .console import Console
from .environment import prepare_scratch
from .filesystem import make_directories, make_directory, read_plain, remove_file, remove_tree
from .generations import discard
from .health import Sick, keep_log, validate, wait_until_healthy
from .hosts.interface import ServiceDefinition, ServiceHost
from .paths import Prefix
from .plan import Plan, destination
from .pointer import Pointer
from .provision import Provision, undo_note
from .service import define
from .settings import ServiceSettings
from .transaction import Step
from .trust_store import pinned_with


@dataclass
class Context:
    """What the steps of one operation share. `before` is how the service was run until now, with its host
    `old_host`; `bundle` is None for a rollback; `lock` a descriptor that children inherit."""

    prefix: Prefix
    plan: Plan
    manifest: Manifest
    console: Console
    host: ServiceHost
    old_host: ServiceHost
    before: Optional[ServiceSettings]
    transaction: str
    bundle: Optional[VerifiedBundle] = None
    lock: int = -1
    known: dict[str, str] = field(default_factory=dict)
    healthy_after_s: float = 0.0

    @property
    def folder(self) -> Path:
        """The folder of the generation this operation is about."""
        return self.prefix.generation(self.plan.generation)

    @property
    def source(self) -> VerifiedBundle:
        """The bundle that is being installed."""
        if self.bundle is None:
            raise ValueError("this operation has no bundle")
        return self.bundle

    def definition(self) -> Optional[ServiceDefinition]:
        """Return how the new generation's service is run."""
        return define(self.prefix, self.plan.generation, self.plan.settings, self.manifest)


class _Step:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.prefix = context.prefix
        self.plan = context.plan

    def undo(self) -> None:
        """Nothing to take back unless a step says otherwise."""


class MakeGeneration(_Step):
    """An empty folder at the generation's final path; undone, nothing of the generation is left."""

    def apply(self) -> None:
        """Clear away what a killed run left, and begin."""
        make_directory(self.prefix.generations)
        discard(self.prefix, self.plan.generation)
        make_directory(self.context.folder)
        prepare_scratch(self.prefix.scratch)

    def undo(self) -> None:
        """Remove the generation, unless the pointer (against all order) names it."""
        remove_tree(self.prefix.scratch)
        discard(self.prefix, self.plan.generation)


class UnpackInterpreter(_Step):
    """The bundled Python, for hosts without a fitting one."""

    def apply(self) -> None:
        """Unpack it into the generation."""
        if self.plan.archive is not None:
            archive = self.context.source.path(self.plan.archive)
            interpreter.unpack(archive, self.plan.archive, self.context.folder / "python")


class MakeEnvironment(_Step):
    """The virtual environment with every package."""

    def apply(self) -> None:
        """Let the bundled uv make it. Its cache is removed later, beside other work."""
        chosen = self.plan.interpreter
        python = chosen.path if chosen else str(interpreter.executable(self.context.folder / "python"))
        environment.build(
            self.context.source, self.context.folder, python, self.prefix.scratch, (self.context.lock,)
        )


class CopyFiles(_Step):
    """Source, tools, default configuration and models."""

    def apply(self) -> None:
        """Copy every file, comparing the copied bytes with the manifest."""
        bundle, folder = self.context.source, self.context.folder
        title = Text("복사", "copied")
        total = sum(entry.size for entry in bundle.manifest.files if destination(entry) is not None)
        on_bytes = self.context.console.progress(title, total)
        for name in ("source", "tools", "models", "config.default"):
            make_directory(folder / name)
        for entry in bundle.manifest.files:
            inner = destination(entry)
            if inner is None:
                continue
            target = folder / inner
            make_directories(target.parent)
            if entry.kind == "model":
                store.place(store.put(self.prefix, bundle.path(entry), entry, on_bytes), target, entry)
            else:
                copy_hashed(bundle.path(entry), target, entry.mode, (entry.size, entry.sha256), on_bytes)
        write_atomic(folder / "tools" / layout.MANIFEST, bundle.manifest_bytes, 0o644)
        for name, signature in zip(layout.SIGNATURES, bundle.signatures):
            write_atomic(folder / "tools" / name, signature, 0o644)


class WriteReceipt(_Step):
    """Read everything back, make it durable, and write down what the generation consists of."""

    def apply(self) -> None:
        """Verify, synchronise, write the receipt last.

        One call tells the kernel to write everything out while the bytes are read back; the
        synchronisation of each file, which alone reports errors, then has little left to wait for.
        """
        folder, manifest = self.context.folder, self.context.manifest
        remove_tree(self.prefix.scratch)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside") as aside:
            written = aside.submit(write_out)
            entries = receipt.take(folder, durable=True)
            written.result()
        _require(receipt_problems(manifest, folder, entries), folder)
        fsync_files([self.prefix.generations, self.prefix.root])
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        plan = self.plan
        receipt.write(
            folder,
            receipt.Receipt(
                plan.generation, plan.digest, plan.sequence, plan.version, created, tuple(entries)
            ),
        )


def write_out() -> None:
    """Have the kernel begin to write everything it holds back (POSIX)."""
    if os.name == "posix":
        os.sync()


def receipt_problems(manifest: Manifest, folder: Path, entries: list[receipt.Entry]) -> list[str]:
    """Compare what lies on disk with what the manifest and the wheels' own records say."""
    found = {entry.path: entry.sha256 for entry in entries}
    problems = []
    for file in manifest.files:
        inner = destination(file)
        if inner is not None and found.get(inner.as_posix()) != file.sha256:
            problems.append(f"differs: {inner}")
    return problems + environment.record_problems(folder, entries)


def _require(problems: list[str], folder: Path) -> None:
    if problems:
        raise IntegrityError(
            Text(
                f"디스크의 내용이 다릅니다: {len(problems)}건",
                f"what lies on disk differs: {len(problems)} finding(s)",
            ),
            where=str(folder),
            details=[Text(line, line) for line in problems[:20]],
            hint=Text(
                "디스크를 점검하고 번들을 다시 설치하십시오",
                "check the disk (and the medium), then install the bundle again",
            ),
        )


class CheckGeneration(_Step):
    """A release that is there already is looked at before it is used again."""

    def apply(self) -> None:
        """Compare it with its receipt; models, which the active release shares, by name and size only."""
        folder, base = self.context.folder, self.plan.base
        problems = receipt.differences(folder, receipt.read(folder), skip=("models",))
        if problems and (base is None or self.plan.generation not in base.kept):
            discard(self.prefix, self.plan.generation)
        _require(problems, folder)


class Standby(_Step):
    """Knows what ran before; undone (last of all switching steps), exactly that runs again."""

    was_running = False

    def apply(self) -> None:
        """Look, change nothing."""
        status = activation.observed(self.prefix, self.context.before, self.context.old_host)
        self.was_running = status.running

    def undo(self) -> None:
        """Derive everything from the pointer as it was, start the service if it ran, wait until it answers."""
        before, host, base = self.context.before, self.context.old_host, self.plan.base
        activation.derive(self.prefix, base, before, host)
        definition = None if base is None else define(self.prefix, base.generation, before)
        if definition is not None and self.was_running:
            host.start(definition)
            wait_until_healthy(definition, host)


class Settle(_Step):
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


class SwitchPointer(_Step):
    """The commit point."""

    def apply(self) -> None:
        """Replace the pointer."""
        plan = self.plan
        pointer.write(self.prefix, pointer.succeed(plan.base, plan.generation, plan.digest, plan.sequence))

    def undo(self) -> None:
        """Point to what was active before."""
        pointer.write(self.prefix, self.plan.base)


class DeriveUnit(_Step):
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


class StartService(_Step):
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


class WaitHealthy(_Step):
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
            kept = keep_log(self.prefix, self.plan.generation, sick)
            if kept is not None:
                self.context.console.note(Text(f"로그: {kept}", f"log: {kept}"))
            raise
        if warning is not None:
            self.context.console.warn(warning)


class Accept(_Step):
    """The commit record: the release is accepted, its signer pinned, the highest sequence remembered."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.before: dict[Path, Optional[bytes]] = {}

    def apply(self) -> None:
        """Pin first; the record last, because it ends the transaction."""
        prefix, plan = self.prefix, self.plan
        self.before = {path: read_plain(path) for path in (prefix.allowed_signers, prefix.accepted)}
        make_directory(prefix.trust)
        if self.context.bundle is not None:
            earlier = self.before[prefix.allowed_signers]
            pinned = pinned_with(self.context.bundle.origin, earlier)
            if pinned != earlier and pinned is not None:
                write_atomic(prefix.allowed_signers, pinned, 0o644)
        # How many have to sign is remembered with whom they are: the next bundle cannot do with fewer.
        demanded = self.context.bundle.required if self.context.bundle is not None else 0
        record = accepted.read(prefix).after(
            plan.generation, plan.sequence, self.context.transaction, demanded
        )
        accepted.write(prefix, record)
        remove_file(undo_note(prefix))

    def undo(self) -> None:
        """Put both files back."""
        for path, content in self.before.items():
            if content is None:
                remove_file(path)
            else:
                write_atomic(path, content, 0o644)


STEPS: dict[str, Callable[[Context], Step]] = {
    "generation": MakeGeneration,
    "interpreter": UnpackInterpreter,
    "environment": MakeEnvironment,
    "files": CopyFiles,
    "receipt": WriteReceipt,
    "check": CheckGeneration,
    "standby": Standby,
    "settings": Settle,
    "switch": SwitchPointer,
    "unit": DeriveUnit,
    "start": StartService,
    "health": WaitHealthy,
    "accept": Accept,
}


def make(context: Context) -> list[Step]:
    """Return the steps that the plan names, in its order."""
    return [STEPS[planned.name](context) for planned in context.plan.steps]
