"""`current.json`: the one file whose replacement makes a release the active one."""

from __future__ import annotations

from dataclasses import dataclass

from bundle.atomic import write_atomic

from . import sealed
from .filesystem import remove_file
from .paths import GENERATION_NAME, Prefix


@dataclass(frozen=True)
class Pointer:
    """The active release, its manifest's digest and sequence, and the releases before it, newest first."""

    generation: str
    manifest: str
    sequence: int
    previous: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[str, ...]:
        """Releases that must never be collected."""
        return (self.generation, *self.previous)


def encode(pointer: Pointer) -> bytes:
    """Return the file's bytes."""
    return sealed.seal(
        {
            "format": 1,
            "generation": pointer.generation,
            "manifest": pointer.manifest,
            "sequence": pointer.sequence,
            "previous": list(pointer.previous),
        }
    )


def decode(data: bytes) -> Pointer:
    """Read the file's bytes.

    Raises:
        sealed.Damaged: torn, edited, or naming something that is not a release.
    """
    document = sealed.unseal(data)
    try:
        pointer = Pointer(
            generation=str(document["generation"]),
            manifest=str(document["manifest"]),
            sequence=_integer(document["sequence"]),
            previous=tuple(str(name) for name in document["previous"]),
        )
    except (KeyError, TypeError) as error:
        raise sealed.Damaged(f"field missing: {error}") from error
    if not all(GENERATION_NAME.match(name) for name in pointer.kept):
        raise sealed.Damaged("names something that is not a generation")
    return pointer


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("not an integer")
    return value


def read(prefix: Prefix) -> Pointer | None:
    """Return the active pointer, or None where nothing is installed.

    Raises:
        sealed.Damaged: the file is there but cannot be believed.
    """
    try:
        data = prefix.pointer.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return decode(data)


def write(prefix: Prefix, pointer: Pointer | None) -> None:
    """Make `pointer` the active one, durably; None removes it."""
    if pointer is None:
        remove_file(prefix.pointer)
    else:
        write_atomic(prefix.pointer, encode(pointer), 0o644)


def succeed(current: Pointer | None, generation: str, manifest: str, sequence: int, keep: int = 2) -> Pointer:
    """Return the pointer to `generation` that remembers what was active before, at most `keep` of them."""
    earlier = () if current is None else current.kept
    previous = tuple(name for name in earlier if name != generation)[:keep]
    return Pointer(generation, manifest, sequence, previous)
