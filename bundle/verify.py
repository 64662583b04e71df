"""Verify an unpacked bundle before anything in it is used.

Order: size caps, trust records, signature, schema, the exact set of names, every byte, and only then is the
bundle handed on. Problems of the tree are collected and reported together.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from . import checksums, layout, limits, trust, trustrecords
from .errors import IntegrityError, PolicyError, SignatureError
from .hashing import hash_files, sha256_bytes
from .manifest import FileEntry, Manifest, manifest_digest, parse_manifest, parse_time
from .text import Text
from .trust import Anchors, Origin
from .trustrecords import Carried

_NOBODY = Anchors()
# A clock that runs further ahead of everything this host has seen is more likely wrong than right.
CLOCK_AHEAD = timedelta(days=3653)
# More findings than this help nobody; the count of the rest is given.
_SHOWN = 20


@dataclass(frozen=True)
class VerifiedBundle:
    """A bundle whose every byte has been compared with a signed manifest, which as many trusted signers as
    `required` have signed."""

    root: Path
    manifest: Manifest
    manifest_bytes: bytes
    signatures: Tuple[bytes, ...]
    digest: str
    origin: Origin
    required: int = 1

    def path(self, entry: FileEntry) -> Path:
        """Return where the entry's file lies."""
        return self.root.joinpath(*entry.path.split("/"))


@dataclass(frozen=True)
class SignedManifest:
    """A manifest whose signature fits; the files have not been looked at yet."""

    manifest: Manifest
    manifest_bytes: bytes
    signatures: Tuple[bytes, ...]
    origin: Origin


def open_bundle(
    root: Path,
    anchors: Anchors,
    *,
    allow_unverified_origin: bool = False,
    threads: Optional[int] = None,
    on_bytes: Optional[Callable[[int], None]] = None,
    now: Optional[datetime] = None,
) -> VerifiedBundle:
    """Verify the bundle unpacked at `root` and return it.

    Raises:
        SignatureError: unsigned, broken signature, or origin not verified and not allowed to be.
        IntegrityError: refused manifest, or missing, extra or changed files (all named).
        PolicyError: too few trusted signers, another product, or expired.
    """
    signed = read_signed_manifest(root, anchors, now)
    require_origin(signed.origin, allow_unverified_origin)
    require_signers(signed.origin, anchors.required)
    check_policy(signed.manifest, now, anchors)
    problems = check_tree(root, signed, threads=threads, on_bytes=on_bytes)
    if problems:
        shown = problems[:_SHOWN]
        if len(problems) > _SHOWN:
            rest = len(problems) - _SHOWN
            shown.append(Text(f"그 밖에 {rest}건", f"and {rest} more"))
        raise IntegrityError(
            Text(
                f"번들이 온전하지 않습니다: {len(problems)}건",
                f"the bundle is not intact: {len(problems)} finding(s)",
            ),
            where=str(root),
            details=shown,
            hint=Text("번들을 다시 반입하십시오", "carry the bundle in again"),
        )
    digest = manifest_digest(signed.manifest_bytes)
    return VerifiedBundle(
        root,
        signed.manifest,
        signed.manifest_bytes,
        signed.signatures,
        digest,
        signed.origin,
        anchors.required,
    )


def read_signed_manifest(root: Path, anchors: Anchors, now: Optional[datetime] = None) -> SignedManifest:
    """Read and verify MANIFEST.json and its signature only, and the trust records that speak of its signers.

    Raises:
        IntegrityError: there is no bundle at `root`, or its manifest is refused.
        SignatureError: there is no signature, or it does not hold.
    """
    data = read_capped(root / layout.MANIFEST, limits.MANIFEST_BYTES)
    if data is None:
        raise IntegrityError(
            Text("번들이 아닙니다: MANIFEST.json이 없습니다", "not a bundle: there is no MANIFEST.json"),
            where=str(root),
            hint=Text(
                "아카이브를 풀고 그 안의 04_Scripts/install.py를 실행하십시오",
                "unpack the archive and run the 04_Scripts/install.py inside it",
            ),
        )
    signatures = tuple(read_signatures(root))
    if not signatures:
        raise SignatureError(
            Text("서명되지 않은 번들입니다", "the bundle is not signed"),
            where=str(root / layout.SIGNATURE),
            hint=Text("서명된 번들을 다시 받으십시오", "get the signed bundle again"),
        )
    return judge(data, signatures, read_records(root.joinpath(*layout.TRUST.split("/"))), anchors, now)


def judge(
    data: bytes,
    signatures: Tuple[bytes, ...],
    carried: Sequence[Carried],
    anchors: Anchors,
    now: Optional[datetime] = None,
) -> SignedManifest:
    """Return the manifest whose bytes are `data`, verified by its signatures and the records beside it.

    Raises:
        IntegrityError: the manifest or a record is refused, or the records are not those it declares.
        SignatureError: a signature does not hold, or none is by a key that is trusted now.
    """
    keys = trust.signing_keys(data, signatures)
    anchors = trust.informed(anchors, carried, now)
    origin = trust.origin_of(keys, anchors, now)
    manifest = parse_manifest(data)
    _require_declared(manifest, carried)
    created = parse_time(manifest.created)
    if created > anchors.moment(now):
        # It is at least as late as the bundle says: a clock that was set back revives no signer.
        origin = trust.origin_of(keys, anchors, created)
    return SignedManifest(manifest, data, signatures, origin)


def _require_declared(manifest: Manifest, carried: Sequence[Carried]) -> None:
    """Refuse records that the manifest does not declare, or declares and that did not count."""
    inside = [
        entry
        for entry in manifest.files
        if entry.kind == "trust" or entry.path.startswith(layout.TRUST + "/")
    ]
    declared = {entry.path: (entry.kind, entry.size, entry.sha256) for entry in inside}
    found = {
        f"{layout.TRUST}/{name}": ("trust", len(content), sha256_bytes(content))
        for item in carried
        for name, content in item.files().items()
    }
    wrong = sorted(path for path in {*declared, *found} if declared.get(path) != found.get(path))
    if wrong:
        raise IntegrityError(
            Text(
                "번들의 키 기록이 서명된 매니페스트와 다릅니다",
                "the bundle's trust records are not those of the signed manifest",
            ),
            where=wrong[0],
            hint=Text("번들을 다시 반입하십시오", "carry the bundle in again"),
        )


def read_records(folder: Path) -> Tuple[Carried, ...]:
    """Read the trust records in a folder, from the first to the last number without a gap; nothing is believed.

    Raises:
        IntegrityError: a file that is not plain or over its size, signatures with a gap, or too many records.
    """
    files: Dict[str, bytes] = {}
    for number in range(1, limits.TRUST_RECORDS + 2):
        name = trustrecords.record_name(number)
        data = read_capped(folder / name, limits.TRUST_RECORD_BYTES)
        if data is None:
            break
        files[name] = data
        for each in trustrecords.signature_names(name):
            signature = read_capped(folder / each, limits.SIGNATURE_BYTES)
            if signature is not None:
                files[each] = signature
    return trustrecords.gather(files)


def read_signatures(root: Path) -> Iterator[bytes]:
    """Yield the signature files beside the manifest, in order, up to the first name that is not there."""
    for name in layout.SIGNATURES:
        data = read_capped(root / name, limits.SIGNATURE_BYTES)
        if data is None:
            return
        yield data


def require_origin(origin: Origin, allow_unverified: bool) -> None:
    """Refuse an unverified origin unless the operator allowed it.

    Raises:
        SignatureError: no anchor was given and the operator did not allow going without.
    """
    if origin.status != "verified" and not allow_unverified:
        raise SignatureError(
            origin.explanation,
            where=layout.SIGNATURE,
            hint=Text(
                f"--allowed-signers 파일 또는 --trust-fingerprint {origin.key.fingerprint} (다른 경로로 확인한 뒤), "
                "확인 없이 진행하려면 --allow-unverified-origin",
                f"give --allowed-signers FILE, or --trust-fingerprint {origin.key.fingerprint} after comparing it "
                "over another channel; --allow-unverified-origin goes on without",
            ),
        )


def require_signers(origin: Origin, required: int) -> None:
    """Refuse a bundle that fewer trusted keys signed than the operator asks for.

    Raises:
        PolicyError: naming those that did sign.
    """
    trusted = origin.trusted
    # One trusted signer is what `require_origin` is about.
    if required > 1 and len(trusted) < required:
        names = ", ".join(signer.principal for signer in trusted) or "-"
        raise PolicyError(
            Text(
                f"신뢰하는 서명자가 부족합니다: {len(trusted)}명, {required}명 필요",
                f"too few trusted signers: {len(trusted)} of {required}",
            ),
            where=names,
            hint=Text(
                "서명자들의 줄이 모두 allowed_signers에 있는지 확인하거나 모두가 서명한 번들을 받으십시오",
                "see that allowed_signers names all of them, or get the bundle that all of them signed",
            ),
        )


def check_policy(manifest: Manifest, now: Optional[datetime] = None, anchors: Anchors = _NOBODY) -> None:
    """Refuse another product's bundle and one that has expired.

    The time is the clock's, or the newest one that the installation has seen (`Anchors.newest`).

    Raises:
        PolicyError: with what is wrong.
    """
    if manifest.product != layout.PRODUCT:
        raise PolicyError(
            Text("다른 제품의 번들입니다", "the bundle is of another product"),
            where=f"product = {manifest.product}",
        )
    moment = anchors.moment(now)
    if manifest.expires is not None and moment >= parse_time(manifest.expires):
        raise PolicyError(
            Text("번들의 사용 기한이 지났습니다", "the bundle has expired"),
            where=f"expires = {manifest.expires}",
            details=[_judged(moment, anchors), *clock_warnings(manifest, anchors, now)],
            hint=Text("새 번들을 반입하십시오", "carry in a newer bundle"),
        )


def _judged(moment: datetime, anchors: Anchors) -> Text:
    shown = _shown(moment)
    if anchors.newest is not None and moment == anchors.newest:
        return Text(
            f"이 설치가 확인한 가장 늦은 시각 {shown}을 기준으로 판단했습니다",
            f"judged at {shown}, the newest time that this installation has seen",
        )
    return Text(f"호스트의 시계 {shown}을 기준으로 판단했습니다", f"judged at {shown}, by this host's clock")


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_warnings(
    manifest: Optional[Manifest], anchors: Anchors, now: Optional[datetime] = None
) -> List[Text]:
    """Return what to say where this host's clock disagrees with what is known to have been.

    Behind: it cannot show that a bundle, or a signer's line, has expired; the newest time known is taken in its
    place. Far ahead: whatever it says has expired may not have.
    """
    clock = now or datetime.now(timezone.utc)
    here = _shown(clock)
    warnings = []
    created = None if manifest is None else parse_time(manifest.created)
    if anchors.newest is not None and clock < anchors.newest:
        seen = _shown(anchors.newest)
        warnings.append(
            Text(
                f"호스트의 시계({here})가 이 설치가 이미 확인한 시각({seen})보다 이릅니다. "
                "기한은 늦은 쪽으로 판단합니다. 시계를 맞추십시오",
                f"this host's clock ({here}) is earlier than a time this installation has already seen ({seen}): "
                "expiry is judged by the later one; set the clock",
            )
        )
    if manifest is not None and created is not None and clock < created:
        warnings.append(
            Text(
                f"호스트의 시계({here})가 번들이 만들어진 시각({manifest.created})보다 이릅니다. "
                "사용 기한이 지났는지 알 수 없으니 시계를 맞추십시오",
                f"this host's clock ({here}) is earlier than the bundle ({manifest.created}): whether it has "
                "expired cannot be told; set the clock",
            )
        )
    known = [time for time in (anchors.newest, created) if time is not None]
    if known and clock > max(known) + CLOCK_AHEAD:
        seen = _shown(max(known))
        warnings.append(
            Text(
                f"호스트의 시계({here})가 알려진 가장 늦은 시각({seen})보다 10년 넘게 앞서 있습니다. "
                "시계가 틀렸다면 기한에 대한 판단도 틀립니다. 시계를 확인하십시오",
                f"this host's clock ({here}) is more than ten years ahead of the newest time known ({seen}): if it "
                "is wrong, so is what is said about expiry; check the clock",
            )
        )
    return warnings


def check_tree(
    root: Path,
    signed: SignedManifest,
    *,
    threads: Optional[int] = None,
    on_bytes: Optional[Callable[[int], None]] = None,
) -> List[Text]:
    """Compare the tree with the manifest and return every difference; an empty list means identical."""
    expected: Dict[str, FileEntry] = {entry.path: entry for entry in signed.manifest.files}
    metadata = {*layout.METADATA, *layout.SIGNATURES[: len(signed.signatures)]}
    problems: List[Text] = []
    present = set()
    for name, status in _walk(root):
        present.add(name)
        if name in expected:
            problem = _shape_problem(name, status, expected[name])
            if problem is not None:
                problems.append(problem)
                del expected[name]
        elif name not in metadata or not stat.S_ISREG(status.st_mode):
            problems.append(Text(f"선언되지 않은 파일: {name}", f"undeclared file: {name}"))
    for name in [*expected, *sorted(metadata)]:
        if name not in present:
            problems.append(Text(f"없는 파일: {name}", f"missing file: {name}"))
            expected.pop(name, None)
    paths = {root.joinpath(*name.split("/")): entry for name, entry in expected.items()}
    # Largest first: the last thread to finish then holds a small file, not the largest.
    ordered = sorted(paths, key=lambda path: -paths[path].size)
    for path, size, outcome in hash_files(ordered, threads, on_bytes):
        entry = paths[path]
        if isinstance(outcome, OSError):
            problems.append(
                Text(f"읽을 수 없음: {entry.path}: {outcome}", f"unreadable: {entry.path}: {outcome}")
            )
        elif (size, outcome) != (entry.size, entry.sha256):
            problems.append(Text(f"내용이 바뀜: {entry.path}", f"changed bytes: {entry.path}"))
    if layout.CHECKSUMS in present:
        problems += _checksum_problem(root, signed)
    return problems


def _checksum_problem(root: Path, signed: SignedManifest) -> List[Text]:
    wanted = checksums.bundle_checksums(signed.manifest, signed.manifest_bytes, signed.signatures[0])
    found = read_capped(root / layout.CHECKSUMS, len(wanted) + 1)
    if found == wanted:
        return []
    return [
        Text(
            "checksums.sha256이 서명된 매니페스트와 다릅니다",
            "checksums.sha256 differs from the signed manifest",
        )
    ]


def _shape_problem(name: str, status: os.stat_result, entry: FileEntry) -> Optional[Text]:
    if not stat.S_ISREG(status.st_mode):
        return Text(f"일반 파일이 아님: {name}", f"not a regular file: {name}")
    if status.st_size != entry.size:
        return Text(
            f"크기가 다름: {name}: {status.st_size} (선언 {entry.size})",
            f"size differs: {name}: {status.st_size} (declared {entry.size})",
        )
    return None


def _walk(root: Path) -> Iterator[Tuple[str, os.stat_result]]:
    """Yield every entry below `root` that is not a plain folder, by POSIX name; links are not followed."""
    stack = [("", root)]
    while stack:
        prefix, folder = stack.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    stack.append((name + "/", Path(entry.path)))
                else:
                    yield name, entry.stat(follow_symlinks=False)


def read_capped(path: Path, cap: int) -> Optional[bytes]:
    """Return a small file's bytes, or None where there is none; a link, a pipe or a device is refused."""
    # O_NONBLOCK: opening a pipe that somebody put there must not wait for a writer.
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IntegrityError(
            Text("일반 파일이 아니거나 읽을 수 없습니다", "not a regular file, or unreadable"),
            where=f"{path}: {error}",
        ) from error
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise IntegrityError(Text("일반 파일이 아닙니다", "not a regular file"), where=str(path))
        data = stream.read(cap + 1)
    if len(data) > cap:
        raise IntegrityError(
            Text("파일이 크기 제한을 넘습니다", "the file is over its size limit"), where=str(path)
        )
    return data
