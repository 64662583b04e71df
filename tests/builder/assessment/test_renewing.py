"""``advisories``: the packages of a release that is out are asked about again, and the answer is signed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder import cli
from builder.assessment import renewing
from builder.sealing import keyfile
from builder.sealing.keys import create_key
from bundle import layout, limits, renewal
from bundle.manifest import Build, Manifest, Package
from bundle.trust import Anchors
from tests.support import advisories
from tests.support.advisories import Services
from tests.support.bundles import make_bundle
from tests.support.carrying import pack
from tests.validator.fakes import PYTHON, manifest

NOBODY = "http://127.0.0.1:9/v1/query"


@pytest.fixture
def services() -> Iterator[Services]:
    """An advisory service on loopback that knows a flaw of alpha 1.0."""
    with advisories.serve() as opened:
        opened.add("1.0", advisories.osv_record("PYSEC-2026-7", "alpha"))
        yield opened


class Desk:
    """A build box with a key, and the manifests of releases."""

    def __init__(self, folder: Path, services: Services, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.services = services
        self.capfd = capfd
        self.output = folder / "usb" / "advisories.json"
        self.key("key")

    def key(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            create_key(path, f"{name}@example", None)
        return path

    def release(self, *packages: str, file: str = "MANIFEST.json", **changes: Any) -> Path:
        words = [item.split() for item in ("ragtrace 0.1.0", *packages)]
        listed = [Package(name, version, (PYTHON,)) for name, version in words]
        made = manifest(packages=tuple(listed), **changes)
        place = self.folder / file
        place.write_bytes(made.to_bytes())
        return place

    def run(self, *words: object, keys: str = "key", url: str = "") -> tuple[int, str, str]:
        given = [word for name in keys.split() for word in ("--signing-key", str(self.key(name)))]
        asked = ["--audit", "osv", "--osv-url", url or self.services.osv_url, "--lang", "en"]
        code = cli.main(["advisories", *map(str, words), *given, *asked, "--output", str(self.output)])
        shown = self.capfd.readouterr()
        return code, shown.out, shown.err

    def made(self, *words: object, keys: str = "key") -> dict[str, Any]:
        code, out, err = self.run(*words, "--json", keys=keys)
        assert code == 0, err
        document: dict[str, Any] = json.loads(out.splitlines()[-1])
        return document

    def judged(self, *names: str) -> renewal.Renewal:
        """Return what a host makes of it that knows these keys."""
        carried = renewal.read(self.output)
        assert carried is not None
        known = tuple(keyfile.read_key_file(self.key(name)).public.fingerprint for name in names)
        return renewal.judge(carried, Anchors(fingerprints=known, required=len(known))).renewal


@pytest.fixture
def desk(
    tmp_path: Path, services: Services, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Desk(tmp_path, services, capfd)


def test_exactly_the_packages_of_the_release_are_asked_about_and_the_answer_is_signed(desk: Desk) -> None:
    told = desk.made("--manifest", desk.release("alpha 1.0", "beta 2.0"))
    assert desk.services.asked_about() == {"jinja2", "alpha", "beta"}, (
        "the control, and never the project itself"
    )
    found = desk.judged("key")
    assert [tuple(item) for item in found.snapshot.packages] == [("alpha", "1.0"), ("beta", "2.0")]
    assert [item.id for item in found.snapshot.advisories] == ["PYSEC-2026-7"]
    assert (told["date"], told["packages"], told["unanswered"]) == (found.date, 2, [])
    assert told["advisories"] == [
        {"package": "alpha", "version": "1.0", "id": "PYSEC-2026-7", "severity": "unknown"}
    ]
    assert told["signatures"] == [f"{desk.output}.sig"] and told["size"] < 64 * 1024
    assert found.releases[0].version == "0.1.0"


def test_stock_ssh_keygen_checks_what_was_written(desk: Desk) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs OpenSSH's ssh-keygen")
    desk.made("--manifest", desk.release("alpha 1.0"))
    cli.main(["keys", "show", str(desk.key("key")), "--json"])
    line = json.loads(desk.capfd.readouterr().out)["allowed_signers"]
    signers = desk.folder / "allowed_signers"
    signers.write_text(line)
    command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "key@example"]
    command += ["-n", "ragtrace-advisories@v1", "-s", f"{desk.output}.sig"]
    done = subprocess.run(command, input=desk.output.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_two_keys_sign_at_once_or_one_after_the_other(desk: Desk) -> None:
    release = desk.release("alpha 1.0")
    desk.made("--manifest", release, keys="key other")
    assert len(desk.judged("key", "other").snapshot.packages) == 1
    # Made anew by one key: the second signature of the earlier document does not stay beside it.
    desk.made("--manifest", release)
    assert not desk.output.with_name("advisories.json.2.sig").exists()
    words = ["keys", "sign", str(desk.output), "--signing-key", str(desk.key("other")), "--json"]
    assert cli.main(words) == 0
    told = json.loads(desk.capfd.readouterr().out)
    assert told["signature"].endswith("advisories.json.2.sig") and len(told["earlier"]) == 1
    desk.judged("key", "other")
    assert cli.main(words) == 2 and "signed already" in desk.capfd.readouterr().err


def test_one_snapshot_serves_several_releases(desk: Desk) -> None:
    first = desk.release("alpha 1.0")
    second = desk.release("alpha 2.0", "beta 2.0", file="second.json", version="0.2.0")
    desk.made("--manifest", first, "--manifest", second)
    found = desk.judged("key")
    assert {release.version for release in found.releases} == {"0.1.0", "0.2.0"}
    assert len(found.snapshot.packages) == 3


def test_what_was_built_from_a_folder_is_asked_about_by_nobody_and_stays_unknown(desk: Desk) -> None:
    builds = tuple(
        Build(f"{name}-1.0-py3-none-any.whl", "0" * 64, source, "0" * 64, ())
        for name, source in (
            ("Own_tool", "path:tools/own"),
            ("fork", "git+https://x@abc"),
            ("sdist_only", "https://x/s.tar.gz"),
        )
    )
    desk.made("--manifest", desk.release("own-tool 1.0", "fork 1.0", "sdist-only 1.0", builds=builds))
    assert desk.services.asked_about() == {"jinja2", "sdist-only"}
    assert [item.package for item in desk.judged("key").snapshot.unknown] == ["fork", "own-tool"]


def test_when_nobody_answers_there_is_no_snapshot(desk: Desk) -> None:
    release = desk.release("alpha 1.0")
    code, _, err = desk.run("--manifest", release, url=NOBODY)
    assert code == 21 and "nobody answered" in err and "does not answer" in err
    assert not desk.output.exists() and not desk.output.parent.exists()
    # The next attempt asks again, whatever was remembered of the failure.
    assert desk.run("--manifest", release)[0] == 0


def test_a_service_that_knows_nothing_of_the_control_is_not_believed(desk: Desk) -> None:
    desk.services.known.clear()
    code, _, err = desk.run("--manifest", desk.release("alpha 1.0"))
    assert code == 21 and "not believed" in err and not desk.output.exists()


def test_a_gap_is_carried_as_a_gap(desk: Desk) -> None:
    desk.services.faults["alpha"] = 500
    code, out, _ = desk.run("--manifest", desk.release("alpha 1.0", "beta 2.0"))
    assert code == 0 and "1 unanswered" in out and "alpha 1.0  ?" in out
    assert [item.package for item in desk.judged("key").snapshot.unknown] == ["alpha"]


def test_a_bundle_is_as_good_as_its_manifest(desk: Desk) -> None:
    packages = (Package("alpha", "1.0", (PYTHON,)),)
    made = make_bundle(desk.folder / "bundle", packages=packages, uv=b"#!/bin/sh\n")
    archive = pack(made, desk.folder / "packed").path
    for place in (made.root, archive, made.root / layout.MANIFEST):
        assert renewing.manifest_at(place)[1] == made.digest


@pytest.mark.parametrize("content", [None, b"{}", b" " * 10, b"x" * (limits.ADVISORIES_BYTES // 1024)])
def test_a_manifest_that_is_none_is_refused(desk: Desk, content: bytes | None) -> None:
    place = desk.folder / "MANIFEST.json"
    if content is not None:
        place.write_bytes(content)
    code, _, err = desk.run("--manifest", place)
    assert code in (2, 10) and "Traceback" not in err and not desk.output.exists()
    assert desk.services.requests == []


def test_another_product_and_a_missing_key_are_usage_errors(desk: Desk) -> None:
    code, _, err = desk.run("--manifest", desk.release("alpha 1.0", product="another"))
    assert code == 2 and "another product" in err
    code, _, err = desk.run("--manifest", desk.release("alpha 1.0"), keys="")
    assert code == 2 and "there is no signing key" in err
    assert not (desk.folder / "config").exists(), "none is made: no host would know it"


def test_the_same_day_gives_the_same_bytes(desk: Desk) -> None:
    release = desk.release("alpha 1.0")
    first = desk.made("--manifest", release)
    again = desk.made("--manifest", release)
    assert first["sha256"] == again["sha256"] and len(desk.services.requests) > 0


def test_unpublished_names_are_those_of_folders_and_repositories() -> None:
    made: Manifest = manifest(
        builds=(Build("A_b-1.0-py3-none-any.whl", "0" * 64, "git+https://x@1", "0" * 64, ()),)
    )
    assert renewing.unpublished(made) == {"a-b"}
