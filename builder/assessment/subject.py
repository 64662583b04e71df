"""What is assessed: everything one bundle will hold, before it is sealed, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from bundle.manifest import Build, FileEntry, Model
from bundle.text import Text

from ..plan import BundlePlan
from ..wheels.carried import CarriedWheel
from .findings import AuditReport, Verdict


@dataclass(frozen=True)
class CarriedModel:
    """A model of the manifest with what its review needs: waivers granted and conversions made here."""

    model: Model
    waivers: tuple[Text, ...] = ()
    conversions: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A bundle to be: what the plan chose, what lies in the cache, what the audit said, who will sign.

    `own` is the packed project's wheel; `wheels` are the others, of which `builds` say how those that no
    index published came to be. `files` are the entries of everything staged so far; the assessment adds
    its own. `audit` and `verdict` are None where nobody was asked, which the documents say in so many
    words. `signers` are (principal, fingerprint), `epoch` the sources' time in seconds; `sequence` and
    `expires` are the manifest's. `extras` are those of the project that were asked for.
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
    extras: tuple[str, ...] = ()
