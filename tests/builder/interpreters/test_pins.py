"""Pinned interpreters: what the file may hold, what a build makes of it, and that the locked uv agrees."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from builder.inputs import MANIFESTS, load_target
from builder.interpreters import pins
from builder.interpreters.pin import pin
from builder.plan import Artifact, Obstacle
from bundle.errors import BuildError, DownloadError, UsageProblem
from tests.builder.conftest import Run
from tests.builder.test_build import unpack

DATE_AND_FILE = "20261110/cpython-3.11.18%2B20261110-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        made.addfile(tarfile.TarInfo("python/"))
    return buffer.getvalue()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Serve archives by ``DATE/FILE`` as a company's mirror would."""
    held: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = held.get(self.path.partition("/mirror/")[2])
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else data or b"")

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(pins.MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_address[1]}/mirror")
    yield held
    server.shutdown()
    server.server_close()


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Pin the archive of these tests for one target and Python; return its digest."""
    digest = hashlib.sha256(archive()).hexdigest()
    item = pins.Pinned("linux-x86_64", "3.11", "3.11.18", f"https://example.org/x/{DATE_AND_FILE}", digest)
    place = tmp_path / "interpreters.toml"
    place.write_text(pins.encode("0.0", [item]))
    monkeypatch.setattr(pins, "PLACE", place)
    return digest


def test_every_target_has_an_interpreter_for_every_python() -> None:
    found = {(item.target, item.python) for item in pins.load()}
    targets = [path.stem for path in (MANIFESTS / "targets").glob("*.toml")]
    assert found == {(target, python) for target in targets for python in ("3.11", "3.12", "3.13")}


def test_the_pins_are_those_of_the_locked_uv() -> None:
    target = load_target("windows-amd64")
    (found,) = pin([target], ["3.12"], lambda line: None)
    assert found in pins.load()


def test_a_python_that_uv_does_not_know_is_an_error() -> None:
    with pytest.raises(BuildError, match=r"no Python 3\.1 for"):
        pin([load_target("linux-x86_64")], ["3.1"], lambda line: None)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    held = pins.load()
    place = tmp_path / "pins.toml"
    place.write_text(pins.encode("1.2.3", held))
    assert pins.load(place) == held


@pytest.mark.parametrize(
    "text",
    [
        'uv = "1"\n[linux."3.11"]\nversion = "3.11.1"\nurl = "http://x/y.tar.gz"\nsha256 = "'
        + "0" * 64
        + '"\n',
        'uv = "1"\n[linux."3.11"]\nversion = "3.11.1"\nurl = "https://x/y.tar.gz"\nsha256 = "0"\n',
        'uv = "1"\n[linux."3.11"]\nversion = "3.11.1"\nlink = "https://x/y.tar.gz"\n',
        'uv = "1"\nlinux = "3.11"\n',
        "uv =",
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str) -> None:
    place = tmp_path / "pins.toml"
    place.write_text(text)
    with pytest.raises(UsageProblem):
        pins.load(place)


def test_an_interpreter_that_is_not_pinned_is_an_obstacle(pinned: str) -> None:
    found = pins.chosen("macos-arm64", "3.11", pins.load(), {})
    assert isinstance(found, Obstacle) and "pinned are: -" in found.reason.en


def test_a_mirror_takes_the_place_of_the_archives_own_address(pinned: str) -> None:
    found = pins.chosen(
        "linux-x86_64", "3.11", pins.load(), {pins.MIRROR_VARIABLE: "https://mirror.local/py/"}
    )
    assert isinstance(found, Artifact)
    assert found.source == f"https://mirror.local/py/{DATE_AND_FILE}"
    assert found.filename == DATE_AND_FILE.partition("/")[2].replace("%2B", "+")


def test_a_pinned_interpreter_is_fetched_and_carried(
    run: Run, tmp_path: Path, pinned: str, mirror: dict[str, bytes]
) -> None:
    mirror[DATE_AND_FILE] = archive()
    code, out, err = run("build", "--json", "--interpreter", "3.11")
    assert code == 0, err
    root = unpack(Path(json.loads(out.splitlines()[-1])["archive"]), tmp_path / "unpacked")
    (carried,) = (root / "01_Prerequisites").glob("cpython-*.tar.gz")
    assert hashlib.sha256(carried.read_bytes()).hexdigest() == pinned
    code, out, _ = run("plan", "--json", "--interpreter", "3.11")
    (shown,) = [item for item in json.loads(out)["artifacts"] if item["kind"] == "interpreter"]
    assert (shown["sha256"], shown["version"]) == (pinned, "3.11.18")


def test_other_bytes_than_pinned_are_refused(run: Run, pinned: str, mirror: dict[str, bytes]) -> None:
    mirror[DATE_AND_FILE] = archive()[:-1] + b"?"
    code, _, err = run("build", "--interpreter", "3.11")
    assert code == DownloadError.exit_code and "cpython-3.11.18" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--interpreter", "3.9"], "not for this Python"),
        (["--interpreter", "3.11", "--python-archive", __file__], "not both"),
    ],
)
def test_what_cannot_be_carried_is_refused(run: Run, words: list[str], message: str) -> None:
    code, _, err = run("plan", *words)
    assert code == 2 and message in err
