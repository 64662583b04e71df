"""No network but loopback, for the tests and for every process they start.

On Linux as root the whole run moves into a network namespace of its own, where only loopback exists.
Elsewhere an audit hook refuses other addresses inside the test process, and uv and pip are told to stay
offline. `make test-isolated` builds a real bundle and sets RAGTRACE_TEST_CONNECTED=1 instead.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import namespace

_MARK = "RAGTRACE_TEST_NETWORK"
# The same inputs in every run, so that a change is judged by what it changed; `make test-random` seeks new ones.
# No deadline for one input: on shared machines any may wait a second for its turn.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("random", print_blob=True, deadline=None)
settings.load_profile("random" if os.environ.get("RAGTRACE_TEST_RANDOM") == "1" else "same")

# ONNX Runtime writes down events, and looks its maker up, from its import on.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_KEPT = ("RAGTRACE_TEST_", "RAGTRACE_REQUIRE_", "RAGTRACE_FAULT_")


def _refuse_remote(event: str, arguments: tuple[object, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        return
    address = arguments[1]
    if isinstance(address, tuple) and address:
        try:
            local = ipaddress.ip_address(str(address[0])).is_loopback
        except ValueError:
            local = address[0] in ("localhost", "")
        if not local:
            raise PermissionError(f"a test tried to reach {address!r}")


def _close_network() -> str:
    if os.environ.get("RAGTRACE_TEST_CONNECTED") == "1":
        return "connected (isolated-host tests build a real bundle)"
    if os.environ.get(_MARK):
        return os.environ[_MARK]
    if namespace.enter():
        os.environ[_MARK] = "namespace with loopback only, children included"
    else:
        sys.addaudithook(_refuse_remote)
        os.environ[_MARK] = "audit hook in this process only (not root)"
    return os.environ[_MARK]


_NETWORK = _close_network()
# The `process` manager registers itself with cron: not with the cron of whoever runs the tests.
_NO_CRONTAB = ("RAGTRACE_CRONTAB", "/nonexistent/crontab")
os.environ[_NO_CRONTAB[0]] = _NO_CRONTAB[1]


def pytest_report_header() -> str:
    """Say how the network is closed."""
    return f"network: {_NETWORK}"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Take away what the developer's shell would otherwise decide: language, cache, index settings."""
    for name in list(os.environ):
        ours = name.startswith("RAGTRACE_") and not name.startswith(_KEPT)
        if (
            ours
            or name.startswith(("UV_", "PIP_", "LC_"))
            or name in ("LANG", "SOURCE_DATE_EPOCH", "VIRTUAL_ENV")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv(*_NO_CRONTAB)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    if os.environ.get("RAGTRACE_TEST_CONNECTED") != "1":
        monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return Path(__file__).resolve().parent.parent
