"""Wheel hygiene on entry to the cache: what is refused, by which check, and what is only listed."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from builder.wheels import catalogue, wheelfile
from bundle.errors import BuildError
from tests.builder.wheels import forge
from tests.builder.wheels.forge import FILE, INFO, NAME
from tests.support.wheels import wheel_bytes


def wheel(files: dict[str, str] | None = None, **settings: object) -> bytes:
    return wheel_bytes("pkg", "1.0", {FILE: "", **(files or {})}, **settings)  # type: ignore[arg-type]


def scripts(text: str) -> bytes:
    return wheel(entry_points=f"[console_scripts]\n{text}\n")


ARCHIVES: dict[str, tuple[bytes, str]] = {
    "not a zip": (b"hello", "zip-readable"),
    "empty": (b"", "zip-readable"),
    "truncated": (forge.sound()[:-40], "zip-readable"),
    "directory cut off": (forge.sound()[:200] + forge.sound()[-22:], "zip-whole"),
    "data before the archive": (forge.prepended(), "zip-whole"),
    "data between members and directory": (forge.between(), "zip-whole"),
    "data after the archive": (forge.sound() + b"more", "zip-whole"),
    "a second end record in the comment": (forge.second_end_record(), "zip-whole"),
    "ZIP64 records that contradict": (forge.zip64_contradiction(), "zip-directory"),
    "members that share bytes": (forge.overlapping(), "zip-directory"),
    "a member over the next": (forge.everywhere(20, 18, "<L", 60), "zip-overlap"),
    "two members of one name": (forge.duplicate(), "zip-duplicate"),
    "a header with another name": (forge.in_header(30, "<B", ord("q")), "zip-directory"),
    "a header with another size": (forge.in_header(22, "<L", 5), "zip-directory"),
    "a header with another CRC": (forge.in_header(14, "<L", 5), "zip-directory"),
    "a header with another method": (forge.in_header(8, "<H", 0), "zip-directory"),
    "encrypted": (forge.everywhere(8, 6, "<H", 1), "zip-encrypted"),
    "strongly encrypted": (forge.everywhere(8, 6, "<H", 0x41), "zip-encrypted"),
    "a format from the future": (forge.in_directory(6, "<H", 255), "zip-method"),
    "bzip2": (forge.everywhere(10, 8, "<H", 12), "zip-method"),
    "more data than declared": (forge.packed_longer_than_declared(), "zip-size"),
    "a wrong CRC": (forge.everywhere(16, 14, "<L", 7), "zip-size"),
    "a wrong size": (forge.everywhere(24, 22, "<L", 5000), "zip-size"),
    "a name in no encoding": (forge.sound().replace(b"pkg/__init__.py", b"pkg/__\xe9nit__.py"), "zip-name"),
    "a name with NUL": (forge.renamed("pkg/\0_init__.py"), "zip-name"),
    "a second name": (forge.unicode_path(), "zip-name"),
    "traversal": (wheel({"../evil.py": "x"}), "zip-name"),
    "traversal in the middle": (wheel({"pkg/../../evil.py": "x"}), "zip-name"),
    "absolute": (wheel({"/etc/evil": "x"}), "zip-name"),
    "backslash": (wheel({"pkg\\..\\evil.py": "x"}), "zip-name"),
    "drive": (wheel({"C:evil.py": "x"}), "zip-name"),
    "case collision": (wheel({"pkg/A.py": "x", "pkg/a.py": "x"}), "zip-case"),
    "file and folder of one name": (wheel({"pkg/a": "x", "pkg/a/b.py": "x"}), "zip-case"),
    "symbolic link": (forge.link(), "zip-link"),
    "bomb": (wheel_bytes("pkg", "1.0", {"pkg/zeros": bytes(120_000_000)}), "zip-bomb"),
}  # fmt: skip
WHEELS: dict[str, tuple[bytes, str]] = {
    "file not in RECORD": (wheel(extra_members={"pkg/evil.py": b"x"}), "record-complete"),
    "RECORD names a missing file": (wheel(record={"pkg/gone.py": "sha256=AAAA,1"}), "record-complete"),
    "hash differs": (wheel(record={FILE: "sha256=AAAA,1"}), "record-true"),
    "size differs": (
        wheel(record={FILE: "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,7"}), "record-true",
    ),
    "weak hash": (wheel(record={FILE: "md5=AAAA,1"}), "record-strong"),
    "no hash": (wheel(record={FILE: ","}), "record-strong"),
    "a line of two columns": (wheel(record={FILE: "sha256=AAAA"}), "record-form"),
    "RECORD is a bomb of quotes": (wheel(record={FILE: '"'}), "record-form"),
    "another package": (wheel(metadata_name="other"), "wheel-metadata"),
    "a name stated twice": (wheel(metadata_name="pkg\nName: other"), "wheel-metadata"),
    "another interpreter": (wheel(tag="cp311-cp311-any"), "wheel-tags"),
    "two .dist-info folders": (wheel({"pkg-2.0.dist-info/METADATA": "x"}), "wheel-info"),
    "another package's data": (wheel({"pip-1.0.data/purelib/pip.py": "x"}), "data-scheme"),
    "unknown scheme": (wheel({"pkg-1.0.data/etc/passwd": "x"}), "data-scheme"),
    "another interpreter in data": (wheel({"pkg-1.0.data/data/bin/python3.11": "x"}), "script-name"),
    "another pyvenv.cfg": (wheel({"pkg-1.0.data/data/pyvenv.cfg": "home = /tmp"}), "data-confined"),
    "over another package": (
        wheel({"pkg-1.0.data/data/lib/python3.11/site-packages/pip/__init__.py": "x"}), "data-confined",
    ),
    "a script in a folder": (wheel({"pkg-1.0.data/scripts/a/b": "x"}), "script-name"),
    "a script named python": (wheel({"pkg-1.0.data/scripts/python3": "x"}), "script-name"),
    "a command that is a path": (scripts("../../evil = pkg:main"), "script-name"),
    "a command named pip": (scripts("pip3.11 = pkg:main"), "script-name"),
    "a command named Activate.ps1": (scripts("Activate.ps1 = pkg:main"), "script-name"),
    "a command without an object": (scripts("run = pkg"), "entry-point"),
    "a command with code in it": (scripts("run = pkg:main();import os"), "entry-point"),
    "entry points that are no table": (wheel(entry_points="run = pkg:main\n"), "entry-point"),
    "a .pth to another folder": (wheel({"pkg.pth": "/opt/evil\n"}), "pth-confined"),
    "a .pth upwards": (wheel({"pkg-1.0.data/purelib/pkg.pth": "../../evil\n"}), "pth-confined"),
}  # fmt: skip


@pytest.mark.parametrize("defect", [*ARCHIVES, *WHEELS])
def test_defective_wheel_is_refused_by_the_check_that_names_it(tmp_path: Path, defect: str) -> None:
    data, check = {**ARCHIVES, **WHEELS}[defect]
    (tmp_path / NAME).write_bytes(data)
    assert check in {problem.check for problem in wheelfile.problems_of(tmp_path / NAME, NAME)}
    with pytest.raises(BuildError) as caught:
        wheelfile.check(tmp_path / NAME, NAME)
    assert f"{check}: " in caught.value.render("ko") and NAME in caught.value.render("en")


def test_every_check_has_a_defect_that_it_finds() -> None:
    elsewhere = {name for name in catalogue.CHECKS if name.startswith("tar-")}
    elsewhere |= {"wheel-filename", "wheel-format"}  # the tests below
    assert {check for _, check in [*ARCHIVES.values(), *WHEELS.values()]} == set(catalogue.CHECKS) - elsewhere


@pytest.mark.parametrize("make", [forge.sound, forge.streamed, forge.forced_zip64])
def test_a_sound_wheel_is_accepted_however_it_was_written(tmp_path: Path, make: object) -> None:
    (tmp_path / NAME).write_bytes(make())  # type: ignore[operator]
    assert not wheelfile.problems_of(tmp_path / NAME, NAME)
    assert wheelfile.unpacked_size(tmp_path / NAME) > 300


def test_a_comment_that_is_only_text_is_accepted(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(forge.comment(b"built by somebody"))
    assert not wheelfile.problems_of(tmp_path / NAME, NAME)


@pytest.mark.parametrize(
    ("filename", "check"),
    [
        ("pkg-2.0-py3-none-any.whl", "wheel-info"),
        ("other-1.0-py3-none-any.whl", "wheel-info"),
        ("pkg-1.0-cp311-cp311-win_amd64.whl", "wheel-tags"),
        ("pkg.whl", "wheel-filename"),
    ],
)
def test_the_file_name_must_be_the_wheels_own(tmp_path: Path, filename: str, check: str) -> None:
    (tmp_path / filename).write_bytes(forge.sound())
    (problem,) = wheelfile.problems_of(tmp_path / filename, filename)
    assert problem.check == check


@pytest.mark.parametrize(("old", "new"), [(b"Wheel-Version: 1.0", b"Wheel-Version: 2.0"), (b"true", b"yes!")])
def test_a_wheel_format_of_the_future_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    with zipfile.ZipFile(tmp_path / NAME, "w") as archive:
        text = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n".replace(old, new)
        archive.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n")
        archive.writestr(f"{INFO}/WHEEL", text)
        archive.writestr(f"{INFO}/RECORD", "")
    assert "wheel-format" in {item.check for item in wheelfile.problems_of(tmp_path / NAME, NAME)}


@pytest.mark.parametrize(
    ("name", "files", "commands"),
    [
        ("uv", {"uv-1.0.data/scripts/uv": "x", "uv-1.0.data/scripts/uvx": "x"}, ""),
        ("pip", {}, "[console_scripts]\npip = pip:main\npip3.11 = pip:main\n"),
    ],
)
def test_a_tool_may_bring_its_own_command(
    tmp_path: Path, name: str, files: dict[str, str], commands: str
) -> None:
    place = tmp_path / f"{name}-1.0-py3-none-any.whl"
    place.write_bytes(wheel_bytes(name, "1.0", {f"{name}/a.py": "", **files}, entry_points=commands))
    assert not wheelfile.problems_of(place, place.name)


def test_a_wheel_renamed_to_a_newer_tag_of_the_same_machine_is_accepted(tmp_path: Path) -> None:
    place = tmp_path / "pkg-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    place.write_bytes(wheel_bytes("pkg", "1.0", tag="cp311-cp311-linux_x86_64"))
    assert not wheelfile.problems_of(place, place.name)
    for other in ("manylinux_2_28_aarch64", "musllinux_1_2_x86_64", "win_amd64"):
        assert wheelfile.problems_of(place, f"pkg-1.0-cp311-cp311-{other}.whl")[0].check == "wheel-tags"


def test_code_that_runs_at_start_is_no_reason_to_refuse(tmp_path: Path) -> None:
    files = {
        "hook.pth": "import os; os.environ['X'] = '1'\n",
        "paths.pth": "# a comment\npkg\n",
        "sitecustomize.py": "x = 1\n",
        "pkg-1.0.data/data/bin/helper": "ELF",
        "pkg-1.0.data/data/share/pkg/page.html": "x",
        "pkg-1.0.data/headers/pkg.h": "x",
    }
    (tmp_path / NAME).write_bytes(
        wheel(files, entry_points="[console_scripts]\nrun = pkg.cli:main [extra]\n")
    )
    assert not wheelfile.problems_of(tmp_path / NAME, NAME)


def test_a_digest_in_hexadecimal_says_the_same(tmp_path: Path) -> None:
    empty = hashlib.sha256(b"").hexdigest()
    (tmp_path / NAME).write_bytes(wheel(record={FILE: f"sha256={empty},0"}))
    assert not wheelfile.problems_of(tmp_path / NAME, NAME)
