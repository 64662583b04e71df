"""The dossier and the assessment as a whole: complete, harmless, readable in both languages, remembered."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from builder.assessment import assess, components, documents
from builder.assessment.dossier.markup import join, table, tag
from builder.assessment.findings import (
    Advisory,
    AuditReport,
    Pinned,
    Severity,
    Unknown,
    Verdict,
    Waived,
    Waiver,
)
from builder.assessment.subject import CarriedModel, Subject
from builder.cache import Cache
from bundle.hashing import sha256_bytes
from bundle.manifest import Build, Model
from bundle.text import Text
from tests.builder.assessment.subjects import NOTE, Bundle, crate, cyclonedx
from tests.support.bundles import make_bundle

VOID = {"meta", "input", "br"}
ATTACK = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{body}} &amp; \x1b[2J\u202e"


class Page(HTMLParser):
    """A page taken apart: every element with its attributes, the text, and whether all was closed in order."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.style = ""
        self.feed(data.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data
        else:
            self.text += data


@pytest.fixture
def bundle(cache: Cache) -> Bundle:
    return Bundle(cache)


def made(subject: Subject, cache: Cache) -> dict[str, bytes]:
    return documents.write(subject, components.collect(subject, cache))


def page(subject: Subject, cache: Cache) -> Page:
    return Page(made(subject, cache)[documents.DOSSIER])


def audit(*advisories: Advisory, unknown: tuple[Unknown, ...] = ()) -> AuditReport:
    packages = (Pinned("alpha", "1.0"), Pinned("beta", "1.0"))
    return AuditReport("pip-audit (osv)", "2026-11-20T01:02:03Z", advisories, unknown, packages)


def judged(passed: bool, **parts: object) -> Verdict:
    empty: dict[str, object] = dict.fromkeys(
        ("failing", "waived", "unknown", "expired_waivers", "unused_waivers"), ()
    )
    return Verdict(passed=passed, policy="high", **{**empty, **parts})  # type: ignore[arg-type]


def advisory(text: str = "reads too much") -> Advisory:
    return Advisory(
        "GHSA-1",
        ("CVE-2026-1",),
        "alpha",
        "1.0",
        Severity.CRITICAL,
        text,
        ("1.1",),
        "https://osv.example/GHSA-1",
    )


def everything(bundle: Bundle, words: str = "plain") -> Subject:
    """Return a subject with every kind of content, all of it saying `words`."""
    line = words.replace("\x1b", " ")
    bundle.wheel(
        "alpha",
        metadata=f"Summary: {line}\nAuthor: {line}\nLicense: {line}\nHome-page: {line}\nClassifier: License :: {line}\n",
        requires=("not-carried>=1",),
        entry_points=f"[console_scripts]\n{line} = a:b\n",
        files={
            "alpha/start.pth": "import os",
            "alpha/LICENSE": words,
            "alpha-1.0.dist-info/sboms/a.json": cyclonedx(crate(words, licence=words)),
            "alpha-1.0.dist-info/sboms/b.json": words.encode(),
        },
    )
    beta = bundle.wheel("beta", source="https://mirror.example/files")
    bundle.file("07_Models/llm/model.gguf", b"GGUF", "model")
    model = Model("llm", "llm", "07_Models/llm", "owner/llm", "a" * 40, words)
    waiver = Waiver("GHSA-1", "alpha", words, date(2027, 1, 1))
    late = Waiver("GHSA-2", "beta", words, date(2020, 1, 1))
    return bundle.subject(
        "alpha",
        builds=(Build(beta.filename, beta.sha256, f"https://x.example/{words}", "e" * 64, (words,)),),
        models=(CarriedModel(model, words, True, (words,), (words,)),),
        audit=audit(advisory(words), unknown=(Unknown("beta", "1.0", words),)),
        verdict=judged(True, waived=(Waived(advisory(words), waiver),), expired_waivers=(late,)),
        signers=((words, words),),
        notes=(Text(words, words),),
    )


def test_every_file_of_the_bundle_is_listed_with_its_hash(bundle: Bundle) -> None:
    subject = everything(bundle)
    found = made(subject, bundle.cache)
    text = Page(found[documents.DOSSIER]).text
    for entry in subject.files:
        assert entry.path in text
        assert entry.sha256 in text
    for name in set(found) - {documents.DOSSIER}:
        assert f"05_Documentation/{name}" in text
        assert sha256_bytes(found[name]) in text


def test_the_page_loads_and_runs_nothing(bundle: Bundle) -> None:
    found = page(everything(bundle), bundle.cache)
    assert {name for name, _ in found.elements} & {
        "script",
        "img",
        "link",
        "iframe",
        "object",
        "base",
        "form",
    } == set()
    for name, attributes in found.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), name
            if key in ("src", "href", "action", "srcset", "data"):
                assert (name, key) == ("a", "href") and (value or "").startswith("#")
    assert not re.search(r"url\(|@import|expression\(", found.style)
    policy = next(attributes["content"] for _, attributes in found.elements if "http-equiv" in attributes)
    assert (policy or "").startswith("default-src 'none'")


def test_words_of_strangers_stay_words(bundle: Bundle) -> None:
    calm, hostile = (page(everything(Bundle(cache), words), cache) for cache, words in both(bundle.cache))
    assert [name for name, _ in hostile.elements] == [name for name, _ in calm.elements]
    assert [set(attributes) for _, attributes in hostile.elements] == [
        set(attributes) for _, attributes in calm.elements
    ]
    assert "alert(1)" in hostile.text
    assert "\x1b" not in hostile.text and "\u202e" not in hostile.text


def both(cache: Cache) -> list[tuple[Cache, str]]:
    return [(Cache(cache.root / "calm"), "plain"), (Cache(cache.root / "hostile"), ATTACK)]


def test_each_text_of_ours_is_there_in_both_languages(bundle: Bundle) -> None:
    found = page(everything(bundle), bundle.cache)
    spoken = [
        attributes["lang"] for name, attributes in found.elements if name == "span" and "lang" in attributes
    ]
    assert spoken == ["ko", "en"] * (len(spoken) // 2)
    assert "What is inside" in found.text and "무엇이 들어 있나" in found.text
    for language in ("ko", "en"):
        assert f"#show-{language}:checked" in found.style


def test_a_link_of_the_page_leads_to_a_section_of_it(bundle: Bundle) -> None:
    elements = page(everything(bundle), bundle.cache).elements
    places = {attributes.get("id") for _, attributes in elements}
    targets = {
        (attributes.get("href") or "").removeprefix("#") for name, attributes in elements if name == "a"
    }
    targets |= {attributes.get("for") or "" for name, attributes in elements if name == "label"}
    assert targets and targets <= places
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_what_is_folded_away_is_printed(bundle: Bundle) -> None:
    style = page(everything(bundle), bundle.cache).style
    assert ".folded { display: none; }" in style
    assert re.search(r"@media print \{.*\.folded \{ display: block; \}", style, re.DOTALL)


@pytest.mark.parametrize(
    ("report", "verdict", "colour", "words"),
    [
        (None, None, "warn", "nobody was asked"),
        (audit(), judged(True), "good", "Vulnerability policy: passed"),
        (audit(unknown=(Unknown("beta", "1.0", "HTTP 404"),)), judged(True), "warn", "with open points"),
        (audit(advisory()), judged(False, failing=(advisory(),)), "bad", "Vulnerability policy: failed"),
        (audit(advisory()), judged(True), "warn", "with open points"),
        (audit(advisory()), replace(judged(True), policy="none"), "warn", "No vulnerability policy"),
    ],
)
def test_the_verdict_never_looks_better_than_it_is(
    bundle: Bundle, report: AuditReport | None, verdict: Verdict | None, colour: str, words: str
) -> None:
    bundle.wheel("alpha")
    found = page(bundle.subject("alpha", audit=report, verdict=verdict), bundle.cache)
    assert {"class": f"verdict {colour}"} in [attributes for _, attributes in found.elements]
    assert words in found.text


def test_advisories_unknowns_and_waivers_are_told_with_their_dates(bundle: Bundle) -> None:
    subject = everything(bundle)
    text = page(subject, bundle.cache).text
    for words in (
        "2026-11-20T01:02:03Z",
        "GHSA-1",
        "CVE-2026-1",
        "Without an answer (unknown)",
        "2027-01-01",
        "expired",
    ):
        assert words in text
    report = json.loads(made(subject, bundle.cache)[documents.VULNERABILITIES])
    assert report["report"]["unknown"] == [{"package": "beta", "version": "1.0", "reason": "plain"}]
    assert report["verdict"]["waived"][0]["waiver"]["expires"] == "2027-01-01"


def test_nobody_asked_is_null_and_not_an_empty_report(bundle: Bundle) -> None:
    report = json.loads(made(bundle.subject(), bundle.cache)[documents.VULNERABILITIES])
    assert report == {"report": None, "verdict": None}


def test_signers_and_the_commands_that_check_them_are_on_the_page(bundle: Bundle) -> None:
    signers = (("first@example", "SHA256:one"), ("second@example", "SHA256:two"))
    text = page(bundle.subject(signers=signers), bundle.cache).text
    assert (
        "ssh-keygen -Y verify -f ../allowed_signers -I first@example -n ragtrace-bundle@v1 -s MANIFEST.json.sig < MANIFEST.json"
        in text
    )
    assert "-I second@example -n ragtrace-bundle@v1 -s MANIFEST.json.2.sig < MANIFEST.json" in text
    assert "SHA256:two" in text and "2027-01-01T00:00:00Z" in text


def test_what_runs_unasked_and_what_is_missing_is_pointed_out(bundle: Bundle) -> None:
    text = page(everything(bundle), bundle.cache).text
    assert "alpha 1.0: alpha/start.pth" in text
    assert "alpha 1.0: not-carried>=1" in text


def test_a_place_holder_in_the_contents_is_not_filled_in() -> None:
    assert tag("p", "{{body}}") == "<p>{{body}}</p>"
    assert (
        join("<", NOTE, tag("b", "&"))
        == '&lt;<span lang="ko">참고</span><span lang="en">a note</span><b>&amp;</b>'
    )
    assert "<td>&lt;i&gt;</td>" in table(["a"], [["<i>"]])


def test_the_assessment_stages_its_documents(bundle: Bundle) -> None:
    bundle.wheel("alpha", metadata="License: MPL-2.0\n")
    found = assess.assess(bundle.subject("alpha"), bundle.cache)
    assert [item.entry.path for item in found.files] == sorted(
        f"05_Documentation/{name}"
        for name in (
            "sbom.cdx.json",
            "components.csv",
            "licences.csv",
            "THIRD_PARTY_LICENCES.txt",
            "vulnerabilities.json",
            "review.html",
        )
    )
    assert (found.components, found.flagged) == (2, 1)
    for item in found.files:
        assert isinstance(item.source, Path)
        assert bundle.cache.verified(item.entry.sha256) == item.source


def test_any_change_of_the_subject_changes_the_documents_and_no_change_does_not(bundle: Bundle) -> None:
    bundle.wheel("alpha")
    plain = assess.assess(bundle.subject("alpha"), bundle.cache)
    assert assess.assess(bundle.subject("alpha"), bundle.cache) == plain
    changes: dict[str, Any] = {
        "sequence": 8,
        "expires": None,
        "epoch": 1_760_000_000,
        "signers": (("b", "SHA256:2"),),
        "audit": audit(),
        "notes": (NOTE,),
    }
    seen = {plain.files}
    for name, value in changes.items():
        seen.add(assess.assess(bundle.subject("alpha", **{name: value}), bundle.cache).files)
    assert len(seen) == len(changes) + 1


def test_a_document_lost_from_the_cache_is_written_again(bundle: Bundle) -> None:
    bundle.wheel("alpha")
    subject = bundle.subject("alpha")
    first = assess.assess(subject, bundle.cache)
    bundle.cache.drop(first.files[0].entry.sha256)
    assert assess.assess(subject, bundle.cache) == first


def test_a_warm_assessment_opens_no_wheel_and_loads_no_library(bundle: Bundle) -> None:
    bundle.wheel("alpha")
    subject = bundle.subject("alpha")
    first = assess.assess(subject, bundle.cache)
    program = (
        "import sys; from pathlib import Path; from builder.cache import Cache; from builder.assessment import assess;"
        "from tests.builder.assessment.subjects import Bundle;"
        "b = Bundle(Cache(Path(sys.argv[1]))); b.wheel('alpha'); s = b.subject('alpha');"
        "[b.cache.drop(w.sha256) for w in (*s.wheels, s.own)];"
        "print(assess.assess(s, b.cache).files[0].entry.sha256);"
        "print([name for name in sys.modules if name.split('.')[0] in ('cyclonedx', 'packageurl', 'license_expression')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(bundle.cache.root)],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == [first.files[0].entry.sha256, "[]"]


def commands_of(found: dict[str, bytes]) -> dict[str, str]:
    """Return the page's commands by their first word."""
    blocks = re.findall(r"<pre><code>(.*?)</code></pre>", found[documents.DOSSIER].decode(), re.DOTALL)
    return {unescape(block).split()[0]: unescape(block) for block in blocks}


@pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("ssh-keygen") is None, reason="no stock tools"
)
def test_the_commands_on_the_page_accept_a_true_bundle_and_notice_a_false_one(
    bundle: Bundle, tmp_path: Path
) -> None:
    sealed = make_bundle(tmp_path / "bundle", serve=None)
    (tmp_path / "allowed_signers").write_text(sealed.key.allowed_signers())
    subject = bundle.subject(signers=((sealed.key.principal, sealed.fingerprint),))
    commands = commands_of(made(subject, bundle.cache))

    def run(first: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", commands[first]], cwd=sealed.root, capture_output=True, text=True, check=False
        )

    signature = run("ssh-keygen")
    assert signature.returncode == 0, signature.stderr
    assert signature.stdout.startswith("Good") and sealed.fingerprint in signature.stdout
    assert signature.stderr == ""
    assert run("sha256sum").stdout == "OK\n"
    assert (run("diff").returncode, run("diff").stdout) == (0, "")

    (sealed.root / "04_Scripts" / "extra.py").write_text("slipped in")
    assert "04_Scripts/extra.py" in run("diff").stdout
    (sealed.root / "03_Source" / "README.md").write_text("changed")
    assert "OK" not in run("sha256sum").stdout
