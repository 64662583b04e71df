"""Recognise pickles, whatever their name: reading one runs the code it names."""

from __future__ import annotations

from typing import BinaryIO

from bundle.text import Text

SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".mar", ".pdparams")
_ZIP = b"PK\x03\x04"
_NUMPY = b"\x93NUMPY"
# PROTO of protocols 2 to 5 (pickletools): the opcode, the protocol, and then an opcode, not text.
_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def recognise(stream: BinaryIO) -> Text | None:
    """Return what kind of pickle the stream's first bytes are, or None; the stream is put back."""
    head = stream.read(8)
    stream.seek(0)
    if head.startswith(_ZIP):
        return Text("ZIP 아카이브입니다 (torch.save의 피클)", "a ZIP archive, as torch.save pickles are")
    if head.startswith(_PROTOCOLS):
        return Text("피클입니다", "a pickle")
    if head.startswith(_NUMPY):
        return Text("NumPy 배열입니다 (피클을 담을 수 있음)", "a NumPy array, which may hold pickles")
    return None
