"""Fixtures of the isolated tests: a recorder, a booted host, and the reason when there can be none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .host_root import HostKind, fresh_root, run_directory
from .machine import IsolatedHost
from .outbound import OutboundRecorder
from .tools import explain_missing, missing_prerequisites


@pytest.fixture(scope="session")
def able() -> None:
    """Skip, saying why, where no isolated host can be booted; fail instead where one is required."""
    missing = missing_prerequisites()
    if os.environ.get("RAGTRACE_TEST_CONNECTED") != "1":
        missing.append(
            "the network is closed for tests (RAGTRACE_TEST_CONNECTED is not 1; `make test-isolated` sets it)"
        )
    if missing and os.environ.get("RAGTRACE_REQUIRE_ISOLATED") == "1":
        pytest.fail(explain_missing(missing), pytrace=False)
    if missing:
        pytest.skip(explain_missing(missing))


@pytest.fixture(scope="module")
def run_folder(able: None) -> Iterator[Path]:
    """A folder of this run, removed afterwards."""
    with run_directory() as folder:
        yield folder


@pytest.fixture(scope="module")
def recorder(run_folder: Path) -> Iterator[OutboundRecorder]:
    """A recorder that has proven itself before any host boots."""
    with OutboundRecorder(run_folder) as started:
        yield started


@pytest.fixture(scope="module")
def bare_host(run_folder: Path, recorder: OutboundRecorder) -> Iterator[IsolatedHost]:
    """A booted Debian with nothing of ours in it; it boots while the recorder runs."""
    root = fresh_root(HostKind(), run_folder / "root")
    with IsolatedHost(root, run_folder / "console.log") as host:
        yield host
