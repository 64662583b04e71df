"""SEC-011: a secret in a log, a record, a readable file or on a command line is found, and never shown."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.validator.fakes import Installation, run
from validator.checks import secrets as module
from validator.checks.secrets import stray_secrets
from validator.host import commands, procfs
from validator.model import Outcome, Status
from validator.secrets import holders, known_values, search

SECRET = "hunter2-Hunter2-hunter2"
KEY = "-----BEGIN PRIVATE KEY-----\n" + (
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n" * 3
)


@pytest.fixture
def secret(installation: Installation) -> Installation:
    """An installation whose configuration has one secret."""
    with installation.settings.open("a") as stream:
        stream.write(f"RAGTRACE_LLM_TOKEN={SECRET}\n")
    (installation.root / "data" / "logs").mkdir()
    return installation


def write(installation: Installation, name: str, text: str, mode: int = 0o600) -> Path:
    path = installation.root / name
    path.write_text(text)
    path.chmod(mode)
    return path


def found(installation: Installation) -> Outcome:
    outcome = run(stray_secrets, installation.subject())
    assert SECRET not in repr(outcome)
    assert "MIIEvQ" not in repr(outcome)
    return outcome


def test_a_healthy_installation_passes(installation: Installation) -> None:
    assert found(installation).status is Status.PASS


def test_ordinary_logs_and_records_pass(secret: Installation) -> None:
    write(secret, "data/logs/service.log", "an ordinary line\n" * 1000)
    write(secret, "state/audit.jsonl", '{"n": 1, "previous": "' + "0" * 64 + '"}\n')
    write(secret, "state/service.json", '{"name": "ragtrace"}', 0o644)
    outcome = found(secret)
    assert outcome.status is Status.PASS
    assert "1 secret keys" in outcome.measured


@pytest.mark.parametrize(
    "name", ["data/logs/service.log", "state/audit.jsonl", "state/x.log", "state/journal.jsonl"]
)
def test_a_secret_in_a_log_is_found_with_its_line_and_key(secret: Installation, name: str) -> None:
    write(secret, name, f"one\ntwo {SECRET} x\n")
    outcome = found(secret)
    assert outcome.status is Status.FAIL
    assert outcome.remedy == "remove-secret"
    assert f"{name}:2 (RAGTRACE_LLM_TOKEN)" in outcome.details.en
    assert f"{name}:2" in outcome.details.ko


def test_an_encoded_secret_in_a_log_is_found(secret: Installation) -> None:
    write(secret, "data/logs/service.log", "x" + SECRET.encode().hex())
    assert found(secret).status is Status.FAIL


def test_a_private_key_in_a_log_is_found(secret: Installation) -> None:
    write(secret, "data/logs/service.log", "a\nb\n" + KEY)
    assert "service.log:3 (private key)" in found(secret).details.en


def test_the_words_of_a_key_are_no_key(secret: Installation) -> None:
    write(secret, "data/logs/service.log", "expected -----BEGIN PRIVATE KEY----- but found nothing\n")
    assert found(secret).status is Status.PASS


@pytest.mark.parametrize("name", ["copy.env", "config/.env.old", "state/note.txt", "data/dump.txt"])
def test_a_readable_copy_is_found_and_a_private_one_is_not(secret: Installation, name: str) -> None:
    path = write(secret, name, f"TOKEN={SECRET}\n", 0o644)
    assert f"{name}:1" in found(secret).details.en
    path.chmod(0o600)
    assert found(secret).status is Status.PASS


def test_the_configuration_itself_is_where_secrets_belong(secret: Installation) -> None:
    write(secret, "config/ragtrace.yaml", f"llm:\n  token: {SECRET}\n", 0o640)
    assert found(secret).status is Status.PASS
    (secret.root / "config" / "ragtrace.yaml").chmod(0o644)
    assert found(secret).status is Status.FAIL


def test_a_secret_on_the_command_line_of_the_service_is_found(
    secret: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = procfs.Process(4242, ("python", "-m", "ragtrace", "serve", f"--token={SECRET}"))
    monkeypatch.setattr(procfs, "service_processes", lambda subject: [process])
    assert "/proc/4242/cmdline" in found(secret).details.en


def test_a_secret_across_two_blocks_is_found_once(secret: Installation) -> None:
    line = "an ordinary line of a log\n"
    count = search._BLOCK // len(line)
    text = line * count
    text += "x" * (search._BLOCK - len(text) - 5) + SECRET + "\n" + line * 10
    path = write(secret, "data/logs/service.log", text)
    hits = search.Searcher({SECRET: "KEY"}).file(path, 10**9)
    assert [hit.line for hit in hits] == [count + 1]


def test_what_was_not_read_is_said(secret: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LOG_BYTES", 1000)
    old = write(secret, "data/logs/old.log", SECRET + "\n")
    os.utime(old, (1, 1))
    write(secret, "data/logs/new.log", "x" * 1500)
    outcome = found(secret)
    assert outcome.status is Status.PASS
    assert "of older logs not read" in outcome.measured


def test_the_end_of_a_log_that_is_too_large_is_read_with_its_true_line(
    secret: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LOG_BYTES", 1000)
    write(secret, "data/logs/new.log", "line\n" * 5000 + SECRET + "\n")
    assert "new.log:5001" in found(secret).details.en


def test_a_link_is_not_followed(secret: Installation) -> None:
    (secret.root / "data" / "logs" / "linked.log").symlink_to(secret.settings)
    assert found(secret).status is Status.PASS


def test_a_database_is_not_a_copy_of_a_configuration(secret: Installation) -> None:
    write(secret, "data/records.sqlite", "SQLite\0" + KEY, 0o644)
    assert found(secret).status is Status.PASS


def test_an_unreadable_configuration_is_unknown_never_passed(installation: Installation) -> None:
    installation.settings.unlink()
    installation.settings.mkdir()
    outcome = found(installation)
    assert outcome.status is Status.UNKNOWN
    assert "config/.env" in outcome.details.en


def test_holders_names_the_files(secret: Installation) -> None:
    log = write(secret, "data/logs/service.log", f"{SECRET}\n")
    assert holders(secret.root, known_values(secret.root)) == (log,)


def test_a_large_log_is_searched_quickly(secret: Installation) -> None:
    write(
        secret, "data/logs/service.log", '{"time": "2026-11-20", "message": "GET /healthz 200"}\n' * 400_000
    )
    started = time.process_time()
    found(secret)
    assert time.process_time() - started < 8


def test_a_secret_in_the_journal_of_the_unit_is_found(
    secret: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def journal(argv: list[str], *, timeout_s: float) -> commands.Finished:
        asked.append(argv)
        return commands.Finished(0, f"started\nwith {SECRET}\n", "")

    monkeypatch.setattr(module, "SYSTEMD", tmp_path)
    monkeypatch.setattr(module, "unit_path", lambda subject: tmp_path / "ragtrace.service")
    monkeypatch.setattr(commands, "run", journal)
    assert "journalctl -u ragtrace.service, line 2 (RAGTRACE_LLM_TOKEN)" in found(secret).details.en
    assert asked[0][-2:] == ["--unit", "ragtrace.service"]
