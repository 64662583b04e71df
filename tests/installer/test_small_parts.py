"""Settings, pinned trust, the model store, the file system functions, the command line's help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.errors import UsageProblem
from bundle.hashing import sha256_bytes
from bundle.manifest import FileEntry
from bundle.sshsig import PublicKey
from bundle.text import Text
from bundle.trust import Anchors, Origin, SignedBy, parse_allowed_signers
from installer import filesystem, settings, store, trust_store
from installer.cli import main
from installer.options import parser
from installer.paths import Prefix
from installer.provision import Provision
from installer.settings import ServiceSettings
from tests.support.bundles import REPOSITORY

KEY = PublicKey(bytes(range(32)))


def test_environment_files_are_read_as_systemd_reads_them() -> None:
    text = "# c\n; c\nA=1\n B = 'x y' \nC=\"q\"\nD==\nnot a line\n=x\n1X=2\n"
    assert settings.parse_environment(text) == {"A": "1", "B": "x y", "C": "q", "D": "="}


def test_setting_a_variable_leaves_the_rest_of_the_file_alone() -> None:
    text = "# 주석\nA=1\nPORT=1\n"
    assert settings.with_variables(text, {"PORT": "2", "NEW": "3"}) == "# 주석\nA=1\nPORT=2\nNEW=3\n"


@pytest.mark.parametrize("port", ("x", "0", "99999", ""))
def test_a_senseless_port_in_the_settings_file_is_not_believed(port: str) -> None:
    known = ServiceSettings("process", "n", "", "h", 8400, True)
    assert known.with_address({"RAGTRACE_SERVER_PORT": port}) == known


def test_a_verified_signer_is_pinned_once_and_understood_again() -> None:
    origin = Origin("verified", (SignedBy(KEY, "홍 길동"),), Text("", ""))
    pinned = trust_store.pinned_with(origin, b"# mine")
    assert pinned is not None
    assert parse_allowed_signers(pinned.decode())[0].key == KEY
    assert trust_store.pinned_with(origin, pinned) == pinned
    assert trust_store.pinned_with(Origin("unverified", (SignedBy(KEY),), Text("", "")), None) is None


def test_what_the_operator_brings_counts_instead_of_what_is_pinned(tmp_path: Path) -> None:
    prefix = Prefix(tmp_path)
    prefix.trust.mkdir()
    prefix.allowed_signers.write_text("pinned")
    assert trust_store.anchors(prefix, "", ()) == Anchors(pinned="pinned")
    assert trust_store.anchors(prefix, "", ("SHA256:x",)).given
    with pytest.raises(UsageProblem):
        trust_store.anchors(prefix, str(tmp_path / "missing"), ())
    (tmp_path / "empty").write_text("")
    with pytest.raises(UsageProblem):
        trust_store.anchors(prefix, str(tmp_path / "empty"), ())


def entry(data: bytes) -> FileEntry:
    return FileEntry("07_Models/m", len(data), sha256_bytes(data), 0o644, "model", "m")


def test_a_damaged_stored_model_is_replaced_and_holders_of_the_old_bytes_keep_them(tmp_path: Path) -> None:
    prefix, source = Prefix(tmp_path / "p"), tmp_path / "m"
    prefix.root.mkdir()
    source.write_bytes(b"weights")
    weights = entry(b"weights")
    stored = store.Shelf(prefix).put(source, weights)
    assert store.place(prefix, weights, tmp_path / "first")
    inode = stored.stat().st_ino
    assert store.Shelf(prefix).put(source, weights).stat().st_ino == inode, "not copied again"
    stored.write_bytes(b"WEIGHTS")
    again = store.Shelf(prefix).put(source, weights)
    assert again.read_bytes() == b"weights"
    assert (tmp_path / "first").read_bytes() == b"WEIGHTS"
    (again.parent / f".{again.name}.new").write_bytes(b"left over")
    store.collect(prefix, set())
    assert list(store.objects(prefix)) == []


def test_removing_a_tree_removes_links_not_what_they_point_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "file").write_text("x")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").symlink_to(outside)
    (tree / "b").symlink_to(outside / "deep" / "file")
    filesystem.remove_tree(tree)
    (tmp_path / "link").symlink_to(outside)
    filesystem.remove_tree(tmp_path / "link")
    assert (outside / "deep" / "file").read_text() == "x"
    assert not tree.exists()
    assert not os.path.lexists(tmp_path / "link")
    filesystem.remove_tree(tmp_path / "missing")


@pytest.mark.skipif(os.geteuid() != 0, reason="changing owners needs root")
def test_giving_a_tree_away_does_not_follow_links_or_second_names(tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.write_text("x")
    tree.mkdir()
    (tree / "own").write_text("y")
    (tree / "link").symlink_to(outside)
    os.link(outside, tree / "second-name")
    filesystem.give_tree(tree, 65534, 65534)
    assert outside.stat().st_uid == 0
    assert {(tree / name).lstat().st_uid for name in ("own", "link")} == {65534}


def test_a_link_is_never_put_in_the_place_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()
    with pytest.raises(FileExistsError):
        filesystem.replace_link(tmp_path / "current", "generations/x")


def test_every_option_is_explained_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    korean, english = (parser(lang, Path("/x/04_Scripts/install.py")).format_help() for lang in ("ko", "en"))
    assert english.count("\n  -") == korean.count("\n  -") > 20
    assert "폐쇄망" in korean
    with pytest.raises(SystemExit) as ended:
        main(["--help"], script=Path("/x/04_Scripts/install.py"))
    assert ended.value.code == 0
    assert "--rollback" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from installer.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); {code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {
        "subprocess",
        "socket",
        "http.client",
        "tarfile",
        "ctypes",
        "concurrent.futures",
        "asyncio",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="changing owners needs root")
def test_data_and_configuration_belong_to_the_service_user(tmp_path: Path) -> None:
    import pwd

    prefix = Prefix(tmp_path)
    (prefix.root / "state").mkdir()
    user = pwd.getpwnam("nobody")
    wanted = ServiceSettings("systemd", "ragtrace", "nobody", "127.0.0.1", 8400, True)
    Provision(prefix, wanted, None, "t").apply(tmp_path / "none")
    (prefix.data / "index").rmdir()
    Provision(prefix, wanted, None, "t").apply(tmp_path / "none")
    for path in (prefix.data, prefix.data / "index", prefix.logs, prefix.config, prefix.settings):
        assert (path.stat().st_uid, path.stat().st_gid) == (user.pw_uid, user.pw_gid), path
    assert prefix.service.stat().st_uid == 0
