"""What an operator does while things go wrong, at the real command line: Ctrl-C again and again, the same command again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from installer import audit, breaker
from tests.support.bundles import REPOSITORY, Bundle

from .site import Site

Make = Callable[..., Bundle]


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
def test_a_hail_of_signals_while_a_release_is_taken_back_changes_nothing(
    site: Site, bundle_for: Make, number: signal.Signals
) -> None:
    first = bundle_for()
    assert site.install(first).code == 0
    silent = bundle_for(version="2.0.0", sequence=2, serve="silent")
    process = subprocess.Popen(
        site.command(*site.words(silent)), env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    # The terminal's Ctrl-C goes to everybody in the foreground: to uv, to what starts the service, to us.
    while site.active() != silent.generation:
        assert process.poll() is None, process.stdout and process.stdout.read()
        time.sleep(0.01)
    later = 10
    while process.poll() is None and later:
        os.killpg(process.pid, number)
        time.sleep(0.005)
        # The pointer is back; what is left is to start the earlier service and wait until it answers.
        later -= site.active() == first.generation
    # What it starts now must come up; itself it may be told to end until it has.
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.0005)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert (site.active(), site.answering()) == (first.generation, first.generation), output
    assert site.undeclared() == []
    assert audit.read(site.prefix).records[-1]["outcome"] == "RT-INTERRUPTED"


def test_both_logs_of_an_unhealthy_upgrade_are_kept_and_named(site: Site, bundle_for: Make) -> None:
    first = bundle_for()
    site.install(first)
    bad = bundle_for(version="2.0.0", sequence=2, serve="crash")
    done = site.install(bad, "--lang", "en")
    assert done.code == 16
    failed = site.prefix.logs / f"failed-{bad.generation}.log"
    before = site.prefix.logs / f"before-{first.generation}.log"
    assert "crashing on purpose" in failed.read_text(encoding="utf-8")
    assert "serving 1.0.0" in before.read_text(encoding="utf-8")
    for path in (failed, before):
        assert str(path) in done.err
        assert path.stat().st_mode & 0o777 == 0o640


def test_logs_of_failures_do_not_pile_up(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    for number in range(12):
        path = site.prefix.logs / f"failed-{number:06d}-{'0' * 12}.log"
        path.write_bytes(b"x" * (1024 * 1024))
        path.chmod(0o644)
    assert site.install(bundle_for(version="2.0.0", sequence=2)).code == 0
    left = sorted(site.prefix.logs.glob("failed-*.log"))
    assert len(left) == 5
    assert {path.stat().st_mode & 0o777 for path in left} == {0o640}
    assert max(path.stat().st_size for path in left) <= 256 * 1024


def test_the_same_command_is_not_tried_for_ever_and_start_goes_on(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    assert site.install(bundle).code == 0
    site.stop()
    with socket.socket() as other:
        # Another program has taken the port: the service ends as soon as it is started.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", site.port))
        other.listen()
        for _ in range(breaker.ATTEMPTS):
            assert site.install(bundle, "--lang", "en").code not in (0, 14)
        given_up = site.install(bundle, "--lang", "en")
        assert given_up.code == 14
        assert "not tried again" in given_up.err
        assert f"--prefix '{site.root}' --start" in given_up.err
        assert site.active() == bundle.generation
    assert site.run("--start").code == 0
    assert site.install(bundle).code == 0
    assert site.answering() == bundle.generation
    assert not site.prefix.breaker.exists()
