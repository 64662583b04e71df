"""The commit record of a transaction."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

from bundle.atomic import write_atomic

from .. import accepted, trust_store
from ..filesystem import make_directory, read_plain, remove_file
from ..provision import undo_note
from .context import Context, ContextStep


class Accept(ContextStep):
    """The commit record: the release is accepted, its signer pinned, trust records adopted, the highest
    sequence and the newest time remembered."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.before: dict[Path, Optional[bytes]] = {}

    def apply(self) -> None:
        """Pin first; the record last, because it ends the transaction."""
        prefix, plan, bundle = self.prefix, self.plan, self.context.bundle
        places = (prefix.records, prefix.allowed_signers, prefix.accepted)
        self.before = {path: read_plain(path) for path in places}
        make_directory(prefix.trust)
        # How many have to sign is remembered with whom they are: the next bundle cannot do with fewer.
        demanded = bundle.required if bundle is not None else 0
        clock = datetime.now(timezone.utc)
        record = accepted.read(prefix).after(
            plan.generation, plan.sequence, self.context.transaction, demanded
        )
        record = record.seeing(self.context.manifest.created, clock=clock)
        if bundle is not None:
            self._pin()
            since = record.newest or clock.strftime("%Y-%m-%dT%H:%M:%SZ")
            keys = tuple(signer.key.fingerprint for signer in bundle.origin.trusted)
            record = record.pinning(keys, since, plan.generation)
            record = record.seeing(*(item.record.created for item in bundle.origin.records[-1:]))
        accepted.write(prefix, record)
        remove_file(undo_note(prefix))

    def _pin(self) -> None:
        prefix, bundle = self.prefix, self.context.bundle
        if bundle is None:
            return
        records, held = bundle.origin.records, trust_store.read_chain(prefix)
        if trust_store.version(held) > trust_store.version(records):
            # A source that was not verified now, or records that came while it was: what is newer stays.
            return
        if records and records != held:
            # The truth first, what is derived from it second: killed in between, recovery derives it.
            trust_store.write_chain(prefix, records)
        earlier = self.before[prefix.allowed_signers]
        pinned = trust_store.pinned_with(bundle.origin, earlier)
        if pinned != earlier and pinned is not None:
            write_atomic(prefix.allowed_signers, pinned, 0o644)

    def undo(self) -> None:
        """Put the files back."""
        for path, content in self.before.items():
            if content is None:
                remove_file(path)
            else:
                write_atomic(path, content, 0o644)
