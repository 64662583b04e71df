"""Counting as word processors write it before paragraphs: 1, 가, ㄱ, ①, iv, 一, 갑."""

from __future__ import annotations

_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"),
    (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
# The names of the forms are those of ECMA-376 part 1 §17.18.59 as far as it has them.
_ALPHABETS = {
    "ganada": "가나다라마바사아자차카타파하",
    "chosung": "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
    "upperLetter": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "lowerLetter": "abcdefghijklmnopqrstuvwxyz",
    "decimalEnclosedCircle": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
    "koreanDigital": "일이삼사오육칠팔구",
    "koreanCounting": "일이삼사오육칠팔구",
    "ideographDigital": "一二三四五六七八九十",
    "circledUpperLetter": "ⒶⒷⒸⒹⒺⒻⒼⒽⒾⒿⓀⓁⓂⓃⓄⓅⓆⓇⓈⓉⓊⓋⓌⓍⓎⓏ",
    "circledLowerLetter": "ⓐⓑⓒⓓⓔⓕⓖⓗⓘⓙⓚⓛⓜⓝⓞⓟⓠⓡⓢⓣⓤⓥⓦⓧⓨⓩ",
    "circledGanada": "㉮㉯㉰㉱㉲㉳㉴㉵㉶㉷㉸㉹㉺㉻",
    "circledChosung": "㉠㉡㉢㉣㉤㉥㉦㉧㉨㉩㉪㉫㉬㉭",
    "circledIdeograph": "㊀㊁㊂㊃㊄㊅㊆㊇㊈㊉",
    "stems": "갑을병정무기경신임계",
    "hanjaStems": "甲乙丙丁戊己庚辛壬癸",
}
# Letters begin again doubled (aa, bb) after the last; the others have no agreed continuation.
_DOUBLED = frozenset({"upperLetter", "lowerLetter"})


def written(count: int, form: str) -> str:
    """Return `count` in this form, in digits where the form has no sign for it or is not known."""
    if form in ("upperRoman", "lowerRoman") and 0 < count < 4000:
        roman = ""
        for value, letters in _ROMAN:
            roman += letters * (count // value)
            count %= value
        return roman.upper() if form == "upperRoman" else roman
    alphabet = _ALPHABETS.get(form, "")
    if 0 < count <= len(alphabet):
        return alphabet[count - 1]
    if form in _DOUBLED and 0 < count <= 26 * 8:
        return alphabet[(count - 1) % 26] * ((count - 1) // 26 + 1)
    return f"{count:02d}" if form == "decimalZero" else str(count)
