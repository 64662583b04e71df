"""What several commands have in common: reading their options, and reporting what was done."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

from bundle.errors import UsageProblem
from bundle.text import Text

from ..console import Console
from ..paths import TEMPORARY_PYTHON, Prefix

if TYPE_CHECKING:
    from bundle.trust import Anchors

    from ..estimate import Rate
    from ..operations.session import Done
    from ..plan import Plan, Request
    from ..sources import Offer


def bundle_of(options: argparse.Namespace) -> Path:
    """Return the bundle that was named, else the one that install.py lies in, as an absolute path: uv runs in
    another folder."""
    return _absolute(options.bundle or options.script.parent.parent)


def offer_of(options: argparse.Namespace, prefix: Prefix) -> Offer:
    """Return what is offered for installation: what was named, else the bundle that install.py lies in.

    Raises:
        UsageProblem: install.py lies in an installation, and nothing was named.
    """
    from ..sources import Offer

    deltas = tuple(_absolute(path) for path in options.delta)
    bundle = bundle_of(options) if options.bundle is not None or not deltas else None
    if options.bundle is None and bundle is not None and prefix.holds_tools(bundle):
        raise UsageProblem(
            Text(
                "이 install.py는 설치된 사본이므로 설치할 번들을 알려 주어야 합니다",
                "this install.py is an installed copy: it has to be told what to install",
            ),
            where=str(options.script),
            hint=Text(
                "--bundle 경로(번들 폴더, 아카이브, 볼륨) 또는 --delta 경로를 지정하십시오. "
                "상태는 --status, 손상된 설치의 복구는 --repair입니다",
                "give --bundle PATH (a bundle's folder, archive or volumes) or --delta PATH; "
                "--status shows the state, --repair mends a damaged installation",
            ),
        )
    return Offer(bundle, deltas, anchors_of(options, prefix), options.allow_unverified_origin)


def repair_offer_of(options: argparse.Namespace, prefix: Prefix) -> Offer:
    """Return what may be taken from for a repair: only what was named, for all else there is the store."""
    from ..sources import Offer

    if options.delta:
        raise UsageProblem(
            Text("--repair에는 --delta를 쓸 수 없습니다", "--delta is not for --repair"),
            hint=Text(
                "--bundle 경로 (델타 아카이브도 됩니다)", "--bundle PATH (which may be a delta's archive)"
            ),
        )
    bundle = _absolute(options.bundle) if options.bundle is not None else None
    return Offer(bundle, (), anchors_of(options, prefix), options.allow_unverified_origin)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))


def anchors_of(options: argparse.Namespace, prefix: Prefix) -> Anchors:
    """Return whom this run trusts."""
    from ..trust_store import anchors

    return anchors(prefix, options.allowed_signers, options.trust_fingerprint, options.require_signatures)


def request_of(options: argparse.Namespace) -> Request:
    """Return what was asked for.

    Raises:
        UsageProblem: a value that cannot be.
    """
    from ..plan import Request

    if not 0 <= options.port < 65536:
        raise UsageProblem(Text("--port는 1에서 65535까지입니다", "--port is from 1 to 65535"))
    name = options.service_name
    if name and not all(character.isalnum() or character in "-_.@" for character in name):
        raise UsageProblem(
            Text("--service-name에 쓸 수 없는 문자가 있습니다", "--service-name has a forbidden character")
        )
    return Request(
        python=options.python,
        manager=options.service_manager,
        service_name=name,
        host=options.host,
        port=options.port,
        start=not options.no_start,
        allow_downgrade=options.allow_downgrade,
    )


def known_rate(prefix: Prefix, console: Console) -> Rate:
    """Return how fast this host is, as far as this run and the journal of earlier ones tell."""
    from .. import estimate, journal

    try:
        return estimate.rate(console.bytes_per_s, list(journal.read_lines(prefix.journal)))
    except OSError:
        return estimate.rate(console.bytes_per_s, ())


def print_plan(plan: Plan, prefix: Prefix, console: Console, more: Mapping[str, Any] = {}) -> None:
    """Report a plan instead of carrying it out."""
    from bundle.text import human_size

    from .. import estimate

    interpreter = plan.interpreter.path if plan.interpreter else (plan.archive.path if plan.archive else "")
    times = estimate.seconds(plan, known_rate(prefix, console))
    steps = [
        {
            "name": step.name,
            "title": step.title.to(console.lang),
            "bytes": step.bytes,
            "seconds": round(time, 1),
        }
        for step, time in zip(plan.steps, times)
    ]
    document = {
        "ok": True, "action": plan.action, "prefix": str(prefix.root), "generation": plan.generation,
        "version": plan.version, "from": plan.base.generation if plan.base else None, "python": interpreter,
        "bytes_needed": plan.bytes_needed, "service": vars(plan.settings) if plan.settings else None, "steps": steps, "seconds": round(sum(times), 1), **more,
    }  # fmt: skip

    def lines(lang: str) -> str:
        shown = []
        for number, (step, time) in enumerate(zip(plan.steps, times), 1):
            size = f"{human_size(step.bytes)}, " if step.bytes else ""
            shown.append(f"{number}. {step.title.to(lang)} ({size}{estimate.about(time).to(lang)})")
        total = estimate.about(sum(times))
        shown.append(Text(f"모두 합해 {total.ko}", f"{total.en} in all").to(lang))
        return "\n".join([f"{plan.action}: {plan.version} ({plan.generation}) -> {prefix.root}", *shown])

    console.report(Text(lines("ko"), lines("en")), document)


def report_done(done: Done, prefix: Prefix, console: Console) -> None:
    """Report what an operation came to, and what to do next."""
    from ..activation import advice
    from ..status import address

    service = done.service if done.service and done.service.manager != "none" else None
    url = address(service.host, service.port) if service else ""
    document = {
        "ok": True, "action": done.action, "prefix": str(prefix.root), "generation": done.generation,
        "version": done.version, "address": url or None, "origin": done.origin or None,
        "seconds": round(done.seconds, 3),
    }  # fmt: skip
    titles = {
        "none": Text("이미 설치되어 있습니다", "already installed"),
        "install": Text("설치했습니다", "installed"),
        "upgrade": Text("업그레이드했습니다", "upgraded"),
        "resume": Text("설치를 마쳤습니다", "finished the installation"),
        "rollback": Text("되돌렸습니다", "rolled back"),
        "repair": Text("복구했습니다", "repaired"),
        "start": Text("시작했습니다", "started"),
        "config": Text("설정을 바꾸었습니다", "the configuration was changed"),
        "unchanged": Text("설정이 이미 그렇습니다", "the configuration says so already"),
        "stop": Text("멈췄습니다", "stopped"),
        "restore-unit": Text("서비스 등록을 다시 썼습니다", "the service's unit was written again"),
        "rebuild-index": Text("색인을 다시 만들었습니다", "the index was built again"),
    }
    title = titles[done.action]
    ko = [f"{title.ko}: RAGTrace {done.version} ({done.generation}), {prefix.root}, {done.seconds:.1f}초"]
    en = [f"{title.en}: RAGTrace {done.version} ({done.generation}) at {prefix.root}, {done.seconds:.1f} s"]
    if url and service is not None and service.enabled:
        ask = shlex.quote(f"{prefix.root}/current/venv/bin/ragtrace") + ' ask "…"'
        ko += [f"  서비스: {url} ({service.manager})", f"  질문:   {ask}"]
        en += [f"  service: {url} ({service.manager})", f"  ask:     {ask}"]
    tools = shlex.quote(f"{prefix.root}/current/tools/04_Scripts/install.py")
    # Where install.sh had to bring a Python along, the host has none to name but the release's own.
    own = shlex.quote(f"{prefix.root}/current/venv/bin/python")
    python = own if os.environ.get(TEMPORARY_PYTHON) else "python3"
    ko += [f"  상태:   {python} {tools} --status", f"  되돌리기: {python} {tools} --rollback"]
    en += [f"  state:   {python} {tools} --status", f"  go back: {python} {tools} --rollback"]
    told = (
        advice(prefix, done.generation, done.service)
        if done.action in ("install", "upgrade", "resume")
        else None
    )
    if told is not None:
        document["advice"] = told.to(console.lang)
        ko.append(f"  할 일:   {told.ko}")
        en.append(f"  to do:   {told.en}")
    console.report(Text("\n".join(ko), "\n".join(en)), document)
