"""Which path names a bundle may hold: valid, and meaning the same, on POSIX and on Windows."""

from __future__ import annotations

import re
import unicodedata
from typing import Dict, Iterable, List, Optional

from . import limits
from .text import Text

_FORBIDDEN = re.compile(r'[<>:"\\|?*\x00-\x1f\x7f]')
# Windows looks at what stands before the first dot, without the blanks at its end.
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|clock\$|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?$")
# The short second name that Windows gives to a long one: LONGNA~1.TXT may be any file that begins so.
_SHORT = re.compile(r"(?i)^[^.~]{1,7}~[0-9]{1,6}(\.[^.]{0,3})?$")
# Control, format (invisible, ignored by HFS+, or turning the text around it), line and paragraph separator.
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")


def problem_with(path: str) -> Optional[Text]:
    """Return why `path` may not be a name in a bundle, or None when it may.

    The rules are those of Win32 file naming joined with POSIX's: relative, forward slashes, NFC, no invisible
    characters, no component that is empty, ``.``, ``..``, reserved, like a short name, or ends in a dot or a space.
    """
    if not path or len(path) > limits.PATH_CHARACTERS:
        return Text("경로가 비었거나 너무 깁니다", "empty, or longer than the limit")
    if path.startswith("/") or _FORBIDDEN.search(path):
        return Text("절대 경로이거나 금지 문자가 있습니다", "absolute, or has a forbidden character")
    if not path.isascii() and any(unicodedata.category(character) in _UNSEEN for character in path):
        return Text("보이지 않는 문자가 있습니다", "has an invisible character")
    if unicodedata.normalize("NFC", path) != path:
        return Text("유니코드 정규형(NFC)이 아닙니다", "not in Unicode normal form C")
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return Text("UTF-8로 쓸 수 없습니다", "not encodable as UTF-8")
    components = path.split("/")
    if len(components) > limits.PATH_DEPTH:
        return Text("폴더가 너무 깊습니다", "nested too deeply")
    for component in components:
        if component in ("", ".", "..") or component[-1] in ". ":
            return Text(
                "허용되지 않는 경로 요소입니다",
                "has a component that is empty, '.', '..' or ends in a dot or space",
            )
        if _SHORT.match(component):
            return Text("짧은 이름(8.3)처럼 보이는 요소입니다", "has a component like a short (8.3) name")
        if _RESERVED.match(component) or len(component.encode("utf-8")) > limits.COMPONENT_BYTES:
            return Text("예약된 이름이거나 너무 긴 요소입니다", "has a reserved or too long component")
    return None


def colliding(paths: Iterable[str]) -> List[str]:
    """Return names that meet an earlier one where upper and lower case are the same, or that are a
    file where another name needs a folder, or whose folder is written in two ways."""
    seen = set()
    folders: Dict[str, str] = {}
    collisions = []
    keyed = [(path, _key(path)) for path in paths]
    for path, key in keyed:
        collided = key in seen
        seen.add(key)
        spelling, folder = path, key
        while "/" in folder:
            spelling, folder = spelling.rpartition("/")[0], folder.rpartition("/")[0]
            collided = folders.setdefault(folder, spelling) != spelling or collided
        if collided:
            collisions.append(path)
    return collisions + [path for path, key in keyed if key in folders]


def _key(path: str) -> str:
    """Return what two names have in common that some file system takes for one: case, and how marks are joined
    (Unicode, section 3.13, canonical caseless matching)."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())
