"""What a plugin says, read with distrust: known keys, known words, short clean texts without secrets."""

from __future__ import annotations

from typing import Any, Dict, Sequence

from bundle.text import Text
from validator import limits
from validator.model import ID, Category, Check, Outcome, Severity, Status, is_reserved
from validator.plugins.source import Source
from validator.subject import Subject

KEYS = ("id", "category", "title", "severity", "timeout_s", "run")
STATUSES = (Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN)


class Nonsense(ValueError):
    """What a plugin said is not in the protocol; the text says why."""

    def __init__(self, ko: str, en: str) -> None:
        super().__init__(en)
        self.text = Text(ko, en)


class Cleaner:
    """Takes secrets and control characters out of a plugin's words, and cuts them to a length."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        self._known = tuple(known)

    @classmethod
    def of(cls, subject: Subject) -> Cleaner:
        """Return the cleaner that knows the secrets of this installation."""
        from validator import secrets

        return cls(secrets.known_values(subject.prefix))

    def line(self, words: object, length: int = limits.PLUGIN_TEXT) -> str:
        """Return *words* as one printable line of at most *length* characters."""
        from validator import secrets

        # A bound before the search for secrets, wide enough that none is cut in half into the kept part.
        text = secrets.scrub(str(words)[: limits.RESULT_LINE_BYTES], self._known)
        safe = "".join(char if char.isprintable() else " " for char in text)
        short = " ".join(safe.split())
        # Once more: a secret with control characters inside has become whole.
        short = secrets.scrub(short, self._known)
        return short if len(short) <= length else short[: length - 1] + "…"

    def text(self, pair: object, what: str, length: int = limits.PLUGIN_TEXT) -> Text:
        """Return a text in both languages; one string stands for both."""
        if isinstance(pair, str):
            pair = {"ko": pair, "en": pair}
        if not isinstance(pair, dict) or not all(isinstance(pair.get(lang), str) for lang in ("ko", "en")):
            raise Nonsense(
                f"{what}이(가) {{'ko': …, 'en': …}}이 아닙니다", f"{what} is not {{'ko': …, 'en': …}}"
            )
        made = Text(self.line(pair["ko"], length), self.line(pair["en"], length))
        if not made.ko or not made.en:
            raise Nonsense(f"{what}이(가) 비어 있습니다", f"{what} is empty")
        return made

    def outcome(self, outcome: Outcome) -> Outcome:
        """Return an outcome of the engine about a plugin (its last words may be in it), cleaned."""
        details = Text(self.line(outcome.details.ko), self.line(outcome.details.en))
        return Outcome(outcome.status, details, self.line(outcome.measured), self.line(outcome.expected))


def read_check(listed: object, source: Source, cleaner: Cleaner) -> Check:
    """Return the check that one entry of a plugin's list describes; `Nonsense` says what is wrong with it."""
    if not isinstance(listed, dict):
        raise Nonsense("검사가 사전(dict)이 아닙니다", "a check is not a dict of plain values")
    identity = listed.get("id")
    if not isinstance(identity, str) or not ID.match(identity):
        shown = cleaner.line(ascii(identity), 40)
        raise Nonsense(f"잘못된 id {shown} (예: ABC-001)", f"bad id {shown} (2-5 capitals, a dash, 3 digits)")
    if is_reserved(identity):
        raise Nonsense(f"{identity}: 예약된 접두어입니다", f"{identity}: this prefix is reserved")
    unknown = sorted(str(key) for key in listed if key not in KEYS)
    if unknown:
        names = cleaner.line(", ".join(map(ascii, unknown)), 80)
        raise Nonsense(f"{identity}: 모르는 키 {names}", f"{identity}: unknown key {names}")
    if listed.get("run") is not True:
        raise Nonsense(f"{identity}: run이 함수가 아닙니다", f"{identity}: run is not callable")
    return Check(
        identity,
        _category(listed.get("category"), identity),
        cleaner.text(listed.get("title"), f"{identity}: title", limits.PLUGIN_TITLE),
        _severity(listed.get("severity", "medium"), identity),
        never_here,
        timeout_s=_timeout(listed.get("timeout_s", 5), identity),
        plugin=source,
    )


def read_outcome(message: Dict[str, Any], cleaner: Cleaner) -> Outcome:
    """Return what a child's message about one check says; whatever is not in the protocol is an ``error``."""
    if "problem" in message:
        said = cleaner.line(message["problem"], 300)
        return error(Text(f"플러그인이 실패했습니다: {said}", f"the plugin failed: {said}"))
    try:
        return _outcome(message.get("result"), cleaner)
    except Nonsense as problem:
        return error(
            Text(
                f"플러그인의 답이 규약에 맞지 않습니다: {problem.text.ko}",
                f"the plugin's answer is not in the protocol: {problem.text.en}",
            )
        )


def error(details: Text) -> Outcome:
    """Return the outcome of a plugin that could not do its work."""
    cause = Text(
        "플러그인 자체의 문제입니다. 제품의 다른 검사에는 영향이 없습니다.",
        "This is the plugin's own fault; it has no part in the other checks.",
    )
    return Outcome(Status.ERROR, details, cause=cause)


def _outcome(result: object, cleaner: Cleaner) -> Outcome:
    if not isinstance(result, dict):
        kind = type(result).__name__
        raise Nonsense(f"dict가 아니라 {kind}", f"not a dict but {kind}")
    status = result.get("status")
    if not isinstance(status, str) or status not in {item.value for item in STATUSES}:
        shown = cleaner.line(ascii(status), 40)
        raise Nonsense(f"status {shown}", f"status {shown}")
    cause = result.get("cause")
    evidence = []
    for key in ("measured", "expected"):
        value = result.get(key, "")
        if not isinstance(value, (str, int, float)):
            raise Nonsense(f"{key}가 문자열이 아닙니다", f"{key} is not a text")
        evidence.append(cleaner.line(value))
    return Outcome(
        Status(status),
        cleaner.text(result.get("details"), "details"),
        evidence[0],
        evidence[1],
        cleaner.text(cause, "cause") if cause else None,
    )


def _category(name: object, identity: str) -> Category:
    for category in Category:
        if isinstance(name, str) and name.lower() == category.value.lower():
            return category
    listed = ", ".join(category.value for category in Category)
    raise Nonsense(f"{identity}: category는 {listed} 중 하나", f"{identity}: category is not one of {listed}")


def _severity(name: object, identity: str) -> Severity:
    for severity in Severity:
        if name == severity.value:
            return severity
    listed = ", ".join(severity.value for severity in Severity)
    raise Nonsense(f"{identity}: severity는 {listed} 중 하나", f"{identity}: severity is not one of {listed}")


def _timeout(value: object, identity: str) -> float:
    most = limits.PLUGIN_TIMEOUT_S
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise Nonsense(
            f"{identity}: timeout_s는 0보다 크고 {most:g} 이하", f"{identity}: timeout_s is not in 0-{most:g}"
        )
    return float(value)


def never_here(subject: Subject) -> Outcome:
    """Refuse: a plugin's function exists in its own child only."""
    raise RuntimeError(f"a plugin's check is not run here ({subject.prefix})")
