"""The options of the audit: what the command line says becomes settings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from builder.assessment.audit import Settings
from builder.assessment.options import auditing, settings_of
from bundle.errors import UsageProblem


def settings(*words: str) -> Settings:
    """Return what the words ask for."""
    return settings_of(auditing("en").parse_args(words))


def test_by_default_pip_audit_asks_pypi() -> None:
    assert settings() == Settings()


def test_osv_may_lie_elsewhere_by_option_or_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "https://mirror/v1/query")
    assert settings("--audit", "osv").service == "osv"
    assert settings().osv_url == "https://mirror/v1/query"
    assert settings("--osv-url", "https://other/v1/query").osv_url == "https://other/v1/query"


def test_safety_runs_only_where_it_is_asked_for() -> None:
    assert [settings().source, settings("--audit", "safety").source] == ["pip-audit", "safety"]


def test_failing_on_something_needs_somebody_to_ask() -> None:
    with pytest.raises(UsageProblem):
        settings("--audit", "none", "--fail-on", "high")
    given = settings("--audit", "none", "--fail-on", "high", "--advisories", "a.json")
    assert given.snapshot == Path("a.json")


def test_whoever_fails_on_something_is_not_given_an_old_failure() -> None:
    assert settings("--fail-on", "low").retry_after == timedelta(0)
