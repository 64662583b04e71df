"""Which path names a bundle may hold: valid, and meaning the same, on POSIX and on Windows."""

from __future__ import annotations

import re
import unicodedata
from typing import Iterable, List, Optional

from . import limits
from .text import Text

_FORBIDDEN = re.compile(r'[<>:"\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|clock\$|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$")


def problem_with(path: str) -> Optional[Text]:
    """Return why `path` may not be a name in a bundle, or None when it may.

    The rules are those of Win32 file naming joined with POSIX's: relative, forward slashes, NFC, no
    component that is empty, ``.``, ``..``, reserved, or ends in a dot or a space.
    """
    if not path or len(path) > limits.PATH_CHARACTERS:
        return Text("경로가 비었거나 너무 깁니다", "empty, or longer than the limit")
    if path.startswith("/") or _FORBIDDEN.search(path):
        return Text("절대 경로이거나 금지 문자가 있습니다", "absolute, or has a forbidden character")
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
        if _RESERVED.match(component) or len(component.encode("utf-8")) > limits.COMPONENT_BYTES:
            return Text("예약된 이름이거나 너무 긴 요소입니다", "has a reserved or too long component")
    return None


def colliding(paths: Iterable[str]) -> List[str]:
    """Return names that meet an earlier one where upper and lower case are the same, or that are a
    file where another name needs a folder."""
    seen = {}
    folders = set()
    collisions = []
    ordered = list(paths)
    for path in ordered:
        key = path.casefold()
        if key in seen:
            collisions.append(path)
        seen[key] = path
        parent = key
        while "/" in parent:
            parent = parent.rsplit("/", 1)[0]
            folders.add(parent)
    collisions += [path for path in ordered if path.casefold() in folders]
    return collisions
