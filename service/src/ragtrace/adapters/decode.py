"""Recognise the encoding of text files: UTF-8, UTF-16 and CP949 (the Korean Windows encoding, which contains EUC-KR)."""

from __future__ import annotations

import codecs
import re

from ragtrace.errors import ParseProblem
from ragtrace.limits import CONTROL_SHARE, WIDE_SHARE
from ragtrace.text import Text

_BOMS = (
    # The mark of UTF-32 begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# Without ideographs: any two ASCII characters side by side would be one.
_READABLE = re.compile("[\t\n\r -~\u3131-\u318e\uac00-\ud7a3\u3000-\u303f\u2010-\u2027·]")
_WIDE_HEAD = 4096
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_KOREAN = {
    "euc-kr",
    "euckr",
    "ks_c_5601-1987",
    "ksc5601",
    "ks_c_5601",
    "cp949",
    "ms949",
    "x-windows-949",
    "uhc",
}


def decode_text(data: bytes) -> str:
    """Return the text of `data`. Raises `ParseProblem` when it is not text in a known encoding."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _checked(_decode(data[len(bom) :], encoding))
    if b"\0" in data:
        return _checked(_decode(data, _wide_encoding(data)))
    for encoding in ("utf-8", "cp949"):
        try:
            return _checked(data.decode(encoding))
        except UnicodeDecodeError:
            continue
    raise ParseProblem(
        Text(
            "글자 인코딩을 알 수 없습니다(UTF-8, UTF-16, CP949가 아님).",
            "Unknown encoding: neither UTF-8, UTF-16 nor CP949.",
        ),
        hint=Text("UTF-8로 저장해 주십시오.", "Save the file as UTF-8."),
    )


def decode_html(data: bytes) -> str:
    """Return the text of an HTML file; a wrong byte in a declared encoding becomes U+FFFD instead of a failure."""
    declared = _CHARSET.search(data[:4096])
    if declared is None or data.startswith(tuple(bom for bom, _ in _BOMS)) or b"\0" in data:
        return decode_text(data)
    name = declared[1].decode("ascii").lower()
    try:
        return _checked(data.decode("cp949" if name in _KOREAN else "utf-8"))
    except UnicodeDecodeError:
        pass
    try:
        return decode_text(data)
    except ParseProblem:
        return _checked(data.decode("cp949" if name in _KOREAN else "utf-8", errors="replace"))


def _decode(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _binary() from error


def _wide_encoding(data: bytes) -> str:
    """Tell UTF-16 without a byte order mark by what it would say: Korean and ASCII, or next to nothing but ASCII."""
    head = data[: _WIDE_HEAD - _WIDE_HEAD % 2]
    if len(data) % 2 == 0:
        for encoding in ("utf-16-le", "utf-16-be"):
            text = head.decode(encoding, "replace")
            if len(_READABLE.findall(text)) >= WIDE_SHARE * len(text):
                return encoding
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if odd > 4 * even and odd >= 2:
            return "utf-16-le"
        if even > 4 * odd and even >= 2:
            return "utf-16-be"
    raise _binary()


def _checked(text: str) -> str:
    if "\0" in text or len(_CONTROL.findall(text[:200_000])) > CONTROL_SHARE * min(len(text), 200_000):
        raise _binary()
    return _CONTROL.sub(" ", text)


def _binary() -> ParseProblem:
    return ParseProblem(
        Text("글 파일이 아니라 이진 파일입니다.", "It is a binary file, not text."),
        hint=Text("이름과 내용이 맞는지 확인하십시오.", "Check that name and content agree."),
    )
