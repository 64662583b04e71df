"""Which files of a project travel, and under which names."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder import stage
from builder.inputs import ProjectSpec
from bundle.errors import BuildError


def project(root: Path, *names: str) -> ProjectSpec:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return ProjectSpec(root, root, "sample", "1.0")


def test_secrets_caches_and_outputs_stay_at_home(tmp_path: Path) -> None:
    kept = ["cli.py", "config.default/a.yaml", "src/sample/build/x.py", "src/sample/__init__.py", "uv.lock"]
    left = [
        ".env",
        ".git/config",
        "server.key",
        "tls.pem",
        "dist/a.whl",
        "build/x",
        "src/__pycache__/a.pyc",
        "venv/x",
    ]
    files = stage.project_source(project(tmp_path, *kept, *left))
    assert sorted(item.entry.path for item in files) == sorted(f"03_Source/{name}" for name in kept)
    assert {item.entry.kind for item in files if "config.default" in item.entry.path} == {"config"}


def test_a_link_in_the_source_is_refused(tmp_path: Path) -> None:
    spec = project(tmp_path, "a.py")
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    with pytest.raises(BuildError, match="symbolic link"):
        stage.project_source(spec)


@pytest.mark.parametrize("name", ["con.py", "a:b.txt", "trailing. "])
def test_names_that_windows_cannot_hold_are_all_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match="not usable on every system") as caught:
        stage.sorted_files(stage.project_source(project(tmp_path, name, "fine.py")))
    assert [name in detail.en for detail in caught.value.details] == [True]


def test_two_files_for_one_name_are_refused() -> None:
    twice = [
        stage.staged("04_Scripts/A", b"1", "installer", "x"),
        stage.staged("04_Scripts/a", b"2", "installer", "x"),
    ]
    with pytest.raises(BuildError, match="want one name"):
        stage.sorted_files(twice)


def test_what_a_staged_file_promises_is_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    item = stage.staged("03_Source/a", tmp_path / "a", "source", "x")
    (tmp_path / "a").write_bytes(b"changed while the build goes on")
    assert item.source == b"bytes" and item.entry.size == 5
