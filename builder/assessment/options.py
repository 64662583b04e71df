"""The options by which a build is told whom to ask about vulnerabilities and what to make of the answer."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.text import Text, wording

from .findings import LEVELS

if TYPE_CHECKING:
    from .audit import Settings

SOURCES = ("pypi", "osv", "safety", "none")
# Where an answer is what the command is for.
ASKED = SOURCES[:-1]


def asking(lang: str, sources: Sequence[str] = SOURCES) -> argparse.ArgumentParser:
    """Return the options that say whom to ask, one of `sources`."""
    text = wording(lang)
    parent = argparse.ArgumentParser(add_help=False)
    add = parent.add_argument
    nobody = Text("", "")
    if "none" in sources:
        nobody = Text(", none은 묻지 않음", ", none asks nobody")
    add(
        "--audit",
        choices=sources,
        default="pypi",
        help=text(
            f"알려진 취약점을 물을 곳: pypi·osv는 pip-audit, safety는 계정 필요{nobody.ko} (기본: pypi)",
            "whom to ask about known vulnerabilities: pypi and osv by pip-audit, safety needs an "
            f"account{nobody.en} (default: pypi)",
        ),
    )
    add(
        "--osv-url",
        default=None,
        metavar="URL",
        help=text("OSV 질의 주소", "where OSV answers queries"),
    )
    return parent


def auditing(lang: str) -> argparse.ArgumentParser:
    """Return the options about advisories, as a parent of the commands that assess."""
    text = wording(lang)

    parent = argparse.ArgumentParser(add_help=False, parents=[asking(lang)])
    add = parent.add_argument
    add(
        "--advisories",
        type=Path,
        default=None,
        metavar="FILE",
        help=text(
            "묻지 않고 이전 빌드의 advisories.json 을 씀",
            "ask nobody; use the advisories.json of an earlier build",
        ),
    )
    add(
        "--fail-on",
        choices=LEVELS,
        default="none",
        help=text(
            "이 심각도 이상이거나 답이 없으면 빌드를 멈춤 (기본: none)",
            "stop at findings this severe or worse, and at packages without an answer (default: none)",
        ),
    )
    add(
        "--waivers",
        type=Path,
        default=None,
        metavar="FILE",
        help=text(
            "사유와 만료일이 있는 면제 (기본: manifests/waivers.toml)",
            "waivers with reason and expiry (default: manifests/waivers.toml)",
        ),
    )
    return parent


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the audit's settings.

    Raises:
        UsageProblem: a level to fail on, and nobody to ask.
    """
    from bundle.errors import UsageProblem

    if options.audit == "none" and options.advisories is None and options.fail_on != "none":
        raise UsageProblem(
            Text(
                "--fail-on 에는 물을 곳이나 --advisories 가 필요합니다",
                "--fail-on needs somebody to ask, or --advisories",
            ),
            hint=Text("--audit none 을 빼십시오", "leave out --audit none"),
        )
    settings = asked(options)
    return replace(
        settings,
        snapshot=options.advisories,
        # Whoever insists on an answer has probably just mended the network: do not repeat a failure.
        retry_after=settings.retry_after if options.fail_on == "none" else timedelta(0),
    )


def asked(options: argparse.Namespace) -> Settings:
    """Return whom to ask."""
    from .advisories.interface import OSV_URL
    from .audit import Settings

    by_pip_audit = options.audit in ("pypi", "osv")
    return Settings(
        source="pip-audit" if by_pip_audit else options.audit,
        service=options.audit if by_pip_audit else "pypi",
        osv_url=options.osv_url or os.environ.get("PIP_AUDIT_OSV_URL") or OSV_URL,
    )
