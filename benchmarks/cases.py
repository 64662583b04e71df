"""What is compared: build, download, packing, verification, installation, and peak memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import uv

from .measure import Command, Pair, Run, paired, run

REPOSITORY = Path(__file__).resolve().parent.parent
BUILD = "create_enterprise_offline.py"
# Larger than any buffer in the house, small enough to pack and verify in seconds.
LARGE_FILE_BYTES = 3_000_000_000


@dataclass(frozen=True)
class Row:
    """One line of the table, in words: what, against what, both sides, their ratio, the target, whether met."""

    name: str
    other: str
    ours: str
    theirs: str
    ratio: str
    target: str
    met: bool


class Bench:
    """A scratch folder with a built and an unpacked bundle, and the cases over it."""

    def __init__(self, folder: Path) -> None:
        """Build the starter bundle once, cold, and unpack it."""
        self.folder = folder
        self.cache = folder / "cache"
        self.environment = {"RAGTRACE_CACHE_DIR": str(self.cache), "XDG_CONFIG_HOME": str(folder / "config")}
        self.out = folder / "out"
        result = self.build(self.out)
        self.archive = Path(result["archive"])
        self.signers = Path(result["allowed_signers"])
        subprocess.run(["tar", "xzf", str(self.archive)], cwd=folder, check=True)
        self.tree = folder / self.archive.name.removesuffix(".tar.gz")

    def build(self, output: Path, *more: str) -> dict[str, str]:
        """Build and return the result document."""
        words = [
            sys.executable,
            str(REPOSITORY / BUILD),
            "build",
            "--json",
            "--output-dir",
            str(output),
            *more,
        ]
        done = subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True
        )
        document: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return document

    def warm_build(self) -> Row:
        """Build with everything cached, against copying and hashing the same bytes."""
        copy = self.folder / "copy"
        words = [sys.executable, str(REPOSITORY / BUILD), "--quiet", "--output-dir", str(self.out)]
        theirs = f"cp -r '{self.tree}' '{copy}' && find '{copy}' -type f -print0 | xargs -0 sha256sum"
        pair = paired(
            Command(words, self.folder, self.environment),
            Command(
                ["sh", "-c", theirs], self.folder, prepare=lambda: shutil.rmtree(copy, ignore_errors=True)
            ),
        )
        return at_most("build, warm cache", "cp -r + sha256sum of the same bytes", pair, 1.2)

    def download(self) -> Row:
        """Fetch the Python 3.11 set into an empty cache, against `pip download` of the same files."""
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        requirements = self.folder / "set.txt"
        requirements.write_text(self._requirements(here))
        cold, wheels = self.folder / "cold", self.folder / "pip-wheels"
        script = (
            "import sys; from pathlib import Path; from builder import fetch, options, planning; from builder.cache import Cache; "
            "from builder.commands.plan import requests; "
            "o = options.parser('en').parse_args(sys.argv[2:]); (r,) = requests(o); (p,) = planning.make_plans([r]); "
            "fetch.fetch(Cache(Path(sys.argv[1])), [a for a in p.artifacts if a.kind != 'uv'], lambda n: None)"
        )
        ours = [sys.executable, "-c", script, str(cold), "plan", "--python", here]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
        pip += ["--require-hashes", "-r", str(requirements), "-d", str(wheels)]
        pair = paired(
            Command(ours, REPOSITORY, prepare=lambda: shutil.rmtree(cold, ignore_errors=True)),
            Command(pip, self.folder, prepare=lambda: shutil.rmtree(wheels, ignore_errors=True)),
            times=3,
        )
        return faster("download, empty cache (wheels checked against RECORD)", "pip download", pair, 3.0)

    def packing(self) -> list[Row]:
        """Write the archive from the unpacked tree, against `tar cf` and `tar czf` of it."""
        script = (
            "import sys, json, os; from pathlib import Path; from bundle.archive import ArchiveWriter; "
            "from bundle.manifest import parse_manifest; from builder.transport.output import STORED_KINDS; root = Path(sys.argv[1]); "
            "s = open(sys.argv[2], 'wb', buffering=0); w = ArchiveWriter(s, 'Top', 0); "
            "[w.add(f'{t.name}/{e.path}', t / e.path, e.size, e.sha256, e.mode, store=e.kind in STORED_KINDS) "
            "for t in sorted(root.iterdir()) for e in parse_manifest((t / 'MANIFEST.json').read_bytes()).files]; "
            "w.close()"
        )
        # Five copies, a gigabyte: what is compared is the packing, not the start of an interpreter.
        five = self.folder / "five"
        for number in range(5):
            shutil.copytree(self.tree, five / str(number))
        place = str(self.folder / "packed.tar.gz")
        ours = Command([sys.executable, "-c", script, str(five), place], REPOSITORY)
        plain = paired(ours, Command(["tar", "cf", place + ".tar", five.name], self.folder))
        zipped = paired(ours, Command(["tar", "czf", place + ".tar", five.name], self.folder), times=1)
        shutil.rmtree(five)
        name = "packing 1 GB (every byte verified, archive hashed)"
        return [at_most(name, "tar cf", plain, 1.3), faster(name, "tar czf", zipped, 8.0)]

    def verification(self) -> Row:
        """`install.py --verify-only` (signature, names and every byte), against `sha256sum -c`."""
        ours = [
            sys.executable,
            "04_Scripts/install.py",
            "--verify-only",
            "--allowed-signers",
            str(self.signers),
        ]
        pair = paired(
            Command(ours, self.tree, operator=True),
            Command(["sha256sum", "-c", "--quiet", "checksums.sha256"], self.tree),
        )
        return faster("verification (with signature)", "sha256sum -c", pair, 1.6)

    def installation(self) -> list[Row]:
        """A whole verified installation without start, against bare uv and against pip."""
        prefix, venv = self.folder / "prefix", self.folder / "venv"
        ours = [sys.executable, "04_Scripts/install.py", "--prefix", str(prefix), "--no-start", "--quiet"]
        ours += ["--service-manager", "none", "--allowed-signers", str(self.signers)]
        find = ["--no-index", "--find-links", "02_Dependencies/wheels", "--find-links", "03_Source"]
        pins = [
            "--require-hashes",
            "-r",
            str(next((self.tree / "02_Dependencies").glob("requirements-*.txt"))),
        ]
        python = str(venv / "bin" / "python")
        tool = uv.find_uv_bin()
        bare = f"'{tool}' venv -q --python '{sys.executable}' '{venv}' && '{tool}' pip install -q --offline --no-cache "
        pip = f"'{sys.executable}' -m venv '{venv}' && '{python}' -m pip install -q --disable-pip-version-check "

        def clean() -> None:
            shutil.rmtree(prefix, ignore_errors=True)
            shutil.rmtree(venv, ignore_errors=True)

        installer = Command(ours, self.tree, prepare=clean, operator=True)
        with_uv = bare + f"--python '{python}' " + " ".join([*find, *pins])
        first = paired(installer, Command(["sh", "-c", with_uv], self.tree, prepare=clean))
        # What the far side needs besides is that the release survives a power cut: the same with a sync.
        durable = paired(installer, Command(["sh", "-c", f"{with_uv} && sync"], self.tree, prepare=clean))
        second = paired(
            installer,
            Command(["sh", "-c", pip + " ".join([*find, *pins])], self.tree, prepare=clean),
            times=3,
        )
        name = "installation (verified, receipt, synchronised to disk)"
        return [
            at_most(name, "uv venv + uv pip install --offline", first, 1.25),
            at_most(name, "the same, then sync", durable, 1.25),
            faster(name, "python -m venv + pip install --no-index", second, 8.0),
        ]

    def memory(self) -> list[Row]:
        """Peak memory of build and verification of a bundle that carries one very large file."""
        large = self.folder / "python-large.tar.gz"
        with large.open("wb") as stream:
            stream.truncate(LARGE_FILE_BYTES)
        output = self.folder / "large"
        words = [sys.executable, str(REPOSITORY / BUILD), "--quiet", "--output-dir", str(output)]
        built = run(Command([*words, "--python-archive", str(large)], self.folder, self.environment))
        (archive,) = output.glob("*.tar.gz")
        folder = self.folder / "unpacked"
        folder.mkdir()
        subprocess.run(["tar", "xzf", str(archive), "-C", str(folder), "--strip-components=1"], check=True)
        archive.unlink()
        prefix = self.folder / "prefix"
        shutil.rmtree(prefix, ignore_errors=True)
        install = [sys.executable, "04_Scripts/install.py", "--prefix", str(prefix), "--no-start", "--quiet"]
        install += ["--service-manager", "none", "--allowed-signers", str(output / "allowed_signers")]
        installed = run(Command(install, folder))
        shutil.rmtree(folder)
        size = f"bundle with a {LARGE_FILE_BYTES / 1e9:.0f} GB file"
        return [
            memory_row(f"builder, {size}", built.peak_mb, 150),
            memory_row(f"installer, {size}", installed.peak_mb, 150),
        ]

    def _requirements(self, python: str) -> str:
        words = [sys.executable, str(REPOSITORY / BUILD), "plan", "--json", "--python", python]
        done = subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True
        )
        artifacts = json.loads(done.stdout)["artifacts"]
        lines = [
            f"{a['name']}=={a['version']} --hash=sha256:{a['sha256']}\n"
            for a in artifacts
            if a["kind"] != "uv"
        ]
        return "".join(lines)


def at_most(name: str, other: str, pair: Pair, limit: float) -> Row:
    """Return the row of a pair that may take at most `limit` times as long as the other side."""
    ratio = f"{pair.ratio:.2f} × ({pair.lowest:.2f}–{pair.highest:.2f})"
    return Row(
        name, other, seconds(pair.ours), seconds(pair.theirs), ratio, f"≤ {limit:g} ×", pair.ratio <= limit
    )


def faster(name: str, other: str, pair: Pair, wanted: float) -> Row:
    """Return the row of a pair that must be at least `wanted` times as fast as the other side."""
    ratio = f"{1 / pair.ratio:.1f} × faster ({1 / pair.highest:.1f}–{1 / pair.lowest:.1f})"
    met = 1 / pair.ratio >= wanted
    return Row(name, other, seconds(pair.ours), seconds(pair.theirs), ratio, f"≥ {wanted:g} × faster", met)


def memory_row(name: str, peak_mb: float, limit: float) -> Row:
    """Return the row of a peak memory."""
    return Row(name, "", f"{peak_mb:.0f} MB", "", "", f"< {limit:g} MB", peak_mb < limit)


def seconds(taken: Run) -> str:
    """Return the wall time as text."""
    return f"{taken.seconds:.2f} s"
