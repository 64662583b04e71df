"""A snapshot for releases that are out already: which packages to ask about, and what their hosts are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from bundle import layout, limits, verify
from bundle.advisories import packages_of
from bundle.errors import DownloadError, UsageProblem
from bundle.manifest import Manifest, manifest_digest, parse_manifest
from bundle.renewal import Release, Renewal
from bundle.text import Text
from bundle.trust import Anchors
from bundle.volumes import INDEX_SUFFIX

from ..cache import Cache
from ..transport.look import look
from .audit import Settings, audit
from .findings import AuditReport

# Built from these, a package is on no index; of an sdist the manifest gives the address it was fetched from.
_UNPUBLISHED = ("git+", "path:")
_SHOWN = 20


def manifest_at(path: Path) -> tuple[Manifest, str]:
    """Return the manifest, and its digest, of a ``MANIFEST.json`` or of a bundle in any of its forms.

    Raises:
        UsageProblem: there is none, or it is of another product.
        IntegrityError, SignatureError: it is refused.
    """
    if path.suffix == ".json" and not path.name.endswith(INDEX_SUFFIX):
        data = verify.read_capped(path, limits.MANIFEST_BYTES)
        if data is None:
            raise UsageProblem(
                Text("매니페스트가 없습니다", "there is no manifest"),
                where=f"--manifest {path}",
                hint=Text(
                    "번들이나 그 MANIFEST.json을 지정하십시오 (설치된 호스트에서는 current/tools/MANIFEST.json)",
                    "give a bundle or its MANIFEST.json (on an installed host, current/tools/MANIFEST.json)",
                ),
            )
        found, digest = parse_manifest(data), manifest_digest(data)
    else:
        seen = look(path, Anchors())
        found, digest = seen.manifest, seen.digest
    if found.product != layout.PRODUCT:
        raise UsageProblem(
            Text("다른 제품의 번들입니다", "the bundle is of another product"),
            where=f"{path}: {found.product}",
        )
    return found, digest


def unpublished(manifest: Manifest) -> frozenset[str]:
    """Return the packages that were built from a folder or a repository: a package of that name on an index is
    another one, so the name is sent to nobody."""
    names = set()
    for build in manifest.builds:
        if build.source.startswith(_UNPUBLISHED):
            try:
                names.add(parse_wheel_filename(build.wheel)[0])
            except InvalidWheelFilename as error:
                raise UsageProblem(
                    Text(
                        "매니페스트의 휠 이름을 읽을 수 없습니다",
                        "a wheel's name in the manifest cannot be read",
                    ),
                    where=build.wheel,
                ) from error
    return frozenset(canonicalize_name(name) for name in names)


def renew(found: Sequence[tuple[Manifest, str]], cache: Cache, settings: Settings) -> Renewal:
    """Ask about exactly the packages of these releases.

    Raises:
        DownloadError: nobody answered about anything: that is not a snapshot.
    """
    wanted = {item for manifest, _ in found for item in packages_of(manifest)}
    private = {name for manifest, _ in found for name in unpublished(manifest)}
    # Whoever renews a snapshot wants an answer: a failure of some minutes ago is not repeated.
    asking = replace(settings, snapshot=None, retry_after=timedelta(0))
    report = audit(wanted, cache, asking, unpublished=private)
    if report is None or not (report.clean or report.advisories):
        raise _nobody(report)
    releases = tuple(
        Release(digest, manifest.project.name, manifest.version, manifest.target.name)
        for manifest, digest in found
    )
    return Renewal(layout.PRODUCT, tuple(dict.fromkeys(releases)), report)


def _nobody(report: AuditReport | None) -> DownloadError:
    reasons = dict.fromkeys(item.reason for item in report.unknown) if report is not None else {}
    return DownloadError(
        Text("아무 패키지에 대해서도 답을 얻지 못했습니다", "nobody answered about any of the packages"),
        details=[Text(reason, reason) for reason in list(reasons)[:_SHOWN]],
        state=Text("스냅숏을 만들지 않았습니다", "no snapshot was made"),
        hint=Text(
            "네트워크와 프록시를 확인하거나 --audit osv로 다시 실행하십시오",
            "check network and proxy, or try --audit osv",
        ),
    )
