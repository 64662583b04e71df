"""Whatever a bundle arrives as - a tree, an archive, volumes, deltas - the same release comes out, or nothing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.hashing import sha256_bytes
from installer import receipt, store
from tests.support.bundles import Bundle
from tests.support.carrying import Carried, pack
from tests.support.wheels import wheel_bytes

from .site import Run, Site

Make = Callable[..., Bundle]
WEIGHTS = random.Random(1).randbytes(300_000)
EPOCH = 1_700_000_000


def words(bundle: Bundle, *more: str) -> list[str]:
    return ["--trust-fingerprint", bundle.fingerprint, "--service-manager", "process", *more]


def install(site: Site, carried: Carried, *more: str, option: str = "--bundle", **options: Any) -> Run:
    return site.run(option, str(carried.path), *words(carried.bundle, *more), **options)


def require_whole(site: Site, bundle: Bundle) -> None:
    """Refuse anything but the complete, running release, every content in the store, and nothing else."""
    assert (site.active(), site.answering()) == (bundle.generation, bundle.generation)
    folder = site.prefix.generation(bundle.generation)
    assert receipt.differences(folder, receipt.read(folder)) == []
    assert site.undeclared() == []
    shelf = store.Shelf(site.prefix)
    assert [entry.path for entry in bundle.manifest.files if not shelf.has(entry)] == []
    modes = {oct(path.stat().st_mode & 0o7777) for path in store.objects(site.prefix)}
    assert modes == {"0o644"}
    assert not site.prefix.incoming.exists()
    assert not site.prefix.scratch.exists()


def releases(bundle_for: Make, count: int = 2) -> list[Bundle]:
    """Releases that share their weights and differ in code, the later ones also by a wheel each."""
    made = []
    for number in range(1, count + 1):
        extra = {
            f"extra{n}-1.0-py3-none-any.whl": wheel_bytes(f"extra{n}", "1.0", {f"extra{n}.py": f"N = {n}\n"})
            for n in range(1, number)
        }
        made.append(
            bundle_for(
                version=f"{number}.0.0",
                sequence=number,
                models={"m/w.safetensors": WEIGHTS},
                wheels=extra,
                tools="full",
            )
        )
    return made


def test_a_tree_leaves_every_content_in_the_store(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for(models={"m/w.bin": WEIGHTS})
    assert site.install(bundle).code == 0
    require_whole(site, bundle)


def test_an_archive_is_installed_without_being_unpacked(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    bundle = bundle_for(models={"m/w.bin": WEIGHTS}, tools="full")
    carried = pack(bundle, tmp_path / "usb")
    before = sorted(carried.folder.iterdir())
    done = install(site, carried, "--json")
    assert done.code == 0, done.err + done.out
    assert (done.document["action"], done.document["origin"]) == ("install", "verified")
    require_whole(site, bundle)
    assert sorted(carried.folder.iterdir()) == before
    model = site.prefix.generation(bundle.generation) / "models/m/w.bin"
    assert model.stat().st_nlink == 2, "in the store and in the release, and nowhere else"


def test_what_a_path_holds_counts_not_its_name(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    carried = pack(bundle_for(), tmp_path / "usb")
    odd = carried.path.rename(carried.folder / "RELEASE 1.bin")
    assert site.run("--bundle", str(odd), *words(carried.bundle)).code == 0
    require_whole(site, carried.bundle)


@pytest.mark.parametrize("given", ("folder", "index", "volume"))
def test_volumes_are_installed_from_their_folder_their_index_or_one_of_them(
    site: Site, bundle_for: Make, tmp_path: Path, given: str
) -> None:
    bundle = bundle_for(models={"m/w.bin": WEIGHTS})
    carried = pack(bundle, tmp_path / "usb", volume_size=12_000_000)
    volumes = sorted(carried.folder.glob("*.tar.gz.0*"))
    assert len(volumes) > 2
    index = next(carried.folder.glob("*.volumes.json"))
    path = {"folder": carried.folder, "index": index, "volume": volumes[1]}[given]
    done = site.run("--bundle", str(path), *words(bundle))
    assert done.code == 0, done.err
    require_whole(site, bundle)


def test_a_missing_volume_is_named_before_anything_is_written(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    bundle = bundle_for()
    carried = pack(bundle, tmp_path / "usb", volume_size=12_000_000)
    lost = sorted(carried.folder.glob("*.tar.gz.0*"))[1]
    lost.unlink()
    done = site.run("--bundle", str(carried.folder), *words(bundle))
    assert (done.code, lost.name in done.err) == (10, True), done.err
    assert not site.root.exists()


def test_a_damaged_volume_is_named_and_the_old_release_stays(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    first, second = releases(bundle_for)
    assert site.install(first).code == 0
    before = sorted(path.name for path in store.objects(site.prefix))
    carried = pack(second, tmp_path / "usb", volume_size=12_000_000)
    bad = sorted(carried.folder.glob("*.tar.gz.0*"))[1]
    with bad.open("r+b") as stream:
        stream.seek(1_000_000)
        stream.write(b"\0damage\0")
    done = site.run("--bundle", str(carried.folder), *words(second))
    assert (done.code, bad.name in done.err) == (10, True), done.err
    require_whole(site, first)
    assert sorted(path.name for path in store.objects(site.prefix)) == before


@pytest.mark.parametrize("kind", ("truncated", "changed", "appended"))
def test_a_damaged_archive_changes_nothing(site: Site, bundle_for: Make, tmp_path: Path, kind: str) -> None:
    first, second = releases(bundle_for)
    assert site.install(first).code == 0
    carried = pack(second, tmp_path / "usb")
    data = bytearray(carried.path.read_bytes())
    if kind == "truncated":
        del data[len(data) // 2 :]
    elif kind == "changed":
        place = bytes(data).index(WEIGHTS[1000:1100])
        data[place] ^= 1
    else:
        data += b"more"
    carried.path.write_bytes(bytes(data))
    done = install(site, carried)
    assert done.code == 10, done.err
    require_whole(site, first)


def test_an_archive_by_somebody_else_is_refused_before_anything_is_written(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    from tests.support.bundles import make_bundle

    stranger = make_bundle(tmp_path / "stranger", port=site.port)
    carried = pack(stranger, tmp_path / "usb")
    known = bundle_for()
    done = site.run("--bundle", str(carried.path), *words(known))
    assert done.code == 10
    assert not site.root.exists()


def test_what_is_neither_folder_archive_nor_index_is_a_wrong_command(site: Site, tmp_path: Path) -> None:
    (tmp_path / "notes.tar.gz").write_bytes(b"not at all")
    done = site.run("--bundle", str(tmp_path / "notes.tar.gz"))
    assert done.code == 2
    assert site.run("--bundle", str(tmp_path / "nothing")).code == 2
    assert not site.root.exists()


def test_a_delta_needs_no_old_bundle(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    first, second = releases(bundle_for)
    assert site.install(first).code == 0
    shutil.rmtree(first.root)
    carried = pack(second, tmp_path / "usb", base=first)
    assert carried.path.stat().st_size < len(WEIGHTS) / 2
    done = install(site, carried, "--json", option="--delta")
    assert done.code == 0, done.err + done.out
    require_whole(site, second)
    assert site.run("--rollback").code == 0
    assert site.answering() == first.generation


def test_a_delta_may_be_cut_into_volumes(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    first, second = releases(bundle_for)
    site.install(first)
    carried = pack(second, tmp_path / "usb", base=first, volume_size=20_000)
    assert site.run("--delta", str(carried.folder), *words(second)).code == 0
    require_whole(site, second)


def test_a_chain_of_deltas_is_one_upgrade(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    one, two, three = releases(bundle_for, 3)
    site.install(one)
    a, b = pack(two, tmp_path / "a", base=one), pack(three, tmp_path / "b", base=two)
    done = site.run("--delta", str(a.path), "--delta", str(b.path), *words(three))
    assert done.code == 0, done.err
    require_whole(site, three)
    assert sorted(os.listdir(site.prefix.generations)) == [one.generation, three.generation]


def test_a_bundle_and_its_deltas_install_on_an_empty_host(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    one, two, three = releases(bundle_for, 3)
    deltas = pack(two, tmp_path / "a", base=one), pack(three, tmp_path / "b", base=two)
    given = ["--delta", str(deltas[0].path), "--delta", str(deltas[1].path)]
    done = site.run("--bundle", str(one.root), *given, *words(three))
    assert done.code == 0, done.err
    require_whole(site, three)


def test_deltas_in_the_wrong_order_are_a_wrong_command(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    one, two, three = releases(bundle_for, 3)
    site.install(one)
    a, b = pack(two, tmp_path / "a", base=one), pack(three, tmp_path / "b", base=two)
    done = site.run("--delta", str(b.path), "--delta", str(a.path), *words(three))
    assert done.code == 2, done.err
    require_whole(site, one)


def test_a_delta_without_its_base_names_what_is_missing_and_the_remedy(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    first, second = releases(bundle_for)
    carried = pack(second, tmp_path / "usb", base=first)
    done = install(site, carried, option="--delta")
    assert done.code == 10, done.err
    for expected in ("07_Models/m/w.safetensors", "1.0.0 linux-x86_64 sequence 1", "--bundle", "full bundle"):
        assert expected in done.err
    assert "03_Source/ragtrace-2.0.0" not in done.err, "the delta has that itself"
    assert not site.root.exists()


def test_a_lost_delta_is_named_and_replaced_by_the_full_bundle(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    one, two, three = releases(bundle_for, 3)
    site.install(one)
    before = sorted(path.name for path in store.objects(site.prefix))
    carried = pack(three, tmp_path / "usb", base=two)
    done = install(site, carried, option="--delta")
    assert (done.code, "extra1-1.0" in done.err) == (10, True), done.err
    assert "m/w.safetensors" not in done.err, "the store has that"
    require_whole(site, one)
    assert sorted(path.name for path in store.objects(site.prefix)) == before
    assert install(site, pack(three, tmp_path / "full")).code == 0
    require_whole(site, three)


def test_a_tampered_base_is_noticed_and_named(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    first, second = releases(bundle_for)
    site.install(first)
    carried = pack(second, tmp_path / "usb", base=first)
    tamper(site, sha256_bytes(WEIGHTS))
    done = install(site, carried, option="--delta")
    assert (done.code, "m/w.safetensors" in done.err) == (10, True), done.err
    assert site.active() == first.generation


def test_what_only_the_stream_itself_shows_to_be_missing_is_named_too(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    """By their number nothing is missing: the store has by chance one of the contents that the delta brings."""
    first, second = releases(bundle_for)
    site.install(first)
    carried = pack(second, tmp_path / "usb", base=first)
    extra = next(entry for entry in second.manifest.files if "extra1-1.0" in entry.path)
    store.Shelf(site.prefix).put(second.root / extra.path, extra)
    store.object_path(site.prefix, sha256_bytes(WEIGHTS)).unlink()
    done = install(site, carried, option="--delta")
    assert (done.code, "m/w.safetensors" in done.err) == (10, True), done.err
    assert site.answering() == first.generation
    assert site.undeclared() == []


def tamper(site: Site, digest: str) -> Path:
    """Change one byte of a stored object, size and times as before."""
    path = store.object_path(site.prefix, digest)
    status = path.stat()
    with path.open("r+b") as stream:
        stream.seek(100)
        byte = stream.read(1)
        stream.seek(100)
        stream.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return path


def test_a_tampered_object_is_replaced_by_an_upgrade_that_brings_it(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    first, second = releases(bundle_for)
    site.install(first)
    tamper(site, sha256_bytes(WEIGHTS))
    assert install(site, pack(second, tmp_path / "usb")).code == 0
    require_whole(site, second)
    model = site.prefix.generation(second.generation) / "models/m/w.safetensors"
    assert model.read_bytes() == WEIGHTS


def test_a_code_only_upgrade_writes_no_model_byte_again(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    first, second = releases(bundle_for)
    site.install(first)
    place = store.object_path(site.prefix, sha256_bytes(WEIGHTS))
    before = (place.stat().st_ino, place.stat().st_mtime_ns)
    assert site.install(second).code == 0
    assert (place.stat().st_ino, place.stat().st_mtime_ns) == before
    model = site.prefix.generation(second.generation) / "models/m/w.safetensors"
    assert model.stat().st_ino == place.stat().st_ino


def test_a_model_is_read_once_beyond_verification(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    """Seen by a trace of the files opened for reading, in the process of an upgrade."""
    first, second = releases(bundle_for)
    site.install(first)
    hook = tmp_path / "hook"
    hook.mkdir()
    log = tmp_path / "opened"
    (hook / "sitecustomize.py").write_text(
        "import os, sys\n"
        f"out = os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "def see(event, arguments):\n"
        "    if event == 'open' and isinstance(arguments[0], str) and not (arguments[2] or 0) & 3:\n"
        "        os.write(out, os.fsencode(arguments[0]) + b'\\n')\n"
        "sys.addaudithook(see)\n"
    )
    path = f"{hook}{os.pathsep}{Path(__file__).resolve().parents[2]}"
    assert site.install(second, environment={"PYTHONPATH": path}).code == 0
    opened = log.read_text(errors="replace").splitlines()
    stored = str(store.object_path(site.prefix, sha256_bytes(WEIGHTS)))
    inside = str(site.prefix.generation(second.generation) / "models/m/w.safetensors")
    # Once to compare it, once more (no byte is read) to synchronise it.
    assert opened.count(stored) <= 2
    assert inside not in opened


def test_a_killed_stream_is_resumed_and_nothing_is_left_undeclared(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    first = bundle_for(version="1.0.0", sequence=1)
    assert site.install(first).code == 0
    models = {f"m/{n:02}.bin": random.Random(n).randbytes(4_000_000) for n in range(12)}
    second = bundle_for(version="2.0.0", sequence=2, models=models)
    carried = pack(second, tmp_path / "usb")
    command = site.command("--bundle", str(carried.path), *words(second))
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    digests = [sha256_bytes(data) for data in models.values()]
    deadline = time.monotonic() + 60
    while sum(store.object_path(site.prefix, digest).exists() for digest in digests) < 2:
        assert process.poll() is None, "it was too quick to be killed"
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {
        digest: store.object_path(site.prefix, digest).stat().st_ino
        for digest in digests
        if store.object_path(site.prefix, digest).exists()
    }
    assert site.answering() == first.generation
    # Another command recovers: the half-written object goes, the finished ones are declared and wait.
    assert site.run("--start").code == 0
    assert site.undeclared() == []
    assert {digest: store.object_path(site.prefix, digest).stat().st_ino for digest in kept} == kept
    assert install(site, carried).code == 0
    require_whole(site, second)
    assert {digest: store.object_path(site.prefix, digest).stat().st_ino for digest in kept} == kept


def test_an_upgrade_that_is_undone_leaves_nothing_in_the_store(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    first = bundle_for()
    site.install(first)
    before = sorted(path.name for path in store.objects(site.prefix))
    bad = bundle_for(version="2.0.0", sequence=2, serve="crash", models={"m/w.bin": WEIGHTS})
    for given in (str(bad.root), str(pack(bad, tmp_path / "usb").path)):
        assert site.run("--bundle", given, *words(bad)).code == 16
        assert sorted(path.name for path in store.objects(site.prefix)) == before
        require_whole(site, first)


@pytest.mark.parametrize("form", ("archive", "delta", "volumes"))
def test_a_dry_run_verifies_everything_and_writes_nothing(
    site: Site, bundle_for: Make, tmp_path: Path, form: str
) -> None:
    first, second = releases(bundle_for)
    site.install(first)
    forms: dict[str, dict[str, Any]] = {"delta": {"base": first}, "volumes": {"volume_size": 12_000_000}}
    wanted = forms.get(form, {})
    carried = pack(second, tmp_path / "usb", **wanted)
    before = snapshot(site.root)
    given = str(carried.path if form != "volumes" else carried.folder)
    option = "--delta" if form == "delta" else "--bundle"
    done = site.run(option, given, *words(second), "--dry-run", "--json")
    assert done.code == 0, done.err + done.out
    steps = {step["name"]: step for step in done.document["steps"]}
    assert list(steps)[:3] == ["generation", "contents", "environment"]
    new = sum({e.sha256: e.size for e in second.manifest.files}.values()) - sum(
        {e.sha256: e.size for e in second.manifest.files if e in first.manifest.files}.values()
    )
    assert steps["contents"]["bytes"] <= new
    assert snapshot(site.root) == before
    if form == "archive":
        data = bytearray(carried.path.read_bytes())
        data[bytes(data).index(WEIGHTS[1000:1100])] ^= 1
        carried.path.write_bytes(bytes(data))
        assert site.run(option, given, *words(second), "--dry-run").code == 10
        assert snapshot(site.root) == before


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Return every path below `root` with size and time of change, but for what the running service writes."""
    found = {}
    for path in sorted(root.rglob("*")):
        if "data" not in path.relative_to(root).parts[:1]:
            status = path.lstat()
            found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def test_a_dry_run_on_an_empty_host_leaves_no_prefix(site: Site, bundle_for: Make, tmp_path: Path) -> None:
    done = install(site, pack(bundle_for(), tmp_path / "usb"), "--dry-run")
    assert done.code == 0, done.err
    assert not site.root.exists()


def test_the_installed_copy_says_what_it_needs_and_takes_a_delta(
    site: Site, bundle_for: Make, tmp_path: Path
) -> None:
    import sys

    first, second = releases(bundle_for)
    site.install(first)
    copy = site.prefix.link / "tools" / "04_Scripts" / "install.py"
    alone = subprocess.run([sys.executable, str(copy)], capture_output=True, text=True, check=False)
    assert (alone.returncode, "--delta" in alone.stderr) == (2, True), alone.stderr
    carried = pack(second, tmp_path / "usb", base=first)
    done = subprocess.run([sys.executable, str(copy), "--delta", str(carried.path)], check=False)
    assert done.returncode == 0
    require_whole(site, second)


@pytest.mark.parametrize("form", ("tree", "archive"))
def test_a_model_larger_than_the_memory_allowed_passes_through(
    site: Site, bundle_for: Make, tmp_path: Path, form: str
) -> None:
    size = 300_000_000
    bundle = bundle_for(models={"m/w.bin": bytes(size)})
    given = bundle.root if form == "tree" else pack(bundle, tmp_path / "usb").path
    peak = tmp_path / "peak"
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(
        "import atexit\n"
        "def tell():\n"
        "    with open('/proc/self/status') as status:\n"
        "        line = next(line for line in status if line.startswith('VmHWM'))\n"
        f"    open({str(peak)!r}, 'a').write(line)\n"
        "atexit.register(tell)\n"
    )
    path = f"{tmp_path / 'hook'}{os.pathsep}{Path(__file__).resolve().parents[2]}"
    done = site.run("--bundle", str(given), *words(bundle), environment={"PYTHONPATH": path})
    assert done.code == 0, done.err
    peaks = [int(line.split()[1]) * 1024 for line in peak.read_text().splitlines()]
    assert max(peaks) < 100_000_000
    shutil.rmtree(site.prefix.store)
    shutil.rmtree(bundle.root)
