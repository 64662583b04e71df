"""The strict ZIP reader against changed bytes: it never breaks, and what it accepts reads as `zipfile` reads it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.wheels import wheelfile
from bundle import ziparchive as archives
from bundle.zipstructure import Malformed
from tests.builder.wheels import forge
from tests.builder.wheels.forge import NAME

SOUND = [forge.sound(), forge.streamed(), forge.forced_zip64()]


def contents(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@given(
    data=st.sampled_from(SOUND),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=3),
    cut=st.integers(0, 3),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_are_refused_or_mean_the_same(
    tmp_path: Path, data: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    changed = changed[: len(changed) - cut]
    (tmp_path / NAME).write_bytes(changed)
    if not wheelfile.problems_of(tmp_path / NAME, NAME):
        assert contents(bytes(changed)) == contents(data)


@pytest.mark.parametrize("data", SOUND)
def test_a_sound_archive_reads_as_zipfile_reads_it(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)
    with archives.opened(tmp_path / NAME) as archive:
        assert {item.name: archive.read(item) for item in archive.files()} == contents(data)
        with pytest.raises(Malformed, match="larger than"):
            archive.read(archive.files()[0], limit=3)
