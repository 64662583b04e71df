"""The whole way on this host, as an ordinary process: install, upgrade, fail, roll back."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundle.hashing import sha256_file
from installer import pointer, receipt
from tests.support.bundles import Bundle, free_port

from .site import Site

Make = Callable[..., Bundle]


def test_a_first_installation_runs_and_every_file_is_accounted_for(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for(models={"m/w.bin": b"weights"})
    done = site.install(bundle, "--json")
    assert done.code == 0, done.err
    assert done.document["action"] == "install"
    assert (site.active(), site.answering()) == (bundle.generation, bundle.generation)
    assert os.readlink(site.prefix.link) == f"generations/{bundle.generation}"
    assert site.undeclared() == []
    folder = site.prefix.generation(bundle.generation)
    assert receipt.differences(folder, receipt.read(folder)) == []


def test_configuration_and_settings_are_owner_only(site: Site, bundle_for: Make) -> None:
    assert site.install(bundle_for()).code == 0
    for name in (".env", "ragtrace.yaml"):
        assert stat.S_IMODE((site.prefix.config / name).stat().st_mode) == 0o600
    assert f"RAGTRACE_SERVER_PORT={site.port}" in site.prefix.settings.read_text()


def test_the_same_bundle_again_is_already_installed(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    pid = site.run("--status", "--json").document["service"]["pid"]
    again = site.install(bundle, "--json")
    assert (again.code, again.document["action"]) == (0, "none")
    assert site.run("--status", "--json").document["service"]["pid"] == pid


def test_the_same_bundle_again_starts_a_service_that_does_not_run(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    site.stop()
    assert site.answering() == ""
    assert site.install(bundle).code == 0
    assert site.answering() == bundle.generation


def test_an_upgrade_replaces_the_running_release_and_rollback_returns(site: Site, bundle_for: Make) -> None:
    first, second = bundle_for(), bundle_for(version="2.0.0", sequence=2)
    site.install(first)
    upgraded = site.install(second, "--json")
    assert (upgraded.code, upgraded.document["action"]) == (0, "upgrade")
    assert site.answering() == second.generation
    back = site.run("--rollback", "--json")
    assert (back.code, back.document["generation"]) == (0, first.generation)
    assert site.answering() == first.generation
    assert site.run("--rollback", first.generation).code == 0, "going where we are is no error"
    assert site.run("--rollback", second.generation).code == 0, "forward again, by name"
    assert site.answering() == second.generation


def test_an_installed_older_release_may_come_back_through_its_bundle(site: Site, bundle_for: Make) -> None:
    first, second = bundle_for(), bundle_for(version="2.0.0", sequence=2)
    site.install(first)
    site.install(second)
    assert site.install(first).code == 0
    assert site.answering() == first.generation


def test_a_second_release_that_never_gets_ready_is_undone_and_the_first_answers(
    site: Site, bundle_for: Make
) -> None:
    first = bundle_for()
    site.install(first)
    before = sorted(os.listdir(site.prefix.generations))
    failed = site.install(
        bundle_for(version="2.0.0", sequence=2, serve="unhealthy", ready_timeout_s=1), "--json"
    )
    assert failed.code == 16, failed.err
    assert first.generation in failed.document["state"]
    assert (site.active(), site.answering()) == (first.generation, first.generation)
    assert sorted(os.listdir(site.prefix.generations)) == before
    assert site.undeclared() == []
    assert any(path.name.startswith("failed-") for path in site.prefix.logs.iterdir())


def test_a_release_that_crashes_at_start_is_not_waited_for(site: Site, bundle_for: Make) -> None:
    first = bundle_for()
    site.install(first)
    failed = site.install(bundle_for(version="2.0.0", sequence=2, serve="crash", ready_timeout_s=3000))
    assert failed.code == 16
    assert "crashing on purpose" in failed.err
    assert site.answering() == first.generation


def test_a_first_installation_that_is_unhealthy_leaves_no_release(site: Site, bundle_for: Make) -> None:
    failed = site.install(bundle_for(serve="crash"))
    assert failed.code == 16
    assert (site.active(), os.listdir(site.prefix.generations)) == ("", [])
    assert not site.prefix.link.is_symlink()
    assert not site.prefix.settings.exists()


def test_a_release_whose_validator_fails_is_undone(site: Site, bundle_for: Make) -> None:
    first = bundle_for()
    site.install(first)
    failed = site.install(bundle_for(sequence=2, version="2.0.0", validator="raise SystemExit(3)"))
    assert failed.code == 16
    assert site.answering() == first.generation


def test_rollback_does_not_wait_for_the_validator_of_a_release_that_passed_it_before(
    site: Site, bundle_for: Make
) -> None:
    script = "import os, sys; raise SystemExit(3 if os.path.exists(sys.argv[sys.argv.index('--prefix') + 1] + '/data/late') else 0)"
    first = bundle_for(validator=script)
    assert site.install(first).code == 0
    assert site.install(bundle_for(sequence=2, version="2.0.0")).code == 0
    (site.prefix.data / "late").touch()
    assert site.run("--rollback").code == 0
    assert site.answering() == first.generation


def test_manifest_and_signature_stay_with_the_release(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    assert site.install(bundle).code == 0
    kept = site.prefix.generation(bundle.generation) / "tools"
    for name in ("MANIFEST.json", "MANIFEST.json.sig"):
        assert (kept / name).read_bytes() == (bundle.root / name).read_bytes()


def test_validator_warnings_do_not_stop_an_installation(site: Site, bundle_for: Make) -> None:
    script = "import sys; assert '--quiet' in sys.argv and '--prefix' in sys.argv; raise SystemExit(4)"
    done = site.install(bundle_for(validator=script))
    assert done.code == 0
    assert "exit status 4" in done.err


def test_only_the_current_release_and_two_predecessors_are_kept(site: Site, bundle_for: Make) -> None:
    made = [bundle_for(version=f"{n}.0.0", sequence=n, models={"m": b"%d" % n}) for n in range(1, 5)]
    for bundle in made:
        assert site.install(bundle).code == 0
    assert sorted(os.listdir(site.prefix.generations)) == [bundle.generation for bundle in made[1:]]
    held = {path.name for path in site.prefix.store.rglob("*") if path.is_file()}
    assert held == {digest for bundle in made[1:] for digest in contents(bundle)}
    assert site.undeclared() == []


def contents(bundle: Bundle) -> set[str]:
    """Return the digests of all that the store keeps of a bundle: its files, manifest and signature."""
    signature = sha256_file(bundle.root / "MANIFEST.json.sig")[1]
    return {bundle.digest, signature, *(entry.sha256 for entry in bundle.manifest.files)}


def test_model_files_are_shared_by_releases(site: Site, bundle_for: Make) -> None:
    first = bundle_for(models={"m/w.bin": b"weights" * 1000})
    second = bundle_for(models={"other/w.bin": b"weights" * 1000}, version="2.0.0", sequence=2)
    site.install(first)
    site.install(second)
    one = site.prefix.generation(first.generation) / "models" / "m" / "w.bin"
    two = site.prefix.generation(second.generation) / "models" / "other" / "w.bin"
    assert one.stat().st_ino == two.stat().st_ino
    assert one.stat().st_nlink == 3


def test_an_odd_umask_changes_nothing(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    assert site.install(bundle, umask=0o077).code == 0
    folder = site.prefix.generation(bundle.generation)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    wide = [e.path for e in receipt.read(folder).entries if e.target is None and e.mode & 0o022]
    assert wide == [], "nothing in a release may be changed by others"
    assert stat.S_IMODE(site.prefix.settings.stat().st_mode) == 0o600


def test_the_shell_of_the_operator_does_not_reach_uv_or_the_service(site: Site, bundle_for: Make) -> None:
    hostile = {
        "PIP_INDEX_URL": "http://192.0.2.1/",
        "UV_INDEX_URL": "http://192.0.2.1/",
        "UV_CACHE_DIR": "/nonexistent/cache",
        "UV_LINK_MODE": "symlink",
        "VIRTUAL_ENV": "/nonexistent/venv",
        "HTTP_PROXY": "http://192.0.2.1:3128",
        "http_proxy": "http://192.0.2.1:3128",
        "all_proxy": "http://192.0.2.1:3128",
        "PYTHONHOME": "",
    }
    done = site.install(bundle_for(), environment=hostile)
    assert done.code == 0, done.err
    _, environment = site.get("/environment")
    assert not set(environment) & (set(hostile) | {"PYTHONPATH"})
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["RAGTRACE_HOME"] == str(site.root)


def test_running_the_environment_writes_no_bytecode_into_the_release(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    python = site.prefix.link / "venv" / "bin" / "python"
    subprocess.run(
        [str(python), "-c", "import ragtrace"], check=True, env={"PATH": "/usr/bin"}, cwd=site.root
    )
    assert site.undeclared() == []


def test_a_new_port_is_taken_over_and_restarts_the_service(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    with open(site.prefix.settings, "a", encoding="utf-8") as stream:
        stream.write("SECRET=kept\n")
    site.port = free_port()
    assert site.install(bundle, "--port", str(site.port)).code == 0
    assert site.answering() == bundle.generation
    assert "SECRET=kept" in site.prefix.settings.read_text()


def test_a_failed_upgrade_to_another_port_puts_the_settings_back(site: Site, bundle_for: Make) -> None:
    first = bundle_for()
    site.install(first)
    before = site.prefix.settings.read_bytes()
    bad = bundle_for(version="2.0.0", sequence=2, serve="crash")
    assert site.install(bad, "--port", str(free_port())).code == 16
    assert site.prefix.settings.read_bytes() == before
    assert site.answering() == first.generation


def test_stop_and_start_control_the_service_and_are_remembered(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    assert site.run("--stop").code == 0
    assert site.answering() == ""
    assert site.run("--status", "--json").document["service"]["enabled"] is False
    assert site.run("--start").code == 0
    assert site.answering() == bundle.generation


def test_no_start_installs_without_starting(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    assert site.install(bundle, "--no-start").code == 0
    assert (site.active(), site.answering()) == (bundle.generation, "")
    assert site.run("--start").code == 0
    assert site.answering() == bundle.generation


def test_a_bundle_without_a_service_is_installed(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for(serve=None)
    done = site.install(bundle)
    assert done.code == 0, done.err
    assert site.active() == bundle.generation


def test_dry_run_prints_the_plan_and_leaves_no_prefix(site: Site, bundle_for: Make) -> None:
    done = site.install(bundle_for(), "--dry-run", "--json")
    assert done.code == 0
    names = [step["name"] for step in done.document["steps"]]
    assert names[:2] == ["generation", "environment"]
    assert names[-4:] == ["unit", "start", "health", "accept"]
    assert not site.root.exists()


def test_verify_only_writes_nothing(site: Site, bundle_for: Make) -> None:
    done = site.install(bundle_for(), "--verify-only", "--json")
    assert (done.code, done.document["origin"]) == (0, "verified")
    assert not site.root.exists()


def test_the_signer_is_pinned_and_trusted_the_next_time(site: Site, bundle_for: Make) -> None:
    first, second = bundle_for(), bundle_for(version="2.0.0", sequence=2)
    site.install(first)
    done = site.run("--bundle", str(second.root))
    assert done.code == 0, done.err
    assert site.answering() == second.generation


def test_an_unverified_origin_is_never_pinned(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    done = site.run("--bundle", str(bundle.root), "--allow-unverified-origin", "--service-manager", "process")
    assert done.code == 0, done.err
    assert not site.prefix.allowed_signers.exists()


def test_the_bundle_installs_itself_and_its_copy_rolls_back(site: Site, bundle_for: Make) -> None:
    """What ships: the bundle's own entry, then the copy inside the installation, with no bundle at hand."""
    first, second = bundle_for(tools="full"), bundle_for(tools="full", version="2.0.0", sequence=2)
    for bundle in (first, second):
        script = bundle.root / "04_Scripts" / "install.py"
        subprocess.run(
            [sys.executable, str(script), "--prefix", str(site.root), *site.words(bundle)], check=True
        )
    before = set(second.root.rglob("*"))
    copy = site.prefix.link / "tools" / "04_Scripts" / "install.py"
    for words in (["--rollback"], ["--verify-only"], ["--status"]):
        subprocess.run([sys.executable, str(copy), *words], check=True, capture_output=True)
    assert site.answering() == first.generation
    assert set(second.root.rglob("*")) == before
    assert site.undeclared() == []


def test_everything_is_audited(site: Site, bundle_for: Make) -> None:
    site.install(bundle_for())
    site.install(bundle_for(version="2.0.0", sequence=2, serve="crash"))
    lines = site.prefix.audit.read_text().splitlines()
    assert len(lines) == 2
    assert '"outcome": "ok"' in lines[0]
    assert '"outcome": "RT-UNHEALTHY"' in lines[1]


def test_wheels_are_installed_from_a_folder_with_a_space(
    site: Site, tmp_path: Path, bundle_for: Make
) -> None:
    from tests.support.wheels import wheel_bytes

    extra = wheel_bytes("extra", "1.0", {"extra/__init__.py": "VALUE = 1\n"})
    bundle = bundle_for(wheels={"extra-1.0-py3-none-any.whl": extra})
    moved = tmp_path / "USB 드라이브" / "번들"
    moved.parent.mkdir()
    bundle.root.rename(moved)
    done = site.run("--bundle", str(moved), "--allow-unverified-origin", "--service-manager", "process")
    assert done.code == 0, done.err
    python = site.prefix.link / "venv" / "bin" / "python"
    assert subprocess.run([str(python), "-c", "import extra"], check=False).returncode == 0


def test_handing_the_service_to_nobody_stops_our_process(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    site.install(bundle)
    assert site.run(*site.words(bundle)[:4], "--service-manager", "none").code == 0
    assert site.answering() == ""
    assert site.install(bundle).code == 0
    assert site.answering() == bundle.generation


def test_a_settings_file_that_is_a_link_is_not_followed(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    first = bundle_for()
    site.install(first)
    (tmp_path / "secret").write_text("TOKEN=secret\n")
    site.prefix.settings.rename(tmp_path / "good")
    site.prefix.settings.symlink_to(tmp_path / "secret")
    done = site.install(bundle_for(version="2.0.0", sequence=2), "--port", str(free_port()))
    assert (done.code, "symbolic link" in done.err) == (14, True), done.err
    assert site.answering() == first.generation
    (tmp_path / "good").replace(site.prefix.settings)


def test_relative_paths_mean_what_they_mean_to_the_operator(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for()
    words = ["--bundle", bundle.root.name, "--allow-unverified-origin", "--service-manager", "process"]
    done = site.run(
        *words, "--python", os.path.relpath(sys.executable, bundle.root.parent), cwd=bundle.root.parent
    )
    assert done.code == 0, done.err
    assert site.answering() == bundle.generation


def test_a_host_without_python_is_told_to_use_the_releases_own(
    site: Site, bundle_for: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAGTRACE_TEMPORARY_PYTHON", str(tmp_path / "unpacked"))
    done = site.install(bundle_for())
    assert done.code == 0
    assert "current/venv/bin/python" in done.out
    assert "python3 " not in done.out


def test_a_release_built_by_a_run_that_never_committed_goes_with_the_next_that_fails(
    site: Site, bundle_for: Make
) -> None:
    sick = "import os, sys\nsys.exit(3 if os.path.exists(os.path.join(sys.argv[2], 'data', 'sick')) else 0)\n"
    first, second = bundle_for(), bundle_for(version="2.0.0", sequence=2, validator=sick)
    site.install(first)
    site.install(second)
    site.run("--rollback")
    # As if the run that built it had been killed: complete, but neither active nor kept.
    found = pointer.read(site.prefix)
    assert found is not None and found.previous == (second.generation,)
    pointer.write(site.prefix, replace(found, previous=()))
    (site.prefix.data / "sick").touch()
    assert site.install(second).code == 16
    assert not site.prefix.generation(second.generation).exists()
    assert (site.active(), site.answering()) == (first.generation, first.generation)
    assert site.undeclared() == []
