"""Putting a broken configuration back: as little as possible, by the service's own word, the old file kept."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from installer import journal, settings
from tests.support.bundles import Bundle

from .site import Run, Site
from .test_config import DEFAULT, files, real_wheels

PRODUCT = {"03_Source/config.default/ragtrace.yaml": DEFAULT.encode()}


@pytest.fixture
def installed(site: Site, bundle_for: Callable[..., Bundle]) -> Site:
    """A running installation with the product's own configuration as its default."""
    done = site.install(bundle_for(wheels=real_wheels()), "--no-start")
    assert done.code == 0, done.err
    default = site.prefix.generation(site.active()) / "config.default" / "ragtrace.yaml"
    # What test bundles carry as their default is not the product's.
    for path in (default, site.prefix.config / "ragtrace.yaml"):
        path.write_text(DEFAULT, "utf-8")
    assert site.run("--start").code == 0
    return site


def restore(site: Site, *words: str) -> Run:
    return site.run("--config-default", *words, "--json")


def beside(site: Site, name: str) -> list[Path]:
    return sorted(site.prefix.config.glob(f"{name}.2*Z"))


def test_a_configuration_that_is_right_is_left_as_it_is(installed: Site) -> None:
    before = files(installed)
    done = restore(installed)
    assert (done.code, done.document["action"]) == (0, "unchanged"), done.out
    assert files(installed) == before


def test_only_the_wrong_variable_goes_and_the_old_file_stays_beside_it(installed: Site) -> None:
    env = installed.prefix.settings
    text = env.read_text() + "RAGTRACE_SEARCH_TOP_N=7\nRAGTRACE_SEARCH_TOP_M=9\nMY_TOKEN=kept-by-me\n"
    env.write_text(text)
    yaml = (installed.prefix.config / "ragtrace.yaml").read_bytes()
    done = restore(installed)
    assert (done.code, done.document["action"]) == (0, "config"), done.out
    left = settings.parse_environment(env.read_text())
    assert "RAGTRACE_SEARCH_TOP_M" not in left
    assert (left["RAGTRACE_SEARCH_TOP_N"], left["MY_TOKEN"]) == ("7", "kept-by-me")
    assert (installed.prefix.config / "ragtrace.yaml").read_bytes() == yaml
    (kept,) = beside(installed, ".env")
    assert kept.read_text() == text
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert installed.answering() == installed.active()
    assert list(journal.read_lines(installed.prefix.audit))[-1]["keys"] == ["RAGTRACE_SEARCH_TOP_M"]


@pytest.mark.parametrize("wrong", ["serch:\n  top_n: 5\n", "a: [", "\xff\xfe"], ids=["key", "yaml", "bytes"])
def test_a_file_that_is_wrong_goes_back_and_the_variables_stay(installed: Site, wrong: str) -> None:
    yaml, env = installed.prefix.config / "ragtrace.yaml", installed.prefix.settings
    env.write_text(env.read_text() + "RAGTRACE_SEARCH_TOP_N=7\n")
    before = env.read_bytes()
    yaml.write_bytes(wrong.encode("latin-1"))
    assert installed.run("--stop").code == 0
    assert installed.run("--start").code != 0, "the service does not start with it"
    done = restore(installed)
    assert done.code == 0, done.out
    assert yaml.read_text("utf-8") == DEFAULT
    assert env.read_bytes() == before
    (kept,) = beside(installed, "ragtrace.yaml")
    assert kept.read_bytes() == wrong.encode("latin-1")
    assert installed.answering() == installed.active(), "the operator wanted it to run"


def test_file_and_variables_that_are_both_wrong_both_go_back(installed: Site) -> None:
    env, yaml = installed.prefix.settings, installed.prefix.config / "ragtrace.yaml"
    env.write_text(env.read_text() + "RAGTRACE_SEARCH_TOP_M=1\nRAGTRACE_SERVER_PROT=2\n")
    yaml.write_text("nonsense: 1\n")
    assert restore(installed).code == 0
    assert yaml.read_text("utf-8") == DEFAULT
    assert set(settings.parse_environment(env.read_text())) == {
        "RAGTRACE_SERVER_HOST",
        "RAGTRACE_SERVER_PORT",
    }


def test_a_wrong_port_goes_back_to_the_one_the_installer_noted(installed: Site) -> None:
    env = installed.prefix.settings
    env.write_text("RAGTRACE_SERVER_HOST=127.0.0.1\nRAGTRACE_SERVER_PORT=many\n")
    assert restore(installed).code == 0
    assert settings.parse_environment(env.read_text())["RAGTRACE_SERVER_PORT"] == str(installed.port)
    assert installed.answering() == installed.active()


def test_named_keys_go_back_and_a_key_that_is_not_there_is_refused(installed: Site) -> None:
    env = installed.prefix.settings
    env.write_text(env.read_text() + "RAGTRACE_SEARCH_TOP_N=7\nRAGTRACE_ANSWER_SENTENCES=4\n")
    assert restore(installed, "search.top_n").code == 0
    left = settings.parse_environment(env.read_text())
    assert ("RAGTRACE_SEARCH_TOP_N" in left, left["RAGTRACE_ANSWER_SENTENCES"]) == (False, "4")
    before = files(installed)
    refused = restore(installed, "search.top_n")
    assert refused.code == 2
    assert files(installed) == before
    (installed.prefix.config / "ragtrace.yaml").write_text("search:\n  top_n: 3\n")
    assert restore(installed, "ragtrace.yaml").code == 0
    assert (installed.prefix.config / "ragtrace.yaml").read_text("utf-8") == DEFAULT


def test_a_dry_run_shows_the_difference_and_writes_nothing(installed: Site) -> None:
    env = installed.prefix.settings
    env.write_text(env.read_text() + "RAGTRACE_SEARCH_TOP_M=9\n")
    before = files(installed)
    done = restore(installed, "--dry-run")
    assert done.code == 0, done.err
    assert "-RAGTRACE_SEARCH_TOP_M=9" in done.document["difference"]
    assert files(installed) == before


def test_a_service_that_stays_unhealthy_gets_its_files_back(installed: Site) -> None:
    default = installed.prefix.generation(installed.active()) / "config.default" / "ragtrace.yaml"
    default.write_text(DEFAULT.replace("max_concurrent: 16", "max_concurrent: 666"), "utf-8")
    (installed.prefix.config / "ragtrace.yaml").write_text("nonsense: 1\n")
    installed.stop()
    before = files(installed)
    done = restore(installed)
    assert done.code == 16, done.out
    assert files(installed) == before


def test_a_release_whose_service_cannot_check_gets_the_default_file(
    site: Site, bundle_for: Callable[..., Bundle]
) -> None:
    assert site.install(bundle_for()).code == 0
    yaml = site.prefix.config / "ragtrace.yaml"
    default = yaml.read_bytes()
    yaml.write_text("[broken")
    done = restore(site)
    assert (done.code, done.document["action"]) == (0, "config"), done.out
    assert yaml.read_bytes() == default
    assert len(beside(site, "ragtrace.yaml")) == 1


def test_a_link_in_the_place_of_the_file_is_not_followed(installed: Site, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_text("mine")
    yaml = installed.prefix.config / "ragtrace.yaml"
    os.unlink(yaml)
    yaml.symlink_to(stranger)
    assert restore(installed).code != 0
    assert stranger.read_text() == "mine"
