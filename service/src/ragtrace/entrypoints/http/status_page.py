"""The status page: one HTML document without scripts, loading nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ragtrace.credits import HANGUL
from ragtrace.text import Text

REFRESH_S = 30
REFRESH_RUNNING_S = 3
STYLE = """
:root{color-scheme:light dark;--line:#8884;--ok:#17803d;--warn:#a15c00;--bad:#c01c28;--dim:#777}
@media(prefers-color-scheme:dark){:root{--ok:#57c77a;--warn:#e0a040;--bad:#ff7b82;--dim:#999}}
body{font:15px/1.55 system-ui,"Malgun Gothic","Apple SD Gothic Neo",sans-serif;max-width:64rem;margin:0 auto;padding:1rem 1.2rem}
header{display:flex;gap:1rem;align-items:baseline;justify-content:space-between;flex-wrap:wrap}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.05rem;margin:1.6rem 0 .4rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{font-weight:600;white-space:nowrap}.state{font-weight:600;white-space:nowrap}
.ok{color:var(--ok)}.warn{color:var(--warn)}.bad{color:var(--bad)}.dim{color:var(--dim)}
small{color:var(--dim)}button{font:inherit;padding:.3rem .9rem}summary{cursor:pointer;margin:.5rem 0}
"""
_STATES: dict[str, tuple[str, Text]] = {
    "pass": ("ok", Text("✓ 통과", "✓ pass")),
    "warn": ("warn", Text("! 주의", "! warning")),
    "fail": ("bad", Text("✗ 실패", "✗ failed")),
    "error": ("bad", Text("✗ 검사 오류", "✗ check broke")),
    "skip": ("dim", Text("– 해당 없음", "– skipped")),
    "unknown": ("dim", Text("? 볼 수 없음", "? cannot see")),
}
_SERVICE: dict[str, tuple[str, Text]] = {
    "ready": ("ok", Text("준비됨", "ready")),
    "starting": ("warn", Text("시작하는 중", "starting")),
    "not_ready": ("bad", Text("준비되지 않음", "not ready")),
}
_VERDICTS = {"EXCELLENT": "ok", "GOOD": "ok", "WARNING": "warn", "CRITICAL": "bad"}


def policy() -> str:
    """Return the content security policy: nothing but this page's own style, and forms to this service."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def page(facts: Mapping[str, Any], lang: str, *, may_run: bool) -> str:
    """Return the page. Everything that is not written here is escaped."""

    def say(ko: str, en: str) -> str:
        return escape(Text(ko, en).to(lang))

    validator = facts["validator"]
    refresh = REFRESH_RUNNING_S if validator["running"] else REFRESH_S
    other, label = ("en", "English") if lang == "ko" else ("ko", "한국어")
    style, word = _SERVICE.get(facts["status"], ("dim", Text("?", "?")))
    body = [
        f'<header><h1>RAGTrace <span class="{style}">{escape(word.to(lang))}</span></h1>'
        f'<a href="/status?lang={other}" lang="{other}">{label}</a></header>',
        _rows(
            [
                (say("판", "version"), escape(str(facts["version"]))),
                (say("세대", "generation"), escape(facts["generation"] or "-")),
                (say("시작", "started"), f"{escape(facts['started'])} ({_span(facts['uptime_s'], lang)})"),
                (say("문서", "documents"), _number(facts["documents"])),
                (say("조각", "chunks"), _number(facts["chunks"])),
            ]
        ),
        f"<h2>{say('부분', 'Parts')}</h2>",
        _rows([(escape(name), _part(state, lang)) for name, state in facts["parts"].items()]),
        f"<h2>{say('서비스 자체 검사', 'Checks of the service')}</h2>",
        _table(_check(each, lang) for each in facts["checks"])
        or f"<p>{say('아직 검사하지 않았습니다.', 'Not looked at yet.')}</p>",
        f"<h2>{say('검증기', 'Validator')}</h2>",
        _validator(validator, lang, may_run),
        f"<footer><p><small>{escape(HANGUL.to(lang))}</small></p></footer>",
    ]
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="refresh" content="{refresh}">'
        f"<title>RAGTrace - {escape(word.to(lang))}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>"
    )


def _validator(desk: Mapping[str, Any], lang: str, may_run: bool) -> str:
    if desk["absence"]:
        return f"<p>{escape(desk['absence'][lang])}</p>"

    def say(ko: str, en: str) -> str:
        return escape(Text(ko, en).to(lang))

    parts = []
    if desk["running"]:
        parts.append(f'<p class="warn">{say("검사하는 중입니다…", "Checking…")}</p>')
    elif not may_run:
        parts.append(
            f"<p>{say('실행은 서버에서만 할 수 있습니다.', 'It can be run from the host only.')}</p>"
        )
    elif desk["wait_s"]:
        wait = say(f"{desk['wait_s']}초 뒤에 다시 실행할 수 있습니다.", f"Again in {desk['wait_s']} s.")
        parts.append(f"<p>{wait}</p>")
    else:
        parts.append(
            f'<form method="post" action="/status/run?lang={lang}">'
            f"<button>{say('지금 검사', 'Run it now')}</button></form>"
        )
    if desk["problem"]:
        parts.append(f'<p class="bad">{escape(desk["problem"][lang])}</p>')
    if desk["verdict"]:
        parts.append(_report(desk, lang))
    elif not desk["problem"]:
        parts.append(
            f"<p>{say('이 서비스가 시작된 뒤의 보고서가 없습니다.', 'No report since this service started.')}</p>"
        )
    return "".join(parts)


def _report(desk: Mapping[str, Any], lang: str) -> str:
    def say(ko: str, en: str) -> str:
        return escape(Text(ko, en).to(lang))

    style = _VERDICTS.get(desk["verdict"], "dim")
    counted = ", ".join(
        f"{escape(word.to(lang))} {desk['summary'][name]}"
        for name, (_, word) in _STATES.items()
        if desk["summary"].get(name)
    )
    findings = [each for each in desk["results"] if each["status"] in ("fail", "error", "warn")]
    rest = [each for each in desk["results"] if each not in findings]
    note = say(
        "서비스의 사용자와 보호된 유닛 안에서 본 결과(System, Packages, RAGTrace)입니다. "
        "전체 검사는 서버에서: enterprise_validator.py",
        "As seen by the service's user inside its hardened unit (System, Packages, RAGTrace). "
        "The whole run, on the host: enterprise_validator.py",
    )
    return (
        f'<p><b class="{style}">{escape(desk["verdict"])}</b> · {escape(desk["at"] or "")} · '
        f"{desk['duration_s']:.1f} s · {counted}</p><p><small>{note}</small></p>"
        f"{_table(_line(each, lang) for each in findings)}"
        f"<details><summary>{say('나머지', 'The rest')} ({len(rest)})</summary>"
        f"{_table(_line(each, lang) for each in rest)}</details>"
    )


def _check(each: Mapping[str, Any], lang: str) -> tuple[str, str, str]:
    lines = [escape(each["title"][lang]), escape(each["details"][lang])]
    if each["measured"]:
        lines[1] += f" <small>{escape(each['measured'])}</small>"
    if each["cause"] and each["status"] != "pass":
        lines.append(f"<small>{escape(each['cause'][lang])}</small>")
    return _state(each["status"], lang), escape(each["id"]), "<br>".join(lines)


def _line(each: Mapping[str, str], lang: str) -> tuple[str, str, str]:
    lines = [escape(each["name"])]
    lines += [escape(each["details"])] if each["details"] else []
    lines += [f"<small>{escape(each['recommendation'])}</small>"] if each["recommendation"] else []
    return _state(each["status"], lang), escape(each["id"]), "<br>".join(lines)


def _state(status: str, lang: str) -> str:
    style, word = _STATES.get(status, _STATES["unknown"])
    return f'<span class="state {style}">{escape(word.to(lang))}</span>'


def _part(state: Mapping[str, Any], lang: str) -> str:
    return (
        f"{_state('pass' if state['ready'] else 'fail', lang)} <small>{escape(str(state['detail']))}</small>"
    )


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    return f"<table>{''.join(f'<tr><th>{name}</th><td>{value}</td></tr>' for name, value in rows)}</table>"


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    made = "".join(f"<tr><td>{a}</td><td>{b}</td><td>{c}</td></tr>" for a, b, c in rows)
    return f"<table>{made}</table>" if made else ""


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _span(seconds: int, lang: str) -> str:
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if lang == "ko":
        return f"{days}일 {hours}시간 {minutes}분"
    return f"{days} d {hours} h {minutes} min"
