"""What owes its being read to somebody else's published documents has to say so: in the program, its help and its manual."""

from __future__ import annotations

from ragtrace.text import Text

_HANGUL = "본 제품은 한글과컴퓨터의 한글 문서 파일(.hwp) 공개 문서를 참고하여 개발하였습니다."

# Hancom's terms ask for the Korean sentence as it stands; it is shown in every language.
HANGUL = Text(
    _HANGUL,
    f"{_HANGUL} (This product was developed with reference to Hancom's published documents on the HWP file format.)",
)
