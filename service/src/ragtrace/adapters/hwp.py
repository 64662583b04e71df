"""Parser for HWP 5, the binary format of Hangul since 2002.

본 제품은 한글과컴퓨터의 한글 문서 파일(.hwp) 공개 문서를 참고하여 개발하였습니다. ("한글 문서 파일 형식 5.0", revision 1.3; table 3 flags, table 7
summary.) The preview text PrvText is never read: it is a piece of the document, and in protected
documents it is what the protection leaves over.
"""

from __future__ import annotations

import re
import zlib
from datetime import datetime
from typing import Final

from ragtrace.adapters.facts import choose_date, choose_title, day_of
from ragtrace.adapters.hangul import Block, fill
from ragtrace.adapters.hwp_body import SectionReader
from ragtrace.adapters.hwp_info import read_info
from ragtrace.adapters.hwp_records import read_records
from ragtrace.adapters.ole_guard import GuardedOle, open_ole
from ragtrace.adapters.outline import Outline
from ragtrace.adapters.zip_guard import damaged, encrypted, inflate
from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import ParseProblem
from ragtrace.limits import HWP_TEXT_BYTES
from ragtrace.text import Text

SIGNATURE: Final = b"HWP Document File"
_SUMMARY: Final = "\x05HwpSummaryInformation"
_SECTION: Final = re.compile(r"BodyText/Section(\d{1,5})")
_COMPRESSED, _PASSWORD, _DISTRIBUTION, _DRM, _CERTIFICATE, _CERTIFICATE_DRM = (
    1 << bit for bit in (0, 1, 2, 4, 8, 10)
)
_TITLE, _CREATED, _SAVED = 2, 12, 13
# The zero of FILETIME is 1601; a program that knows no time writes it.
_FIRST_YEAR: Final = 1980


class HwpParser:
    """The title and day of the summary; outline paragraphs become section paths, tables become rows."""

    suffixes = frozenset({".hwp"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the document.

        Raises `ParseProblem` for a document that is damaged, protected by password, certificate or DRM, written for
        distribution (배포용), or of a version before 5.
        """
        file = open_ole(data)
        flags = _flags(file)
        streams = _Streams(file, bool(flags & _COMPRESSED))
        info = read_info(read_records(streams.read("DocInfo"), "DocInfo"))
        reader = SectionReader(info)
        outline = Outline()
        blocks: list[Block] = []
        for name in _section_names(file, info.sections):
            blocks += reader.read(read_records(streams.read(name), name))
        fill(outline, blocks)
        found = outline.sections()
        title, stated = _summary(file)
        return ParsedDocument(
            choose_title(path, title, outline.first_heading), found, choose_date(path, stated, found)
        )


class _Streams:
    """The streams of a document, unpacked, with one cap over all of them."""

    def __init__(self, file: GuardedOle, compressed: bool) -> None:
        self._file = file
        self._compressed = compressed
        self._left = HWP_TEXT_BYTES

    def read(self, name: str) -> bytes:
        packed = self._file.read(name)
        pieces: list[bytes] = []
        try:
            for piece in inflate(packed) if self._compressed else iter((packed,)):
                self._left -= len(piece)
                if self._left < 0:
                    raise ParseProblem(
                        Text(
                            f"본문을 풀면 {HWP_TEXT_BYTES >> 20} MiB를 넘습니다.",
                            f"Its text unpacks to more than {HWP_TEXT_BYTES >> 20} MiB.",
                        ),
                        where=name,
                    )
                pieces.append(piece)
        except zlib.error as error:
            raise damaged(name) from error
        return b"".join(pieces)


def _flags(file: GuardedOle) -> int:
    """Return the flags of the file header (table 3). Raises `ParseProblem` for what may not or cannot be read."""
    header = file.read("FileHeader")
    if not header.startswith(SIGNATURE) or len(header) < 40:
        raise ParseProblem(
            Text("한글(HWP) 문서가 아닙니다.", "It is no HWP document."),
            hint=Text("이름과 내용이 맞는지 확인하십시오.", "Check that name and content agree."),
        )
    if header[35] != 5:
        raise ParseProblem(
            Text(
                f"지원하지 않는 한글 문서 버전입니다({header[35]}.{header[34]}).",
                f"HWP version {header[35]}.{header[34]} is not supported.",
            )
        )
    flags = int.from_bytes(header[36:40], "little")
    if flags & _DISTRIBUTION or any(name.startswith("ViewText/") for name in file.names):
        raise ParseProblem(
            Text(
                "배포용 문서라 본문이 잠겨 있습니다.",
                "It is a distribution (배포용) document: its text is locked.",
            ),
            state=Text("안내문을 본문으로 색인하지 않았습니다.", "Its notice was not indexed as its text."),
            hint=Text(
                "배포용으로 바꾸기 전의 원본을 넣어 주십시오.",
                "Take the original from before it was made one.",
            ),
        )
    if flags & _PASSWORD:
        raise encrypted()
    if flags & (_DRM | _CERTIFICATE | _CERTIFICATE_DRM):
        raise ParseProblem(
            Text(
                "DRM 또는 공인인증서로 보호된 문서입니다.",
                "The document is protected by DRM or a certificate.",
            ),
            state=Text("내용을 읽지 않았습니다.", "Nothing of it was read."),
            hint=Text("보호를 푼 파일을 넣어 주십시오.", "Take the unprotected file."),
        )
    return flags


def _section_names(file: GuardedOle, declared: int) -> list[str]:
    """Return the streams of the sections in order. Raises `ParseProblem` when one of them is missing."""
    found = {int(match[1]): name for name in file.names if (match := _SECTION.fullmatch(name))}
    if not found or len(found) < declared or max(found) != len(found) - 1:
        raise damaged("BodyText")
    return [found[number] for number in sorted(found)]


def _summary(file: GuardedOle) -> tuple[str, str]:
    """Return title and day of the document's summary."""
    properties = file.properties(_SUMMARY)
    title = properties.get(_TITLE)
    if isinstance(title, bytes):
        title = title.decode("cp949", "replace")
    moments = [properties.get(_SAVED), properties.get(_CREATED)]
    day = day_of(one for one in moments if isinstance(one, datetime) and one.year >= _FIRST_YEAR)
    # Hangul counts a string's bytes where the format counts characters: what follows its end is the next property.
    return title.partition("\0")[0] if isinstance(title, str) else "", day
