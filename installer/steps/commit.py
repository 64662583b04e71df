"""The commit record of a transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from bundle.atomic import write_atomic

from .. import accepted
from ..filesystem import make_directory, read_plain, remove_file
from ..provision import undo_note
from ..trust_store import pinned_with
from .context import Context, ContextStep


class Accept(ContextStep):
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
