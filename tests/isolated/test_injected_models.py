"""The rows about models, on a host with a release that has some: tiny ones, made and converted by the real builder."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from .host_root import HostKind
from .injected.installed import Installed
from .injected.judging import EXCELLENT, Report
from .injected.prepared import healthy_host, prepare
from .injected.table import DEFECTS
from .injected.trial import attempt
from .journey import CLI, PREFIX
from .service_view import ADDRESS

pytestmark = pytest.mark.defects

BUILDER = (sys.executable, "-m", "tests.support.model_release")
# The tiny models' weights are random, and so is what they think of a text: words stay in the lead, and the reranker
# only puts the best five in another order.
SETTINGS = ("RAGTRACE_SEARCH_DENSE_WEIGHT=0.05", "RAGTRACE_RERANKER_POOL=5")
WithModels = tuple[Installed, Report]


@pytest.fixture(scope="module")
def with_models(able: None, request: pytest.FixtureRequest) -> Iterator[WithModels]:
    """A healthy host whose release has models."""
    with healthy_host(
        request, lambda folder: prepare(folder, HostKind(), program=BUILDER, settings=SETTINGS)
    ) as (host, reports):
        yield host, reports[0]


def test_a_healthy_host_is_excellent_without_noise(with_models: WithModels) -> None:
    _, report = with_models
    noise = {check: report.said[check] for check in report.noise}
    assert (report.overall, report.exit_code, noise) == (EXCELLENT, 0, {})
    assert {report.statuses[check] for check in ("RAG-010", "RAG-011", "RAG-012", "RAG-013")} == {"pass"}


def test_the_service_uses_the_models_of_its_release_and_no_configuration_names_it(
    with_models: WithModels,
) -> None:
    installed, report = with_models
    models = f"{PREFIX}/generations/{installed.generation_name}/models"
    shown = json.loads(installed.host.run([CLI, "config", "check", "--json"]).expect().stdout)
    assert shown["values"]["embedding.model"] == f"{models}/bge-m3"
    assert shown["values"]["reranker.model"] == f"{models}/reranker"
    assert {shown["origins"][f"{each}.model"] for each in ("embedding", "reranker")} == {"release"}
    assert "/generations/" not in installed.path("config/ragtrace.yaml").read_text("utf-8")
    parts = json.loads(installed.host.http("GET", f"{ADDRESS}/readyz").text)["parts"]
    assert parts["embedding"]["ready"] and parts["reranker"]["ready"], parts
    assert {report.statuses[check] for check in ("RTS-009", "RTS-010")} == {"pass"}


@pytest.mark.parametrize("name", [name for name, row in DEFECTS.items() if row.area == "models"])
def test_a_defect_is_found_by_exactly_the_checks_it_concerns(with_models: WithModels, name: str) -> None:
    installed, report = with_models
    verdict = attempt(installed, report, name, DEFECTS[name])
    assert not verdict.problems, "\n".join(verdict.problems)
