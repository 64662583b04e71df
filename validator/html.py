"""The report as one page: it loads nothing, runs nothing, and every word from the host is escaped."""

from __future__ import annotations

from html import escape
from typing import Iterable, List, Sequence, Tuple

from bundle.text import Text
from validator.model import Category, Result, Status
from validator.report import Report, recommendation, recommendations, state_of, system_info

_MARKS = {
    Status.PASS: (Text("통과", "pass"), "good"),
    Status.WARN: (Text("경고", "warn"), "warn"),
    Status.FAIL: (Text("실패", "fail"), "bad"),
    Status.SKIP: (Text("생략", "skip"), "dim"),
    Status.ERROR: (Text("오류", "error"), "warn"),
    Status.UNKNOWN: (Text("미상", "unknown"), "warn"),
}
_VERDICTS = {
    "EXCELLENT": ("good", Text("설치되어 있고, 해당하는 검사를 모두 통과했습니다.", "An installation is there, and everything that applies passed.")),
    "GOOD": ("good", Text("작은 문제만 있거나, 예외가 승인되어 있거나, 아직 설치 전입니다.", "Small findings only, an accepted one, or nothing is installed yet.")),
    "WARNING": ("warn", Text("중요한 경고가 있거나, 중요한 검사를 하지 못했습니다.", "A finding of weight, or a check of weight that could not run.")),
    "CRITICAL": ("bad", Text("실패한 검사가 있습니다.", "Something failed.")),
}  # fmt: skip
_SEVERITIES = {
    "critical": Text("치명", "critical"),
    "high": Text("높음", "high"),
    "medium": Text("보통", "medium"),
    "low": Text("낮음", "low"),
}
_STATES = {
    "applied": Text("적용됨", "applied"),
    "unused": Text("쓰이지 않음", "unused"),
    "expired": Text("만료됨 - 적용하지 않음", "expired - not applied"),
}

# The review dossier's look; the far side carries no stylesheet file of the builder.
_STYLE = """
:root { color-scheme: light; --ink: #1c2330; --dim: #5a6473; --line: #d5dae2; --soft: #f4f6f9; --bad: #b3261e; --warn: #8a5a00; --good: #1b6b3a; }
* { box-sizing: border-box; }
html { font: 15px/1.55 "Noto Sans KR", "Noto Sans CJK KR", "Malgun Gothic", "Apple SD Gothic Neo", NanumGothic, system-ui, sans-serif; color: var(--ink); background: #fff; }
body { margin: 0 auto; max-width: 70rem; padding: 1.25rem 1.5rem 4rem; word-break: keep-all; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: .6rem 0 .2rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-bottom: .3rem; border-bottom: 2px solid var(--ink); }
h3 { font-size: 1.02rem; margin: 1.3rem 0 .4rem; }
p { margin: .4rem 0; max-width: 52rem; }
ul { margin: .5rem 0; padding-left: 1.3rem; }
code { font-family: ui-monospace, "D2Coding", Consolas, "DejaVu Sans Mono", NanumGothicCoding, monospace; font-size: .88em; }
.dim { color: var(--dim); } .bad { color: var(--bad); } .warn { color: var(--warn); } .good { color: var(--good); }
.verdict { border: 1px solid var(--line); border-left: 6px solid currentColor; padding: .6rem 1rem; margin: 1rem 0; background: var(--soft); }
.verdict strong { font-size: 1.25rem; } .verdict p { color: var(--ink); margin: .2rem 0 0; }
.finding { border: 1px solid var(--line); border-left: 6px solid currentColor; padding: .55rem 1rem; margin: .7rem 0; }
.finding > * { color: var(--ink); } .finding h3 { margin: 0 0 .25rem; }
.chip { display: inline-block; border: 1px solid currentColor; border-radius: 3px; padding: 0 .4rem; font-size: .82rem; font-weight: 600; white-space: nowrap; }
dl { display: grid; grid-template-columns: 6.5rem 1fr; gap: .15rem .8rem; margin: .4rem 0 0; font-size: .92rem; }
dt { color: var(--dim); } dd { margin: 0; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .34rem .6rem; border-bottom: 1px solid var(--line); }
th { background: var(--soft); white-space: nowrap; font-weight: 600; }
.checks { table-layout: fixed; } .checks :is(th, td):nth-child(1) { width: 6.5rem; } .checks :is(th, td):nth-child(2) { width: 6.2rem; }
.checks :is(th, td):nth-child(3) { width: 27%; } .checks :is(th, td):nth-child(5) { width: 5rem; text-align: right; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.pairs th { width: 12rem; }
@media print {
  @page { size: A4; margin: 14mm 12mm; }
  html { font-size: 9.5pt; } body { max-width: none; padding: 0; }
  .wide { overflow: visible; } h2, h3 { break-after: avoid; } tr, .finding, .verdict { break-inside: avoid; }
  thead { display: table-header-group; } table { font-size: 8pt; }
  th, .verdict { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
""".strip()


class _Page:
    """Builds the page of one report in its language."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.lang = report.lang

    def say(self, ko: str, en: str) -> str:
        return _safe(Text(ko, en).to(self.lang))

    def whole(self) -> str:
        report = self.report
        found = sorted((r for r in report.results if r.is_open), key=_weight)
        waived = [result for result in report.results if result.waiver is not None]
        title = self.say("검증 보고서", "Validation report")
        parts = [
            self._head(title),
            self._findings(found),
            self._waivers(waived),
            self._advice(),
            self._all(),
            self._host(),
        ]
        return (
            f'<!DOCTYPE html>\n<html lang="{self.lang}">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            # Nothing is fetched and nothing runs, whatever a finding managed to write here.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
            f"<title>{title} - {report.overall_status}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
            + "\n".join(part for part in parts if part)
            + "\n</body>\n</html>\n"
        )

    def _head(self, title: str) -> str:
        report = self.report
        tone, words = _VERDICTS[report.overall_status]
        open_count = sum(result.is_open for result in report.results)
        counts = [(mark.to(self.lang), sum(r.status is s and r.waiver is None for r in report.results)) for s, (mark, _) in _MARKS.items()]  # fmt: skip
        counts.append(
            (Text("예외", "waived").to(self.lang), sum(r.waiver is not None for r in report.results))
        )
        shown = " · ".join(f"{_safe(name)} {count}" for name, count in counts if count)
        return (
            f"<h1>{title}</h1>\n"
            f'<p class="dim">{_safe(str(report.subject.prefix))} · {_safe(_utc(report))}</p>\n'
            f'<div class="verdict {tone}"><strong>{report.overall_status}</strong>'
            f"<p>{_safe(words.to(self.lang))}</p>"
            f"<p>{shown} · {self.say(f'볼 것 {open_count}건', f'{open_count} to look at')}"
            f" · {self.say('종료 코드', 'exit code')} {report.exit_code} · {report.timing.duration_s:.1f} s</p></div>"
        )

    def _findings(self, found: Sequence[Result]) -> str:
        heading = f"<h2>{self.say('볼 것', 'Findings')}</h2>\n"
        if not found:
            return heading + f"<p>{self.say('없습니다.', 'None.')}</p>"
        return heading + "\n".join(self._finding(result) for result in found)

    def _finding(self, result: Result) -> str:
        mark, tone = _MARKS[result.status]
        check, outcome = result.check, result.outcome
        severity = _SEVERITIES[check.severity.value].to(self.lang)
        rows = [
            (self.say("측정", "measured"), outcome.measured),
            (self.say("기대", "expected"), outcome.expected),
            (self.say("원인", "cause"), outcome.cause.to(self.lang) if outcome.cause else ""),
            (self.say("다음 조치", "next"), recommendation(result, self.report.subject, self.lang)),
            (self.say("승인", "accepted"), self._until(result)),
            (self.say("플러그인", "plugin"), check.plugin.name if check.plugin else ""),
            (
                self.say("분류", "category"),
                f"{check.category.value} · {severity} · {result.duration_s:.2f} s",
            ),
            (self.say("설명", "explained"), check.anchor),
        ]
        return (
            f'<div class="finding {tone}">\n<h3><span class="chip {tone}">{_safe(mark.to(self.lang))}</span> '
            f"{_safe(check.id)} {_safe(check.title.to(self.lang))}</h3>\n"
            f"<p>{_safe(outcome.details.to(self.lang))}</p>\n<dl>{_pairs(rows)}</dl>\n</div>"
        )

    def _until(self, result: Result) -> str:
        if result.waiver is None:
            return ""
        day, reason = result.waiver.expires.isoformat(), result.waiver.reason
        return Text(f"{day}까지: {reason}", f"until {day}: {reason}").to(self.lang)

    def _waivers(self, waived: Sequence[Result]) -> str:
        waivers, results = self.report.waivers, self.report.results
        listed = waivers.concerning(results)
        if not listed and waivers.gap is None:
            return ""
        parts = [f"<h2>{self.say('승인된 예외', 'Accepted findings')}</h2>"]
        if waivers.gap is not None:
            parts.append(f'<p class="warn">{_safe(waivers.gap.to(self.lang))}</p>')
        if listed:
            parts.append(f'<p class="dim">{_safe(str(waivers.file))}</p>')
            head = [
                self.say("검사", "check"),
                self.say("상태", "state"),
                self.say("사유", "reason"),
                self.say("만료", "expires"),
            ]
            rows = [
                [w.check, _STATES[state_of(w, results)].to(self.lang), w.reason, w.expires.isoformat()]
                for w in listed
            ]
            parts.append(_table(head, rows))
        return "\n".join(parts + [self._finding(result) for result in waived])

    def _advice(self) -> str:
        report = self.report
        lines = recommendations(report.results, report.subject, self.lang)
        if not lines:
            return ""
        listed = "".join(f"<li>{_safe(line)}</li>" for line in lines)
        return f"<h2>{self.say('조치 순서', 'What to do, in order')}</h2>\n<ul>{listed}</ul>"

    def _all(self) -> str:
        parts = [f"<h2>{self.say('모든 검사', 'Every check')}</h2>"]
        head = [
            self.say("검사", "check"),
            self.say("결과", "result"),
            self.say("이름", "name"),
            self.say("내용", "details"),
            self.say("시간", "time"),
        ]
        for category in Category:
            mine = [result for result in self.report.results if result.check.category is category]
            if mine:
                rows = "\n".join(self._row(result) for result in mine)
                cells = "".join(f'<th scope="col">{name}</th>' for name in head)
                parts.append(
                    f'<h3>{_safe(category.value)}</h3>\n<div class="wide"><table class="checks"><thead><tr>{cells}'
                    f"</tr></thead><tbody>\n{rows}\n</tbody></table></div>"
                )
        return "\n".join(parts)

    def _row(self, result: Result) -> str:
        mark, tone = _MARKS[result.status]
        word = mark.to(self.lang)
        if result.waiver is not None:
            word, tone = f"{word} ({Text('예외', 'waived').to(self.lang)})", "dim"
        outcome = result.outcome
        measured = f' <span class="dim">({_safe(outcome.measured)})</span>' if outcome.measured else ""
        return (
            f'<tr><td>{_safe(result.check.id)}</td><td class="{tone}">{_safe(word)}</td>'
            f"<td>{_safe(result.check.title.to(self.lang))}</td>"
            f"<td>{_safe(outcome.details.to(self.lang))}{measured}</td>"
            f'<td class="number">{result.duration_s:.2f} s</td></tr>'
        )

    def _host(self) -> str:
        subject = self.report.subject
        names: List[Tuple[str, str]] = [
            (self.say("설치 위치", "prefix"), str(subject.prefix)),
            (self.say("세대", "generation"), subject.generation.name if subject.generation else "-"),
            (self.say("번들", "bundle"), str(subject.bundle) if subject.bundle else "-"),
        ]
        names += [(_safe(key), str(value)) for key, value in system_info().items()]
        rows = "".join(
            f'<tr><th scope="row">{name}</th><td>{_safe(value)}</td></tr>' for name, value in names
        )
        heading = self.say("호스트", "Host")
        return (
            f'<h2>{heading}</h2>\n<div class="wide"><table class="pairs"><tbody>{rows}</tbody></table></div>'
        )


def render(report: Report) -> str:
    """Return the whole page in the report's language."""
    return _Page(report).whole()


def _weight(result: Result) -> Tuple[bool, int]:
    return (result.status is not Status.FAIL, list(_SEVERITIES).index(result.check.severity.value))


def _utc(report: Report) -> str:
    from validator.host.facts import utc

    return utc(report.timing.started)


def _pairs(rows: Iterable[Tuple[str, str]]) -> str:
    return "".join(f"<dt>{name}</dt><dd>{_safe(value)}</dd>" for name, value in rows if value)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f'<th scope="col">{name}</th>' for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>'


def _safe(text: str) -> str:
    """Return *text* escaped, what cannot be printed made visible (halves of surrogate pairs, escape sequences)."""
    shown = "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)
    return escape(shown, quote=True)
