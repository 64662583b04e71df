"""Install or upgrade: verify, decide, build, switch, start, wait until healthy, commit - or put everything back."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from bundle.manifest import Manifest
from bundle.text import Text

from .. import activation, dataformat, facts, preflight, snapshot, store
from ..console import Console
from ..facts import HostFacts
from ..lock import Lock
from ..paths import Prefix
from ..plan import BUNDLED, Arrival, Plan, Request, generation_of, plan_install
from ..sources import Offer, Source
from ..state import InstallationState, read_state
from .examination import open_offer
from .session import Done, aftercare, create, opened, transact


@dataclass(frozen=True)
class Decision:
    """A verified bundle, the host and the plan made from them."""

    bundle: Source
    facts: HostFacts
    state: InstallationState
    plan: Plan
    notes: tuple[Text, ...] = ()


def decide(prefix: Prefix, bundle: Source, request: Request) -> Decision:
    """Look at host and installation, plan, and refuse with every finding where it would not work."""
    manifest = bundle.manifest
    state = observe(prefix)
    state = replace(state, data=snapshot.survey(prefix, manifest, state.pointer))
    found = gather(prefix, manifest, state, request, _built(bundle, state))
    lacking = sum(entry.size for entry in store.lacking(prefix, manifest.files))
    plan = plan_install(found, manifest, bundle.digest, state, request, Arrival(bundle.arrives, lacking))
    preflight.check_policy(manifest, plan, state, request)
    dataformat.check(state.data, dataformat.declared_by(manifest, state.data), manifest.version)
    findings = preflight.check_host(found, manifest, state, plan, request)
    preflight.require(findings, str(prefix.root))
    if "contents" in plan.names():
        bundle.require(store.Shelf(prefix))
    return Decision(bundle, found, state, plan, tuple(preflight.notes(findings)))


def observe(prefix: Prefix) -> InstallationState:
    """Read the installation, and which of its generations runs."""
    state = read_state(prefix)
    status = activation.observed(prefix, state.service, activation.host_for(state.service))
    return replace(state, running=status.generation if status.running else "")


def gather(
    prefix: Prefix, manifest: Manifest, state: InstallationState, request: Request, built: bool
) -> HostFacts:
    """Look at the host; an interpreter is looked for only where an environment has to be made with it."""
    host, port = _address(manifest, state, request)
    own = built or request.python == BUNDLED
    pythons, chosen = ((), "") if own else (manifest.target.pythons, request.python)
    return facts.gather(prefix.root, pythons, chosen, request.manager != "process", host, port)


def _built(bundle: Source, state: InstallationState) -> bool:
    return generation_of(state, bundle.manifest.sequence, bundle.digest) in state.complete


def _address(manifest: Manifest, state: InstallationState, request: Request) -> tuple[str, int]:
    if manifest.service is None or request.manager == "none" or not request.start:
        return "", 0
    known = state.service
    host = request.host or (known.host if known else state.address[0] or manifest.service.host)
    return host, request.port or (known.port if known else state.address[1] or manifest.service.port)


def install(prefix: Prefix, offer: Offer, request: Request, console: Console) -> Done:
    """Verify, decide, build, switch, start, wait until healthy, commit - or put everything back.

    Nothing is written before the bundle is verified and the host found fit, but what recovering an earlier
    run takes. Of an archive, volumes or a delta the signature is verified before, and every byte while it goes
    into the store.
    """
    if not prefix.state.is_dir():
        bundle = open_offer(prefix, offer, console)
        decide(prefix, bundle, request)
        create(prefix)
        with opened(prefix, console, action="install") as lock:
            return _install(prefix, decide(prefix, bundle, request), request, lock, console)
    with opened(prefix, console, action="install") as lock:
        bundle = open_offer(prefix, offer, console)
        return _install(prefix, decide(prefix, bundle, request), request, lock, console)


def _install(prefix: Prefix, decision: Decision, request: Request, lock: Lock, console: Console) -> Done:
    bundle, plan = decision.bundle, decision.plan
    begun = time.monotonic()
    if plan.action != "none":
        for note in decision.notes:
            console.warn(note)
        transact("install", prefix, plan, bundle.manifest, decision.state.service, lock, console, bundle)
    # Also where there was nothing to do: the run before may have been killed while it tidied up.
    aftercare(prefix, plan, console)
    seconds = time.monotonic() - begun
    return Done(plan.action, plan.generation, plan.version, plan.settings, seconds, bundle.origin.status)
