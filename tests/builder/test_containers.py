"""The container files say what the manifest says, reach for nothing, and take no right that the service does not need."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from builder import containers
from builder.inputs import load_profile, load_project
from builder.plan import BundlePlan
from bundle.errors import InternalError
from bundle.manifest import Target
from tests.support.bundles import REPOSITORY

TARGET = Target("linux-x86_64", "linux", "x86_64", "glibc", "2.28", ("3.11", "3.12"))


def plan_of(profile: str = "starter", **changes: Any) -> BundlePlan:
    loaded = load_profile(profile)
    service = loaded.service and replace(loaded.service, **changes)
    project = load_project(REPOSITORY / "service")
    return BundlePlan(
        project=project, profile=replace(loaded, service=service), target=TARGET, artifacts=(), packages=(),
        obstacles=(), notes=(), extras=(), groups=(),
    )  # fmt: skip


def files_of(plan: BundlePlan) -> dict[str, str]:
    staged = containers.stage_containers(plan)
    return {
        item.entry.path.rpartition("/")[2]: bytes(item.source).decode()
        for item in staged
        if isinstance(item.source, bytes)
    }


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return files_of(plan_of(port=8411, memory_limit_mb=1777, ready_timeout_s=77))


@pytest.fixture(scope="module")
def service(files: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files["compose.yaml"])["services"]["ragtrace"]
    return found


def instructions(text: str) -> list[str]:
    """Return the Dockerfile's instructions, continued lines joined, comments gone."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def test_they_carry_version_port_limit_and_patience_of_the_manifest(
    files: dict[str, str], service: dict[str, Any]
) -> None:
    version = load_project(REPOSITORY / "service").version
    dockerfile = files["Dockerfile.offline"]
    assert f'org.opencontainers.image.version="{version}"' in dockerfile
    assert "--port 8411" in dockerfile and "EXPOSE 8411" in dockerfile and "--start-period=77s" in dockerfile
    assert service["image"] == f"ragtrace-enterprise:{version}" and service["mem_limit"] == "1777m"
    assert service["ports"] == ["${RAGTRACE_PUBLISH_ADDRESS:-127.0.0.1}:${RAGTRACE_PUBLISH_PORT:-8411}:8411"]


def test_without_a_memory_limit_none_is_written() -> None:
    compose = files_of(plan_of(memory_limit_mb=0))["compose.yaml"]
    assert "mem_limit" not in yaml.safe_load(compose)["services"]["ragtrace"]


def test_the_image_is_bound_to_one_manifest_and_the_label_says_which(files: dict[str, str]) -> None:
    dockerfile = files["Dockerfile.offline"]
    assert 'manifest="sha256:${MANIFEST_SHA256}"' in dockerfile
    assert 'test "$(sha256sum < /mnt/bundle/MANIFEST.json)" = "${MANIFEST_SHA256}  -";' in dockerfile


def test_no_step_of_the_build_can_reach_a_network(files: dict[str, str]) -> None:
    text = files["Dockerfile.offline"]
    assert not re.search(r"^#\s*syntax=", text, re.MULTILINE)
    for line in instructions(text):
        word = line.split()[0]
        assert word not in ("ADD", "COPY")
        assert word != "RUN" or "--network=none" in line
        assert word == "LABEL" or not re.search(r"https?://|apt-get|apk |pip |curl|wget", line)


def test_the_base_image_is_the_users_and_nothing_is_pulled(
    files: dict[str, str], service: dict[str, Any]
) -> None:
    froms = [line for line in instructions(files["Dockerfile.offline"]) if line.startswith("FROM")]
    assert froms == ["FROM ${BASE_IMAGE}"]
    assert service["pull_policy"] == "never" and service["build"]["network"] == "none"


def test_verification_is_not_skipped_and_trust_comes_from_outside(
    files: dict[str, str], service: dict[str, Any]
) -> None:
    (run,) = [line for line in instructions(files["Dockerfile.offline"]) if line.startswith("RUN")]
    assert (
        "--mount=type=secret,id=allowed_signers" in run
        and "--allowed-signers /run/secrets/allowed_signers" in run
    )
    assert "--allow-" not in run and service["build"]["secrets"] == ["allowed_signers"]


def test_the_container_has_no_right_that_the_service_does_not_need(service: dict[str, Any]) -> None:
    assert service["user"] == "10001:10001" and service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"] and service["pids_limit"] > 0
    assert [place.split(":")[1] for place in service["volumes"]] == [
        "/opt/ragtrace/data",
        "/opt/ragtrace/config",
    ]


def test_the_containers_network_gets_no_answers_from_outside(
    files: dict[str, str], service: dict[str, Any]
) -> None:
    networks = yaml.safe_load(files["compose.yaml"])["networks"]
    assert service["networks"] == list(networks) == ["closed"] and "network_mode" not in service
    options = networks["closed"]["driver_opts"]
    assert options["com.docker.network.bridge.enable_ip_masquerade"] == "${RAGTRACE_OUTBOUND:-false}"


def test_health_is_asked_with_the_services_own_python(files: dict[str, str]) -> None:
    (line,) = [line for line in instructions(files["Dockerfile.offline"]) if line.startswith("HEALTHCHECK")]
    assert "entrypoint.sh" in line and '"healthy"' in line
    assert "/venv/bin/python" in files["entrypoint.sh"] and files["entrypoint.sh"].rstrip().splitlines()[
        -1
    ].startswith("exec ")


def test_the_context_is_the_whole_bundle_and_nothing_else(files: dict[str, str]) -> None:
    rules = [
        line for line in files["Dockerfile.offline.dockerignore"].splitlines() if line and line[0] != "#"
    ]
    assert rules == ["*", "!0[1-7]_*", "!MANIFEST.json*", "!checksums.sha256"]


def test_they_belong_to_the_installer_so_that_a_release_keeps_them() -> None:
    staged = containers.stage_containers(plan_of())
    assert {item.entry.kind for item in staged} == {"installer"}
    assert {item.entry.path for item in staged if item.entry.mode == 0o755} == {
        "04_Scripts/docker/entrypoint.sh", "04_Scripts/docker/run.py",
    }  # fmt: skip


@pytest.mark.parametrize("profile", ["library", "ansible"])
def test_a_bundle_without_a_service_has_none(profile: str) -> None:
    assert containers.stage_containers(plan_of(profile)) == []


def test_a_name_in_a_template_that_nobody_fills_in_is_our_fault(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="nobody fills in: @colour@"):
        containers.fill("debian@sha256:… @version@ @colour@", {"version": "1"}, tmp_path)
