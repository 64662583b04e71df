"""What is assessed: everything one bundle will hold, before it is sealed, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.manifest import Build, FileEntry, Model

from ..plan import BundlePlan
from ..wheels.carried import CarriedWheel
from .findings import AuditReport, Verdict

if TYPE_CHECKING:
    from ..models.spec import ModelSpec


@dataclass(frozen=True)
class CarriedModel:
    """A model of the manifest with what its review needs: waivers granted and conversions made here."""

    model: Model
    licence_url: str = ""
    gated: bool = False
    waivers: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Model, spec: ModelSpec) -> CarriedModel:
        """Join what the manifest says of a model with what its declaration says."""
        return cls(
            model,
            spec.licence_url,
            spec.gated,
            tuple(f"{item.file}: {item.reason} ({item.by})" for item in spec.waivers),
            tuple(
                f"{item.kind} ({item.precision}): {', '.join(item.inputs)} → {', '.join(item.outputs)}"
                for item in spec.conversions
            ),
        )


@dataclass(frozen=True)
class Subject:
    """A bundle to be: what the plan chose, what lies in the cache, what the audit said, who will sign.

    `own` is the packed project's wheel; `wheels` are the others, of which `builds` say how those that no
    index published came to be. `files` are the entries of everything staged so far; the assessment adds
    its own. `audit` and `verdict` are None where nobody was asked, which the documents say in so many
    words. `signers` are (principal, fingerprint), `epoch` the sources' time in seconds; `sequence` and
    `expires` are the manifest's.
    """

    plan: BundlePlan
    own: CarriedWheel
    wheels: tuple[CarriedWheel, ...]
    files: tuple[FileEntry, ...]
    builds: tuple[Build, ...]
    models: tuple[CarriedModel, ...]
    audit: AuditReport | None
    verdict: Verdict | None
    signers: tuple[tuple[str, str], ...]
    epoch: int
    sequence: int
    expires: str | None
