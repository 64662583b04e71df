"""Compare what a file's name says with what its first bytes and its container say."""

from __future__ import annotations

import re
from typing import Final

from ragtrace.adapters import ole_guard
from ragtrace.adapters.zip_guard import GuardedZip, encrypted, open_zip
from ragtrace.errors import ParseProblem
from ragtrace.text import Text

_OFFICE: Final = {"word/": ".docx", "ppt/": ".pptx", "xl/": ".xlsx"}
# Names under which the same content is read by the same parser, and pairs that differ in the container only.
_ALIKE: Final = (
    frozenset({".docx", ".docm", ".dotx", ".dotm"}),
    frozenset({".pptx", ".pptm", ".ppsx", ".ppsm", ".potx"}),
    frozenset({".xlsx", ".xlsm", ".xltx", ".xltm"}),
    frozenset({".hwpx", ".hwtx"}),
    frozenset({".hwp", ".hwt"}),
    frozenset({".pdf"}),
)
_FAMILIES: Final = (frozenset({".hwp", ".hwpx", ".hwt", ".hwtx"}), frozenset.union(*_ALIKE[:3]))
_TEXTS: Final = frozenset({".txt", ".md", ".markdown", ".html", ".htm", ".csv", ".tsv"})
_HEAD: Final = 1024
_HTML: Final = re.compile(
    rb"\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html|head|body|script|meta)\b",
    re.IGNORECASE | re.DOTALL,
)

# HWPML, the older XML of Hangul, in UTF-8 or UTF-16 without its zeros.
_HWPML: Final = re.compile(rb"(?:<\?xml.{0,200}?\?>\s*)?(?:<!.{0,500}?>\s*)?<HWPML\b", re.DOTALL)

_PICTURE: Final = Text("그림", "a picture")
_ARCHIVE: Final = Text("압축 파일", "an archive")
_OPEN_DOCUMENT: Final = Text("ODF(OpenDocument) 문서", "an OpenDocument file")
_PLAIN_ZIP: Final = Text("ZIP 압축 파일", "a ZIP archive")
_WEB_PAGE: Final = Text("HTML 웹 페이지", "an HTML page")
# First bytes -> what such a file is. None of them is read.
_FOREIGN: Final = (
    (b"HWP Document File V3", Text("한글 3.0 문서", "an HWP 3 document")),
    (b"{\\rtf", Text("RTF 문서", "an RTF document")),
    (b"\x89PNG\r\n\x1a\n", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"GIF87a", _PICTURE),
    (b"GIF89a", _PICTURE),
    (b"II*\0", _PICTURE),
    (b"MM\0*", _PICTURE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!\x1a\x07", _ARCHIVE),
    (b"\x1f\x8b\x08", _ARCHIVE),
    (b"ALZ\x01", _ARCHIVE),
    (b"EGGA", _ARCHIVE),
    (b"\x7fELF", Text("실행 파일", "a program")),
)
# Wrappers of the document protection that Korean offices use: Fasoo, SoftCamp, MarkAny.
_DRM: Final = (b"DRMONE", b"Fasoo", b"SCDSA00", b"DOCUMENT SAFER")
_OLD_OFFICE: Final = {
    "WordDocument": Text("Word 97-2003(.doc) 문서", "a Word 97-2003 document (.doc)"),
    "Workbook": Text("Excel 97-2003(.xls) 문서", "an Excel 97-2003 workbook (.xls)"),
    "Book": Text("Excel 5.0(.xls) 문서", "an Excel 5.0 workbook (.xls)"),
    "PowerPoint Document": Text("PowerPoint 97-2003(.ppt) 문서", "a PowerPoint 97-2003 presentation (.ppt)"),
}


def parser_for(data: bytes, path: str) -> str:
    """Return the ending under which the content is to be parsed: the name's own wherever that is right.

    Within one family (HWP and HWPX; DOCX, PPTX and XLSX) the content decides. Raises `ParseProblem` for an empty file,
    for content of another family, protected content, and a container that is damaged.
    """
    name = path.rpartition("/")[2].rpartition(".")[2]
    suffix = f".{name.lower()}"
    if suffix in _TEXTS:
        _refuse_foreign(data[:_HEAD], suffix)
        return suffix
    if not any(suffix in group for group in _ALIKE):
        return suffix
    if not data.strip(b"\0 \r\n\t"):
        raise ParseProblem(Text("빈 파일입니다.", "The file is empty."))
    found = _kind(data, suffix)
    if any({suffix, found} <= group for group in _ALIKE):
        return suffix
    if any({suffix, found} <= family for family in _FAMILIES):
        return found
    raise _misnamed(suffix, Text(f"{found[1:].upper()} 문서", f"{found[1:].upper()}"))


def _kind(data: bytes, suffix: str) -> str:
    """Return the ending that the content would bear. Raises `ParseProblem` where it is nothing we read."""
    if data.startswith(ole_guard.MAGIC):
        return _ole_kind(data, suffix)
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(open_zip(data), suffix)
    head = data[:_HEAD]
    if b"%PDF-" in head:
        # The header may come after other bytes (ISO 32000-1 Annex H.3.4.1).
        return ".pdf"
    _refuse_foreign(head, suffix)
    if _HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
        raise _misnamed(suffix, _WEB_PAGE)
    if _HWPML.match(head.lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()):
        raise ParseProblem(
            Text("HWPML(한글 XML) 문서입니다.", "It is an HWPML document (the XML of Hangul)."),
            hint=Text("한글에서 HWPX로 저장해 주십시오.", "Save it as HWPX in Hangul."),
        )
    raise ParseProblem(
        Text(
            f"{suffix[1:].upper()} 형식이 아니거나 손상되었습니다.",
            f"It is no {suffix[1:].upper()} file, or damaged.",
        ),
        hint=Text("이름과 내용이 맞는지 확인하십시오.", "Check that name and content agree."),
    )


def _refuse_foreign(head: bytes, suffix: str) -> None:
    # What could also begin a text counts only where zeros, which no text but UTF-16 has, follow.
    binary = suffix not in _TEXTS or b"\0" in head
    if binary and any(mark in head[:128] for mark in _DRM):
        raise ParseProblem(
            Text(
                "문서 보안(DRM)으로 암호화된 파일입니다.",
                "The file is encrypted by document protection (DRM).",
            ),
            state=Text("내용을 읽지 않았습니다.", "Nothing of it was read."),
            hint=Text("보안을 해제한 파일을 넣어 주십시오.", "Take the unprotected file."),
        )
    for magic, what in _FOREIGN:
        if head.startswith(magic) and (binary or len(magic) > 4):
            raise _misnamed(suffix, what)
    if suffix not in _TEXTS:
        return
    if head.startswith(b"%PDF-"):
        raise _misnamed(suffix, Text("PDF 문서", "a PDF document"))
    if head.startswith((b"PK\x03\x04", ole_guard.MAGIC)):
        raise _misnamed(suffix, Text("오피스 문서나 압축 파일", "an office document or an archive"))


def _zip_kind(archive: GuardedZip, suffix: str) -> str:
    declared = archive.read("mimetype", 200).strip() if "mimetype" in archive else b""
    if declared.startswith(b"application/hwp+zip") or "Contents/content.hpf" in archive:
        return ".hwpx"
    if "[Content_Types].xml" in archive:
        for folder, kind in _OFFICE.items():
            if any(name.startswith(folder) for name in archive.names):
                return kind
    raise _misnamed(suffix, _OPEN_DOCUMENT if b"opendocument" in declared else _PLAIN_ZIP)


def _ole_kind(data: bytes, suffix: str) -> str:
    file = ole_guard.open_ole(data)
    if "EncryptedPackage" in file or any(name.startswith("\x06DataSpaces/") for name in file.names):
        raise encrypted()
    if "FileHeader" in file and file.read("FileHeader").startswith(b"HWP Document File"):
        return ".hwp"
    for stream, what in _OLD_OFFICE.items():
        if stream in file:
            raise _misnamed(suffix, what)
    raise _misnamed(suffix, Text("알 수 없는 OLE 파일", "an OLE file of unknown kind"))


def _misnamed(suffix: str, what: Text) -> ParseProblem:
    return ParseProblem(
        Text(
            f"이름은 {suffix}인데 내용은 {what.ko}입니다.", f"Its name ends in {suffix}, but it is {what.en}."
        ),
        hint=Text(
            "이름을 바로잡거나 지원하는 형식으로 다시 저장해 주십시오.",
            "Correct the name, or save it in a supported format.",
        ),
    )
