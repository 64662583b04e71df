"""SentencePiece models: one small protocol buffer of pieces and settings (sentencepiece_model.proto)."""

from __future__ import annotations

from typing import BinaryIO

from . import protobuf
from .errors import Malformed

SIZE = 64 << 20
_PIECE, _TRAINER = 1, 2
_KNOWN = frozenset(range(1, 6))


def check(stream: BinaryIO, size: int) -> int:
    """Check a whole file and return the number of pieces.

    Raises:
        Malformed: it is no SentencePiece model.
    """
    if size > SIZE:
        raise Malformed("토크나이저로는 너무 큽니다", "too large for a tokenizer")
    pieces = 0
    for item in protobuf.fields(stream, 0, size):
        # The schema leaves numbers from 200 to extensions.
        if (item.number not in _KNOWN and item.number < 200) or item.wire != protobuf.BYTES:
            raise Malformed("SentencePiece 모델이 아닙니다", "no SentencePiece model")
        pieces += item.number == _PIECE
    if not pieces:
        raise Malformed("조각이 없습니다", "there are no pieces")
    return pieces
