"""Waivers: findings that somebody has accepted, with a reason, until a day.

Only ``warn`` and ``fail`` can be accepted. What could not be checked (``error``, ``unknown``) stays open, and so
do a broken signature and an outbound connection: no file on the host may talk those away.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Collection, Dict, List, Optional, Sequence, Tuple

from bundle.errors import UsageProblem
from bundle.text import Text
from validator import limits
from validator.model import ID, PLUGIN_LOADING, Result, Status, is_reserved
from validator.subject import Subject, Unreadable, read_limited

DEFAULT = Path("config") / "waivers.json"
# The bundle's signature, and attempts to reach the internet.
NEVER = ("SEC-008", "SEC-009")
KEYS = ("check", "reason", "expires")
WAIVABLE = (Status.WARN, Status.FAIL)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


@dataclass(frozen=True)
class Waiver:
    """One accepted finding. It counts to the end of the day `expires` (the host's own calendar)."""

    check: str
    reason: str
    expires: datetime.date
    expired: bool = False

    def to_dict(self) -> Dict[str, Any]:
        """Return plain data for the report."""
        return {"check": self.check, "reason": self.reason, "expires": self.expires.isoformat()}


@dataclass(frozen=True)
class Waivers:
    """The waivers of one run and where they came from; ``gap`` says why the file could not be looked at."""

    file: Optional[Path] = None
    listed: Tuple[Waiver, ...] = ()
    gap: Optional[Text] = None

    def apply(self, results: Sequence[Result]) -> Tuple[Result, ...]:
        """Return the results, those that a valid waiver covers marked with it; nothing else changes."""
        valid = {waiver.check: waiver for waiver in self.listed if not waiver.expired}
        return tuple(
            replace(result, waiver=valid[result.check.id])
            if result.status in WAIVABLE and result.check.id in valid
            else result
            for result in results
        )

    def concerning(self, results: Sequence[Result]) -> Tuple[Waiver, ...]:
        """Return the waivers for checks of this run."""
        asked = {result.check.id for result in results}
        return tuple(waiver for waiver in self.listed if waiver.check in asked)


NO_WAIVERS = Waivers()


def load(path: Optional[Path], subject: Subject, known: Collection[str], *, plugins_known: bool) -> Waivers:
    """Return the waivers of *path*, or of the installation's own file if there is one.

    Args:
        path: the file that was named; nothing means ``<prefix>/config/waivers.json``.
        subject: whose installation it is.
        known: the ids of all checks that exist.
        plugins_known: whether *known* holds those of plugins; else an id that a plugin may have is believed.

    Raises:
        UsageProblem: the file that was named cannot be read, or what is in either is not right.
    """
    chosen = path or subject.prefix / DEFAULT
    if path is None:
        try:
            facts = os.stat(chosen)
        except (FileNotFoundError, NotADirectoryError):
            return NO_WAIVERS
        except OSError as error:
            return Waivers(chosen, (), _unseen(chosen, error.strerror or str(error)))
        _check_owner(chosen, facts, subject)
        if not os.access(chosen, os.R_OK):
            return Waivers(chosen, (), _unseen(chosen, "permission denied"))
    try:
        if sys.platform != "win32" and chosen.exists() and chosen.stat().st_mode & stat.S_IWOTH:
            raise _Wrong(Text("누구나 쓸 수 있는 파일입니다", "anybody may write this file"))
        listed = parse(read_limited(chosen), known, plugins_known=plugins_known)
    except (Unreadable, OSError) as error:
        raise _problem(chosen, Text(f"읽을 수 없습니다: {error}", f"it cannot be read: {error}")) from error
    except _Wrong as error:
        raise _problem(chosen, error.text) from error
    return Waivers(chosen, listed)


class _Wrong(ValueError):
    """What is wrong with a file of waivers, in both languages."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


def parse(
    data: bytes, known: Collection[str], *, plugins_known: bool = True, today: Optional[datetime.date] = None
) -> Tuple[Waiver, ...]:
    """Return the waivers in *data*; `_Wrong` names the first thing that is not right."""
    day = today or datetime.date.today()
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, _Wrong):
            raise
        short = str(error)[:120]
        raise _Wrong(Text(f"JSON이 아닙니다: {short}", f"not JSON: {short}")) from error
    if not isinstance(document, list) or len(document) > limits.WAIVERS:
        raise _Wrong(Text("예외의 목록이 아닙니다", "not a list of waivers"))
    found: List[Waiver] = []
    for number, entry in enumerate(document, start=1):
        waiver = _waiver(entry, number, day)
        problem = _refusal(waiver, known, plugins_known, [item.check for item in found])
        if problem is not None:
            raise _Wrong(Text(f"{number}번째: {problem.ko}", f"entry {number}: {problem.en}"))
        found.append(waiver)
    return tuple(found)


def _waiver(entry: object, number: int, today: datetime.date) -> Waiver:
    def wrong(ko: str, en: str) -> _Wrong:
        return _Wrong(Text(f"{number}번째: {ko}", f"entry {number}: {en}"))

    if not isinstance(entry, dict):
        raise wrong("객체가 아닙니다", "not an object")
    for key in entry:
        if key not in KEYS:
            shown, keys = ascii(key)[:60], ", ".join(KEYS)
            raise wrong(f"모르는 키 {shown} (가능: {keys})", f"unknown key {shown} (there are: {keys})")
    for key in KEYS:
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise wrong(f"{key}가 없습니다", f"{key} is missing")
    reason = " ".join("".join(char if char.isprintable() else " " for char in entry["reason"]).split())
    if not reason or len(reason) > limits.WAIVER_REASON:
        raise wrong("reason이 없거나 너무 깁니다", "reason is missing or too long")
    expires = _date(entry["expires"])
    if expires is None:
        raise wrong("expires가 YYYY-MM-DD 날짜가 아닙니다", "expires is not a date YYYY-MM-DD")
    if expires > today + datetime.timedelta(days=366):
        raise wrong("만료일이 1년보다 멉니다", "expires is more than one year ahead")
    return Waiver(entry["check"].strip().upper(), reason, expires, expires < today)


def _date(text: str) -> Optional[datetime.date]:
    try:
        return datetime.date.fromisoformat(text) if _DATE.match(text) else None
    except ValueError:
        return None


def _refusal(
    waiver: Waiver, known: Collection[str], plugins_known: bool, before: Sequence[str]
) -> Optional[Text]:
    name = waiver.check
    if name in NEVER or name.startswith(PLUGIN_LOADING + "-"):
        return Text(f"{name}은 예외로 둘 수 없습니다", f"{name} can never be waived")
    believed = not plugins_known and ID.match(name) and not is_reserved(name)
    if name not in known and not believed:
        shown = ascii(name)[:60]
        return Text(f"모르는 검사 {shown}", f"unknown check {shown}")
    if name in before:
        return Text(f"{name}이 두 번 있습니다", f"{name} appears twice")
    return None


def _unique(pairs: "List[Tuple[str, Any]]") -> Dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Wrong(Text("한 키가 두 번 있습니다", "a key appears twice"))
    return made


def _check_owner(path: Path, facts: os.stat_result, subject: Subject) -> None:
    """Refuse the installation's own file when somebody else wrote it."""
    if sys.platform == "win32":
        return
    if facts.st_uid not in subject.trusted_owners:
        raise _problem(
            path,
            Text(
                f"소유자(uid {facts.st_uid})를 믿을 수 없습니다",
                f"its owner (uid {facts.st_uid}) is not trusted",
            ),
        )


def _unseen(path: Path, why: str) -> Text:
    return Text(
        f"예외 파일을 볼 수 없어 적용하지 않았습니다: {path}: {why}",
        f"the waivers could not be looked at, none was applied: {path}: {why}",
    )


def _problem(path: Path, what: Text) -> UsageProblem:
    return UsageProblem(
        Text(f"예외 파일이 잘못되었습니다: {what.ko}", f"the file of waivers is wrong: {what.en}"),
        where=str(path),
        state=Text("검사하지 않았습니다", "nothing was checked"),
        hint=Text("파일을 고친 뒤 다시 실행하십시오", "correct the file and run again"),
    )
