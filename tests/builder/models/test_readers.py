"""Whatever the bytes, a reader either accepts them or says why not; it never fails in another way."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.models.readers import documents, gguf, onnx, safetensors, sentencepiece
from builder.models.readers.errors import Malformed
from tests.support import model_files

Reader = Callable[[BinaryIO, int], object]
READERS: dict[str, tuple[Reader, bytes]] = {
    "safetensors": (safetensors.check, model_files.safetensors()),
    "gguf": (gguf.check, model_files.gguf()),
    "onnx": (onnx.check, model_files.onnx("model.onnx.data", nested=True, domain="x")),
    "sentencepiece": (sentencepiece.check, model_files.sentencepiece()),
    "json": (
        lambda stream, size: documents.check_json(stream, size, "model.safetensors.index.json"),
        b'{"auto_map": {"a": "b"}, "weight_map": {"w": "s"}, "chat_template": [{"a": 1.5e3}]}',
    ),
    "modules": (
        lambda stream, size: documents.check_json(stream, size, "modules.json"),
        b'[{"type": "sentence_transformers.models.Pooling"}, null]',
    ),
    "text": (documents.check_text, "가나다 text\n".encode()),
}


def read(name: str, data: bytes) -> None:
    reader, _ = READERS[name]
    try:
        reader(io.BytesIO(data), len(data))
    except Malformed as error:
        assert error.text.ko and error.text.en


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_file_is_accepted_or_refused(name: str, data: st.DataObject) -> None:
    damaged = bytearray(READERS[name][1])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged)))
        length = data.draw(st.sampled_from([0, 1, 4, 8]))
        damaged[place : place + length] = data.draw(st.binary(max_size=9))
    read(name, bytes(damaged))


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_accepted_or_refused(name: str, data: bytes) -> None:
    read(name, data)


@pytest.mark.parametrize("name", READERS)
def test_every_cut_of_a_file_is_accepted_or_refused(name: str) -> None:
    whole = READERS[name][1]
    for end in range(min(len(whole), 600)):
        read(name, whole[:end])
