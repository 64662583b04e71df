"""Real signed bundles, small enough to install in a second, from a readable description.

    make_bundle(folder, version="1.0.0", sequence=1, serve="healthy")

The bundle carries the real uv, in a wheel, and a fake package `ragtrace` whose service is a standard library HTTP server.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.seal import seal
from builder.sealing.signing import SigningKey
from bundle.hashing import sha256_bytes, sha256_file
from bundle.manifest import (
    DataFormat,
    FileEntry,
    Manifest,
    Package,
    Project,
    ServiceSpec,
    Target,
    manifest_digest,
)

from . import trust
from .wheels import wheel_bytes

REPOSITORY = Path(__file__).resolve().parent.parent.parent
UV_WHEEL = "uv-0.0-py3-none-any.whl"
HERE = "%d.%d" % sys.version_info[:2]

# serve: healthy answers; unhealthy answers 503 at /readyz; crash ends at once; silent never listens.
SERVICE = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

VERSION, MODE = {version!r}, {mode!r}
GENERATION = os.environ.get("RAGTRACE_GENERATION", "")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/environment":
            return self.send(200, dict(os.environ))
        ready = self.path == "/healthz" or MODE != "unhealthy"
        state = {{"/healthz": "ok"}}.get(self.path, "ready" if ready else "starting")
        self.send(200 if ready else 503, {{"status": state, "version": VERSION, "generation": GENERATION}})

    def send(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(HTTPServer):
    request_queue_size = 64

    def server_bind(self):
        # HTTPServer looks its own name up, which takes seconds where there is no resolver.
        import socketserver
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


def main():
    if sys.argv[1:2] != ["serve"]:
        print(VERSION)
        return 0
    print("serving", VERSION, flush=True)
    if MODE == "crash":
        print("crashing on purpose", flush=True)
        return 1
    if MODE == "silent":
        time.sleep(600)
    address = (os.environ["RAGTRACE_SERVER_HOST"], int(os.environ["RAGTRACE_SERVER_PORT"]))
    Server(address, Handler).serve_forever()


sys.exit(main())
"""

# The service's data: it marks new data, refuses those of another format, and migrates line by line.
# migration: good; fail changes half of the data and ends with 1; hang does the same and sleeps; lie does nothing.
# spoil: at its start the service writes into its data.
DATA = """
import json, os, pathlib, sys, time

WANTED, MIGRATION, SPOIL = {version!r}, {migration!r}, {spoil!r}
FOLDER = pathlib.Path(os.environ["RAGTRACE_HOME"], "data")
FORMAT = FOLDER / "FORMAT.json"


def mark(**values):
    new = FORMAT.with_name(".FORMAT.json.tmp")
    new.write_text(json.dumps(dict(values, format="ragtrace-data")))
    os.replace(new, FORMAT)


def serve():
    if not FORMAT.exists():
        mark(version=WANTED)
    found = json.loads(FORMAT.read_text())
    if found != dict(version=WANTED, format="ragtrace-data"):
        print("data", found, "are not for", WANTED, flush=True)
        sys.exit(1)
    if SPOIL:
        (FOLDER / "spoilt").write_text(SPOIL)


def migrate(folder):
    assert pathlib.Path(folder) == FOLDER, folder
    before = json.loads(FORMAT.read_text()) if FORMAT.exists() else dict(version=1)
    if MIGRATION == "lie":
        return
    mark(version=before["version"], migrating=WANTED)
    documents = sorted(FOLDER.glob("documents/*"))
    for number, path in enumerate(documents):
        if MIGRATION in ("fail", "hang") and number == len(documents) // 2:
            (FOLDER / "half").mkdir()
            (FOLDER / "half" / "done").write_bytes(b"x" * 1000)
            documents[-1].unlink()
            print("stopping half way", flush=True)
            if MIGRATION == "hang":
                time.sleep(600)
            sys.exit(1)
        with open(path, "r+b") as stream:
            text = stream.read()
            stream.seek(0)
            stream.write(b"format %d: " % WANTED + text)
        print("migrated", path.name, "as", os.getuid(), flush=True)
    mark(version=WANTED)


if sys.argv[1:2] == ["serve"]:
    serve()
elif sys.argv[1:2] == ["migrate"]:
    migrate(sys.argv[2])
    sys.exit(0)
"""


@dataclass(frozen=True)
class Bundle:
    """A bundle folder, its signer, and what its manifest says."""

    root: Path
    key: SigningKey
    manifest: Manifest
    digest: str

    @property
    def generation(self) -> str:
        """The name its release gets."""
        return f"{self.manifest.sequence:06d}-{self.digest[:12]}"

    @property
    def fingerprint(self) -> str:
        """What an operator would have been told over another channel."""
        return self.key.public.fingerprint


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def uv_binary() -> Path:
    """Return the real uv executable: that of the development environment, else the one on PATH."""
    beside, on_path = Path(sys.executable).with_name("uv"), shutil.which("uv")
    for path in (beside, Path(on_path) if on_path else beside):
        if path.is_file() and path.read_bytes()[:4] == b"\x7fELF":
            return path
    from uv import find_uv_bin

    return Path(find_uv_bin())


@functools.cache
def uv_wheel() -> tuple[Path, int, str]:
    """Return a wheel that holds the real uv, with its size and digest; it lies in the temporary folder, once
    for all tests. Not compressed, so that a hundred installations do not decompress it a hundred times."""
    program = uv_binary()
    status = program.stat()
    folder = Path(tempfile.gettempdir()) / f"ragtrace-tests-uv-{status.st_size}-{status.st_mtime_ns}"
    place = folder / UV_WHEEL
    if not place.is_file():
        folder.mkdir(mode=0o700, exist_ok=True)
        unfinished = folder / f"{os.getpid()}.partial"
        with zipfile.ZipFile(unfinished, "w") as archive:
            member = zipfile.ZipInfo("uv-0.0.data/scripts/uv", (2020, 1, 1, 0, 0, 0))
            archive.writestr(member, program.read_bytes())
        os.replace(unfinished, place)
    return place, *sha256_file(place)


def make_bundle(folder: Path, **description: Any) -> Bundle:
    """Write a sealed bundle at `folder` and return it.

    Args:
        folder: must not exist.
        description: any of
            version, sequence, port, serve - of the fake service (``serve=None``: no service at all);
            ready_timeout_s - how long the installer may wait for it;
            data - the format of its data: fields of `DataFormat`, and ``migration`` and ``spoil`` (see `DATA`);
            key - a `SigningKey`, else a new one;
            tools - ``tiny`` (a few files) or ``full`` (the real installer and its entries);
            validator - source of `06_Verification/enterprise_validator.py`, if any;
            models - bytes by path below `07_Models`;
            wheels - more wheels, bytes by file name, with ``name==version`` lines in `requirements`;
            archive - bytes of an interpreter archive;
            uv - bytes of a program to carry in place of the real uv's (a script that runs it, say);
            files - more files, bytes by path;
            scripts - more files of kind ``installer``, bytes by path: a release keeps them;
            records - trust records to carry (`support.trust.KeyHouse.records`);
            pythons, and every other field of `Target` or `Manifest`.
    """
    wanted = dict(description)
    version, serve = wanted.pop("version", "1.0.0"), wanted.pop("serve", "healthy")
    port = wanted.pop("port", None) or free_port()
    key = wanted.pop("key", None) or SigningKey(Ed25519PrivateKey.generate(), "builder@example")
    timeout = wanted.pop("ready_timeout_s", 20)
    contents: dict[str, tuple[bytes, str]] = {}
    data_format = wanted.pop("data", None)
    own = _wheel(version, serve, data_format)
    wheels = {f"ragtrace-{version}-py3-none-any.whl": own, **wanted.pop("wheels", {})}
    lines = []
    for name, data in wheels.items():
        home = "03_Source" if name.startswith("ragtrace-") else "02_Dependencies/wheels"
        contents[f"{home}/{name}"] = (data, "wheel")
        project, number = name.split("-")[:2]
        lines.append(f"{project}=={number} --hash=sha256:{sha256_bytes(data)}\n")
    contents["02_Dependencies/wheels/README.txt"] = (b"wheels\n", "document")
    contents["02_Dependencies/requirements-linux-x86_64.txt"] = ("".join(lines).encode(), "requirements")
    contents["03_Source/README.md"] = (f"source of {version} 원본\n".encode(), "source")
    contents["03_Source/config.default/ragtrace.yaml"] = (b"language: ko\n", "config")
    contents.update(_tools(wanted.pop("tools", "tiny")))
    if "validator" in wanted:
        contents["06_Verification/enterprise_validator.py"] = (wanted.pop("validator").encode(), "validator")
    contents.update({f"07_Models/{name}": (data, "model") for name, data in wanted.pop("models", {}).items()})
    contents.update({name: (data, "document") for name, data in wanted.pop("files", {}).items()})
    contents.update({name: (data, "installer") for name, data in wanted.pop("scripts", {}).items()})
    contents.update({name: (data, "trust") for name, data in trust.files(wanted.pop("records", ())).items()})
    if "archive" in wanted:
        contents[f"01_Prerequisites/python-{HERE}.tar.gz"] = (wanted.pop("archive"), "interpreter")
    service = None
    if serve is not None:
        declared = None if data_format is None else _declared(data_format)
        service = ServiceSpec("ragtrace", ("serve",), "127.0.0.1", port, "/readyz", timeout, declared)
    files = _write(folder, contents, wanted.pop("uv", b""))
    manifest = _manifest(version, service, wanted, files)
    sealed = seal(manifest, [key])
    for name, data in sealed.files():
        (folder / name).write_bytes(data)
    return Bundle(folder, key, manifest, manifest_digest(manifest.to_bytes()))


def _declared(data: Mapping[str, Any]) -> DataFormat:
    own = {name: data[name] for name in ("version", "migrates", "irreversible") if name in data}
    return DataFormat(**{"migrate": ("migrate", "{data}"), **own})


def _wheel(version: str, serve: str | None, data: Mapping[str, Any] | None = None) -> bytes:
    source = SERVICE.format(version=version, mode=serve)
    files = {"ragtrace/__init__.py": f"VERSION = {version!r}\n", "ragtrace/__main__.py": source}
    if data is not None:
        behaviour = {"migration": "good", "spoil": "", **data}
        files["ragtrace/data.py"] = DATA.format(**behaviour)
        files["ragtrace/__main__.py"] = "import ragtrace.data\n" + source
    return wheel_bytes("ragtrace", version, files)


def _tools(kind: str) -> dict[str, tuple[bytes, str]]:
    if kind == "tiny":
        return {"04_Scripts/install.py": (b"print('installer')\n", "installer")}
    scripts = REPOSITORY / "bundle_template" / "04_Scripts"
    found = {f"04_Scripts/{name}": (scripts / name).read_bytes() for name in ("install.py", "install.sh")}
    for package in ("bundle", "installer"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            found[f"04_Scripts/{path.relative_to(REPOSITORY).as_posix()}"] = path.read_bytes()
    return {name: (data, "installer") for name, data in found.items()}


def _write(folder: Path, contents: Mapping[str, tuple[bytes, str]], uv: bytes) -> tuple[FileEntry, ...]:
    entries = []
    for name, (data, kind) in sorted(contents.items()):
        path = folder.joinpath(*name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        mode = 0o755 if name.endswith((".sh", "install.py")) else 0o644
        path.chmod(mode)
        entries.append(FileEntry(name, len(data), sha256_bytes(data), mode, kind, "test"))
    return (_place_uv(folder, uv), *entries)


def _place_uv(folder: Path, program: bytes) -> FileEntry:
    place = folder / "01_Prerequisites" / UV_WHEEL
    place.parent.mkdir(parents=True, exist_ok=True)
    if program:
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr(zipfile.ZipInfo("uv-0.0.data/scripts/uv", (2020, 1, 1, 0, 0, 0)), program)
        return FileEntry(f"01_Prerequisites/{place.name}", *sha256_file(place), 0o644, "uv", "uv 0.0")
    wheel, size, digest = uv_wheel()
    try:
        os.link(wheel, place)
    except OSError:
        shutil.copyfile(wheel, place)
    return FileEntry(f"01_Prerequisites/{wheel.name}", size, digest, 0o644, "uv", "uv 0.0")


def _manifest(
    version: str, service: ServiceSpec | None, wanted: dict[str, Any], files: tuple[FileEntry, ...]
) -> Manifest:
    target: dict[str, Any] = {
        "name": "linux-x86_64",
        "os": "linux",
        "arch": "x86_64",
        "libc": "glibc",
        "libc_min": "2.17",
        "pythons": (HERE,),
    }
    target.update({name: wanted.pop(name) for name in list(wanted) if name in target})
    fields: dict[str, Any] = {
        "product": "ragtrace-enterprise",
        "version": version,
        "profile": "starter",
        "sequence": 1,
        "created": "2026-11-20T00:00:00Z",
        "expires": None,
        "target": Target(**target),
        "project": Project("ragtrace", version),
        "service": service,
        "memory_mb": 16,
        "installed_bytes": 100_000,
        "packages": (Package("ragtrace", version, (HERE,)),),
        "files": files,
    }
    return Manifest(**{**fields, **wanted})
