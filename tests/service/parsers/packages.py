"""OOXML packages taken apart, changed, and turned into attacks."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping

import docx
import openpyxl
import pptx
import pytest

MAIN = {"DOCX": "word/document.xml", "PPTX": "ppt/presentation.xml", "XLSX": "xl/workbook.xml"}
_LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n + 1, b"&l%d;" % n * 10) for n in range(9))


def smallest(kind: str) -> bytes:
    """Return a document of this kind."""
    target = io.BytesIO()
    if kind == "DOCX":
        docx.Document().save(target)
    elif kind == "PPTX":
        pptx.Presentation().save(target)
    else:
        openpyxl.Workbook().save(target)
    return target.getvalue()


def saying(kind: str, words: str) -> bytes:
    """Return a document of this kind that says these words."""
    target = io.BytesIO()
    if kind == "DOCX":
        document = docx.Document()
        document.add_paragraph(words)
        document.save(target)
    elif kind == "PPTX":
        presentation = pptx.Presentation()
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.placeholders[1].text = words
        presentation.save(target)
    else:
        book = openpyxl.Workbook()
        book.active.append([words])
        book.save(target)
    return target.getvalue()


def parts_of(data: bytes) -> dict[str, bytes]:
    """Return the members of a package."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(data: bytes, parts: Mapping[str, bytes | Callable[[bytes], bytes] | None]) -> bytes:
    """Return the package with parts replaced, changed by a function, added, or (None) removed."""
    members = parts_of(data)
    for name, content in parts.items():
        if content is None:
            members.pop(name)
        else:
            members[name] = content if isinstance(content, bytes) else content(members[name])
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def attacked(kind: str) -> list[object]:
    """Return files of this name that are none: the data and words of the refusal."""
    sound, main = smallest(kind), MAIN[kind]
    other = "XLSX" if kind == "DOCX" else "DOCX"

    def declared(doctype: bytes) -> bytes:
        def put(old: bytes) -> bytes:
            end = old.index(b"?>") + 2 if old.startswith(b"<?xml") else 0
            return old[:end] + doctype + old[end:]

        return changed(sound, {main: put})

    def wide(old: bytes) -> bytes:
        text = old.decode().partition("?>")[2] if old.startswith(b"<?xml") else old.decode()
        return f'<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY b "c">]>{text}'.encode("utf-16")

    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts_of(sound).items():
            archive.writestr(name, content)
        archive.writestr("media/zeros.bin", bytes(96 << 20))
    # The directory says 100 bytes where the data inflates to eight million.
    lying = changed(sound, {"media/lies.bin": bytes(8_000_000)})
    at = lying.rindex(b"PK\x01\x02", 0, lying.rindex(b"media/lies.bin"))
    lying = lying[: at + 24] + (100).to_bytes(4, "little") + lying[at + 28 :]
    return [
        pytest.param(data, words, id=name)
        for name, data, words in [
            ("empty", b"", "empty"),
            ("text", "그냥 글".encode(), f"not a {kind}"),
            ("cut", sound[: len(sound) // 2], "damaged"),
            ("flipped", sound[:400] + bytes(200) + sound[600:], ""),
            ("other", smallest(other), f"content is {other}"),
            ("zip", changed(sound, {"[Content_Types].xml": None}), f"no {kind}"),
            ("encrypted", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "password"),
            ("old", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old binary"),
            ("no main part", changed(sound, {main: None}), ""),
            ("broken xml", changed(sound, {main: lambda old: old[: len(old) // 2]}), "cannot be read"),
            ("not xml", changed(sound, {main: b"\x89PNG"}), "damaged"),
            ("laughs", declared(b'<!DOCTYPE a [<!ENTITY l0 "ha">' + _LAUGHS + b"]>"), "entities"),
            ("external", declared(b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "entities"),
            ("wide entities", changed(sound, {main: wide}), "entities"),
            ("hidden encoding", changed(sound, {main: b'<?xml version="1.0" encoding="UTF-7"?>+ADw-a/+AD4-'}), "UTF-7"),
            ("bomb", bomb.getvalue(), "absurd"),
            ("lying size", lying, "absurd"),
        ]
    ]  # fmt: skip
