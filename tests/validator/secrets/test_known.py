"""Which values of a configuration are secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from validator.secrets import known_values
from validator.secrets.keys import looks_secret
from validator.secrets.known import named_values, unread


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path


def env(prefix: Path, text: str) -> tuple[str, ...]:
    (prefix / "config" / ".env").write_text(text, encoding="utf-8")
    return known_values(prefix)


def yaml(prefix: Path, text: str) -> tuple[str, ...]:
    (prefix / "config" / "ragtrace.yaml").write_text(text, encoding="utf-8")
    return known_values(prefix)


@pytest.mark.parametrize("line", ["A_PASSWORD=hunter2hunter2", 'A_TOKEN="hunter2hunter2"', "export X_KEY='hunter2hunter2'"])  # fmt: skip
def test_values_of_secret_variables_are_known(prefix: Path, line: str) -> None:
    assert "hunter2hunter2" in env(prefix, line + "\n")


@pytest.mark.parametrize(
    "line",
    [
        "RAGTRACE_SERVER_PORT=84008400",
        "RAGTRACE_MAX_TOKENS=20480000",
        "RAGTRACE_KEY_FILE=/etc/somewhere/key",
        "RAGTRACE_LLM_TOKEN=short",
        "# A_PASSWORD=hunter2hunter2",
        "RAGTRACE_DB_PASSWORD=ragtrace",
    ],
)
def test_other_values_are_not(prefix: Path, line: str) -> None:
    assert env(prefix, line + "\n") == ()


def test_a_password_inside_an_address_is_known_as_written_and_decoded(prefix: Path) -> None:
    found = env(prefix, "A_URL=postgresql://user:p%40ssw0rd1@host/db\n")
    assert {"p%40ssw0rd1", "p@ssw0rd1"} <= set(found)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("llm:\n  token: abcd1234efgh\n", "abcd1234efgh"),
        ("llm: {token: abcd1234efgh, n: 1}\n", "abcd1234efgh"),
        ('llm:\n  password: "ab\\"cd ef gh"\n', 'ab"cd ef gh'),
        ("llm:\n  password: 'it''s a secret'  # why\n", "it's a secret"),
        ("llm:\n  secret: |\n    first line\n    second line\n", "second line"),
        ("llm:\n  api_key: abcd1234efgh  # from the vault\n", "abcd1234efgh"),
        ("llm:\n  password:\n    abcd1234efgh\n", "abcd1234efgh"),
    ],
)
def test_yaml_is_read_without_a_yaml_library(prefix: Path, text: str, value: str) -> None:
    assert value in yaml(prefix, text)


def test_a_section_with_a_secret_name_does_not_make_everything_in_it_secret(prefix: Path) -> None:
    assert yaml(prefix, "api:\n  address: 127.0.0.1:9999\n  timeout_s: 10000000\n") == ()


def test_the_key_of_a_value_is_known_too(prefix: Path) -> None:
    env(prefix, "A_PASSWORD=hunter2hunter2\n")
    assert named_values(prefix)["hunter2hunter2"] == "A_PASSWORD"


def test_nothing_installed_has_no_values_and_no_gaps(tmp_path: Path) -> None:
    assert known_values(tmp_path) == ()
    assert unread(tmp_path) == ()


def test_a_file_that_cannot_be_read_is_a_gap(prefix: Path) -> None:
    (prefix / "config" / ".env").mkdir()
    assert unread(prefix) == ("config/.env",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_gap(prefix: Path) -> None:
    env(prefix, "A_PASSWORD=hunter2hunter2\n")
    (prefix / "config" / ".env").chmod(0)
    assert unread(prefix) == ("config/.env",)


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "apiKey", "x-api-key", "RAGTRACE_LLM_TOKEN", "clientSecret", "비밀번호"]
)
def test_secret_names(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["max_tokens", "public_key", "key_file", "prompt_tokens", "monkey", "keyboard", "token_count"])  # fmt: skip
def test_names_about_keys_are_not_secret(name: str) -> None:
    assert not looks_secret(name)
