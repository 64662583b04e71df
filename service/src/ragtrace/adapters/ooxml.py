"""What DOCX, PPTX and XLSX have in common: the package (ECMA-376 part 2), its kind, its properties, its attacks."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from ragtrace.adapters.facts import day_of
from ragtrace.adapters.xml_guard import parse_xml, refuse_doctype
from ragtrace.adapters.zip_guard import GuardedZip, damaged, encrypted, open_zip
from ragtrace.errors import ParseProblem
from ragtrace.limits import XML_ELEMENTS, ZIP_TOTAL_BYTES
from ragtrace.text import Text

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CONTENT_TYPES = "[Content_Types].xml"
# The main part's content type names the kind; templates, shows and macro documents differ in the last words only.
_KINDS = {
    "DOCX": re.compile(
        r"wordprocessingml\.(?:document|template)\.main|ms-word\.(?:document|template)\.macro"
    ),
    "PPTX": re.compile(
        r"presentationml\.(?:presentation|slideshow|template)\.main"
        r"|ms-powerpoint\.(?:presentation|slideshow|template)\.macro"
    ),
    "XLSX": re.compile(r"spreadsheetml\.(?:sheet|template)\.main|ms-excel\.(?:sheet|template)\.macro"),
}
# The libraries open the plain kinds only; nothing of a macro is read either way.
_VARIANTS = (
    (
        re.compile(
            rb"application/vnd\.(?:ms-word\.(?:document|template)\.macroEnabled(?:Template)?"
            rb"|openxmlformats-officedocument\.wordprocessingml\.template)\.main\+xml"
        ),
        b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
    ),
    (
        re.compile(
            rb"application/vnd\.(?:ms-powerpoint\.(?:presentation|slideshow|template)\.macroEnabled"
            rb"|openxmlformats-officedocument\.presentationml\.(?:slideshow|template))\.main\+xml"
        ),
        b"application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml",
    ),
)
_XLSB = "ms-excel.sheet.binary"
# ISO/IEC 29500 Strict has the same elements under other names, which the libraries do not know.
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
_STRICT_NAMES = (
    (b"/2006/relationships/extendedProperties", b"/2006/relationships/extended-properties"),
    (b"/2006/relationships/customProperties", b"/2006/relationships/custom-properties"),
)
_ENCODING = re.compile(r"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']+)")
_ENCODINGS = frozenset({"utf-8", "utf8", "utf-16", "us-ascii", "ascii"})
# Days that came with a program's empty document, not with the user's.
_TEMPLATE_MOMENTS = frozenset(
    [
        "2013-12-23T23:15:00",  # python-docx
        "2013-01-27T09:14:16",  # python-pptx
        "2013-01-27T09:15:58",
        "2006-09-16T00:00:00",  # Excel 2007 and later
        "2015-06-05T18:17:20",
        "2015-06-05T18:19:34",
        "1601-01-01T00:00:00",
    ]
)


@dataclass(frozen=True)
class Package:
    """A package that keeps every cap: `data` may be given to a library that reads without bounds."""

    data: bytes
    parts: GuardedZip
    title: str
    date: str


def open_package(data: bytes, kind: str) -> Package:
    """Return the package in `data`, which shall be a `kind` ("DOCX", "PPTX" or "XLSX").

    Raises `ParseProblem` for what is empty, encrypted, damaged, of another kind, or an attack.
    """
    if not data:
        raise ParseProblem(Text("빈 파일입니다(0바이트).", "The file is empty (0 bytes)."))
    if data.startswith(_OLE):
        raise _compound(data)
    if not data.startswith(b"PK"):
        raise ParseProblem(
            Text(f"{kind} 파일이 아닙니다.", f"It is not a {kind} file."),
            hint=Text(
                "이름과 내용이 맞는지, DRM이 걸리지 않았는지 확인하십시오.",
                "Check that name and content agree, and that no DRM wraps it.",
            ),
        )
    parts = open_zip(data)
    strict = False
    for name in parts.names:
        strict = _check_part(parts, name) or strict
    found = _kind(parts)
    if found != kind:
        raise _wrong_kind(kind, found)
    changed = (
        {name: _transitional(parts.read(name)) for name in parts.names if _is_xml(name)} if strict else {}
    )
    content_types = changed.get(_CONTENT_TYPES) or parts.read(_CONTENT_TYPES)
    plain = content_types
    for variant, known in _VARIANTS:
        plain = variant.sub(known, plain)
    if strict or plain != content_types:
        data = rewrite(parts, changed | {_CONTENT_TYPES: plain})
        parts = open_zip(data)
    title, day = _properties(parts)
    return Package(data, parts, title, day)


def rewrite(parts: GuardedZip, changed: Mapping[str, bytes]) -> bytes:
    """Return the package with some parts' contents changed."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in parts.names:
            content = changed[name] if name in changed else parts.read(name)
            archive.writestr(zipfile.ZipInfo(name), content)
    return target.getvalue()


@contextmanager
def library(kind: str) -> Iterator[None]:
    """Turn what a library raises for a malformed document into a `ParseProblem`; its warnings concern features not read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ParseProblem:
        raise
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        ArithmeticError,
        RuntimeError,  # nested too deeply, or a feature the library does not know
        EOFError,
        OSError,  # openpyxl: no workbook part
        SyntaxError,  # xml.etree.ElementTree.ParseError
        etree.LxmlError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ParseProblem(
            Text(f"{kind} 내용을 읽을 수 없습니다: {reason}", f"The {kind} content cannot be read: {reason}"),
            hint=Text("원본 프로그램에서 다시 저장해 주십시오.", "Save it again with its program."),
        ) from error


def _check_part(parts: GuardedZip, name: str) -> bool:
    """Refuse XML that declares entities or hides its encoding; say whether it is of the strict variant."""
    content = parts.read(name, ZIP_TOTAL_BYTES)
    head = content[:256].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if not head.startswith(b"<"):
        if _is_xml(name) and content.strip():
            raise damaged(name)
        return False
    refuse_doctype(content, name)
    declared = _ENCODING.match(head.decode("latin-1"))
    if declared and declared[1].lower() not in _ENCODINGS:
        raise ParseProblem(
            Text(
                f"문서 안 XML의 인코딩({declared[1]})은 허용되지 않습니다.",
                f"The XML inside is in {declared[1]}, which the format does not allow.",
            ),
            where=name,
        )
    # Each element has a start; XLSX sheets are read as a stream and may have more.
    if not name.startswith("xl/worksheets/") and content.count(b"<") > 2 * XML_ELEMENTS:
        raise ParseProblem(
            Text(
                f"XML 요소가 {XML_ELEMENTS}개를 넘습니다.", f"It holds more than {XML_ELEMENTS} XML elements."
            ),
            where=name,
        )
    return b"http://purl.oclc.org/ooxml/" in content[:65536]


def _kind(parts: GuardedZip) -> str:
    """Return the kind by the content type of the main part, "" for none."""
    if _CONTENT_TYPES not in parts:
        return ""
    for element in parse_xml(parts.read(_CONTENT_TYPES), _CONTENT_TYPES).iter():
        named = element.get("ContentType") or ""
        if _XLSB in named:
            return "XLSB"
        for kind, pattern in _KINDS.items():
            if pattern.search(named):
                return kind
    return ""


def _is_xml(name: str) -> bool:
    return name.lower().endswith((".xml", ".rels"))


def _transitional(content: bytes) -> bytes:
    content = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/", content)
    for strict, known in _STRICT_NAMES:
        content = content.replace(strict, known)
    return content


def _properties(parts: GuardedZip) -> tuple[str, str]:
    """Return title and day of the core properties (ECMA-376 part 2 §11); the day of the last change before the first."""
    name = next(
        (name for name in parts.names if name.lower() == "docprops/core.xml" or name.endswith(".psmdcp")), ""
    )
    if not name:
        return "", ""
    found: dict[str, str] = {}
    for element in parse_xml(parts.read(name), name).iter("{*}title", "{*}created", "{*}modified"):
        found.setdefault(etree.QName(element).localname, (element.text or "").strip())
    moments = [_moment(found.get("modified", "")), _moment(found.get("created", ""))]
    return found.get("title", ""), day_of(moments, _TEMPLATE_MOMENTS)


def _moment(text: str) -> datetime | None:
    """Read W3CDTF as far as it names a day."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _compound(data: bytes) -> ParseProblem:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return encrypted()
    return ParseProblem(
        Text("옛 바이너리 형식(DOC, PPT, XLS)입니다.", "It is of the old binary kind (DOC, PPT, XLS)."),
        hint=Text("DOCX, PPTX, XLSX로 저장해 주십시오.", "Save it as DOCX, PPTX or XLSX."),
    )


def _wrong_kind(kind: str, found: str) -> ParseProblem:
    if not found:
        return ParseProblem(
            Text(f"ZIP이지만 {kind} 파일이 아닙니다.", f"It is a ZIP archive, but no {kind} file."),
            hint=Text("이름과 내용이 맞는지 확인하십시오.", "Check that name and content agree."),
        )
    return ParseProblem(
        Text(
            f"이름은 {kind}이지만 내용은 {found}입니다.", f"It is named {kind}, but its content is {found}."
        ),
        hint=Text("이름을 바로잡거나 다시 저장해 주십시오.", "Correct the name, or save it again."),
    )
