"""`trust/accepted.json`: the commit record. Which releases passed, and the highest sequence seen."""

from __future__ import annotations

from dataclasses import dataclass

from bundle.atomic import write_atomic

from . import sealed
from .paths import GENERATION_NAME, Prefix


@dataclass(frozen=True)
class Accepted:
    """Accepted releases, oldest first, the highest sequence among all there ever were, the last transaction
    that committed, and how many trusted signatures the last bundle had to have. `known` is false where the record is missing or damaged: then nobody can
    say that a release was *not* accepted."""

    known: bool = False
    highest_sequence: int = 0
    generations: tuple[str, ...] = ()
    transaction: str = ""
    signatures: int = 1

    def includes(self, generation: str) -> bool:
        """Return whether the release passed its health check here."""
        return generation in self.generations

    def after(self, generation: str, sequence: int, transaction: str, signatures: int = 0) -> Accepted:
        """Return the record once `generation` has been accepted too; no `signatures`: as many as before."""
        others = tuple(name for name in self.generations if name != generation)
        return Accepted(
            True,
            max(self.highest_sequence, sequence),
            (*others, generation),
            transaction,
            signatures or self.signatures,
        )


# Nobody can say what was accepted.
UNKNOWN = Accepted()


def read(prefix: Prefix) -> Accepted:
    """Return the record; an unknown one where it is missing or damaged."""
    try:
        document = sealed.unseal(prefix.accepted.read_bytes())
        names = tuple(str(name) for name in document["generations"])
        sequence = int(document["highest_sequence"])
        transaction = str(document["transaction"])
        signatures = int(document.get("signatures", 1))
    except (FileNotFoundError, NotADirectoryError, sealed.Damaged, KeyError, TypeError, ValueError):
        return UNKNOWN
    return Accepted(
        True, sequence, tuple(n for n in names if GENERATION_NAME.match(n)), transaction, signatures
    )


def write(prefix: Prefix, accepted: Accepted) -> None:
    """Replace the record."""
    document = {
        "format": 1,
        "generations": list(accepted.generations),
        "highest_sequence": accepted.highest_sequence,
        "signatures": accepted.signatures,
        "transaction": accepted.transaction,
    }
    write_atomic(prefix.accepted, sealed.seal(document), 0o644)
