"""The policy: which findings stop a build, and which a person has decided to live with.

Pure but for reading the waivers' file: the day is passed in. An advisory whose severity nobody could tell,
and a package about which nobody answered, fail at every level but ``none`` (docs/adr/0013).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import tomllib
from packaging.utils import canonicalize_name

from bundle.errors import AssessmentError, UsageProblem
from bundle.text import Text

from ..inputs import MANIFESTS
from .findings import LEVELS, Advisory, AuditReport, Severity, Unknown, Verdict, Waived, Waiver

DEFAULT_WAIVERS = MANIFESTS / "waivers.toml"
# The id of a waiver for a package that nobody answered about.
UNANSWERED = "unknown"
_KEYS = ("id", "package", "reason", "expires")


def judge(report: AuditReport, policy: str, waivers: Sequence[Waiver], today: date) -> Verdict:
    """Return what `policy`, a level of `LEVELS`, says about the report on the day `today`."""
    bad = [item for item in report.advisories if _fails(item.severity, policy)]
    missing = list(report.unknown) if policy != "none" else []
    failing: list[Advisory] = []
    unknown: list[Unknown] = []
    waived: list[Waived] = []
    expired: list[Waiver] = []
    concerning: list[Advisory | Unknown] = [*bad, *missing]
    for finding in concerning:
        matching = [waiver for waiver in waivers if _concerns(waiver, finding)]
        valid = [waiver for waiver in matching if waiver.expires >= today]
        if valid:
            waived.append(Waived(finding, max(valid, key=lambda waiver: waiver.expires)))
            continue
        expired += matching
        if isinstance(finding, Advisory):
            failing.append(finding)
        else:
            unknown.append(finding)
    everything: list[Advisory | Unknown] = [*report.advisories, *report.unknown]
    unused = [item for item in waivers if not any(_concerns(item, finding) for finding in everything)]
    return Verdict(
        passed=not failing and not unknown,
        failing=tuple(failing),
        waived=tuple(waived),
        unknown=tuple(unknown),
        expired_waivers=tuple(dict.fromkeys(expired)),
        unused_waivers=tuple(unused),
        policy=policy,
    )


def require_passed(verdict: Verdict) -> None:
    """Stop a build whose findings do not pass.

    Raises:
        AssessmentError: with every failing finding, every expired waiver, and what to do.
    """
    if verdict.passed:
        return
    details = [_advisory_text(item) for item in verdict.failing]
    details += [
        Text(
            f"{item.package} {item.version}: 답을 얻지 못함 ({item.reason})",
            f"{item.package} {item.version}: no answer ({item.reason})",
        )
        for item in verdict.unknown
    ]
    details += [
        Text(
            f"면제 만료 {item.expires}: {item.id} {item.package} ({item.reason})",
            f"waiver expired on {item.expires}: {item.id} {item.package} ({item.reason})",
        )
        for item in verdict.expired_waivers
    ]
    raise AssessmentError(
        Text(
            f"알려진 취약점이 정책(--fail-on {verdict.policy})을 통과하지 못합니다: "
            f"취약점 {len(verdict.failing)}, 답 없는 패키지 {len(verdict.unknown)}",
            f"known vulnerabilities do not pass the policy (--fail-on {verdict.policy}): "
            f"{len(verdict.failing)} advisories, {len(verdict.unknown)} packages without an answer",
        ),
        details=details,
        state=Text("번들을 만들지 않았습니다", "no bundle was made"),
        hint=_advice(verdict),
    )


def notes(verdict: Verdict) -> list[Text]:
    """Return what is worth a line even when the build goes on: waivers that are used, and those without use."""
    used = dict.fromkeys(item.waiver for item in verdict.waived)
    return [
        *(
            Text(
                f"면제 적용, {item.expires}까지: {item.id} {item.package} ({item.reason})",
                f"waived until {item.expires}: {item.id} {item.package} ({item.reason})",
            )
            for item in used
        ),
        *(
            Text(
                f"해당하는 것이 없는 면제, 지우십시오: {item.id} {item.package}",
                f"a waiver that matches nothing, delete it: {item.id} {item.package}",
            )
            for item in verdict.unused_waivers
        ),
    ]


def _advice(verdict: Verdict) -> Text:
    korean = [
        "고쳐진 버전으로 잠그거나(uv lock --upgrade-package), 사유와 만료일을 적어 면제하십시오(--waivers)"
    ]
    english = [
        "lock a fixed version (uv lock --upgrade-package), or waive it with reason and expiry (--waivers)"
    ]
    if verdict.unknown:
        korean.append(
            "답 없는 패키지는 서비스에 연결되는 곳에서 빌드하거나 --advisories 로 스냅숏을 주십시오"
        )
        english.append(
            "for packages without an answer build where the service is reached, or give --advisories"
        )
    return Text("; ".join(korean), "; ".join(english))


def _advisory_text(item: Advisory) -> Text:
    names = ", ".join(item.names)
    fixed = ", ".join(item.fixed_in)
    line = f"{item.package} {item.version}: {names} [{item.severity.value}] {item.summary}".rstrip()
    return Text(
        f"{line} → {'고쳐진 버전 ' + fixed if fixed else '고쳐진 버전 없음'}",
        f"{line} → {'fixed in ' + fixed if fixed else 'no fixed version is known'}",
    )


def _fails(severity: Severity, policy: str) -> bool:
    if policy == "none":
        return False
    return severity is Severity.UNKNOWN or LEVELS.index(severity.value) <= LEVELS.index(policy)


def _concerns(waiver: Waiver, finding: Advisory | Unknown) -> bool:
    if waiver.package != finding.package:
        return False
    names = finding.names if isinstance(finding, Advisory) else (UNANSWERED,)
    return waiver.id.lower() in {name.lower() for name in names}


def load_waivers(path: Path | None = None) -> tuple[Waiver, ...]:
    """Read a waivers' file; without one the project's own, ``manifests/waivers.toml``, if it is there.

    Raises:
        UsageProblem: it cannot be read, or a waiver lacks something; all problems are listed.
    """
    if path is None and not DEFAULT_WAIVERS.is_file():
        return ()
    place = DEFAULT_WAIVERS if path is None else path
    try:
        table = tomllib.loads(place.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageProblem(
            Text("면제 파일을 읽을 수 없습니다", "the waivers' file cannot be read"),
            where=f"{place}: {error}",
        ) from error
    listed = table.get("waiver", [])
    problems = [f"{name}: ?" for name in table if name != "waiver"]
    if not isinstance(listed, list):
        problems.append("[[waiver]]: ?")
        listed = []
    waivers = []
    for number, item in enumerate(listed, 1):
        wrong = list(_wrong(item))
        problems += [f"waiver {number}: {name}" for name in wrong]
        if not wrong:
            waivers.append(
                Waiver(
                    item["id"], canonicalize_name(item["package"]), item["reason"].strip(), item["expires"]
                )
            )
    if problems:
        raise UsageProblem(
            Text("면제에 빠지거나 잘못된 것이 있습니다", "waivers lack something or have it wrong"),
            where=str(place),
            details=[Text(line, line) for line in problems],
            hint=Text(
                "[[waiver]] 마다 id, package, reason(사유), expires(날짜, 예: 2027-01-31)가 필요합니다",
                "every [[waiver]] needs id, package, reason, and expires as a date such as 2027-01-31",
            ),
        )
    return tuple(waivers)


def _wrong(item: object) -> Iterable[str]:
    """Yield the keys of a waiver that are missing, unknown or not what they have to be."""
    if not isinstance(item, dict):
        yield "?"
        return
    for key in _KEYS:
        value = item.get(key)
        good = type(value) is date if key == "expires" else isinstance(value, str) and value.strip()
        if not good:
            yield key
    yield from (key for key in item if key not in _KEYS)
