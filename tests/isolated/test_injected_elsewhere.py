"""A tenth of the table on an older and a newer Debian: its own interpreter, its own systemd, its own C library.

Debian 11 has Python 3.9 only: the service runs with an interpreter that the bundle carries, the validator and the
assistant with the host's.  Debian 13 has Python 3.13.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .carried_python import SERIES, carried_python
from .host_root import HostKind
from .injected.installed import Installed
from .injected.judging import EXCELLENT, Report
from .injected.prepared import healthy_host, prepare
from .injected.table import DEFECTS
from .injected.trial import attempt

pytestmark = pytest.mark.defects

ROWS = ("package-file-changed", "native-library-broken", "settings-readable-by-all", "service-stopped", "index-deleted", "current-link-elsewhere")  # fmt: skip

Elsewhere = tuple[Installed, Report]


@pytest.fixture(scope="module", params=("trixie", "bullseye"), ids=("debian-13", "debian-11"))
def elsewhere(able: None, request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    """A healthy host of another Debian."""

    def making(folder: Path) -> Installed:
        words = ["--python-archive", str(carried_python())]
        return prepare(folder, HostKind(suite=request.param), words, shell=True)

    with healthy_host(request, making) as (host, reports):
        yield host, reports[0]


def test_a_healthy_host_is_excellent_without_noise(elsewhere: Elsewhere) -> None:
    _, report = elsewhere
    noise = {check: report.said[check] for check in report.noise}
    assert (report.overall, report.exit_code, noise) == (EXCELLENT, 0, {})


def test_the_service_runs_with_the_interpreter_that_fits(elsewhere: Elsewhere) -> None:
    installed, _ = elsewhere
    own = installed.host.run(
        ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    ).stdout.strip()
    used = os.readlink(installed.generation / "venv/bin/python")
    if own == "3.9":
        assert "/generations/" in used and installed.packages.parent.name == f"python{SERIES}"
    else:
        assert used == "/usr/bin/python3" and installed.packages.parent.name == f"python{own}"


@pytest.mark.parametrize("name", ROWS)
def test_a_defect_is_found_by_exactly_the_checks_it_concerns(elsewhere: Elsewhere, name: str) -> None:
    installed, report = elsewhere
    verdict = attempt(installed, report, name, DEFECTS[name])
    assert not verdict.problems, "\n".join(verdict.problems)
