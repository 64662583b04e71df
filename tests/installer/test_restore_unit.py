"""`--restore-unit`: the unit is ours again, what others added is kept where systemd does not read it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bundle.errors import UsageProblem
from installer import activation, settings
from installer.console import Console
from installer.hosts.systemd import SystemdHost
from installer.operations.unit import restore_unit
from installer.settings import ServiceSettings
from tests.support.bundles import Bundle

from .managers import FakeSystemd
from .site import Site

NAME = "ragtrace.service"


def quiet() -> Console:
    return Console("en", out=io.StringIO(), err=io.StringIO())


class Systemd(FakeSystemd):
    """Reads the settings file too, as the real one does."""

    variables: Mapping[str, str] = {}

    def spawn(
        self, name: str, command: list[str], environment: Mapping[str, str], folder: str, log: str = ""
    ) -> None:
        super().spawn(name, command, {**environment, **self.variables}, folder, log)


@pytest.fixture
def systemd(
    site: Site, bundle_for: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeSystemd]:
    """An installation whose service a played systemd runs."""
    assert site.install(bundle_for()).code == 0
    assert site.run("--stop").code == 0
    known = settings.read(site.prefix)
    assert known is not None
    settings.write(site.prefix, replace(known, manager="systemd", enabled=True, user=""))
    units = tmp_path / "units"
    units.mkdir()
    fake = Systemd(units)
    fake.variables = settings.read_environment(site.prefix)
    host = SystemdHost(fake, units, tmp_path / "sysusers")

    def choose(chosen: ServiceSettings | None) -> SystemdHost:
        return host

    with monkeypatch.context() as patched:
        patched.setattr(activation, "host_for", choose)
        yield fake
    fake.close()
    settings.write(site.prefix, known)


def test_a_changed_unit_is_written_again_and_the_service_runs_with_it(
    site: Site, systemd: FakeSystemd
) -> None:
    restore_unit(site.prefix, quiet())
    ours = (systemd.units / NAME).read_text()
    assert "NoNewPrivileges" in ours
    (systemd.units / NAME).write_text("[Service]\nExecStart=/bin/false\n")
    drop_in = systemd.units / f"{NAME}.d"
    drop_in.mkdir()
    (drop_in / "proxy.conf").write_text("[Service]\nEnvironment=HTTPS_PROXY=http://192.0.2.1\n")
    pid = systemd.pid(NAME)
    done = restore_unit(site.prefix, quiet())
    assert done.action == "restore-unit"
    assert (systemd.units / NAME).read_text() == ours
    assert not drop_in.exists()
    (aside,) = systemd.units.glob(f"{NAME}.d.*.saved")
    assert (aside / "proxy.conf").is_file()
    assert systemd.pid(NAME) not in (0, pid)
    assert site.answering() == site.active()


def test_a_service_that_was_stopped_on_purpose_is_registered_and_stays_stopped(
    site: Site, systemd: FakeSystemd
) -> None:
    known = settings.read(site.prefix)
    assert known is not None
    settings.write(site.prefix, replace(known, enabled=False))
    restore_unit(site.prefix, quiet())
    assert (systemd.units / NAME).is_file()
    assert systemd.pid(NAME) == 0


def test_without_drop_ins_nothing_is_moved_and_twice_is_once(site: Site, systemd: FakeSystemd) -> None:
    restore_unit(site.prefix, quiet())
    restore_unit(site.prefix, quiet())
    assert [path.name for path in systemd.units.iterdir()] == [NAME]


def test_where_there_is_no_service_there_is_no_unit(site: Site, bundle_for: Callable[..., Bundle]) -> None:
    assert site.install(bundle_for(serve=None)).code == 0
    with pytest.raises(UsageProblem):
        restore_unit(site.prefix, quiet())
