"""JUnit XML of a report, for continuous-integration servers."""

from __future__ import annotations

import re
from typing import Sequence
from xml.sax.saxutils import escape, quoteattr

from validator.model import Category, Result, Status

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TAGS = {Status.FAIL: "failure", Status.ERROR: "error", Status.UNKNOWN: "error", Status.SKIP: "skipped"}


def render(results: Sequence[Result], lang: str) -> str:
    """Return one test suite per category; warnings pass and say so in their output."""
    suites = []
    for category in Category:
        mine = [result for result in results if result.check.category is category]
        if mine:
            suites.append(_suite(category.value, mine, lang))
    return '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n' + "".join(suites) + "</testsuites>\n"


def _suite(name: str, results: Sequence[Result], lang: str) -> str:
    tags = [_tag(result) for result in results]
    head = (
        f'  <testsuite name={quoteattr(name)} tests="{len(results)}" failures="{tags.count("failure")}"'
        f' errors="{tags.count("error")}" skipped="{tags.count("skipped")}"'
        f' time="{sum(result.duration_s for result in results):.3f}">\n'
    )
    return head + "".join(_case(result, lang) for result in results) + "  </testsuite>\n"


def _case(result: Result, lang: str) -> str:
    check, outcome = result.check, result.outcome
    name = quoteattr(_clean(f"{check.id} {check.title.to(lang)}"))
    owner = quoteattr(check.category.value)
    head = f'    <testcase classname={owner} name={name} time="{result.duration_s:.3f}">'
    details = _clean(outcome.details.to(lang))
    evidence = _clean(f"measured: {outcome.measured}\nexpected: {outcome.expected}")
    tag = _tag(result)
    if check.plugin is not None:
        head += (
            f'<properties><property name="plugin" value={quoteattr(_clean(check.plugin.name))}/></properties>'
        )
    if result.waiver is not None:
        until = f"waived until {result.waiver.expires}: {result.waiver.reason}"
        evidence = f"{result.status.value}: {details}\n{evidence}"
        details = _clean(until)
    if tag:
        body = f"<{tag} message={quoteattr(details)}>{escape(evidence)}</{tag}>"
    else:
        body = f"<system-out>{escape(f'{result.status.value}: {details}; {evidence}')}</system-out>"
    return f"{head}{body}</testcase>\n"


def _tag(result: Result) -> str:
    """Return the element that says how a case ended; none for one that passed. A waived finding is left out."""
    return "skipped" if result.waiver is not None else _TAGS.get(result.status, "")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
