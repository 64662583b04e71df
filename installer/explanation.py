"""What is established about a bundle's origin and what is not, in sentences; nothing is written.

Every check of the installation is made here one after the other, and each says its outcome, also past the first
that fails: an operator who asks wants to know all of it. The judgements are those of `bundle.trust` and
`bundle.verify`; only the words are added.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, Iterator, Optional

from bundle import layout, limits, trust, trustrecords, verify, volumes
from bundle.errors import PolicyError, RagTraceError, UsageProblem
from bundle.hashing import sha256_bytes
from bundle.manifest import Manifest, parse_manifest, parse_time
from bundle.reading import Head
from bundle.sshsig import PublicKey
from bundle.tarstream import TarReader
from bundle.text import Text
from bundle.trust import Anchors, Origin, SignedBy
from bundle.trustrecords import Carried
from bundle.volumeset import VolumeStream

from . import advisory_store, trust_store
from .paths import Prefix, generation_name
from .state import InstallationState, read_state

ESTABLISHED, OPEN, FAILED, FACT = "established", "not established", "refused", "fact"


@dataclass(frozen=True)
class Statement:
    """One sentence: a stable topic, whether what it speaks of is established, and the words."""

    topic: str
    outcome: str
    text: Text


@dataclass
class Explanation:
    """Everything that is said, and the first error that would stop an installation."""

    statements: list[Statement] = field(default_factory=list)
    error: Optional[RagTraceError] = None

    def say(self, topic: str, outcome: str, korean: str, english: str) -> None:
        """Add a sentence."""
        self.statements.append(Statement(topic, outcome, Text(korean, english)))

    def fail(self, topic: str, error: RagTraceError) -> None:
        """Add what went wrong; the first one decides the exit code."""
        self.error = self.error or error
        ko, en = error.summary.ko, error.summary.en
        if error.where:
            ko, en = f"{ko} [{error.where}]", f"{en} [{error.where}]"
        self.say(topic, FAILED, ko, en)

    @property
    def exit_code(self) -> int:
        """0 where nothing would stop an installation, else that of the error's family."""
        return 0 if self.error is None else self.error.exit_code


@dataclass(frozen=True)
class _Offered:
    """A bundle's own word: manifest, signatures, trust records; nothing of it believed."""

    manifest: bytes
    signatures: tuple[bytes, ...]
    records: Callable[[], tuple[Carried, ...]]


@contextlib.contextmanager
def _noting(said: Explanation, topic: str) -> Iterator[None]:
    try:
        yield
    except RagTraceError as error:
        said.fail(topic, error)


def explain(
    prefix: Prefix,
    bundle: Optional[Path],
    anchors: Callable[[], Anchors],
    *,
    allow_unverified: bool = False,
    allow_downgrade: bool = False,
    now: Optional[datetime] = None,
) -> Explanation:
    """Say what is established about the bundle, if there is one, and about the installation, if there is one.

    Raises:
        UsageProblem: there is neither, or an anchor that was named cannot be read.
    """
    said = Explanation()
    state = read_state(prefix)
    known = _anchors(said, anchors)
    if bundle is None and state.pointer is None and not known:
        raise UsageProblem(
            Text("설명할 번들도 설치도 없습니다", "there is neither a bundle nor an installation to explain"),
            where=str(prefix.root),
            hint=Text("--bundle 경로 또는 --prefix 폴더", "give --bundle PATH or --prefix DIR"),
        )
    if bundle is not None:
        _Bundle(said, prefix, state, known, now, allow_unverified, allow_downgrade).explain(bundle)
    _installation(said, prefix, state, known)
    _clock(said, None, known, now)
    _limits(said, bundle is not None)
    return said


def _anchors(said: Explanation, anchors: Callable[[], Anchors]) -> Anchors:
    try:
        return anchors()
    except UsageProblem:
        raise
    except RagTraceError as error:
        said.fail("anchors", error)
        return Anchors()


class _Bundle:
    """The sentences about one bundle."""

    def __init__(
        self,
        said: Explanation,
        prefix: Prefix,
        state: InstallationState,
        anchors: Anchors,
        now: Optional[datetime],
        allow_unverified: bool,
        allow_downgrade: bool,
    ) -> None:
        self.said = said
        self.prefix = prefix
        self.state = state
        self.anchors = anchors
        self.now = now
        self.allow_unverified = allow_unverified
        self.allow_downgrade = allow_downgrade

    def explain(self, path: Path) -> None:
        """Say everything about the bundle at `path`."""
        said = self.said
        said.say("bundle", FACT, f"번들: {path}", f"bundle: {path}")
        offered: Optional[_Offered] = None
        keys: list[PublicKey] = []
        with _noting(said, "bundle"):
            offered = self._open(path)
        if offered is None:
            return
        with _noting(said, "signature"):
            keys = trust.signing_keys(offered.manifest, offered.signatures)
            self._signature(keys)
        with _noting(said, "records"):
            self._records(offered.records())
        manifest: Optional[Manifest] = None
        if keys:
            manifest = self._origin(offered, keys)
        if manifest is not None:
            self._policy(manifest, offered.manifest)

    def _open(self, path: Path) -> _Offered:
        if path.is_dir() and not (path / layout.MANIFEST).exists():
            found = sorted(path.glob(f"*{volumes.INDEX_SUFFIX}")) or sorted(
                path.glob(f"*{volumes.ARCHIVE_SUFFIX}")
            )
            if len(found) == 1:
                path = found[0]
        if path.is_dir():
            return self._tree(path)
        index = volumes.index_of(path)
        if index is not None:
            return self._volumes(index)
        try:
            with open(path, "rb", buffering=0) as raw:
                return _head(TarReader(lambda count: raw.read(count) or b"", str(path)))
        except OSError as error:
            raise UsageProblem(
                Text("번들을 읽을 수 없습니다", "the bundle cannot be read"), where=f"{path}: {error}"
            ) from error

    def _tree(self, root: Path) -> _Offered:
        data = verify.read_capped(root / layout.MANIFEST, limits.MANIFEST_BYTES)
        if data is None:
            raise UsageProblem(
                Text("번들이 아닙니다: MANIFEST.json이 없습니다", "not a bundle: there is no MANIFEST.json"),
                where=str(root),
            )
        folder = root.joinpath(*layout.TRUST.split("/"))
        return _Offered(data, tuple(verify.read_signatures(root)), lambda: verify.read_records(folder))

    def _volumes(self, place: Path) -> _Offered:
        data = verify.read_capped(place, limits.INDEX_BYTES)
        if data is None:
            raise UsageProblem(
                Text("볼륨 목록이 없습니다", "the index of the volumes is missing"), where=str(place)
            )
        index, origin = volumes.read_index(place, data, self.anchors, self.now)
        for signer in origin.signers:
            how = ESTABLISHED if signer.principal else OPEN
            name = signer.principal or "?"
            self.said.say(
                "volumes",
                how,
                f"볼륨 목록의 서명은 온전합니다: {name} ({signer.key.fingerprint})",
                f"the signature of the index of the volumes is intact: {name} ({signer.key.fingerprint})",
            )
        stream = VolumeStream(index, [place.parent])
        try:
            return _head(TarReader(stream.read, str(place)))
        finally:
            stream.close()

    def _signature(self, keys: list[PublicKey]) -> None:
        for key in keys:
            self.said.say(
                "signature",
                ESTABLISHED,
                f"매니페스트의 서명이 온전합니다: 키 {key.fingerprint}",
                f"the signature of the manifest is intact: key {key.fingerprint}",
            )

    def _records(self, carried: tuple[Carried, ...]) -> None:
        if not carried:
            return
        held = trust_store.version(self.anchors.records)
        self.anchors = trust.informed(self.anchors, carried, self.now)
        newest = trust_store.version(self.anchors.records)
        count = len(carried)
        if not newest:
            self.said.say(
                "records",
                OPEN,
                f"번들에 키 기록 {count}개가 있지만 신뢰하는 서명자가 서명한 것이 없어 쓰지 않습니다",
                f"the bundle carries {count} trust record(s), none signed by anybody trusted here: they are not used",
            )
        elif newest > held:
            self.said.say(
                "records",
                ESTABLISHED,
                f"번들의 키 기록이 이어집니다: {held}번 -> {newest}번. 설치가 확정되면 적용됩니다",
                f"the bundle's trust records follow: {held} -> {newest}; they apply once the release is accepted",
            )
        else:
            self.said.say(
                "records",
                ESTABLISHED,
                f"번들의 키 기록은 여기의 {held}번 기록과 같은 사슬이며 새 것은 없습니다",
                f"the bundle's trust records are of the chain known here, up to {held}; none is new",
            )

    def _origin(self, offered: _Offered, keys: list[PublicKey]) -> Optional[Manifest]:
        """Judge as `verify.judge` does: by the clock, and once more by the date in the manifest."""
        said, origin, manifest = self.said, None, None
        with _noting(said, "origin"):
            origin = trust.origin_of(keys, self.anchors, self.now)
            manifest = parse_manifest(offered.manifest)
            created = parse_time(manifest.created)
            if created > self.anchors.moment(self.now):
                origin = trust.origin_of(keys, self.anchors, created)
        if origin is None:
            with contextlib.suppress(RagTraceError):
                # What the bundle says of itself is told even so; who says it has been told above.
                manifest = parse_manifest(offered.manifest)
            return manifest
        for signer in origin.signers:
            text = self._signer(signer)
            said.say("signer", ESTABLISHED if signer.principal else OPEN, text.ko, text.en)
        with _noting(said, "origin"):
            if origin.status == "verified":
                said.say("origin", ESTABLISHED, "출처가 확인되었습니다", "the origin is verified")
            else:
                said.say("origin", OPEN, "출처가 확인되지 않았습니다", "the origin is not verified")
            verify.require_origin(origin, self.allow_unverified)
        self._demanded(origin)
        return manifest

    def _signer(self, signer: SignedBy) -> Text:
        name = f"{signer.principal} ({signer.key.fingerprint})"
        if signer.revoked is not None:
            item = signer.revoked
            return Text(
                f"{item.fingerprint}는 {item.since}부터 폐기된 키입니다: {item.reason}",
                f"{item.fingerprint} is revoked since {item.since}: {item.reason}",
            )
        if signer.known == trust.BY_FILE:
            return Text(
                f"{name}: 지금 지정한 allowed_signers 파일에 있습니다",
                f"{name}: named in the allowed_signers file given now",
            )
        if signer.known == trust.BY_FINGERPRINT:
            return Text(f"{name}: 지금 지정한 지문입니다", f"{name}: the fingerprint was given now")
        if signer.known == trust.BY_PIN:
            pin = next(
                (item for item in self.state.accepted.pins if item.fingerprint == signer.key.fingerprint),
                None,
            )
            if pin is None:
                return Text(
                    f"{name}: 이전 설치가 고정했습니다 (날짜는 기록되어 있지 않습니다)",
                    f"{name}: pinned by an earlier installation (when is not recorded)",
                )
            return Text(
                f"{name}: {pin.since}에 릴리스 {pin.generation}을 설치하면서 고정했습니다",
                f"{name}: pinned on {pin.since}, when release {pin.generation} was installed",
            )
        latest = self.anchors.latest
        if signer.known == trust.BY_RECORD and latest is not None:
            return Text(
                f"{name}: {latest.created}의 {latest.version}번 키 기록에 있습니다",
                f"{name}: named in trust record {latest.version} of {latest.created}",
            )
        return Text(
            f"{signer.key.fingerprint}: 여기서는 누구의 키인지 모릅니다",
            f"{signer.key.fingerprint}: whose key this is, is not known here",
        )

    def _demanded(self, origin: Origin) -> None:
        count, needed = len(origin.trusted), self.anchors.required
        with _noting(self.said, "signatures"):
            verify.require_signers(origin, needed)
            if count >= needed:
                self.said.say(
                    "signatures",
                    ESTABLISHED,
                    f"신뢰하는 서명 {count}개, 요구된 것은 {needed}개",
                    f"{count} trusted signature(s), {needed} demanded",
                )

    def _policy(self, manifest: Manifest, data: bytes) -> None:
        said = self.said
        said.say(
            "release",
            FACT,
            f"{manifest.product} {manifest.version} ({manifest.target.name}), {manifest.created}에 만듦",
            f"{manifest.product} {manifest.version} for {manifest.target.name}, made at {manifest.created}",
        )
        moment = self.anchors.moment(self.now).strftime("%Y-%m-%dT%H:%M:%SZ")
        with _noting(said, "expiry"):
            verify.check_policy(manifest, self.now, self.anchors)
            if manifest.expires is None:
                said.say("expiry", FACT, "사용 기한이 없습니다", "it does not expire")
            else:
                said.say(
                    "expiry",
                    ESTABLISHED,
                    f"사용 기한 {manifest.expires}은 지나지 않았습니다 ({moment} 기준)",
                    f"it has not expired: until {manifest.expires}, judged at {moment}",
                )
        _clock(said, manifest, self.anchors, self.now)
        with _noting(said, "sequence"):
            self._sequence(manifest, data)

    def _sequence(self, manifest: Manifest, data: bytes) -> None:
        state = self.state
        active = state.pointer.sequence if state.pointer is not None else 0
        built = () if state.accepted.known else tuple(int(name.split("-")[0]) for name in state.complete)
        highest = state.accepted.highest_seen(active, *built)
        if not highest:
            self.said.say(
                "sequence",
                FACT,
                f"순번 {manifest.sequence}: 여기서는 아직 아무것도 받아들이지 않아 비교할 것이 없습니다",
                f"sequence {manifest.sequence}: nothing was accepted here before, so there is nothing to compare with",
            )
            return
        name = generation_name(manifest.sequence, sha256_bytes(data))
        kept = () if state.pointer is None else state.pointer.kept
        known = any(other.startswith(name) for other in kept)
        if manifest.sequence >= highest or known:
            self.said.say(
                "sequence",
                ESTABLISHED,
                f"순번 {manifest.sequence}은 여기서 받아들인 가장 높은 순번 {highest}보다 낮지 않거나 보관된 릴리스입니다",
                f"sequence {manifest.sequence} is not below the highest accepted here, {highest}, or is a kept release",
            )
        elif self.allow_downgrade:
            self.said.say(
                "sequence",
                OPEN,
                f"더 오래된 번들이지만 --allow-downgrade로 허용했습니다: {manifest.sequence} < {highest}",
                f"an older bundle, let pass by --allow-downgrade: {manifest.sequence} < {highest}",
            )
        else:
            raise PolicyError(
                Text(
                    f"더 오래된 번들입니다: 순번 {manifest.sequence}, 이미 받아들인 순번 {highest}",
                    f"an older bundle: sequence {manifest.sequence}, {highest} was accepted here before",
                )
            )


def _head(archive: TarReader) -> _Offered:
    head = Head(archive)
    return _Offered(head.manifest_bytes, head.signatures, lambda: trustrecords.gather(head.records))


def _clock(
    said: Explanation, manifest: Optional[Manifest], anchors: Anchors, now: Optional[datetime]
) -> None:
    if manifest is None and any(statement.topic == "clock" for statement in said.statements):
        return
    warnings = verify.clock_warnings(manifest, anchors, now)
    for warning in warnings:
        said.say("clock", OPEN, warning.ko, warning.en)
    if warnings:
        return
    here = (now or datetime.now(timezone.utc)).strftime("%Y-%m-%dT%H:%M:%SZ")
    if anchors.newest is None:
        said.say(
            "clock",
            FACT,
            f"시각은 호스트의 시계({here})로 판단합니다. 비교할 기록은 아직 없습니다",
            f"time is judged by this host's clock ({here}); there is no record to compare it with yet",
        )
        return
    seen = anchors.newest.strftime("%Y-%m-%dT%H:%M:%SZ")
    said.say(
        "clock",
        FACT,
        f"시각은 호스트의 시계({here})로 판단합니다. 이 설치가 확인한 가장 늦은 시각({seen})보다 이르지 않습니다",
        f"time is judged by this host's clock ({here}), which is not before the newest time seen here ({seen})",
    )


def _installation(said: Explanation, prefix: Prefix, state: InstallationState, anchors: Anchors) -> None:
    if state.pointer is None and not state.accepted.known:
        said.say("installation", FACT, "여기에는 설치된 것이 없습니다", "nothing is installed here")
        return
    with _noting(said, "installation"):
        chain = trust_store.read_chain(prefix)
        if chain:
            latest = chain[-1].record
            said.say(
                "installation",
                FACT,
                f"이 설치의 신뢰는 {latest.created}의 {latest.version}번 키 기록이 정합니다: "
                f"{', '.join(signer.principal for signer in latest.signers)}",
                f"whom this installation trusts is said by trust record {latest.version} of {latest.created}: "
                f"{', '.join(signer.principal for signer in latest.signers)}",
            )
            for item in latest.revoked:
                said.say(
                    "revoked",
                    FACT,
                    f"폐기된 키: {item.fingerprint}, {item.since}부터 ({item.reason})",
                    f"revoked key: {item.fingerprint} since {item.since} ({item.reason})",
                )
    _pinned(said, state, anchors)
    _renewed(said, prefix, anchors)
    said.say(
        "demanded",
        FACT,
        f"다음 번들에 요구하는 서명은 {state.accepted.signatures}개, 받아들인 가장 높은 순번은 "
        f"{state.accepted.highest_sequence}입니다",
        f"the next bundle needs {state.accepted.signatures} signature(s); the highest sequence accepted is "
        f"{state.accepted.highest_sequence}",
    )
    for name, revoked in trust_store.revoked_releases(prefix):
        text = trust_store.revocation_warning(name, revoked)
        said.say("revoked-release", OPEN, text.ko, text.en)


def _pinned(said: Explanation, state: InstallationState, anchors: Anchors) -> None:
    if not anchors.pinned.strip():
        return
    with _noting(said, "installation"):
        for line in trust.parse_allowed_signers(anchors.pinned):
            pin = next(
                (item for item in state.accepted.pins if item.fingerprint == line.key.fingerprint), None
            )
            ko = f"{pin.since}에 릴리스 {pin.generation}과 함께" if pin else "날짜는 기록되어 있지 않음"
            en = f"on {pin.since}, with release {pin.generation}" if pin else "when is not recorded"
            said.say(
                "installation",
                FACT,
                f"이 설치가 고정한 서명자: {line.principal} ({line.key.fingerprint}), {ko}",
                f"pinned here: {line.principal} ({line.key.fingerprint}), {en}",
            )


def _renewed(said: Explanation, prefix: Prefix, anchors: Anchors) -> None:
    """Say by whom the advisory snapshot is that was carried in after the release; by the installation's own word."""
    found = advisory_store.held(prefix, replace(anchors, allowed_signers="", fingerprints=()))
    if found.problem is not None:
        why = found.problem.summary
        said.say(
            "advisories",
            OPEN,
            f"새로 반입한 취약점 스냅숏은 믿을 수 없어 쓰지 않습니다: {why.ko}",
            f"the advisory snapshot that was carried in is not believed, and not used: {why.en}",
        )
    elif found.verified is not None:
        who = found.verified.origin.explanation
        said.say(
            "advisories",
            ESTABLISHED,
            f"{found.date}의 취약점 스냅숏: {who.ko}",
            f"the advisory snapshot of {found.date}: {who.en}",
        )


def _limits(said: Explanation, bundle: bool) -> None:
    if bundle:
        said.say(
            "contents",
            OPEN,
            "파일의 내용은 여기서 비교하지 않았습니다. --verify-only가 모든 바이트를 비교하고, 설치할 때도 비교합니다",
            "the files' bytes were not compared here: --verify-only compares every one, and so does installing",
        )
    said.say(
        "limits",
        OPEN,
        "서명은 그 키를 가진 사람이 이 목록에 서명했다는 것만 보여 줍니다. 빌드한 컴퓨터가 깨끗했는지, 내용에 결함이나 "
        "악성 코드가 없는지, 키를 다른 사람이 쓰지 않았는지는 보여 주지 않습니다",
        "a signature shows that a holder of the key signed this list. It does not show that the build box was clean, "
        "that the contents are free of faults and malice, or that nobody else holds the key",
    )
    said.say(
        "limits",
        OPEN,
        "아직 도착하지 않은 폐기 기록과 더 새로운 번들은 이 호스트가 알 수 없습니다",
        "revocations and newer bundles that have not been carried here cannot be known to this host",
    )
