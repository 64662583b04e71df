"""Identical inputs give identical bytes, whoever builds, wherever, and whatever their machine says the time is."""

from __future__ import annotations

import ctypes
import datetime
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from builder import inputs
from builder.assessment.findings import AuditReport, Pinned
from builder.cache import Cache
from builder.sealing import keys, provenance
from bundle.trust import Anchors
from tests.support import carried_uv
from tests.support.index import Index, serve
from tests.support.projects import locked_project
from tests.support.wheels import sdist_bytes, wheel_bytes

CLOCK = Path(__file__).resolve().parent.parent / "support" / "clock"
COMMITTED = 1_790_000_000
DAY = 86_400
_CLONE_NEWUTS = 0x04000000


@dataclass(frozen=True)
class Box:
    """A build box: what about it differs from the next one, and must not matter."""

    root: Path
    project: Path
    cache: Path
    key: Path
    umask: int = 0o022
    hostname: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ("linux-x86_64",)

    def start(self) -> subprocess.Popen[str]:
        """Begin a build."""
        (self.root / "home").mkdir(parents=True)
        carried_uv.in_cache(Cache(self.cache))
        environment = {
            **os.environ,
            "HOME": str(self.root / "home"),
            "XDG_CONFIG_HOME": str(self.root / "home" / "config"),
            "RAGTRACE_CACHE_DIR": str(self.cache),
            "PYTHONPATH": str(inputs.REPOSITORY),
            **self.environment,
        }
        words = ["build", "--json", "--project-root", str(self.project), "--allow-build", "beta-pkg"]
        # What is known about vulnerabilities changes from day to day: it is an input, and given here.
        words += ["--advisories", str(self.key.with_name("advisories.json"))]
        words += [
            "--output-dir",
            str(self.root / "out"),
            "--signing-key",
            str(self.key),
            "--signer",
            "builder",
        ]
        words += [word for target in self.targets for word in ("--target", target)]
        return subprocess.Popen(
            [sys.executable, "-c", carried_uv.BUILDER, *words],
            cwd=self.root,
            env=environment,
            umask=self.umask,
            preexec_fn=self._move_in if self.hostname else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def build(self) -> dict[str, str]:
        """Build and return the digest of everything that was made, by name."""
        return self.made(self.start())

    def made(self, process: subprocess.Popen[str]) -> dict[str, str]:
        """Wait for a build and return the digest of everything that it made, by name."""
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        made = {path.name: path.read_bytes() for path in (self.root / "out").iterdir()}
        assert not [name for name in made if name.startswith(".")]
        return {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}

    def archive(self) -> Path:
        """Return the archive that was built."""
        (place,) = (self.root / "out").glob("*.tar.gz")
        return place

    def _move_in(self) -> None:
        """Give this process a host name of its own, where that is allowed."""
        libc = ctypes.CDLL(None, use_errno=True)
        name = self.hostname.encode()
        if libc.unshare(_CLONE_NEWUTS) == 0:
            libc.sethostname(name, len(name))


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    """Serve a pure wheel and an sdist whose backend writes the modes and times that it finds on disk."""
    content = Index()
    content.add("alpha-1.0-py3-none-any.whl", wheel_bytes("alpha", "1.0"))
    content.add("beta_pkg-2.0.tar.gz", sdist_bytes("beta_pkg", "2.0", backend=CARELESS))
    with serve(content):
        yield content


# As setuptools does it: members carry the mode and the time of the file on disk, and the METADATA is written
# into the tree first, under whatever umask there is.
CARELESS = """
import base64, hashlib, os, time, zipfile


def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = f"{NAME}-{VERSION}.dist-info"
    os.makedirs(info)
    texts = {
        "METADATA": f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n",
        "WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    rows = ""
    for name, text in texts.items():
        with open(f"{info}/{name}", "w") as stream:
            stream.write(text)
    names = [f"{info}/{name}" for name in texts] + [f"{NAME}/__init__.py"]
    for name in names:
        data = open(name, "rb").read()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows += f"{name},sha256={digest},{len(data)}\\n"
    with open(f"{info}/RECORD", "w") as stream:
        stream.write(rows + f"{info}/RECORD,,\\n")
    wheel = f"{NAME}-{VERSION}-py3-none-any.whl"
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for name in [*names, f"{info}/RECORD"]:
            status = os.stat(name)
            member = zipfile.ZipInfo(name, time.gmtime(min(epoch, int(status.st_mtime)))[:6])
            member.external_attr = (status.st_mode & 0xFFFF) << 16
            archive.writestr(member, open(name, "rb").read())
    return wheel
"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, index: Index) -> Path:
    """A project under version control, committed at a known time."""
    if shutil.which("git") is None:
        pytest.skip("needs git, whose last commit is the bundle's time")
    root = locked_project(tmp_path_factory.mktemp("origin") / "sample", index, ["alpha", "beta-pkg"])
    commit(root)
    return root


def commit(root: Path) -> None:
    """Put the project under version control."""
    date = f"{COMMITTED} +0900"
    environment = {
        **os.environ,
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_DATE": date,
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    who = ["-c", "user.name=t", "-c", "user.email=t@example"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], cwd=root, env=environment, check=True)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one key of all boxes, and beside it the advisory snapshot that all of them use."""
    path = tmp_path_factory.mktemp("key") / "key"
    packages = (Pinned("alpha", "1.0"), Pinned("beta-pkg", "2.0"))
    known = AuditReport("pip-audit", "2026-09-20T00:00:00Z", (), (), packages)
    path.with_name("advisories.json").write_bytes(known.to_bytes())
    keys.create_key(path, "builder", None)
    return path


@pytest.fixture(scope="module")
def reference(
    tmp_path_factory: pytest.TempPathFactory, origin: Path, key: Path
) -> tuple[Box, dict[str, str]]:
    """What an ordinary box makes, with an empty cache."""
    root = tmp_path_factory.mktemp("reference")
    box = Box(root, origin, root / "cache", key)
    return box, box.build()


def test_what_is_made_is_the_archive_its_digest_its_provenance_and_the_signers(
    reference: tuple[Box, dict[str, str]],
) -> None:
    names = sorted(name.partition("linux-x86_64")[2] or name for name in reference[1])
    assert {".tar.gz", ".tar.gz.sha256", ".tar.gz.intoto.jsonl", "allowed_signers"} <= set(names)


def elsewhere(origin: Path, place: Path) -> Path:
    """Check the project out at another path; every file is newer, and no mode is as it was."""
    root = place / "another path" / "and name"
    shutil.copytree(origin, root)
    for number, path in enumerate(sorted(root.rglob("*"))):
        if ".git" in path.parts:
            continue
        os.utime(path, (COMMITTED + number * DAY, COMMITTED + number * DAY))
        if path.is_file():
            path.chmod(0o600 if number % 2 else 0o664)
    return root


@pytest.mark.parametrize("umask", [0o077, 0o002, 0o027])
def test_the_umask_does_not_matter(
    reference: tuple[Box, dict[str, str]], origin: Path, key: Path, tmp_path: Path, umask: int
) -> None:
    """With an empty cache, so that the wheels are built under it too."""
    assert Box(tmp_path, origin, tmp_path / "cache", key, umask=umask).build() == reference[1]


def test_another_machine_at_another_time_does_not_matter(
    reference: tuple[Box, dict[str, str]], origin: Path, key: Path, tmp_path: Path
) -> None:
    """Other path, times and modes of the sources; other host, user's folder, time zone, language and clock."""
    box = Box(
        tmp_path / "상자",
        elsewhere(origin, tmp_path),
        tmp_path / "cache",
        key,
        umask=0o077,
        hostname="another-build-box",
        environment={
            "TZ": "Asia/Seoul",
            "LANG": "ko_KR.UTF-8",
            "LC_ALL": "C.UTF-8",
            "PYTHONHASHSEED": "4711",
            "USER": "somebody",
            "LOGNAME": "somebody",
            "TMPDIR": str(tmp_path),
            "PYTHONPATH": f"{CLOCK}:{inputs.REPOSITORY}",
            "RAGTRACE_TEST_CLOCK_SHIFT": str(400 * DAY),
        },
    )
    assert box.build() == reference[1]


def test_the_shifted_clock_is_one(tmp_path: Path) -> None:
    """What the test above leans on: a Python started this way believes that it is another year."""
    environment = {**os.environ, "PYTHONPATH": str(CLOCK), "RAGTRACE_TEST_CLOCK_SHIFT": str(400 * DAY)}
    script = "import time, datetime as d; print(time.time(), d.datetime.now(d.timezone.utc).timestamp(), time.mktime(time.localtime()))"
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    assert all(399 * DAY < float(word) - now < 401 * DAY for word in told.stdout.split())


def test_a_warm_cache_does_not_matter(
    reference: tuple[Box, dict[str, str]], origin: Path, key: Path, tmp_path: Path
) -> None:
    shutil.copytree(reference[0].cache, tmp_path / "cache")
    assert Box(tmp_path, origin, tmp_path / "cache", key).build() == reference[1]


def test_two_builds_at_once_that_share_an_empty_cache_make_the_same(
    reference: tuple[Box, dict[str, str]], origin: Path, key: Path, tmp_path: Path
) -> None:
    boxes = [Box(tmp_path / name, origin, tmp_path / "cache", key) for name in ("one", "other")]
    running = [box.start() for box in boxes]
    for box, process in zip(boxes, running, strict=True):
        assert box.made(process) == reference[1]


def test_two_targets_in_one_run_come_out_as_in_two_runs(
    reference: tuple[Box, dict[str, str]], origin: Path, key: Path, tmp_path: Path
) -> None:
    other = "linux-aarch64"
    alone = Box(tmp_path / "alone", origin, tmp_path / "cache", key, targets=(other,)).build()
    both = Box(tmp_path / "both", origin, tmp_path / "cache", key, targets=(other, "linux-x86_64")).build()
    assert both == {**alone, **reference[1]}


def test_a_changed_source_makes_another_archive_and_keeps_every_other_byte(
    reference: tuple[Box, dict[str, str]], origin: Path, key: Path, tmp_path: Path
) -> None:
    """That the digests above are compared at all: they do differ where an input does."""
    project = tmp_path / "project"
    shutil.copytree(origin, project)
    (project / "src" / "sample" / "more.py").write_text("MORE = 1\n")
    made = Box(tmp_path, project, tmp_path / "cache", key).build()
    changed = {name for name, digest in made.items() if reference[1][name] != digest}
    assert changed == set(made) - {"allowed_signers", "unpack.py", "unpack.py.sig"}


def test_every_time_in_the_archive_is_the_commits_and_nothing_names_a_machine(
    reference: tuple[Box, dict[str, str]],
) -> None:
    box = reference[0]
    # Bytes 4 to 8 of a gzip header are its time (RFC 1952).
    assert int.from_bytes(box.archive().read_bytes()[4:8], "little") in (0, COMMITTED)
    private = [str(box.root), str(box.project), str(box.cache), str(Path.home()), os.uname().nodename]
    with tarfile.open(box.archive()) as archive:
        for member in archive:
            assert (member.mtime, member.uid, member.gid) == (COMMITTED, 0, 0), member.name
            assert (member.uname, member.gname) == ("", "") and member.mode in (0o644, 0o755)
            stream = archive.extractfile(member)
            data = stream.read() if stream is not None else b""
            if member.name.endswith(".whl") and "uv-0.0" not in member.name:
                _times_in_wheel(member.name, data)
            if member.name.endswith((".json", ".csv", ".html", ".txt", ".md")):
                found = [word for word in private if len(word) > 4 and word.encode() in data]
                assert not found, (member.name, found)


def _times_in_wheel(name: str, data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        latest = datetime.datetime.fromtimestamp(COMMITTED, datetime.timezone.utc).timetuple()[:6]
        assert all(member.date_time <= latest for member in wheel.infolist()), name
        modes = {member.external_attr >> 16 & 0o777 for member in wheel.infolist()}
        assert modes <= {0, 0o644, 0o664, 0o755, 0o600}, name


def test_the_provenance_speaks_of_the_archive_and_of_no_machine(
    reference: tuple[Box, dict[str, str]],
) -> None:
    box, made = reference
    place = box.archive().with_name(f"{box.archive().name}.intoto.jsonl")
    anchors = Anchors((box.root / "out" / "allowed_signers").read_text())
    found = provenance.verify(place.read_bytes(), anchors, made[box.archive().name])
    assert found.origin.principal == "builder"
    names = {item["name"] for item in found.dependencies}
    assert names == {"alpha-1.0-py3-none-any.whl", "beta_pkg-2.0.tar.gz", carried_uv.FILENAME, "uv.lock"}
    assert str(box.project) not in json.dumps(found.statement)
