"""The commit point: what is written can be believed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer import pointer, sealed
from installer.paths import Prefix, generation_name
from installer.pointer import Pointer

ONE, TWO, THREE, FOUR = (generation_name(n, "ab" * 32) for n in (1, 2, 3, 4))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    wanted = Pointer(TWO, "cd" * 32, 2, (ONE,))
    pointer.write(Prefix(tmp_path), wanted)
    assert pointer.read(Prefix(tmp_path)) == wanted
    pointer.write(Prefix(tmp_path), None)
    assert pointer.read(Prefix(tmp_path)) is None


@pytest.mark.parametrize("position", range(0, 300, 7))
def test_any_changed_or_missing_byte_is_noticed(position: int) -> None:
    data = bytearray(pointer.encode(Pointer(TWO, "cd" * 32, 2, (ONE,))))
    position %= len(data) - 1
    changed = bytes(data[:position]) + bytes([data[position] ^ 1]) + bytes(data[position + 1 :])
    with pytest.raises(sealed.Damaged):
        pointer.decode(changed)
    with pytest.raises(sealed.Damaged):
        pointer.decode(bytes(data[:position]))


@pytest.mark.parametrize(
    "name", ("../../etc", "000001-ABCDEF012345", "", "000001-abcdef012345/..", "current")
)
def test_a_name_that_is_not_a_generation_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(sealed.Damaged):
        pointer.decode(pointer.encode(Pointer(name, "x", 1)))
    with pytest.raises(ValueError, match="not a generation"):
        Prefix(tmp_path).generation(name)


def test_two_predecessors_are_remembered_newest_first() -> None:
    current: Pointer | None = None
    for number, name in enumerate((ONE, TWO, THREE, FOUR), 1):
        current = pointer.succeed(current, name, "m", number)
    assert current is not None
    assert current.kept == (FOUR, THREE, TWO)
    assert pointer.succeed(current, THREE, "m", 3).kept == (THREE, FOUR, TWO)
