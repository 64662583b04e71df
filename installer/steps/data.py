"""Keep the data, then change their format or put an earlier state back; undone, they are exactly as they were.

The data go back after the pointer and before the earlier service starts, because these steps stand between
`Standby` and `SwitchPointer`.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import Optional

from bundle.errors import RestoredError
from bundle.text import Text, human_size

from .. import activation, dataformat, logs, snapshot, treecopy
from ..children import minimal_environment, run_tied, tail
from ..dataformat import PASSING
from ..filesystem import make_directory, remove_file, remove_tree
from ..hosts.interface import ServiceDefinition
from ..service import define
from ..settings import ServiceSettings, read_variables
from ..snapshot import Note, Snapshot
from .context import Context, ContextStep

# A gigabyte of records takes minutes; this only ends a migration that hangs.
MIGRATION_TIMEOUT_S = 6 * 3600.0
LOG_LINES = 200


class TakeSnapshot(ContextStep):
    """The service stopped and unregistered, so that not even a reboot starts it over half-changed data; the data
    kept as they are."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.note: Optional[Note] = None

    def apply(self) -> None:
        """Note, stop, copy."""
        context, prefix, plan = self.context, self.prefix, self.plan
        generation = plan.base.generation if plan.base is not None else ""
        name = snapshot.name_for(generation, context.transaction)
        self.note = snapshot.write_note(prefix, Note(context.transaction, plan.generation, name, ""), "begun")
        activation.stop(prefix, context.before, context.old_host)
        if context.before is not None:
            context.old_host.remove_unit(context.before.name)
        found = dataformat.read(prefix)
        _, size, _ = treecopy.measure(prefix.data, PASSING) if prefix.data.is_dir() else (0, 0, "")
        progress = context.console.progress(Text("데이터 스냅숏", "data snapshot"), size)
        snapshot.take(prefix, name, snapshot.version_of(found), context.transaction, progress)
        if not {"migrate", "restore"} & set(plan.names()):
            # There were no data yet; whatever the new release makes goes away with it.
            self.note = snapshot.write_note(prefix, self.note, "changed")

    def undo(self) -> None:
        """Put the snapshot back if anything may have changed; else forget it."""
        written = snapshot.read_note(self.prefix)
        # Stopped while the note was written, it may be there although nobody was told.
        note = written or self.note
        if note is None:
            return
        if written is not None and written.phase == "begun":
            snapshot.remove(self.prefix, written.snapshot)
            remove_file(self.prefix.data_note)
        elif written is not None or snapshot.read(self.prefix, note.snapshot) is not None:
            # Without a note the transaction was about to end: what it changed goes all the same.
            snapshot.put_back(self.prefix, note)


class Migrate(ContextStep):
    """The new release turns the data into its own format."""

    def apply(self) -> None:
        """Run its migration as the service's user, then ask the data what they are.

        Raises:
            RestoredError: it failed, took too long, or did not do what it declares.
        """
        note = snapshot.read_note(self.prefix)
        spec = self.context.manifest.service
        definition = self._definition()
        if note is None or spec is None or spec.data is None or definition is None:
            raise ValueError("nothing here migrates")
        note = snapshot.write_note(self.prefix, note, "changing")
        status = self._run(definition)
        if status != 0:
            reason = Text(f"종료 코드 {status}", f"exit status {status}")
            if status is None:
                reason = Text("제한 시간 초과", "it did not end in time")
            raise self._failed(reason)
        found = dataformat.read(self.prefix)
        if found.version != spec.data.version:
            what = found.version or found.problem
            raise self._failed(
                Text(
                    f"데이터의 형식이 {what}입니다 (기대: {spec.data.version})",
                    f"the data has format {what}, expected {spec.data.version}",
                )
            )
        snapshot.write_note(self.prefix, note, "changed")

    def _definition(self) -> Optional[ServiceDefinition]:
        """Return the migration as a program that is run like the service."""
        spec = self.context.manifest.service
        if spec is None or spec.data is None:
            return None
        manifest = replace(self.context.manifest, service=replace(spec, arguments=spec.data.migrate))
        settings = self.plan.settings or ServiceSettings("none", "ragtrace", "", spec.host, spec.port, False)
        return define(self.prefix, self.plan.generation, settings, manifest)

    def _run(self, definition: ServiceDefinition) -> Optional[int]:
        prefix = self.prefix
        output = prefix.scratch / "migrate.log"
        make_directory(prefix.scratch)
        variables = {**definition.environment, **read_variables(definition.settings_file)}
        try:
            return run_tied(
                definition.command, minimal_environment(variables), output, (self.context.lock,),
                cwd=str(prefix.data), user=definition.user, timeout_s=MIGRATION_TIMEOUT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.output = tail(output, LOG_LINES)
            kept = logs.keep(prefix, "migrate", self.plan.generation, self.output + "\n")
            remove_tree(prefix.scratch)
            if kept is not None:
                self.context.console.note(Text(f"변환 로그: {kept}", f"log of the migration: {kept}"))

    def _failed(self, reason: Text) -> RestoredError:
        return RestoredError(
            Text(
                f"데이터 변환에 실패했습니다: {reason.ko}", f"the migration of the data failed: {reason.en}"
            ),
            where=str(self.prefix.data),
            details=[Text(line, line) for line in self.output.splitlines()[-10:]],
            hint=Text(
                "data/logs의 migrate 로그를 확인하고, 더 새 번들을 받거나 원인을 없앤 뒤 다시 실행하십시오",
                "see the migrate log in data/logs; get a newer bundle, or remove the cause and run again",
            ),
        )


class RestoreData(ContextStep):
    """The data that the release used when it ran last."""

    def apply(self) -> None:
        """Copy them; the snapshot stays until the release has been accepted."""
        prefix, note = self.prefix, snapshot.read_note(self.prefix)
        taken = snapshot.read(prefix, self.plan.restore)
        if note is None or taken is None:
            raise ValueError("there is no snapshot to restore")
        title = Text("데이터 되돌리기", "restoring the data")
        restore(self.context, note, taken, title)
        text = human_size(taken.bytes)
        self.context.console.note(
            Text(
                f"{taken.created}의 데이터({text})로 되돌렸습니다",
                f"back to the data of {taken.created} ({text})",
            )
        )


def restore(context: Context, note: Note, taken: Snapshot, title: Text) -> None:
    """Replace the data by a copy of a snapshot."""
    prefix = context.prefix
    note = snapshot.write_note(prefix, note, "changing")
    snapshot.close(prefix)
    snapshot.fill_copy(prefix, taken, context.console.progress(title, taken.bytes))
    snapshot.open_again(prefix, taken.root)
    snapshot.write_note(prefix, note, "changed")
