"""The container files without a container engine: every step of the Dockerfile is carried out as an engine would.

The base image is a Debian root, the build runs in it by `chroot` without a network, and the container is a set of
namespaces with a read-only root, the image's user and no right at all. What only an engine does - layers, its own
networks, the health check's clock - is not tried here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder import containers
from builder.sealing.signing import SigningKey
from tests.builder.test_containers import instructions, plan_of
from tests.support.bundles import REPOSITORY, Bundle, make_bundle

from .host_root import HostKind, layered_root, release
from .tools import HarnessError, run_here

pytestmark = pytest.mark.isolated
PORT = 8412


@dataclass
class Image:
    """A root folder and what the Dockerfile says about running it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)


def build(
    dockerfile: str, context: Path, root: Path, arguments: dict[str, str], secrets: dict[str, Path]
) -> Image:
    """Carry out a Dockerfile of the instructions that ours uses; any other is an error."""
    image, known = Image(root), {}
    for line in instructions(dockerfile):
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word == "ARG":
            known[rest] = arguments[rest]
        elif word == "FROM":
            assert rest == "${BASE_IMAGE}"
        elif word in ("LABEL", "ENV"):
            pairs = dict(item.split("=", 1) for item in shlex.split(_filled(rest, known)))
            (image.labels if word == "LABEL" else image.environment).update(pairs)
        elif word == "RUN":
            _run(rest, context, root, known, secrets)
        elif word == "USER":
            image.user = rest
        elif word == "WORKDIR":
            image.folder = rest
        elif word in ("VOLUME", "ENTRYPOINT", "CMD"):
            setattr(image, {"VOLUME": "volumes", "CMD": "command"}.get(word, "entrypoint"), json.loads(rest))
        else:
            assert word in ("EXPOSE", "STOPSIGNAL", "HEALTHCHECK"), word
    return image


def _filled(text: str, known: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: known[found.group(1)], text)


def _run(text: str, context: Path, root: Path, known: dict[str, str], secrets: dict[str, Path]) -> None:
    """One RUN: its mounts, no network, the rest to the shell; the mounts are gone afterwards."""
    script = f"mount -t proc proc {shlex.quote(str(root))}/proc\n"
    assert "--network=none" in text
    while match := re.match(r"\s*--(\w+)=(\S+)\s", text):
        text = text[match.end() :]
        options = dict(item.partition("=")[::2] for item in match.group(2).split(","))
        if match.group(1) == "mount":
            secret = options["type"] == "secret"
            source = secrets[options["id"]] if secret else context / options["source"]
            target = root / options["target"].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch() if secret else target.mkdir(exist_ok=True)
            script += (
                f"mount --bind {shlex.quote(str(source))} {target} && mount -o remount,bind,ro {target}\n"
            )
    script += f'exec chroot {shlex.quote(str(root))} /bin/sh -c "$1"\n'
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **known}
    run_here(
        ["unshare", "--net", "--mount", "--pid", "--fork", "sh", "-ec", script, "run", text.strip()],
        env=environment, timeout=300,
    ).expect()  # fmt: skip


@contextmanager
def running(image: Image, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a container: a read-only root, no network but loopback, the image's user without any right.

    Volumes are filled as an engine fills empty ones. Every program becomes the next, so that the process returned
    is the service itself.
    """
    root = shlex.quote(str(image.root))
    lines = [
        f"mount --rbind {root} {root}",
        f"cd {root}",
        "mount -o remount,bind,ro .",
        "mount -t proc proc proc",
    ]
    for volume in image.volumes:
        place = folder / volume.strip("/").replace("/", "-")
        if not place.exists():
            run_here(["cp", "-a", f"{image.root}{volume}", str(place)]).expect()
        lines.append(f"mount --bind {shlex.quote(str(place))} .{volume}")
    lines += ["mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs tmp", 'exec chroot . "$@"']
    uid, gid = image.user.split(":")
    rights = [
        "--reuid",
        uid,
        "--regid",
        gid,
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]
    command = [
        sys.executable,
        "-m",
        "tests.support.namespace",
        "unshare",
        "--mount",
        "sh",
        "-ec",
        "\n".join(lines),
    ]
    command += ["run", "setpriv", *rights, "env", "-i", "-C", image.folder, "PATH=/usr/bin:/bin"]
    command += [f"{name}={value}" for name, value in image.environment.items()]
    child = subprocess.Popen(
        [*command, *image.entrypoint, *(words or image.command)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def inside(child: subprocess.Popen[str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a running container, as its user."""
    user = [
        "setpriv",
        "--reuid",
        "10001",
        "--regid",
        "10001",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
    ]
    enter = ["nsenter", "-t", str(child.pid), "-m", "-n", "-r", "-w", *user, *words]
    environment = dict(
        item.split("=", 1) for item in Path(f"/proc/{child.pid}/environ").read_text().split("\0") if item
    )
    return subprocess.run(enter, env=environment, capture_output=True, text=True, check=False, timeout=60)


def healthy(child: subprocess.Popen[str], image: Image) -> subprocess.CompletedProcess[str]:
    """Ask as the health check does, until it is well or ten seconds have passed."""
    deadline = monotonic() + 10
    while True:
        asked = inside(child, *image.entrypoint, "healthy")
        if asked.returncode == 0 or monotonic() > deadline or child.poll() is not None:
            return asked
        sleep(0.1)


@pytest.fixture(scope="module")
def bundle(run_folder: Path) -> Bundle:
    """A small bundle with its own container files."""
    plan = plan_of(port=PORT, memory_limit_mb=256, ready_timeout_s=20)
    staged = containers.stage_containers(plan)
    scripts = {item.entry.path: item.source for item in staged if isinstance(item.source, bytes)}
    return make_bundle(run_folder / "bundle", version="1.2.3", port=PORT, tools="full", scripts=scripts)


@pytest.fixture(scope="module")
def base(run_folder: Path) -> Iterator[Path]:
    """The base image: a Debian with Python."""
    root = layered_root(HostKind(), run_folder / "base")
    yield root
    release(run_folder)


def built(bundle: Bundle, root: Path, digest: str = "", signers: str = "") -> Image:
    """Build the image as the README says."""
    anchor = bundle.root.with_name("allowed_signers")
    anchor.write_text(signers or bundle.key.allowed_signers())
    dockerfile = (bundle.root / "04_Scripts/docker/Dockerfile.offline").read_text()
    arguments = {"BASE_IMAGE": "base@sha256:0", "MANIFEST_SHA256": digest or bundle.digest}
    return build(dockerfile, bundle.root, root, arguments, {"allowed_signers": anchor})


@pytest.fixture(scope="module")
def image(bundle: Bundle, base: Path) -> Image:
    """The image."""
    return built(bundle, base)


def test_an_image_of_another_manifest_is_not_built(bundle: Bundle, base: Path) -> None:
    with pytest.raises(HarnessError, match="exit 1 "):
        built(bundle, base, digest=hashlib.sha256(b"another").hexdigest())
    assert not (base / "opt/ragtrace").exists()


def test_an_image_is_not_built_from_a_bundle_of_somebody_else(bundle: Bundle, base: Path) -> None:
    stranger = SigningKey(Ed25519PrivateKey.generate(), "builder@example").allowed_signers()
    with pytest.raises(HarnessError, match="exit 10 "):
        built(bundle, base, signers=stranger)
    assert not (base / "opt/ragtrace").exists()


def test_the_image_holds_the_release_and_nothing_of_the_bundle_or_the_secret(
    image: Image, bundle: Bundle
) -> None:
    assert image.labels["com.ragtrace.manifest"] == f"sha256:{bundle.digest}"
    assert os.readlink(image.root / "opt/ragtrace/current") == f"generations/{bundle.generation}"
    assert not any((image.root / "mnt/bundle").iterdir())
    assert (image.root / "run/secrets/allowed_signers").stat().st_size == 0
    assert not (image.root / "opt/ragtrace/store").exists()


def test_the_service_runs_read_only_without_rights_and_ends_with_the_signal(
    image: Image, tmp_path: Path
) -> None:
    with running(image, tmp_path) as child:
        asked = healthy(child, image)
        assert asked.returncode == 0 and asked.stdout == "ok\n", asked.stdout + asked.stderr
        status = Path(f"/proc/{child.pid}/status").read_text()
        assert re.search(r"^Uid:\s10001\s10001", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s1$", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s0+$", status, re.MULTILINE) and re.search(
            r"^CapBnd:\s0+$", status, re.MULTILINE
        )
        assert "venv" in Path(f"/proc/{child.pid}/cmdline").read_text()
        for place in ("/opt/ragtrace/x", "/opt/ragtrace/current/x", "/etc/x", "/var/tmp/x"):
            assert "Read-only file system" in inside(child, "touch", place).stderr, place
        assert inside(child, "touch", "/opt/ragtrace/data/x", "/tmp/x").returncode == 0
        child.terminate()
        assert child.wait(20) == -15


def test_empty_folders_in_place_of_volumes_get_the_default_configuration(
    image: Image, tmp_path: Path
) -> None:
    for name in ("opt-ragtrace-data", "opt-ragtrace-config"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 10001, 10001)
    with running(image, tmp_path) as child:
        assert healthy(child, image).returncode == 0
    written = tmp_path / "opt-ragtrace-config/ragtrace.yaml"
    assert written.read_text() == "language: ko\n" and written.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "opt-ragtrace-data/logs").is_dir()


def test_a_volume_that_belongs_to_somebody_else_is_told_with_the_remedy(image: Image, tmp_path: Path) -> None:
    for name in ("opt-ragtrace-data", "opt-ragtrace-config"):
        (tmp_path / name).mkdir(mode=0o755)
    with running(image, tmp_path) as child:
        said, _ = child.communicate(timeout=20)
        assert child.returncode == 12 and "chown -R 10001:10001" in said


def test_another_command_of_the_service_can_be_run_in_its_place(image: Image, tmp_path: Path) -> None:
    with running(image, tmp_path, "ragtrace", "version") as child:
        assert child.communicate(timeout=20)[0] == "1.2.3\n" and child.returncode == 0


def test_the_environment_of_the_container_wins_over_the_file_in_the_volume(
    image: Image, tmp_path: Path
) -> None:
    config = tmp_path / "opt-ragtrace-config"
    run_here(["cp", "-a", str(image.root / "opt/ragtrace/config"), str(config)]).expect()
    (config / ".env").write_text(
        "RAGTRACE_SERVER_HOST=127.0.0.1\nRAGTRACE_SERVER_PORT=9\nRAGTRACE_SECRET=kept\n"
    )
    with running(image, tmp_path) as child:
        assert healthy(child, image).returncode == 0
        environment = Path(f"/proc/{child.pid}/environ").read_text().split("\0")
        assert "RAGTRACE_SERVER_HOST=0.0.0.0" in environment and f"RAGTRACE_SERVER_PORT={PORT}" in environment
        assert "RAGTRACE_SECRET=kept" in environment and "HF_HUB_OFFLINE=1" in environment
