"""The bundle as a whole: what leaves, what never does, and when nothing is written."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.errors import UsageProblem
from installer import audit
from installer.paths import Prefix
from recovery.support import archive, canary, cli, index
from recovery.support.identity import Names
from recovery.support.pipeline import Member, Pipeline
from recovery.support.sources import Collector, Source
from tests.recovery.support.conftest import LINE, SECRET
from tests.validator.fakes import Installation
from validator.console import Console
from validator.secrets import Tokens, known_values
from validator.secrets.encodings import forms

NAMES = Names(("kimchulsu",), ("seoulhost",))


@pytest.fixture(autouse=True)
def no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle without running the checks, which take long and have tests of their own."""
    report = {
        "format": 1,
        "timestamp": "2026-11-20T00:00:00Z",
        "overall_status": "EXCELLENT",
        "validation_results": [],
    }
    monkeypatch.setattr(cli, "checked", lambda subject: report)
    monkeypatch.setattr(cli, "names_of_this_host", lambda: NAMES)


def run(installation: Installation, target: Path, **options: Any) -> tuple[int, str]:
    stream = io.StringIO()
    preview, lang = options.pop("preview", False), options.pop("lang", "en")
    code = cli.run(installation.subject(), target, preview, lang, Console(stream, lang), **options)
    return code, stream.getvalue()


def log(installation: Installation, text: str, name: str = "service.log") -> None:
    with (installation.root / "data" / "logs" / name).open("a", encoding="utf-8") as stream:
        stream.write(text)


def contents(path: Path) -> dict[str, str]:
    return {name: data.decode() for name, data in archive.unpacked(path.read_bytes())}


def everything(installation: Installation) -> dict[str, str]:
    prepared = cli.prepare(installation.subject(), NAMES, None)
    assert not prepared.survivors
    return {member.name: member.text for member in prepared.members}


def test_a_bundle_is_written_private_with_its_index_first(installation: Installation, tmp_path: Path) -> None:
    target = tmp_path / "support.tar.gz"
    code, told = run(installation, target)
    assert code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with tarfile.open(target) as found:
        infos = found.getmembers()
    assert infos[0].name == "ragtrace-support/INDEX.txt"
    assert {(info.uname, info.gname, info.uid, info.mtime) for info in infos} == {("", "", 0, 0)}
    assert "INDEX.txt" in told


def test_the_index_says_in_both_languages_what_is_in_it(installation: Installation, tmp_path: Path) -> None:
    run(installation, tmp_path / "x.tar.gz")
    text = contents(tmp_path / "x.tar.gz")["ragtrace-support/INDEX.txt"]
    for word in ("들어 있지 않은 것", "Not in it", "logs/service.log", "tar -xzf"):
        assert word in text


def test_members_are_what_the_allow_list_names(installation: Installation) -> None:
    assert set(everything(installation)) == {
        "install/current.json", "install/accepted.json", "install/receipts.json", "install/manifest.json",
        "install/settings-env.txt", "install/audit.jsonl", "host/resources.txt", "host/listing.txt",
        "host/generation-differences.txt", "logs/service.log",
    } - ({"install/audit.jsonl"} if not (installation.root / "state" / "audit.jsonl").exists() else set())  # fmt: skip


def test_no_document_database_or_its_name_leaves(installation: Installation) -> None:
    (installation.root / "data" / "records.sqlite").write_bytes(b"SQLite secret rows")
    text = "\n".join(everything(installation).values())
    for word in ("급여", "4200", "records.sqlite", "documents"):
        assert word not in text


def test_nothing_of_the_trusted_keys_leaves(installation: Installation) -> None:
    (installation.root / "trust" / "allowed_signers").write_text(
        "kim ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKey\n"
    )
    assert "AAAAC3Nza" not in "\n".join(everything(installation).values())


def test_of_the_configuration_only_keys_and_harmless_values_leave(installation: Installation) -> None:
    (installation.root / "config" / "ragtrace.yaml").write_text(
        "server:\n  host: 10.9.8.7\n  port: 8401\nllm:\n  address: http://llm.corp.kr\n  note: 사장님\n",
        encoding="utf-8",
    )
    found = everything(installation)
    assert "RAGTRACE_LLM_TOKEN (set)" in found["install/settings-env.txt"]
    assert "RAGTRACE_SEARCH_TOP_N=7" in found["install/settings-env.txt"]
    assert "server.port: 8401" in found["install/settings-ragtrace.yaml.txt"]
    text = "\n".join(found.values())
    for word in ("10.9.8.7", "corp", "사장님", "hunter2"):
        assert word not in text


def test_a_secret_in_a_log_becomes_a_token_wherever_it_stands(installation: Installation) -> None:
    log(installation, f"plain {SECRET} and {SECRET.encode().hex()}\n")
    log(
        installation, json.dumps({"level": "ERROR", "logger": "ragtrace", "message": f"with {SECRET}"}) + "\n"
    )
    text = everything(installation)["logs/service.log"]
    assert "hunter2" not in text
    assert text.count("[secret:") == 3


def test_the_words_of_people_do_not_leave_in_logs(installation: Installation) -> None:
    log(installation, LINE.replace("/healthz", "/data/연차규정 2025.pdf"))
    log(
        installation,
        'Traceback (most recent call last):\n  File "/x/y.py", line 3, in f\nValueError: 김철수의 급여는 얼마\n',
    )
    log(installation, "question: how do I fire Bob\ncannot read 'Secret Plan.docx'\n")
    log(installation, json.dumps({"logger": "thirdparty", "message": "user asked about layoffs"}) + "\n")
    log(
        installation,
        json.dumps({"logger": "ragtrace", "message": "ok", "question": "layoffs", "answer": "yes"}) + "\n",
    )
    text = everything(installation)["logs/service.log"]
    for word in ("연차", "급여", "fire Bob", "Secret Plan", "layoffs"):
        assert word not in text
    for word in ("ValueError: [text:", 'File "/x/y.py", line 3, in f', "/data/[text:", '"path": "/healthz"'):
        assert word in text


def test_names_of_people_hosts_and_addresses_become_stable_tokens(installation: Installation) -> None:
    log(installation, "session of kimchulsu on seoulhost from 10.1.2.3 (52:54:00:ab:cd:ef) 2001:db8::7\n" * 2)
    log(
        installation,
        "127.0.0.1 ::1 0.0.0.0 version 1.2.3 at 12:34:56 http://gpu.corp.kr:8000/v1 /home/lee/x kim@corp.kr\n",
    )
    lines = everything(installation)["logs/service.log"].splitlines()[-3:]
    assert lines[0] == lines[1]
    text = "\n".join(lines)
    for word in ("kimchulsu", "seoulhost", "10.1.2.3", "52:54", "2001:db8", "corp", "lee", "kim@"):
        assert word not in text
    for word in (
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "1.2.3",
        "12:34:56",
        ":8000/v1",
        "/home/[user:",
        "[mac:",
        "[host:",
    ):
        assert word in text


def test_the_audit_log_names_nobody(installation: Installation) -> None:
    audit.record(Prefix(installation.root), "install", "ok", manifest="ab" * 32, note="a field nobody listed")
    text = everything(installation)["install/audit.jsonl"]
    assert "a field nobody listed" not in text
    record = json.loads(text.splitlines()[-1])
    assert record["action"] == "install"
    assert record["host"].startswith("[host:") or record["host"] == "localhost"


def test_a_report_gives_its_listed_fields_only(installation: Installation) -> None:
    report = {
        "format": 1, "prefix": "/home/lee/ragtrace", "secret_field": "zzz", "recommendations": ["run zzz"],
        "validation_results": [
            {"id": "RAG-007", "details": "failed", "evidence": {"measured": "HTTP 500, 김철수는 zzz"}, "raw_status": "fail"},
            {"id": "APP-001", "details": "zzz of a plugin", "raw_status": "warn"},
            {"id": "SEC-001", "details": "too permissive: .env 0644", "raw_status": "fail", "recommendation": "zzz"},
        ],
    }  # fmt: skip
    prepared = cli.prepare(installation.subject(), NAMES, report)
    text = next(member.text for member in prepared.members if member.name == "report/validator.json")
    assert "zzz" not in text and "김철수" not in text and "/home/lee" not in text
    assert [each["id"] for each in json.loads(text)["validation_results"]] == [
        "RAG-007",
        "APP-001",
        "SEC-001",
    ]
    assert "too permissive: .env 0644" in text and "HTTP 500" in text


def test_the_environment_of_a_unit_leaves_without_its_values(installation: Installation) -> None:
    from recovery.support.configuration import unit_of

    text, left = unit_of(
        '[Service]\nUser=ragtrace\nEnvironment="A_TOKEN=zzz" HF_HUB_OFFLINE=1\nSetCredential=x:zzz\n'
    )
    assert text == "[Service]\nUser=ragtrace\nEnvironment=A_TOKEN=… HF_HUB_OFFLINE=1\n"
    assert left == 2


def test_the_same_installation_gives_the_same_members_in_the_same_order(installation: Installation) -> None:
    members = [Member("b", "2"), Member("a", "1")]
    assert archive.pack(members) == archive.pack(members)
    names = [member.name for member in cli.prepare(installation.subject(), NAMES, None).members]
    assert names == sorted(names)


def test_a_preview_shows_everything_and_writes_nothing(installation: Installation, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    log(installation, f"{SECRET}\n")
    code, told = run(installation, tmp_path / "x.tar.gz", preview=True)
    assert code == 0
    assert "logs/service.log" in told and "secret values of the configuration 1" in told
    assert sorted(tmp_path.rglob("*")) == before


def test_a_preview_speaks_korean_too(installation: Installation, tmp_path: Path) -> None:
    _, told = run(installation, tmp_path / "x.tar.gz", preview=True, lang="ko")
    assert "미리 보기" in told and "뺀 것 없음" in told


def test_an_export_is_in_the_audit_log(installation: Installation, tmp_path: Path) -> None:
    run(installation, tmp_path / "x.tar.gz")
    found = audit.read(Prefix(installation.root))
    assert found.intact
    assert found.records[-1]["action"] == "recovery:support-bundle"


def test_an_existing_file_is_never_replaced(installation: Installation, tmp_path: Path) -> None:
    target = tmp_path / "x.tar.gz"
    target.write_text("mine")
    with pytest.raises(UsageProblem, match="exists"):
        run(installation, target)
    assert target.read_text() == "mine"


def test_one_that_appears_meanwhile_is_not_replaced_either(
    installation: Installation, tmp_path: Path
) -> None:
    target = tmp_path / "x.tar.gz"
    target.write_text("mine")
    with pytest.raises(FileExistsError):
        archive.write(target, b"new")
    assert target.read_text() == "mine"


@pytest.mark.parametrize("place", ["data/x", "data/logs/x", "x", "generations/x"])
def test_nothing_is_written_into_the_installation(installation: Installation, place: str) -> None:
    with pytest.raises(UsageProblem, match="inside the installation"):
        run(installation, installation.root / place)


def test_nothing_is_written_through_a_link(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(installation.root / "data")
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    for target in (tmp_path / "link" / "x", tmp_path / "dangling"):
        with pytest.raises(UsageProblem):
            run(installation, target)


def test_a_missing_folder_is_refused_before_anything_is_collected(
    installation: Installation, tmp_path: Path
) -> None:
    with pytest.raises(UsageProblem, match="no such folder"):
        run(installation, tmp_path / "none" / "x")


def test_a_file_that_cannot_be_written_leaves_nothing(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, told = run(installation, tmp_path / "x.tar.gz")
    assert code == 3
    assert "No space left" in told
    assert not (tmp_path / "x.tar.gz").exists()


def test_a_broken_pipeline_writes_nothing_and_says_which_kind(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pipeline, "clean", lambda self, text: text)
    code, told = run(installation, tmp_path / "x.tar.gz")
    assert code == 3
    assert "password: host/resources.txt" in told and "known-value: host/resources.txt" in told
    assert not (tmp_path / "x.tar.gz").exists()


@pytest.mark.parametrize("part", ["_scrubbed", "clean"])
def test_each_part_of_the_pipeline_is_tested_by_canaries(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(Pipeline, part, lambda self, text: text)
    known = known_values(installation.root)
    sources = Collector(installation.subject()).collect(None).sources
    assert canary.survivors(sources, known, NAMES, installation.root)


def test_a_known_value_in_a_finished_archive_is_noticed_in_every_form() -> None:
    for form in forms(SECRET):
        data = archive.pack([Member("x.txt", f"before {form} after")])
        assert [each.kind for each in archive.leaks(data, (SECRET,))] == ["known-value"]
    assert archive.leaks(archive.pack([Member("x.txt", "nothing")]), (SECRET,)) == []


def test_the_canaries_of_two_runs_differ() -> None:
    first, second = canary.flock(), canary.flock()
    assert not {bird.value for bird in first.canaries} & {bird.value for bird in second.canaries}


def test_what_is_too_large_loses_its_oldest_lines_and_says_so(installation: Installation) -> None:
    log(installation, "".join(f"line number {number}\n" for number in range(4000)))
    prepared = cli.prepare(installation.subject(), NAMES, None, most=40_000)
    member = next(each for each in prepared.members if each.name == "logs/service.log")
    assert "line number 3999" in member.text and "line number 5\n" not in member.text
    text = dict(archive.unpacked(prepared.data))["ragtrace-support/INDEX.txt"].decode()
    assert "oldest lines dropped" in text
    assert sum(len(each.data) for each in prepared.members) <= 40_000


def test_a_host_without_an_installation_gives_a_bundle(tmp_path: Path) -> None:
    from validator.subject import Subject

    prepared = cli.prepare(Subject(tmp_path / "nothing"), NAMES, None)
    assert not prepared.survivors
    assert {"host/resources.txt", "host/listing.txt"} <= {member.name for member in prepared.members}


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff\xfe\x00", b"[1, 2]", b'{"a": ' * 2000, b"null"])
def test_damaged_state_files_are_named_and_never_end_it(installation: Installation, garbage: bytes) -> None:
    for name in ("current.json", "state/service.json", "trust/accepted.json", "state/audit.jsonl", "state/journal.jsonl",
                 "config/.env", "config/ragtrace.yaml"):  # fmt: skip
        (installation.root / name).write_bytes(garbage)
    (installation.generation / "RECEIPT.json").write_bytes(garbage)
    prepared = cli.prepare(
        installation.subject(), NAMES, {"format": 1, "validation_results": [garbage.decode("latin-1")]}
    )
    assert not prepared.survivors
    assert any("RECEIPT" in gap.name or "receipts" in gap.name for gap in prepared.gaps)


def test_what_may_not_be_read_is_a_gap(installation: Installation) -> None:
    installation.settings.unlink()
    installation.settings.mkdir()
    prepared = cli.prepare(installation.subject(), NAMES, None)
    assert any(
        gap.name == "config/.env" and "secrets are not known" in gap.reason.en for gap in prepared.gaps
    )


def test_a_log_folder_that_is_a_link_is_not_followed(installation: Installation, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "other.log").write_text("not for you\n")
    (installation.root / "data" / "logs" / "service.log").unlink()
    (installation.root / "data" / "logs").rmdir()
    (installation.root / "data" / "logs").symlink_to(elsewhere)
    text = "\n".join(everything(installation).values())
    assert "not for you" not in text and "other.log" not in text


def test_a_log_that_is_a_link_is_not_followed(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("not for you\n")
    (installation.root / "data" / "logs" / "x.log").symlink_to(tmp_path / "other")
    assert "not for you" not in "\n".join(everything(installation).values())


def test_a_given_report_must_be_one(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")
    for name in ("r.json", "missing.json"):
        with pytest.raises(UsageProblem):
            run(installation, tmp_path / "x.tar.gz", report=tmp_path / name)


def test_every_kind_that_is_counted_is_written_in_both_languages() -> None:
    for lang in ("ko", "en"):
        assert index.removed({"known-value": 2, "github": 1, "jwt": 1}, lang).count("2") == 2


secrets = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=10, max_size=40).filter(
    lambda value: value == value.strip() and not set(value) & set("\"'\\") and len(set(value)) > 5
)  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=secrets)
def test_a_secret_of_any_shape_in_every_source_never_leaves(installation: Installation, secret: str) -> None:
    installation.settings.write_text(f"RAGTRACE_LLM_PASSWORD={secret}\n", encoding="utf-8")
    planted = [
        secret,
        secret[::-1],
        json.dumps({"logger": "ragtrace", "message": f"a {secret} b", "level": secret}),
    ]
    (installation.root / "data" / "logs" / "service.log").write_text(
        LINE + "\n".join(planted) + "\n", encoding="utf-8"
    )
    (installation.root / "state" / "journal.jsonl").write_text(
        json.dumps({"event": "end", "cause": f"x {secret}"})
    )
    report = {
        "format": 1,
        "validation_results": [
            {"id": "SYS-001", "details": f"see {secret}!", "evidence": {"measured": secret}}
        ],
    }
    prepared = cli.prepare(installation.subject(), NAMES, report)
    assert not prepared.survivors
    body = "\n".join(
        member.text for member in prepared.members if member.name.startswith(("logs", "report", "install"))
    )
    assert secret not in body and json.dumps(secret)[1:-1] not in body
    assert secret.encode() not in gzip.decompress(prepared.data)


@pytest.mark.parametrize(
    "unit", ["a", "a.", "“", "'", "a@", "1.", "a:", "://", "/home/", "가", "Error: ", "question: ", "x.pdf"]
)
def test_no_log_takes_more_than_linear_time(installation: Installation, unit: str) -> None:
    pipeline = Pipeline(installation.root, (SECRET,), NAMES, Tokens())
    source = Source("logs/x.log", "service-log", unit * (500_000 // len(unit)))
    started = time.process_time()
    pipeline.member(source)
    assert time.process_time() - started < 15
