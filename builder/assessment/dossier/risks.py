"""What a reviewer weighs first: the policy's verdict, known vulnerabilities, flagged licences."""

from __future__ import annotations

from collections import Counter

from bundle.text import Text

from ..components import Component, Inside, Inventory
from ..findings import Advisory, AuditReport, Severity, Verdict
from ..licences import Flag, Licence
from ..subject import Subject
from .markup import Markup, folded, items, join, table, tag

_SEVERITIES = {
    Severity.CRITICAL: (Text("심각", "critical"), "bad"),
    Severity.HIGH: (Text("높음", "high"), "bad"),
    Severity.MEDIUM: (Text("중간", "medium"), "warn"),
    Severity.LOW: (Text("낮음", "low"), ""),
    Severity.UNKNOWN: (Text("등급 불명", "severity unknown"), "warn"),
}
_FOUND = {
    "expression": Text("SPDX 표기", "SPDX expression"),
    "field": Text("License 항목", "License field"),
    "classifier": Text("분류자", "classifier"),
    "text": Text("라이선스 원문", "licence text"),
    "manifest": Text("선언 파일", "declaration"),
    "sbom": Text("휠 안의 SBOM", "the wheel's SBOM"),
    "none": Text("없음", "nowhere"),
}
_GRAVE = ("strong-copyleft", "non-commercial", "proprietary")


def verdict(subject: Subject) -> Markup:
    """Return the box that says what the vulnerability policy decided."""
    if subject.audit is None or subject.verdict is None:
        return _box(
            "warn",
            Text("취약점: 조회하지 않음", "Vulnerabilities: nobody was asked"),
            Text(
                "이 번들은 취약점 자료와 대조하지 않았습니다. 취약점이 없다는 뜻이 아닙니다.",
                "This bundle was not compared with any advisory source. That does not mean that it has none.",
            ),
        )
    report, judged = subject.audit, subject.verdict
    counts = _counts(report)
    said = Text(
        f"{report.date} 기준, 출처 {report.source}: 취약점 {len(report.advisories)}건{counts.ko}, "
        f"답을 얻지 못한 패키지 {len(report.unknown)}개. 기준: {judged.policy}",
        f"As of {report.date}, source {report.source}: advisories: {len(report.advisories)}{counts.en}, "
        f"packages without an answer: {len(report.unknown)}. Policy: {judged.policy}",
    )
    if not judged.passed:
        return _box("bad", Text("취약점 정책: 불합격", "Vulnerability policy: failed"), said)
    found = bool(report.advisories or report.unknown or judged.waived)
    if judged.policy == "none":
        title = Text("취약점 정책 없음: 알리기만 함", "No vulnerability policy: reported only")
    elif found:
        title = Text("취약점 정책: 합격, 확인할 것 있음", "Vulnerability policy: passed, with open points")
    else:
        title = Text("취약점 정책: 합격", "Vulnerability policy: passed")
    return _box("warn" if found else "good", title, said)


def advisories(subject: Subject) -> Markup:
    """Return what the advisory sources said, what they did not answer, and what was waived."""
    report = subject.audit
    if report is None:
        return tag(
            "p",
            Text(
                "취약점 자료를 조회하지 않고 만든 번들입니다. sbom.cdx.json을 조직의 취약점 도구로 검사하십시오.",
                "The bundle was built without asking any advisory source. Run your own scanner over sbom.cdx.json.",
            ),
        )
    parts = [
        tag(
            "p",
            Text(
                f"출처 {report.source}, 기준 시각 {report.date}. 패키지 {len(report.packages)}개를 물어 "
                f"{len(report.clean)}개는 알려진 취약점이 없다는 답을 받았습니다. 이후에 알려진 취약점은 여기에 없습니다.",
                f"Source {report.source}, as of {report.date}. Of {len(report.packages)} packages asked about, "
                f"{len(report.clean)} were answered with no known vulnerability. What became known later is not here.",
            ),
        )
    ]
    if report.advisories:
        parts.append(_advisory_table(report.advisories))
    if report.unknown:
        parts.append(tag("h3", Text("답을 얻지 못함 (불명)", "Without an answer (unknown)")))
        parts.append(_unanswered(report))
    if subject.verdict is not None:
        parts.append(_waivers(subject.verdict))
    return join(*parts)


def licences(inventory: Inventory) -> Markup:
    """Return the flagged licences with their reasons, then all of them."""
    flagged = inventory.flagged()
    embedded = [part for part in inventory.inside if part.licence.flags]
    policy = inventory.policy
    judged = [item.licence for item in flagged] + [part.licence for part in embedded]
    used = {flag for licence in judged for flag in licence.flags}
    parts = []
    if used:
        ordered = sorted((policy.flags[flag] for flag in used), key=lambda flag: flag.rank)
        parts.append(items(join(_chip(flag), " ", flag.reason) for flag in ordered))
    rows = dict.fromkeys(
        (
            _label(item),
            _stated(item.licence),
            _chips(item.licence, inventory),
            _told(item.licence),
        )
        for item in flagged
    )
    head = [
        Text("패키지", "package"),
        Text("라이선스", "licence"),
        Text("표시", "flag"),
        Text("적힌 곳", "stated in"),
    ]
    if rows:
        parts.append(table(head, rows))
    else:
        parts.append(tag("p", Text("표시할 라이선스가 없습니다.", "No licence is flagged."), class_="good"))
    if embedded:
        parts.append(_embedded(embedded, inventory))
    everything = dict.fromkeys(
        (
            _label(item),
            _stated(item.licence),
            _chips(item.licence, inventory),
            _told(item.licence),
        )
        for item in inventory.components
    )
    parts.append(
        folded(
            "licences",
            Text(f"모든 라이선스 {len(everything)}건", f"all {len(everything)} licences"),
            table(head, everything),
        )
    )
    parts.append(
        tag(
            "p",
            Text(
                "휠에서 찾은 라이선스 원문은 모두 THIRD_PARTY_LICENCES.txt에, 표는 licences.csv에 있습니다. 패키지가 스스로 밝힌 내용이며 법률 검토가 아닙니다.",
                "All licence texts found in the wheels stand in THIRD_PARTY_LICENCES.txt, the table in licences.csv. This is what packages state about themselves, not legal advice.",
            ),
            class_="dim",
        )
    )
    return join(*parts)


def _box(colour: str, title: Text, said: Text) -> Markup:
    return tag("div", tag("strong", title), tag("p", said), class_=f"verdict {colour}")


def _counts(report: AuditReport) -> Text:
    counted = Counter(item.severity for item in report.advisories)
    named = [(_SEVERITIES[severity][0], counted[severity]) for severity in _SEVERITIES if counted[severity]]
    if not named:
        return Text("", "")
    ko = ", ".join(f"{name.ko} {count}" for name, count in named)
    return Text(f" ({ko})", f" ({', '.join(f'{count} {name.en}' for name, count in named)})")


def _advisory_table(found: tuple[Advisory, ...]) -> Markup:
    ranks = list(_SEVERITIES)
    ordered = sorted(found, key=lambda item: (ranks.index(item.severity), item.package, item.id))
    return table(
        [
            Text("등급", "severity"),
            Text("패키지", "package"),
            Text("취약점", "advisory"),
            Text("고친 버전", "fixed in"),
        ],
        (
            [
                tag(
                    "span",
                    _SEVERITIES[item.severity][0],
                    class_=f"chip {_SEVERITIES[item.severity][1]}".strip(),
                ),
                f"{item.package} {item.version}",
                join(
                    tag("b", item.id),
                    f" {', '.join(item.aliases)}" if item.aliases else "",
                    tag("div", item.summary),
                    tag("div", item.url, class_="dim path"),
                ),
                ", ".join(item.fixed_in) or Text("없음", "none known"),
            ]
            for item in ordered
        ),
    )


def _unanswered(report: AuditReport) -> Markup:
    """Return the packages nobody answered about, those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for item in report.unknown:
        reasons.setdefault(item.reason, []).append(f"{item.package} {item.version}")
    rows = ([tag("b", str(len(listed))), ", ".join(listed), reason] for reason, listed in reasons.items())
    return table([Text("개수", "count"), Text("패키지", "packages"), Text("까닭", "reason")], rows, "reasons")


def _waivers(judged: Verdict) -> Markup:
    if not judged.waived and not judged.expired_waivers:
        return tag("p", Text("면제한 취약점이 없습니다.", "Nothing was waived."))
    rows = [
        (waived.waiver.id, waived.waiver.package, waived.waiver.reason, f"{waived.waiver.expires}")
        for waived in judged.waived
    ]
    late = [
        (
            item.id,
            item.package,
            item.reason,
            join(f"{item.expires} ", tag("b", Text("만료", "expired"), class_="bad")),
        )
        for item in judged.expired_waivers
    ]
    return join(
        tag("h3", Text("면제와 그 까닭", "Waivers and their reasons")),
        table(
            [
                Text("취약점", "advisory"),
                Text("패키지", "package"),
                Text("까닭", "reason"),
                Text("기한", "until"),
            ],
            [*rows, *late],
        ),
    )


def _embedded(found: list[Inside], inventory: Inventory) -> Markup:
    title = Text(
        f"휠 안에 링크된 구성 요소 가운데 표시한 것 {len(found)}건 (전체 {len(inventory.inside)}건은 licences.csv)",
        f"{len(found)} flagged components linked inside wheels (all {len(inventory.inside)}: licences.csv)",
    )
    rows = (
        (
            f"{part.component.name} {part.component.version}",
            ", ".join(part.holders),
            _stated(part.licence),
            _chips(part.licence, inventory),
        )
        for part in found
    )
    head = [
        Text("구성 요소", "component"),
        Text("담은 휠", "inside"),
        Text("라이선스", "licence"),
        Text("표시", "flag"),
    ]
    return folded("embedded", title, table(head, rows))


def _label(item: Component) -> str:
    # A commit is shown in full where the model is described.
    return f"{item.name} {item.version[:12] if item.kind == 'model' else item.version}"


def _stated(licence: Licence) -> str | Markup:
    return licence.stated or tag("span", Text("밝히지 않음", "not stated"), class_="dim")


def _told(licence: Licence) -> Markup:
    extra = tag("div", licence.disagreement, class_="warn") if licence.disagreement else ""
    return join(_FOUND[licence.found], extra)


def _chips(licence: Licence, inventory: Inventory) -> Markup:
    return join(*(_chip(inventory.policy.flags[flag]) for flag in licence.flags))


def _chip(flag: Flag) -> Markup:
    return tag("span", flag.title, class_=f"chip {'bad' if flag.id in _GRAVE else 'warn'}")
