"""Containers and XML of office formats: caps hold whatever the file says about itself."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile

import pytest

from ragtrace.adapters import xml_guard, zip_guard
from ragtrace.adapters.ole_guard import open_ole
from ragtrace.adapters.xml_guard import parse_xml, refuse_doctype
from ragtrace.adapters.zip_guard import open_zip
from ragtrace.errors import ParseProblem
from tests.service.parsers.hwpx_writer import archive
from tests.service.parsers.ole_writer import compound_file

NAME = "가/나.xml"


def test_members_are_read_by_name_and_proved() -> None:
    guarded = open_zip(archive({NAME: "글" * 1000, "빈": ""}))
    guarded.prove()
    assert guarded.names == (NAME, "빈")
    assert (NAME in guarded, "다" in guarded, guarded.size(NAME)) == (True, False, 3000)
    assert guarded.read(NAME).decode() == "글" * 1000
    assert guarded.read("빈") == b""


def test_a_name_that_leads_out_of_a_folder_is_only_a_key() -> None:
    assert open_zip(archive({"../../etc/passwd": "글"})).read("../../etc/passwd") == "글".encode()


def test_a_missing_part_is_a_problem_in_words() -> None:
    with pytest.raises(ParseProblem, match="missing"):
        open_zip(archive({NAME: "글"})).read("다")


def test_a_member_larger_than_its_reader_wants_is_refused() -> None:
    with pytest.raises(ParseProblem):
        open_zip(archive({NAME: "0123456789"})).read(NAME, limit=9)


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"PK\3\4" + bytes(100), archive({NAME: "글"})[:-10], archive({NAME: "글"})[8:]]
)
def test_what_is_cut_off_is_damaged(data: bytes) -> None:
    with pytest.raises(ParseProblem):
        open_zip(data).prove()


def test_a_changed_byte_is_noticed() -> None:
    data = bytearray(archive({NAME: "글자들 " * 50}))
    data[60] ^= 0xFF
    with pytest.raises(ParseProblem):
        open_zip(bytes(data)).read(NAME)


def lying(declared: int) -> bytes:
    """Return an archive whose directory and local header name another size than what is inside."""
    data = archive({"a": bytes(8 << 20)})
    real = struct.pack("<I", 8 << 20)
    return data.replace(real, struct.pack("<I", declared))


def test_a_member_that_grows_beyond_its_declared_size_is_stopped_while_it_grows() -> None:
    data = lying(100)
    tracemalloc.start()
    for use in (lambda: open_zip(data).read("a"), lambda: open_zip(data).prove()):
        with pytest.raises(ParseProblem, match="absurd"):
            use()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_member_that_stays_below_its_declared_size_is_damaged() -> None:
    with pytest.raises(ParseProblem, match="damaged"):
        open_zip(lying(9 << 20)).read("a")


@pytest.mark.parametrize(("name", "value"), [("ZIP_MEMBERS", 2), ("ZIP_TOTAL_BYTES", 2_000_000)])
def test_too_many_members_and_too_much_content_are_refused_by_the_directory(
    monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    data = archive({str(number): bytes(900_000) for number in range(3)})
    open_zip(data)
    monkeypatch.setattr(zip_guard, name, value)
    with pytest.raises(ParseProblem, match="absurd"):
        open_zip(data)


def test_a_ratio_that_no_document_has_is_refused_by_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive({"a": bytes(3 << 20)})
    open_zip(data)
    monkeypatch.setattr(zip_guard, "ZIP_RATIO_FROM", 1 << 20)
    with pytest.raises(ParseProblem, match="absurd"):
        open_zip(data)


def test_members_that_share_bytes_are_refused() -> None:
    one = archive({"a": "0" * 5000})
    start = one.index(b"PK\1\2")
    entry = one[start : one.index(b"PK\5\6")]
    twice = (
        one[:start]
        + entry
        + entry[:-1]
        + b"b"
        + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 2, 2, 2 * len(entry), start, 0)
    )
    with zipfile.ZipFile(io.BytesIO(twice)) as archive_:
        assert archive_.namelist() == ["a", "b"]
    with pytest.raises(ParseProblem, match="absurd"):
        open_zip(twice)


def test_two_members_of_one_name_are_refused() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("a", "하나")
        with pytest.warns(UserWarning):
            file.writestr("a", "둘")
    with pytest.raises(ParseProblem):
        open_zip(target.getvalue())


def test_encrypted_members_and_unknown_methods_are_named() -> None:
    plain = archive({"a": "글"})
    locked = bytearray(plain)
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[plain.index(signature) + offset] |= 1
    with pytest.raises(ParseProblem, match="password"):
        open_zip(bytes(locked)).read("a")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a", "글")
    with pytest.raises(ParseProblem, match="method"):
        open_zip(target.getvalue()).read("a")


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;">]><a>&m;</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><a/>',
        '<?xml version="1.0"?><!-- x --><!DOCTYPE a><a/>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_document_type_is_refused_in_every_encoding(text: str, encoding: str) -> None:
    for use in (parse_xml, refuse_doctype):
        with pytest.raises(ParseProblem):
            use(text.encode(encoding))


@pytest.mark.parametrize(
    "data", [b"", b"text", b"<a>", b"<a>&undefined;</a>", b"<a>" * 300 + b"</a>" * 300, b"\xff\xfe<\0"]
)
def test_what_is_no_xml_is_a_problem(data: bytes) -> None:
    with pytest.raises(ParseProblem):
        parse_xml(data)


def test_more_elements_than_a_part_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    parse_xml(b"<a>" + b"<b/>" * 20 + b"</a>")
    monkeypatch.setattr(xml_guard, "XML_ELEMENTS", 20)
    with pytest.raises(ParseProblem, match="elements"):
        parse_xml(b"<a>" + b"<b/>" * 20 + b"</a>")


def test_xml_in_korean_encodings_is_read() -> None:
    for encoding in ("utf-8", "utf-16"):
        root = parse_xml(f'<?xml version="1.0" encoding="{encoding}"?><가>나</가>'.encode(encoding))
        assert (root.tag, root.text) == ("가", "나")


def test_streams_of_a_compound_file_are_read_by_path() -> None:
    small, large = b"s" * 100, bytes(range(256)) * 64
    file = open_ole(compound_file({"A": small, "B/C": large, "B/빈": b""}))
    assert sorted(file.names) == ["A", "B/C", "B/빈"]
    assert (file.read("A"), file.read("B/C"), file.read("B/빈")) == (small, large, b"")
    with pytest.raises(ParseProblem):
        file.read("B/D")


@pytest.mark.parametrize("at", [44, 64, 72])
def test_counts_of_sectors_beyond_the_file_are_refused(at: int) -> None:
    data = bytearray(compound_file({"A": b"a" * 5000}))
    struct.pack_into("<I", data, at, 0x00FFFFFF)
    with pytest.raises(ParseProblem):
        open_ole(bytes(data))
