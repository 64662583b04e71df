"""Install or upgrade: verify, decide, build, switch, start, wait until healthy, commit - or put everything back."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from bundle.manifest import Manifest
from bundle.text import Text
from bundle.trust import Anchors
from bundle.verify import VerifiedBundle, clock_warning, open_bundle

from .. import activation, facts, preflight
from ..console import Console
from ..facts import HostFacts
from ..lock import Lock
from ..paths import Prefix, generation_name
from ..plan import Plan, Request, plan_install
from ..state import InstallationState, read_state
from .session import Done, aftercare, create, opened, transact


def verify(root: Path, anchors: Anchors, allow_unverified: bool, console: Console) -> VerifiedBundle:
    """Verify a bundle with a stage line and a percentage; nothing is written.

    A clock that cannot tell whether the bundle has expired is warned about.
    """
    total = sum(entry.stat().st_size for entry in root.rglob("*") if entry.is_file()) if root.is_dir() else 0
    title = Text("번들 검증 (서명과 모든 파일)", "verify the bundle (signature and every file)")
    console.announce(title, total)
    bundle = open_bundle(
        root, anchors, allow_unverified_origin=allow_unverified, on_bytes=console.progress(title, total)
    )
    warning = clock_warning(bundle.manifest)
    if warning is not None:
        console.warn(warning)
    return bundle


@dataclass(frozen=True)
class Decision:
    """A verified bundle, the host and the plan made from them."""

    bundle: VerifiedBundle
    facts: HostFacts
    state: InstallationState
    plan: Plan


def decide(prefix: Prefix, bundle: VerifiedBundle, request: Request) -> Decision:
    """Look at host and installation, plan, and refuse with every finding where it would not work."""
    manifest = bundle.manifest
    state = read_state(prefix)
    status = activation.observed(prefix, state.service, activation.host_for(state.service))
    state = replace(state, running=status.generation if status.running else "")
    host, port = _address(manifest, state, request)
    pythons = () if _built(bundle, state) else manifest.target.pythons
    found = facts.gather(prefix.root, pythons, request.python, request.manager != "process", host, port)
    plan = plan_install(found, manifest, bundle.digest, state, request)
    preflight.check_policy(manifest, plan, state, request)
    preflight.require(preflight.check_host(found, manifest, state, plan, request), str(prefix.root))
    return Decision(bundle, found, state, plan)


def _built(bundle: VerifiedBundle, state: InstallationState) -> bool:
    return generation_name(bundle.manifest.sequence, bundle.digest) in state.complete


def _address(manifest: Manifest, state: InstallationState, request: Request) -> tuple[str, int]:
    if manifest.service is None or request.manager == "none" or not request.start:
        return "", 0
    known = state.service
    host = request.host or (known.host if known else manifest.service.host)
    return host, request.port or (known.port if known else manifest.service.port)


def install(
    prefix: Prefix, root: Path, anchors: Anchors, allow_unverified: bool, request: Request, console: Console
) -> Done:
    """Verify, decide, build, switch, start, wait until healthy, commit - or put everything back.

    Nothing is written before the bundle is verified and the host found fit, but what recovering an earlier
    run takes.
    """
    if not prefix.state.is_dir():
        bundle = verify(root, anchors, allow_unverified, console)
        decide(prefix, bundle, request)
        create(prefix)
        with opened(prefix, console) as lock:
            return _install(prefix, decide(prefix, bundle, request), request, lock, console)
    with opened(prefix, console) as lock:
        bundle = verify(root, anchors, allow_unverified, console)
        return _install(prefix, decide(prefix, bundle, request), request, lock, console)


def _install(prefix: Prefix, decision: Decision, request: Request, lock: Lock, console: Console) -> Done:
    bundle, plan = decision.bundle, decision.plan
    begun = time.monotonic()
    if plan.action != "none":
        transact("install", prefix, plan, bundle.manifest, decision.state.service, lock, console, bundle)
        if plan.action == "upgrade" or plan.action == "install":
            aftercare(prefix, plan, console)
    seconds = time.monotonic() - begun
    return Done(plan.action, plan.generation, plan.version, plan.settings, seconds, bundle.origin.status)
