"""The table of attacks. `docs/explanation/threat-model.md` lists the same names; a test compares the two.

Every attack is a bundle (or what an attacker did to the host) and the command an operator would give. `code` is
the exit code, `says` what the English error holds. Those with `early` are refused before the prefix exists at all. Those
with `upon` are aimed at a host with an installed release, which must go on running.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bundle import layout, limits
from bundle.manifest import Package
from bundle.trustrecords import Carried
from installer import accepted
from installer.store import object_path
from tests.support import renewals
from tests.support.carrying import pack
from tests.support.tampering import changes
from tests.support.trust import KeyHouse
from tests.support.wheels import wheel_bytes

from .bench import SMALL_UV, Bench, Document, tar_gz

INTEGRITY, POLICY, PREFLIGHT = 10, 11, 12


@dataclass(frozen=True)
class Attack:
    """One attack: what is done, and how it must end."""

    area: str
    prepare: Callable[[Bench], list[str]]
    says: str
    code: int = INTEGRITY
    early: bool = True
    upon: bool = False


# --- signature -----------------------------------------------------------------------------------------------


def removed(name: str) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        made = bench.bundle()
        (made.root / name).unlink()
        return bench.words(made)

    return prepare


def signature_bytes(make: Callable[[Bench, bytes], bytes]) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        made = bench.bundle()
        manifest = (made.root / layout.MANIFEST).read_bytes()
        (made.root / layout.SIGNATURE).write_bytes(make(bench, manifest))
        return bench.words(made)

    return prepare


def _flipped(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    middle = bytearray(lines[len(lines) // 2])
    middle[10] = ord("A") if middle[10] != ord("A") else ord("B")
    lines[len(lines) // 2] = bytes(middle)
    return b"".join(lines)


def no_anchor(bench: Bench) -> list[str]:
    made = bench.bundle(key=bench.mallory)
    return ["--bundle", str(made.root)]


def anchor_inside(bench: Bench) -> list[str]:
    line = bench.mallory.allowed_signers().encode()
    made = bench.bundle(key=bench.mallory, files={"05_Documentation/allowed_signers": line})
    return ["--bundle", str(made.root)]


def one_key_twice(bench: Bench) -> list[str]:
    made = bench.bundle()
    (made.root / layout.SIGNATURES[1]).write_bytes((made.root / layout.SIGNATURE).read_bytes())
    return bench.words(made, "--require-signatures", "2")


def too_few(bench: Bench) -> list[str]:
    return bench.words(bench.bundle(), "--require-signatures", "2")


def stranger_beside(bench: Bench) -> list[str]:
    made = bench.bundle()
    manifest = (made.root / layout.MANIFEST).read_bytes()
    (made.root / layout.SIGNATURES[1]).write_bytes(bench.mallory.sign(manifest))
    return bench.words(made, "--require-signatures", "2")


def lapsed(bench: Bench) -> list[str]:
    signers = bench.folder / "signers"
    signers.write_text(f'builder valid-before="20200101Z" {bench.key.public.openssh()}\n')
    return ["--bundle", str(bench.bundle().root), "--allowed-signers", str(signers)]


# --- manifest ------------------------------------------------------------------------------------------------


def field(**values: object) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        return bench.edited(lambda document: document.update(values))

    return prepare


def first_file(**values: object) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        return bench.edited(lambda document: document["files"][0].update(values))

    return prepare


def text(change: Callable[[str], str]) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        made = bench.bundle()
        data = (made.root / layout.MANIFEST).read_text(encoding="utf-8")
        return bench.resigned(change(data).encode("utf-8", "surrogateescape"), made)

    return prepare


def changed_after_signing(bench: Bench) -> list[str]:
    made = bench.bundle()
    place = made.root / layout.MANIFEST
    place.write_bytes(place.read_bytes().replace(b'"version": "1.0.0"', b'"version": "1.0.1"'))
    return bench.words(made)


def oversized(bench: Bench) -> list[str]:
    made = bench.bundle()
    with (made.root / layout.MANIFEST).open("r+b") as stream:
        stream.truncate(65 * 1024 * 1024)
    return bench.words(made)


def another_platform(bench: Bench) -> list[str]:
    return bench.words(bench.bundle(os="windows", arch="aarch64"))


# --- names and the tree --------------------------------------------------------------------------------------


def named(*paths: str) -> Callable[[Bench], list[str]]:
    return lambda bench: bench.named(*paths)


def in_tree(change: Callable[[Path], object]) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        made = bench.bundle(models={"m/weights.safetensors": b"weights" * 1000})
        change(made.root)
        return bench.words(made)

    return prepare


def replaced_by(
    make: Callable[[Path], object], name: str = "03_Source/README.md"
) -> Callable[[Bench], list[str]]:
    def change(root: Path) -> None:
        (root / name).unlink()
        make(root / name)

    return in_tree(change)


def linked_folder(root: Path) -> None:
    os.rename(root / "03_Source", root.parent / "elsewhere")
    (root / "03_Source").symlink_to(root.parent / "elsewhere")


def flipped_byte(name: str) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[len(data) // 2] ^= 1
        (root / name).unlink()
        (root / name).write_bytes(bytes(data))

    return change


# --- archives: the carried interpreter -----------------------------------------------------------------------

PYTHON = ("python/bin/python3", b"#!/bin/sh\nexit 0\n")


def interpreter(*members: tuple[str, object]) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        # For a Python that no host has, so that the carried one is unpacked.
        made = bench.bundle(archive=tar_gz(*members), pythons=("3.99",))  # type: ignore[arg-type]
        return bench.words(made)

    return prepare


# --- wheels --------------------------------------------------------------------------------------------------


def wheel(**description: object) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        data = wheel_bytes("evil", "1.0", **description)  # type: ignore[arg-type]
        return bench.words(bench.bundle(wheels={"evil-1.0-py3-none-any.whl": data}))

    return prepare


def not_the_required_wheel(bench: Bench) -> list[str]:
    """The requirements ask for another digest than that of the wheel which the manifest declares."""

    def edit(document: Document) -> None:
        (requirements,) = [item for item in document["files"] if item["kind"] == "requirements"]
        requirements.update(size=len(lines), sha256=digest)

    made = bench.bundle()
    place = made.root / "02_Dependencies" / "requirements-linux-x86_64.txt"
    lines = place.read_bytes().split(b"sha256:")[0] + b"sha256:" + b"0" * 64 + b"\n"
    place.write_bytes(lines)
    import hashlib

    digest = hashlib.sha256(lines).hexdigest()
    document = json.loads((made.root / layout.MANIFEST).read_bytes())
    edit(document)
    return bench.resigned(json.dumps(document).encode(), made)


# --- transport -----------------------------------------------------------------------------------------------


def archive(name: str) -> Callable[[Bench], list[str]]:
    """An archive tampered with as `tests.support.tampering` describes under this name."""

    def prepare(bench: Bench) -> list[str]:
        change = dict(changes("RAGTrace-Enterprise-1.0.0-linux-x86_64"))[name]
        return bench.words(bench.archive(change))

    return prepare


def truncated_archive(bench: Bench) -> list[str]:
    place = bench.archive(lambda members: None)
    os.truncate(place, place.stat().st_size * 2 // 3)
    return bench.words(place)


def volumes(change: Callable[[Bench, Path], object]) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        made = bench.bundle(uv=SMALL_UV, models={"m/weights.safetensors": os.urandom(300_000)})
        packed = pack(made, bench.folder / "volumes", volume_size=100_000)
        change(bench, packed.folder)
        return bench.words(packed.folder)

    return prepare


def foreign_volume(bench: Bench, folder: Path) -> None:
    other = bench.bundle(uv=SMALL_UV, models={"m/weights.safetensors": os.urandom(300_000)})
    strange = pack(other, bench.folder / "others", volume_size=100_000).folder
    (name,) = sorted(path.name for path in folder.glob("*.002*"))[:1]
    (folder / name).write_bytes(next(strange.glob("*.002*")).read_bytes())


def flipped_volume(bench: Bench, folder: Path) -> None:
    (place,) = sorted(folder.glob("*.002*"))[:1]
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(bytes(data))


def forged_index(bench: Bench, folder: Path) -> None:
    (index,) = folder.glob("*volumes.json")
    index.write_bytes(index.read_bytes().replace(b'"size"', b'"Size"', 1))


def delta_without_base(bench: Bench) -> list[str]:
    old = bench.bundle(version="0.9.0", sequence=1, models={"m/weights.safetensors": b"old weights" * 1000})
    new = bench.bundle(models={"m/weights.safetensors": b"old weights" * 1000})
    packed = pack(new, bench.folder / "delta", old)
    return ["--delta", *bench.words(packed.path)[1:]]


def delta_over_a_poisoned_store(bench: Bench) -> list[str]:
    """What the delta leaves out lies in the store, but somebody changed it there."""
    new = bench.bundle()
    packed = pack(new, bench.folder / "delta", bench.installed)
    (shared,) = [item for item in new.manifest.files if item.path == "02_Dependencies/wheels/README.txt"]
    poisoned = object_path(bench.site.prefix, shared.sha256)
    poisoned.unlink()
    poisoned.write_bytes(b"evil!\n!")
    return ["--delta", *bench.words(packed.path)[1:]]


# --- trust over time -----------------------------------------------------------------------------------------


def downgrade(bench: Bench) -> list[str]:
    return bench.words(bench.bundle(version="0.0.1", sequence=1))


def not_the_pinned_signer(bench: Bench) -> list[str]:
    made = bench.bundle(key=bench.mallory, sequence=9)
    return ["--bundle", str(made.root), "--service-manager", "process", "--allow-unverified-origin"]


def revoked_signer(bench: Bench) -> list[str]:
    """The key was lost and revoked by the last upgrade; who found it signs a bundle."""
    house = KeyHouse({"a": bench.key})
    house.record(["b"], by=["a"], revoked=["a"])
    made = bench.bundle(sequence=3, key=house.key("b"), records=house.records)
    words = ["--bundle", str(made.root), "--service-manager", "process"]
    assert bench.site.run(*words).code == 0
    bench.good = made
    return bench.words(bench.bundle(sequence=4))


def stolen_rotation(bench: Bench) -> list[str]:
    """A record by a stranger makes the stranger trusted."""
    house = KeyHouse({"mallory": bench.mallory})
    house.record(["mallory"], by=["mallory"])
    made = bench.bundle(sequence=3, key=bench.mallory, records=house.records)
    return ["--bundle", str(made.root), "--service-manager", "process"]


def clock_set_back(bench: Bench) -> list[str]:
    """The bundle has expired, and somebody set the host's clock back to a day when it had not."""
    known = accepted.read(bench.site.prefix)
    accepted.write(bench.site.prefix, replace(known, newest="2031-01-01T00:00:00Z"))
    return bench.words(bench.bundle(sequence=3, expires="2030-01-01T00:00:00Z"))


# --- advisory snapshots that are carried alone ---------------------------------------------------------------


def snapshot(
    change: Callable[[bytes], bytes] = lambda data: data,
    namespace: str = layout.ADVISORIES_NAMESPACE,
    **description: object,
) -> Callable[[Bench], list[str]]:
    """A snapshot for the installed release that is genuine but for one thing, signed after the change."""

    def prepare(bench: Bench) -> list[str]:
        made = renewals.renewal(bench.installed.manifest, **description)  # type: ignore[arg-type]
        return renewed(bench, renewals.signed(change(made.to_bytes()), bench.key, namespace=namespace))

    return prepare


def renewed(bench: Bench, carried: Carried, *words: str) -> list[str]:
    return ["--advisories", str(renewals.write(bench.folder / "usb", carried)), *words]


def genuine(bench: Bench, date: str = "") -> Carried:
    return renewals.signed(renewals.renewal(bench.installed.manifest, date), bench.key)


def forged_snapshot(bench: Bench) -> list[str]:
    made = renewals.renewal(bench.installed.manifest)
    return renewed(bench, renewals.signed(made, bench.mallory), "--allow-unverified-origin")


def unsigned_snapshot(bench: Bench) -> list[str]:
    return renewed(bench, genuine(bench)._replace(signatures=()))


def edited_snapshot(bench: Bench) -> list[str]:
    carried = genuine(bench)
    return renewed(bench, carried._replace(data=carried.data.replace(b'"a test"', b'"b test"')))


def manifest_as_snapshot(bench: Bench) -> list[str]:
    root = bench.installed.root
    files = [(root / name).read_bytes() for name in (layout.MANIFEST, layout.SIGNATURE)]
    return renewed(bench, Carried(renewals.NAME, files[0], (files[1],)))


def replayed_snapshot(bench: Bench) -> list[str]:
    """Genuine, from the time before a flaw became known."""
    assert bench.site.run(*renewed(bench, genuine(bench, renewals.day(-1)))).code == 0
    return renewed(bench, genuine(bench, renewals.day(-2)))


def snapshot_of_other_packages(bench: Bench) -> list[str]:
    """Genuine, for the packages of the release before: of those of this one it says nothing."""
    newer = bench.bundle(sequence=3, packages=(Package("alpha", "2.0", ("3.11",)),))
    assert bench.site.run(*bench.words(newer)).code == 0
    earlier, bench.good = genuine(bench), newer
    return renewed(bench, earlier)


def snapshot_by_a_revoked_key(bench: Bench) -> list[str]:
    revoked_signer(bench)
    return renewed(bench, genuine(bench), "--trust-fingerprint", bench.key.public.fingerprint)


def one_signer_of_two(bench: Bench) -> list[str]:
    """The second signature is a copy of the first."""
    carried = genuine(bench)
    return renewed(bench, carried._replace(signatures=carried.signatures * 2), "--require-signatures", "2")


def snapshot_is(make: Callable[[Path], object]) -> Callable[[Bench], list[str]]:
    def prepare(bench: Bench) -> list[str]:
        words = renewed(bench, genuine(bench))
        Path(words[1]).unlink()
        make(Path(words[1]))
        return words

    return prepare


# --- what was planted on the host ----------------------------------------------------------------------------


def prefix_is_a_link(bench: Bench) -> list[str]:
    bench.site.root.symlink_to(bench.folder / "elsewhere")
    return bench.words(bench.bundle())


def lock_is_a_link(bench: Bench) -> list[str]:
    bench.site.prefix.lock.unlink()
    bench.site.prefix.lock.symlink_to(bench.folder / "victim")
    return bench.words(bench.bundle(sequence=3))


def settings_are_a_link(bench: Bench) -> list[str]:
    (bench.folder / "victim").write_text("precious\n")
    bench.site.prefix.settings.unlink()
    bench.site.prefix.settings.symlink_to(bench.folder / "victim")
    return bench.words(bench.bundle(sequence=3), "--port", "1")


ATTACKS: dict[str, Attack] = {
    "unsigned": Attack("signature", removed(layout.SIGNATURE), "not signed"),
    "signature-flipped": Attack(
        "signature", signature_bytes(lambda b, m: _flipped(b.key.sign(m))), "signature"
    ),
    "signature-of-another-manifest": Attack(
        "signature", signature_bytes(lambda b, m: b.key.sign(m + b" ")), "signature"
    ),
    "signature-for-another-purpose": Attack(
        "signature", signature_bytes(lambda b, m: b.key.sign(m, "git")), "namespace"
    ),
    "signature-by-a-stranger": Attack(
        "signature", signature_bytes(lambda b, m: b.mallory.sign(m)), "not by a signer you trust"
    ),
    "signature-oversized": Attack(
        "signature", signature_bytes(lambda b, m: b.key.sign(m) + b"\n" * 20_000), "size limit"
    ),
    "no-anchor": Attack("signature", no_anchor, "origin not verified"),
    "anchor-inside-the-bundle": Attack("signature", anchor_inside, "origin not verified"),
    "one-key-signs-twice": Attack("signature", one_key_twice, "by one key"),
    "too-few-signers": Attack("signature", too_few, "too few trusted signers", POLICY),
    "stranger-as-second-signer": Attack("signature", stranger_beside, "too few trusted signers", POLICY),
    "signers-line-lapsed": Attack("signature", lapsed, "not in force"),
    "manifest-changed-after-signing": Attack("manifest", changed_after_signing, "signature"),
    "manifest-oversized": Attack("manifest", oversized, "size limit"),
    "manifest-duplicate-key": Attack(
        "manifest", text(lambda t: t.replace("{", '{"sequence": 1, ', 1)), "manifest is refused"
    ),
    "manifest-nan": Attack(
        "manifest", text(lambda t: t.replace('"sequence": 2', '"sequence": NaN')), "manifest is refused"
    ),
    "manifest-too-deep": Attack(
        "manifest",
        text(lambda t: t.replace("{", '{"x": ' + "[" * 5000 + "]" * 5000 + ", ", 1)),
        "manifest is refused",
    ),
    "manifest-huge-number": Attack("manifest", field(sequence=10**400), "manifest is refused"),
    "manifest-not-utf-8": Attack(
        "manifest", text(lambda t: t.replace('"starter"', '"\udcff"')), "manifest is refused"
    ),
    "manifest-unknown-critical-field": Attack(
        "manifest", field(critical=["evil"], evil=1), "critical fields this installer does not know"
    ),
    "manifest-of-a-newer-format": Attack("manifest", field(format_version=99), "manifest is refused"),
    "another-product": Attack("manifest", field(product="other"), "another product", POLICY),
    "expired": Attack("manifest", field(expires="2020-01-01T00:00:00Z"), "expired", POLICY),
    "another-platform": Attack("manifest", another_platform, "[platform]", PREFLIGHT),
    "negative-size": Attack("manifest", first_file(size=-1), "manifest is refused"),
    "digest-of-another-form": Attack("manifest", first_file(sha256="md5"), "manifest is refused"),
    "set-user-id-mode": Attack("manifest", first_file(mode=0o4755), "manifest is refused"),
    "name-climbs-out": Attack("names", named("../evil"), "manifest is refused"),
    "name-climbs-out-inside": Attack("names", named("03_Source/../../evil"), "manifest is refused"),
    "name-absolute": Attack("names", named("/etc/cron.d/evil"), "manifest is refused"),
    "name-with-a-backslash": Attack("names", named("03_Source\\..\\..\\evil"), "manifest is refused"),
    "name-with-a-drive": Attack("names", named("C:/evil"), "manifest is refused"),
    "name-with-a-stream": Attack("names", named("03_Source/a.txt:evil"), "manifest is refused"),
    "name-of-a-device": Attack("names", named("03_Source/aux.txt"), "manifest is refused"),
    "name-ends-in-a-dot": Attack("names", named("03_Source/a."), "manifest is refused"),
    "name-with-a-line-end": Attack("names", named("03_Source/a\nb"), "manifest is refused"),
    "name-decomposed": Attack("names", named("03_Source/\u1112\u1161\u11ab"), "manifest is refused"),
    "names-differ-by-case": Attack("names", named("03_Source/a", "03_Source/A"), "manifest is refused"),
    "name-declared-twice": Attack("names", named("03_Source/a", "03_Source/a"), "manifest is refused"),
    "file-and-folder-of-one-name": Attack(
        "names", named("03_Source/a", "03_Source/a/b"), "manifest is refused"
    ),
    "name-too-long": Attack("names", named("03_Source/" + "n" * 300), "manifest is refused"),
    "name-of-the-manifest": Attack("names", named("MANIFEST.json"), "manifest is refused"),
    "undeclared-file": Attack(
        "names",
        in_tree(lambda root: (root / "02_Dependencies/wheels/evil-1.0-py3-none-any.whl").write_bytes(b"")),
        "undeclared file",
    ),
    "undeclared-link": Attack(
        "names",
        in_tree(lambda root: (root / "03_Source/x").symlink_to("/etc")),
        "undeclared file",
    ),
    "missing-file": Attack(
        "names", in_tree(lambda root: (root / "03_Source/README.md").unlink()), "missing file"
    ),
    "changed-byte": Attack("names", in_tree(flipped_byte("04_Scripts/install.py")), "changed bytes"),
    "checksums-tell-another-story": Attack(
        "names",
        in_tree(lambda root: (root / layout.CHECKSUMS).write_bytes(b"")),
        "differs from the signed manifest",
    ),
    "link-in-place-of-a-file": Attack(
        "names", replaced_by(lambda place: place.symlink_to("/etc/passwd")), "not a regular file"
    ),
    "pipe-in-place-of-a-file": Attack("names", replaced_by(os.mkfifo), "not a regular file"),
    "pipe-in-place-of-the-manifest": Attack(
        "names", replaced_by(os.mkfifo, layout.MANIFEST), "not a regular file"
    ),
    "folder-is-a-link": Attack("names", in_tree(linked_folder), "undeclared file"),
    "interpreter-climbs-out": Attack(
        "archives", interpreter(PYTHON, ("python/../../../evil", b"x")), "leads out of the tree", early=False
    ),
    "interpreter-absolute-name": Attack(
        "archives", interpreter(PYTHON, ("/tmp/ragtrace-evil", b"x")), "leads out of the tree", early=False
    ),
    "interpreter-link-out": Attack(
        "archives",
        interpreter(
            PYTHON, ("python/out", {"type": b"2", "linkname": "../../../../etc"}), ("python/out/evil", b"x")
        ),
        "leads out of the tree",
        early=False,
    ),
    "interpreter-hard-link-out": Attack(
        "archives",
        interpreter(PYTHON, ("python/passwd", {"type": b"1", "linkname": "../../etc/passwd"})),
        "leads out of the tree",
        early=False,
    ),
    "interpreter-device": Attack(
        "archives",
        interpreter(PYTHON, ("python/null", {"type": b"3"})),
        "neither file, folder nor link",
        early=False,
    ),
    "interpreter-bomb": Attack(
        "archives",
        interpreter(PYTHON, ("python/zeros", bytes(60_000_000))),
        "unpacks to more than the limit",
        early=False,
    ),
    "wheel-record-lies": Attack(
        "wheels", wheel(files={"evil.py": "x"}, record={"evil.py": "sha256=AAAA,1"}), "evil.py", early=False
    ),
    "wheel-record-names-a-missing-file": Attack(
        "wheels", wheel(record={"ghost.py": "sha256=AAAA,1"}), "ghost.py", early=False
    ),
    "wheel-climbs-out": Attack(
        "wheels", wheel(extra_members={"../../../../../evil.py": b"x"}), "zip-name", early=False
    ),
    "wheel-absolute-name": Attack(
        "wheels", wheel(extra_members={"/tmp/ragtrace-evil": b"x"}), "zip-name", early=False
    ),
    "wheel-not-the-required-one": Attack("wheels", not_the_required_wheel, "ragtrace", code=13, early=False),
    "model-changed-byte": Attack(
        "models", in_tree(flipped_byte("07_Models/m/weights.safetensors")), "changed bytes"
    ),
    "model-truncated": Attack(
        "models",
        in_tree(lambda root: os.truncate(root / "07_Models/m/weights.safetensors", 10)),
        "size differs",
    ),
    "model-is-a-link": Attack(
        "models",
        replaced_by(lambda p: p.symlink_to("/etc/hostname"), "07_Models/m/weights.safetensors"),
        "not a regular file",
    ),
    "model-file-planted": Attack(
        "models",
        in_tree(lambda root: (root / "07_Models/m/modeling_evil.py").write_bytes(b"x")),
        "undeclared file",
    ),
    "archive-climbs-out": Attack("transport", archive("traversal"), "", early=False),
    "archive-absolute-name": Attack("transport", archive("absolute"), "", early=False),
    "archive-outside-its-folder": Attack("transport", archive("outside the top folder"), "", early=False),
    "archive-undeclared-file": Attack("transport", archive("undeclared"), "", early=False),
    "archive-symbolic-link": Attack("transport", archive("symbolic link"), "", early=False),
    "archive-hard-link": Attack("transport", archive("hard link"), "", early=False),
    "archive-device": Attack("transport", archive("device"), "", early=False),
    "archive-endless-name": Attack("transport", archive("long name"), "", early=False),
    "archive-file-twice": Attack("transport", archive("twice"), "", early=False),
    "archive-second-manifest": Attack("transport", archive("second manifest"), "", early=False),
    "archive-manifest-not-first": Attack("transport", archive("manifest not first"), ""),
    "archive-unsigned": Attack("transport", archive("no signature"), ""),
    "archive-missing-file": Attack("transport", archive("missing file"), "", early=False),
    "archive-changed-bytes": Attack("transport", archive("changed bytes"), "", early=False),
    "archive-other-length": Attack("transport", archive("other length"), "", early=False),
    "archive-changed-manifest": Attack("transport", archive("changed manifest"), ""),
    "archive-changed-checksums": Attack("transport", archive("changed checksums"), ""),
    "archive-top-folder-climbs-out": Attack("transport", archive("top folder out of the place"), ""),
    "archive-top-folder-of-two": Attack("transport", archive("top folder of two"), ""),
    "archive-truncated": Attack("transport", truncated_archive, "", early=False),
    "volume-of-another-bundle": Attack("transport", volumes(foreign_volume), "002", early=False),
    "volume-changed-byte": Attack("transport", volumes(flipped_volume), "002", early=False),
    "volume-missing": Attack("transport", volumes(lambda b, f: next(f.glob("*.002*")).unlink()), "002"),
    "volume-index-forged": Attack("transport", volumes(forged_index), "signature"),
    "volume-index-unsigned": Attack(
        "transport", volumes(lambda b, f: next(f.glob("*volumes.json.sig")).unlink()), ""
    ),
    "delta-without-its-base": Attack("transport", delta_without_base, "weights.safetensors"),
    "delta-over-a-poisoned-store": Attack("transport", delta_over_a_poisoned_store, "README.txt", upon=True),
    "downgrade": Attack("manifest", downgrade, "older bundle", POLICY, upon=True),
    "not-the-pinned-signer": Attack(
        "signature", not_the_pinned_signer, "not by a signer you trust", upon=True
    ),
    "revoked-signer": Attack("signature", revoked_signer, "revoked since", upon=True),
    "strangers-trust-record": Attack("signature", stolen_rotation, "not by a signer you trust", upon=True),
    "clock-set-back": Attack("manifest", clock_set_back, "has expired", POLICY, upon=True),
    "snapshot-forged": Attack("advisories", forged_snapshot, "not by a signer you trust", upon=True),
    "snapshot-unsigned": Attack("advisories", unsigned_snapshot, "is not signed", upon=True),
    "snapshot-changed-after-signing": Attack("advisories", edited_snapshot, "does not fit", upon=True),
    "snapshot-for-another-purpose": Attack(
        "advisories", snapshot(namespace=layout.NAMESPACE), "namespace", upon=True
    ),
    "snapshot-is-a-manifest": Attack("advisories", manifest_as_snapshot, "namespace", upon=True),
    "snapshot-signed-twice-by-one-key": Attack("advisories", one_signer_of_two, "by one key", upon=True),
    "snapshot-by-a-revoked-key": Attack("advisories", snapshot_by_a_revoked_key, "revoked since", upon=True),
    "snapshot-replayed": Attack("advisories", replayed_snapshot, "an older advisory", POLICY, upon=True),
    "snapshot-from-the-future": Attack(
        "advisories", snapshot(date=renewals.day(400)), "from the future", POLICY, upon=True
    ),
    "snapshot-of-another-product": Attack(
        "advisories", snapshot(product="another-product"), "another product", POLICY, upon=True
    ),
    "snapshot-of-other-packages": Attack(
        "advisories", snapshot_of_other_packages, "alpha 2.0", POLICY, upon=True
    ),
    "snapshot-oversized": Attack(
        "advisories", snapshot(lambda data: data + b" " * limits.ADVISORIES_BYTES), "size limit", upon=True
    ),
    "snapshot-duplicate-key": Attack(
        "advisories",
        snapshot(lambda data: data.replace(b"{", b'{"product": "another", ', 1)),
        "duplicate key",
        upon=True,
    ),
    "snapshot-too-deep": Attack(
        "advisories",
        snapshot(lambda data: data.replace(b"{", b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b", ", 1)),
        "nested too deeply",
        upon=True,
    ),
    "snapshot-turns-the-terminal": Attack(
        "advisories",
        snapshot(lambda data: data.replace(b'"a test"', b'"a \\u001b[2J test"')),
        "snapshot is refused",
        upon=True,
    ),
    "snapshot-is-a-pipe": Attack("advisories", snapshot_is(os.mkfifo), "not a regular file", upon=True),
    "snapshot-is-a-link": Attack(
        "advisories",
        snapshot_is(lambda place: place.symlink_to("/etc/passwd")),
        "not a regular file",
        upon=True,
    ),
    "lock-is-a-link": Attack("host", lock_is_a_link, "link", 13, upon=True),
    "settings-are-a-link": Attack("host", settings_are_a_link, "link", 14, upon=True),
    "wheel-command-climbs-out": Attack(
        "wheels",
        wheel(entry_points="[console_scripts]\n../../../../evil = evil:main\n"),
        "script-name",
        early=False,
    ),
    "wheel-not-in-record": Attack(
        "wheels", wheel(extra_members={"planted.py": b"x"}), "planted.py", early=False
    ),
}
