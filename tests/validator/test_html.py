"""The page: self-contained, escaped, findings first, in the language of the run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bundle.text import Text
from tests.validator.fakes import Installation
from validator.api import validate
from validator.cli import main
from validator.model import Category, Check, Outcome, Result, Severity, Status
from validator.report import Report, Timing
from validator.subject import Subject

HOSTILE = "<script>alert(1)</script>\"'><img src=http://x/y.png onerror=z>&\x1b[31m\ud800\u202e]]>{{body}}"
VOID = {"meta"}


class Tree(HTMLParser):
    """Collects the elements and complains about one that is not closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Tree:
    tree = Tree()
    tree.feed(page)
    tree.close()
    assert tree.open == []
    return tree


def hostile_report(tmp_path: Path, lang: str) -> Report:
    text = Text(HOSTILE, HOSTILE)
    results = [
        Result(
            Check(f"TST-00{number}", category, text, severity, lambda subject: Outcome(Status.PASS, text)),
            Outcome(status, text, HOSTILE, HOSTILE, text, "restart"),
        )
        for number, (status, category, severity) in enumerate(
            zip(Status, Category, [*Severity, Severity.LOW, Severity.LOW])
        )
    ]
    return Report(tuple(results), Subject(tmp_path / HOSTILE.replace("/", "-")), lang, Timing(0, 0))


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_whatever_a_finding_says_the_page_stays_harmless(tmp_path: Path, lang: str) -> None:
    page = hostile_report(tmp_path, lang).to_html()
    page.encode("utf-8")
    tree = read(page)
    assert {tag for tag, _ in tree.seen} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "span", "strong", "dl", "dt",
        "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    names = {name for _, attributes in tree.seen for name in attributes}
    assert names <= {"lang", "charset", "name", "content", "http-equiv", "class", "scope"}
    assert "<script>alert(1)</script>" in tree.text and "\x1b" not in page and "\u202e" not in page


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_page_loads_nothing(tmp_path: Path, lang: str) -> None:
    page = validate(tmp_path / "none", only=["SYS-009", "RAG-001"], lang=lang).to_html()
    assert not re.search(r"https?://|url\(|@import|<script|<link|<img|<iframe", page)
    assert f'<html lang="{lang}">' in page and "default-src 'none'" in page and "@media print" in page


def test_findings_come_first_the_weightiest_before_the_others(tmp_path: Path) -> None:
    text = read(hostile_report(tmp_path, "en").to_html()).text
    findings, every = text.index("Findings"), text.index("Every check")
    first = re.findall(r"TST-00\d", text[findings:every])
    assert first[0] == "TST-002" and set(first) == {"TST-001", "TST-002", "TST-004", "TST-005"}
    assert set(re.findall(r"TST-00\d", text[every:])) == {f"TST-00{number}" for number in range(6)}
    order = [text.index(category.value, every) for category in Category]
    assert order == sorted(order)


def test_a_finding_has_evidence_cause_remedy_and_duration(installation: Installation) -> None:
    page = read(validate(installation.root, only=["RAG-004"], lang="en").to_html()).text
    for word in (
        "measured",
        "expected",
        "cause",
        "next",
        "install.py --prefix",
        "critical",
        " s",
        "CRITICAL",
    ):
        assert word in page


def test_the_language_of_the_run_is_the_language_of_the_page(installation: Installation) -> None:
    page = read(validate(installation.root, only=["RAG-004"], lang="ko").to_html()).text
    assert "볼 것" in page and "다음 조치" in page and "Findings" not in page


def test_the_command_line_writes_the_page(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.html"
    words = ["--prefix", str(installation.root), "--only", "RAG-004", "--format", "html", "--lang", "ko"]
    assert main([*words, "--output", str(file)]) == 3
    capsys.readouterr()
    assert main(words) == 3
    printed = capsys.readouterr().out
    assert printed.startswith("<!DOCTYPE html>") and file.read_text().startswith("<!DOCTYPE html>")
