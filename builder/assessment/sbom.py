"""The software bill of materials: CycloneDX 1.6 JSON, the same bytes from the same inventory.

Serial number and time are derived from the contents and the sources' time, so nothing in it says when or
where it was written. Components that a wheel's own SBOM names are nested in the wheel's component.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as CdxComponent
from cyclonedx.model.component import ComponentScope, ComponentType
from cyclonedx.model.contact import OrganizationalContact
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL

from bundle.manifest import FileEntry

from . import places
from .components import Component, Inventory
from .embedded import EmbeddedComponent
from .licences import Licence
from .subject import Subject

# The namespace of our serial numbers: an SBOM with the same contents has the same number everywhere.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "sbom.ragtrace.example")
_NIL = uuid.UUID(int=0)
_TYPES = {
    "project": ComponentType.APPLICATION,
    "wheel": ComponentType.LIBRARY,
    "uv": ComponentType.APPLICATION,
    "interpreter": ComponentType.PLATFORM,
    "model": ComponentType.MACHINE_LEARNING_MODEL,
    "tool": ComponentType.APPLICATION,
}
_ALGORITHMS = {item.value: item for item in HashAlgorithm}


def to_bytes(subject: Subject, inventory: Inventory) -> bytes:
    """Return the SBOM of the bundle to be."""
    licences = {item.component: item.licence for item in inventory.inside}
    made = {item.ref: _component(item, licences) for item in inventory.components}
    project = made[inventory.project.ref]
    bom = Bom(
        components=[item for ref, item in made.items() if ref != inventory.project.ref],
        serial_number=_NIL,
        metadata=BomMetaData(
            component=project,
            timestamp=datetime.fromtimestamp(subject.epoch, timezone.utc),
            tools=ToolRepository(components=[_builder(), this_component()]),
            properties=_properties(_about(subject)),
        ),
        dependencies=_dependencies(inventory, made),
    )
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    contents = json.dumps(document, sort_keys=True, ensure_ascii=False)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, contents)}"
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8")


def _builder() -> CdxComponent:
    return CdxComponent(type=ComponentType.APPLICATION, name="ragtrace-enterprise-offline", bom_ref="builder")


def _about(subject: Subject) -> dict[str, str]:
    target = subject.plan.target
    return {
        "ragtrace:target": target.name,
        "ragtrace:target:pythons": " ".join(target.pythons),
        "ragtrace:target:libc": f"{target.libc} {target.libc_min}".strip(),
        "ragtrace:profile": subject.plan.profile.name,
        "ragtrace:sequence": str(subject.sequence),
        "ragtrace:expires": subject.expires or "never",
    }


def _component(item: Component, licences: Mapping[EmbeddedComponent, Licence]) -> CdxComponent:
    single = item.files[0] if len(item.files) == 1 else None
    found = item.facts
    nested = [
        _inside(f"{item.ref}#{number}", part, licences[part])
        for number, part in enumerate(found.embedded if found else ())
    ]
    return CdxComponent(
        type=_TYPES[item.kind],
        name=item.name,
        version=item.version or None,
        bom_ref=item.ref,
        description=(found.summary or None) if found else None,
        authors=[OrganizationalContact(name=found.author)] if found and found.author else (),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=single.sha256)] if single else (),
        licenses=_licences(item.licence),
        purl=_purl(item),
        external_references=_references(item),
        properties=_properties(_described(item)),
        components=[*nested, *([_file(item.ref, entry) for entry in item.files] if single is None else [])],
    )


def _file(ref: str, entry: FileEntry) -> CdxComponent:
    return CdxComponent(
        type=ComponentType.FILE,
        name=entry.path,
        bom_ref=f"{ref}#{entry.path}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=entry.sha256)],
        properties=_properties({"ragtrace:size": str(entry.size)}),
    )


def _inside(ref: str, part: EmbeddedComponent, licence: Licence) -> CdxComponent:
    return CdxComponent(
        type=ComponentType(part.kind),
        name=part.name,
        version=part.version or None,
        bom_ref=ref,
        scope=ComponentScope(part.scope),
        hashes=[HashType(alg=_ALGORITHMS[name], content=content) for name, content in part.hashes],
        licenses=_licences(licence),
        purl=_parsed(part.purl),
    )


def _licences(licence: Licence) -> Iterator[LicenseExpression | DisjunctiveLicense]:
    if not licence.stated:
        return
    if not licence.spdx:
        yield DisjunctiveLicense(name=licence.stated)
    elif is_supported_id(licence.stated):
        yield DisjunctiveLicense(id=licence.stated)
    else:
        yield LicenseExpression(licence.stated)


def _purl(item: Component) -> PackageURL | None:
    if item.kind == "model" and item.model is not None:
        hub = "https://huggingface.co/"
        if item.source.startswith(hub):
            owner, _, name = item.source.removeprefix(hub).partition("/")
            return PackageURL("huggingface", owner, name, item.version)
        return PackageURL("generic", None, item.name, item.version)
    if item.kind not in ("wheel", "uv", "project") or item.facts is None:
        return None
    qualifiers = {"file_name": item.ref.partition(":")[2]}
    if item.kind == "project" or item.build is not None:
        # Not what an index publishes under that name: a scanner must not fetch it from there.
        return PackageURL(
            "pypi" if item.kind == "wheel" else "generic", None, item.name, item.version, qualifiers
        )
    if not places.is_pypi(item.source):
        qualifiers["repository_url"] = places.repository(item.source)
    return PackageURL("pypi", None, item.name, item.version, qualifiers)


def _parsed(purl: str) -> PackageURL | None:
    try:
        return PackageURL.from_string(purl) if purl else None
    except ValueError:
        return None


def _references(item: Component) -> Iterator[ExternalReference]:
    urls = []
    if item.facts is not None and item.facts.homepage.startswith(("https://", "http://")):
        urls.append((ExternalReferenceType.WEBSITE, item.facts.homepage))
    if item.source.startswith(("https://", "http://")) and item.build is None:
        urls.append((ExternalReferenceType.DISTRIBUTION, item.source.partition(" ")[0]))
    if item.model is not None and item.model.licence_url.startswith("https://"):
        urls.append((ExternalReferenceType.LICENSE, item.model.licence_url))
    for kind, url in urls:
        yield ExternalReference(type=kind, url=XsUri(places.as_iri(url)))


def _described(item: Component) -> dict[str, str]:
    found = {
        "ragtrace:kind": item.kind,
        "ragtrace:pythons": " ".join(item.pythons),
        "ragtrace:source": item.source,
        "ragtrace:licence:found": item.licence.found,
        "ragtrace:licence:flags": " ".join(item.licence.flags),
        "ragtrace:missing": ", ".join(item.missing),
    }
    if item.build is not None:
        found["ragtrace:built-from"] = f"{places.shown(item.build.source)} sha256:{item.build.source_sha256}"
        found["ragtrace:built-with"] = " ".join(item.build.requires)
    if item.facts is not None:
        found["ragtrace:native-code"] = str(len(item.facts.native))
        found["ragtrace:runs-at-start"] = " ".join(item.facts.at_start)
    if item.model is not None:
        found["ragtrace:model:role"] = item.model.model.role
        found["ragtrace:model:waivers"] = "; ".join(item.model.waivers)
        found["ragtrace:model:conversions"] = "; ".join(item.model.conversions)
    return found


def _properties(values: Mapping[str, str]) -> list[Property]:
    return [Property(name=name, value=value) for name, value in sorted(values.items()) if value]


def _dependencies(inventory: Inventory, made: Mapping[str, CdxComponent]) -> Iterable[Dependency]:
    for item in inventory.components:
        needs = set(item.requires)
        if item is inventory.project:
            # What no metadata asks for - uv, interpreter, models, our programs - is carried for the project.
            needs |= {other.ref for other in inventory.components if other.kind not in ("wheel", "project")}
        yield Dependency(made[item.ref].bom_ref, [Dependency(made[ref].bom_ref) for ref in sorted(needs)])
